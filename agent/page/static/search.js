// The search: by words that a row holds, or by meaning, with the vectors that the run works with.

import { near } from "./api.js";
import { $, later, toast } from "./dom.js";
import { ask, on, set, state } from "./store.js";

let asked = 0; // so that a late answer to an earlier search is dropped

/** The rows nearest in meaning to some words, or to a row: {text} or {row}. */
export async function nearest(to, words) {
  const now = ++asked;
  try {
    $("table").setAttribute("aria-busy", "true");
    const found = await near(to);
    if (now !== asked) return;
    set({ nearTo: words });
    ask({ near: found, search: "" });
  } catch (error) {
    if (now === asked) toast(error.message, true);
  } finally {
    $("table").removeAttribute("aria-busy");
  }
}

function searched() {
  const typed = $("search").value;
  if (state.byMeaning && typed.trim()) nearest({ text: typed }, `“${typed.trim()}”`);
  else {
    asked += 1;
    ask({ search: state.byMeaning ? "" : typed, near: "" });
  }
}

/** Rows like the one that is open. */
export function likeOpen() {
  if (state.row === null) {
    toast("open a row first: click a point on the map, or a line of the table", true);
    return;
  }
  $("search").value = "";
  set({ lower: "rows" });
  nearest({ row: state.row }, `row ${state.row.toLocaleString("en")}`);
}

/** Search by meaning, or by words again. */
export function byMeaning() {
  const { why_not: whyNot, sends } = state.status?.meaning ?? {};
  if (whyNot && !state.byMeaning) {
    toast(whyNot, true);
    return;
  }
  set({ byMeaning: !state.byMeaning, lower: "rows" });
  if (state.byMeaning && sends) toast(`what you search for is sent to ${sends}, which embeds the rows`);
  $("search").focus();
  if ($("search").value.trim()) searched();
}

function drawn() {
  const { why_not: whyNot } = state.status?.meaning ?? {};
  const button = $("meaning");
  button.setAttribute("aria-pressed", String(state.byMeaning));
  button.title = whyNot ?? "Search by meaning instead of by words (M)";
  $("search").placeholder = state.byMeaning ? "What the rows are about" : "Search the rows";
}

export function begin() {
  const [soon, after] = [later(180, searched), later(500, searched)];
  $("search").addEventListener("input", () => (state.byMeaning ? after() : soon()));
  $("meaning").addEventListener("click", byMeaning);
  on("status byMeaning", drawn);
}
