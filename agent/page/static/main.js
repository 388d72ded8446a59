// The page begins: what is read at first, and again whenever the run has come further.

import { json, live } from "./api.js";
import { card, working } from "./proposal.js";
import { byKey, theme } from "./commands.js";
import * as clusters from "./clusters.js";
import { drawer } from "./drawer.js";
import { $, fill, h, plain, toast } from "./dom.js";
import * as legend from "./legend.js";
import * as map from "./map.js";
import * as menus from "./menus.js";
import { overview } from "./overview.js";
import * as palette from "./palette.js";
import * as rows from "./rows.js";
import * as search from "./search.js";
import { on, set, state } from "./store.js";
import { hear, talk } from "./talk.js";
import * as timeline from "./timeline.js";

const SIDES = { overview, proposal: card, row: drawer, cluster: clusters.cluster, talk };
let drawn = 0;

/** Draw the panel of details; a late answer for another panel is dropped. */
async function side(keep) {
  if (keep === true && state.side === "talk") return hear(); // what is being typed stays
  const now = ++drawn;
  let shown;
  try {
    shown = await SIDES[state.side]();
  } catch (error) {
    shown = h("p", { class: "soft" }, error.message);
  }
  if (now !== drawn) return;
  const top = keep === true ? $("side").scrollTop : 0;
  fill($("side"), shown);
  $("side").scrollTop = top;
  if (keep !== true && state.side === "proposal") state.shownAt = performance.now();
}

function standing() {
  const { status, desk } = state;
  if (!status) return;
  $("run-name").textContent = `${status.source} → ${status.run}`;
  document.title = `${status.run} · Recryst`;
  const pill = $("run-state");
  const [words, kind] = desk?.failed ? ["stopped", "bad"] : status.finished ? ["finished", "good"] : state.proposal?.proposal ? [`round ${status.round}: waits for you`, "accent"]
    : desk?.now ? [working(desk), "warn"] : [status.last ? `round ${status.round}, after ${plain(status.last)}` : "begins", "warn"];
  pill.textContent = words;
  pill.className = `pill ${kind}`;
}

/** Read what follows from the log: status, clusters, map, rows, timeline. */
async function refresh(keep) {
  const status = await json("/api/status");
  const listed = (await json("/api/clusters")).clusters;
  const same = JSON.stringify(listed) === JSON.stringify(state.clusters);
  set({ status, desk: status.desk, ...(same ? {} : { clusters: listed }) });
  standing();
  await Promise.all([map.reload(), status.rows && rows.reload(keep), timeline.reload()]);
  if (state.side !== "proposal" || !state.desk || !state.proposal?.proposal) await side(keep);
}

let last = ""; // the proposal that waited last: while a note is written down none does, and then the same one again

/** What is proposed; it is shown in full, and only what is shown can be answered. */
async function proposed() {
  const before = JSON.stringify(state.proposal?.proposal ?? null);
  const found = await json("/api/proposal");
  const now = JSON.stringify(found.proposal ?? null);
  const another = found.proposal && now !== last;
  if (another) last = now;
  set({ proposal: found, ...(another && state.side !== "talk" ? { side: "proposal" } : {}) });
  standing();
  if (now !== before && state.side === "proposal") await side();
}

let log = -1;
let waiting = "";
let busy = false;
let again = null;

async function heard(told) {
  if (busy) {
    again = told;
    return;
  }
  busy = true;
  try {
    const ended = Boolean(told.desk?.ended) !== Boolean(state.desk?.ended);
    const spoke = String(told.desk?.said_so_far) !== String(state.desk?.said_so_far);
    set({ desk: told.desk });
    if (ended && ["proposal", "talk"].includes(state.side)) await side();
    else if (spoke) await hear();
    standing();
    const progress = $("progress");
    if (progress && told.desk) progress.textContent = working(told.desk);
    if ($("pause")) $("pause").disabled = Boolean(told.desk?.pausing);
    const names = JSON.stringify(told.desk?.waiting ?? null);
    if (names !== waiting) {
      waiting = names;
      await proposed();
    }
    if (told.log !== log) {
      log = told.log;
      await refresh(true);
    }
  } catch (error) {
    toast(error.message, true);
  } finally {
    busy = false;
    if (again) {
      const next = again;
      again = null;
      setTimeout(() => heard(next), 300);
    }
  }
}

function begin() {
  history.replaceState(null, "", "/"); // the token stays in the cookie alone
  let kept = null;
  try {
    kept = localStorage.getItem("recryst-theme");
  } catch { /* a browser that keeps nothing */ }
  theme(kept ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  for (const part of [menus, map, legend, rows, search, clusters, timeline, palette]) part.begin();
  on("side row cluster", side);
  window.addEventListener("recryst-look", (event) => matchMedia("(max-width: 760px)").matches && menus.look(event.detail));
  on("at", () => {
    set({ about: null });
    refresh().catch((error) => toast(error.message, true));
  });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      palette.open();
      return;
    }
    const command = byKey(event);
    if (!command) return;
    event.preventDefault();
    command.run();
  });
  let lost = false;
  live((told) => {
    lost = false;
    heard(told);
  }, () => {
    if (!lost) toast("the server does not answer: it was ended at the terminal", true);
    lost = true;
  });
}

begin();
