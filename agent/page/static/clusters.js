// The clusters as a table, and one of them in full.

import { json } from "./api.js";
import { choice, compare } from "./compare.js";
import { colours, css } from "./colours.js";
import { $, figure, fill, h, percent, plain, whole } from "./dom.js";
import { drop, thin } from "./deeds.js";
import { ask, on, set, state } from "./store.js";

const COLUMNS = [
  ["Cluster", "name"], ["Rows", "size"], ["Cohesion", "cohesion"], ["Silhouette", "silhouette"], ["Stability", "stability"],
  ["Near-dup.", "near_duplicates"], ["Outliers", "outliers"], ["Low quality", "low_quality"], ["Issues", null], ["Verdict", "verdict"],
];
const KIND = { keep: "good", split: "accent", thin: "warn", trim: "warn", drop: "bad" };
const order = { by: "size", descending: true };

/** The colour that a cluster has on the map when that is coloured by cluster. */
function dot(number) {
  const chosen = state.about?.colours.find((one) => one.by === "cluster");
  const at = chosen?.values.findIndex((one) => one.value === String(number)) ?? -1;
  return h("span", { class: "dot", style: at < 0 ? {} : { background: css(colours(chosen, state.theme)[at]) } });
}

const issues = (one) => (one.critique.issues ?? []).filter((issue) => issue !== "none").map(plain).join(", ");
const value = (one, by) => (by === "verdict" ? one.critique.verdict : one[by]) ?? -Infinity;

function draw() {
  const rows = [...state.clusters].sort((one, other) => {
    const [a, b] = [value(one, order.by), value(other, order.by)];
    return (a < b ? -1 : a > b ? 1 : 0) * (order.descending ? -1 : 1);
  });
  const count = document.querySelector("#lower-tabs [data-tab='clusters'] .count");
  if (count) count.textContent = rows.length || "";
  if (!rows.length) {
    fill($("clusters-table"), h("div", { class: "table-empty" }, "the rows are not clustered yet"));
    return;
  }
  const heads = COLUMNS.map(([title, by]) => h("th", { class: by === "name" ? "wide" : "", scope: "col" },
    by ? h("button", { type: "button", onclick: () => sorted(by) }, title + (order.by === by ? (order.descending ? " ↓" : " ↑") : "")) : title));
  const lines = rows.map((one) => h("tr", { class: one.cluster === state.cluster ? "open" : "" },
    h("td", { class: "wide" }, h("span", { class: "name" }, dot(one.cluster),
      h("button", { type: "button", class: "link", onclick: () => set({ cluster: one.cluster, side: "cluster" }) }, one.name),
      h("span", { class: "soft" }, one.cluster < 0 ? "" : `#${one.cluster}`))),
    h("td", {}, whole(one.size)), h("td", {}, figure(one.cohesion)), h("td", {}, figure(one.silhouette)), h("td", {}, figure(one.stability)),
    [one.near_duplicates, one.outliers, one.low_quality].map((share) => h("td", {}, percent(share))),
    h("td", { class: "wide" }, issues(one)),
    h("td", {}, one.critique.verdict && h("span", { class: `pill ${KIND[one.critique.verdict]}` }, one.critique.verdict + (one.critique.review ? " ?" : ""))),
  ));
  if (state.compare !== null) compare($("clusters-table"));
  else fill($("clusters-table"), h("table", { class: "figures" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, lines)));
}

function sorted(by) {
  order.descending = order.by === by ? !order.descending : by !== "name";
  order.by = by;
  draw();
}

/** One cluster in full: its figures, its critique, the rows that stand for it, and what can be proposed for it. */
export async function cluster() {
  if (state.cluster === null) return h("p", { class: "soft" }, "Choose a cluster: in the table of clusters, or by its name.");
  const one = await json("/api/cluster", { n: state.cluster });
  const said = [...(one.critique.reasons ?? []), ...(one.critique.said ?? [])];
  const facts = {
    rows: whole(one.size), cohesion: figure(one.cohesion), silhouette: figure(one.silhouette), stability: figure(one.stability),
    "near-duplicates": percent(one.near_duplicates), outliers: percent(one.outliers), "low quality": percent(one.low_quality),
    "nearest cluster": one.nearest_cluster === null ? "" : `#${one.nearest_cluster}`, separation: figure(one.separation),
    coherence: one.critique.coherence && `${one.critique.coherence} of 5`, quality: one.critique.quality && `${one.critique.quality} of 5`,
  };
  return h("div", { class: "stack" },
    h("div", { class: "tight" },
      h("div", { class: "line" }, dot(one.cluster), h("h2", {}, one.name)),
      h("div", { class: "line soft" }, one.cluster < 0 ? "rows that belong to no cluster" : `cluster ${one.cluster}`,
        one.critique.verdict && h("span", { class: `pill ${KIND[one.critique.verdict]}` }, one.critique.verdict),
        issues(one) && h("span", {}, issues(one)))),
    h("p", {}, one.terms.join(", ")),
    said.length > 0 && h("div", { class: "card tight" }, h("h3", {}, `Critique, by ${one.critique.by === "rules" ? "the rules" : "the language model"}`), said.map((line) => h("p", { class: "data" }, line))),
    h("dl", { class: "facts" }, Object.entries(facts).filter(([, shown]) => shown).map(([name, shown]) => [h("dt", {}, name), h("dd", {}, shown)])),
    h("div", { class: "actions" },
      h("button", { type: "button", onclick: () => { ask({ filters: { ...state.query.filters, cluster: [String(one.cluster)] } }); set({ lower: "rows" }); } }, "Show its rows"),
      state.desk && [
        h("button", { type: "button", onclick: () => thin(one.cluster) }, "Propose to thin…"),
        h("button", { type: "button", onclick: () => drop(one.cluster) }, "Propose to drop"),
      ]),
    h("div", { class: "tight" }, h("h3", {}, "Rows that stand for it"), h("div", {}, one.rows.map((row) =>
      h("button", { type: "button", class: "small-row", onclick: () => set({ row: row.row, side: "row" }) },
        h("div", { class: "data" }, row.text || "(no text)"),
        h("div", { class: "soft" }, [row.role, row.label, row.doubt].filter(Boolean).join(" · ")))))),
  );
}

async function chosen() {
  fill($("compare-bar"), await choice(state.compare));
}

export function begin() {
  fill($("clusters-panel"), h("div", { id: "compare-bar" }), h("div", { id: "clusters-table" }));
  on("clusters about theme cluster compare", draw);
  on("clusters at compare", () => chosen().catch(() => null));
  draw();
}
