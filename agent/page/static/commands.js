// Every command once: the menus, the palette and the keys are read from this list.

import { another, begin } from "./another.js";
import { changeK, deed, drop, oneMore, putForward, severalRounds, stopAndAsk, thin } from "./deeds.js";
import { compareNext } from "./compare.js";
import { EDITS, canEdit, edit, note } from "./edits.js";
import { KINDS, save } from "./exports.js";
import { keys } from "./dialogs.js";
import { $, plain } from "./dom.js";
import { everything } from "./legend.js";
import { clear, fit, zoom } from "./map.js";
import { byMeaning, likeOpen } from "./search.js";
import { set, state } from "./store.js";

const METHODS = { umap: "UMAP", tsne: "t-SNE", pca: "PCA" };
const waits = () => Boolean(state.proposal?.proposal);
const goesOn = () => waits() && !state.proposal.proposal.stops;

/** The theme, kept for the next time. */
export function theme(name) {
  document.documentElement.dataset.theme = name;
  try {
    localStorage.setItem("recryst-theme", name);
  } catch { /* a browser that keeps nothing */ }
  set({ theme: name });
}

export const hasMap = (method, dimensions) => Boolean(state.about?.maps.some((one) => one.method === method && one.dimensions === dimensions));

const REFILTERS = ["refilter", "refilter_by_quality"];
const NO_REFILTER = "no quality rule has other thresholds to try on these rows, or they were tried";
const NOTHING_WRITTEN = "there is no language model that writes rows (--llm), or no cluster is thin enough";

const FIXED = [
  { menu: "File", title: "New run…", run: begin, able: () => Boolean(state.desk) },
  { menu: "File", title: "Open another run beside this one…", keys: "O", run: another },
  ...Object.entries(KINDS).map(([kind, words]) => ({ menu: "File", title: `Export what is listed as ${words}`, run: () => save(kind) })),
  { menu: "File", title: "Open the report", run: () => window.open("/report", "_blank", "noopener"), able: () => state.status?.report },
  { menu: "View", title: "Light or dark", keys: "T", run: () => theme(state.theme === "dark" ? "light" : "dark") },
  { menu: "View", title: "Cluster names", keys: "N", run: () => set({ names: !state.names }), checked: () => state.names },
  { menu: "View", title: "Removed rows as ghosts", keys: "G", run: () => set({ ghosts: !state.ghosts }), checked: () => state.ghosts },
  { menu: "View", title: "Density contours", keys: "D", run: () => set({ density: !state.density }), checked: () => state.density, able: () => state.dimensions === 2 },
  { menu: "View", title: "Fit the map", keys: "0", run: fit },
  { menu: "View", title: "Zoom in", keys: "+", run: () => zoom(1.3) },
  { menu: "View", title: "Zoom out", keys: "-", run: () => zoom(1 / 1.3) },
  { menu: "View", title: "Lasso", keys: "L", run: () => set({ lasso: !state.lasso }), checked: () => state.lasso },
  { menu: "View", title: "Two or three dimensions", keys: "3", run: () => set({ dimensions: state.dimensions === 2 ? 3 : 2 }) },
  { menu: "View", title: "Rows", keys: "R", run: () => set({ lower: "rows" }) },
  { menu: "View", title: "Clusters", keys: "C", run: () => set({ lower: "clusters" }) },
  { menu: "View", title: "Compare the clusters with another round", keys: "V", run: compareNext, able: () => state.clusters.length > 0 },
  { menu: "View", title: "Timeline", keys: "H", run: () => set({ lower: "timeline" }) },
  { menu: "View", title: "Chat", keys: "A", run: () => set({ side: "talk" }), able: () => Boolean(state.desk) },
  { menu: "View", title: "Show all rows", keys: "Escape", run: () => { clear(); everything(); set({ lasso: false }); } },
  { menu: "View", title: "Search the rows", keys: "/", run: () => { set({ lower: "rows" }); $("search").focus(); } },
  { menu: "View", title: "Search by meaning", keys: "M", run: byMeaning, checked: () => state.byMeaning, able: () => state.byMeaning || !state.status?.meaning?.why_not },
  { menu: "View", title: "Rows like the open one", run: likeOpen, able: () => state.row !== null },
  { menu: "Run", title: "Approve what is proposed", keys: "Y", run: () => deed("approve"), able: waits },
  { menu: "Run", title: "Reject it", keys: "X", run: () => deed("reject"), able: goesOn },
  { menu: "Run", title: "One more round", run: oneMore, able: waits },
  { menu: "Run", title: "Pause: ask before the next action", keys: "P", run: stopAndAsk, able: () => Boolean(state.desk) && !state.desk.ended && !waits() },
  { menu: "Run", title: "Approve several rounds…", run: severalRounds, able: goesOn },
  { menu: "Run", title: "Finish: end the rounds and write the data", run: () => deed("finish"), able: waits },
  { menu: "Act", title: "Change the number of clusters…", run: changeK, able: waits },
  { menu: "Act", title: "Refilter…", run: () => putForward(REFILTERS, "Refilter", NO_REFILTER), able: waits },
  { menu: "Act", title: "Synthesise rows for thin clusters…", run: () => putForward(["synthesise"], "Which rows", NOTHING_WRITTEN), able: waits },
  { menu: "Act", title: "Thin clusters…", run: () => thin(), able: waits },
  { menu: "Act", title: "Drop clusters…", run: () => drop(), able: waits },
  ...Object.entries(EDITS).map(([name, words]) => ({ menu: "Act", title: `${words.replace("…", "")} the chosen rows`, run: () => edit(name), able: canEdit })),
  { menu: "Act", title: "Write a note on the open row…", run: () => note(), able: () => waits() && state.row !== null },
  { menu: "Act", title: "Apply what I said of rows", run: () => deed("apply"), able: waits },
  { menu: "Act", title: "Keep the trial that was rolled back", run: () => deed("keep"), able: () => Boolean(state.proposal?.proposal?.rolled_back) },
  { menu: "Act", title: "Undo the last change", run: () => deed("undo"), able: waits },
  { menu: "Help", title: "Keys", keys: "?", run: () => keys(FIXED) },
];

/** All commands that there are now: with the maps and colourings of the run. */
export function commands() {
  const maps = Object.entries(METHODS).map(([method, name]) => ({
    menu: "View", title: `Map by ${name}`, run: () => set({ method }), checked: () => state.method === method,
    able: () => hasMap(method, 2) || hasMap(method, 3),
  }));
  const colourings = (state.about?.colours ?? []).map(({ by, words }) => ({
    menu: "View", title: `Colour by ${by.startsWith("column:") ? "column " : ""}${words ?? plain(by)}`, run: () => set({ by }), checked: () => state.by === by,
  }));
  const alternatives = (state.proposal?.proposal?.alternatives ?? []).map((one) => ({
    menu: "Act", title: `Put forward: ${one.words}`, run: () => deed("choose", { candidate: one.id }),
  }));
  return [...FIXED, ...maps, ...colourings, ...alternatives];
}

/** The command that a key stands for; none while something is typed. */
export function byKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  if (event.target.closest("input, select, textarea, dialog[open]")) return null;
  if (event.target.closest("[role='menu']")) return null;
  const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const found = commands().find((one) => one.keys === key || (key === "=" && one.keys === "+"));
  return found && (!found.able || found.able()) ? found : null;
}
