// Two rounds beside each other: what became of each cluster of the earlier one.

import { json } from "./api.js";
import { fill, h, toast, whole } from "./dom.js";
import { set, state } from "./store.js";

const KIND = { same: "good", split: "accent", merged: "accent", scattered: "warn", gone: "bad" };
const SAID = {
  same: "it and one cluster have three fifths of all their rows in common", merged: "four fifths of its rows are in one cluster, together with others'",
  split: "a fifth of its rows or more is in each of several", scattered: "its rows lie in several, most of them with few", gone: "none of its rows stands",
};
let moments = [];

/** The rounds there are to choose from, read again; and the choice. */
export async function choice(chosen) {
  moments = (await json("/api/compared")).moments;
  return moments.length > 0 && h("label", { class: "line compare" }, h("span", { class: "soft" }, "Compare with"),
    h("select", { id: "compare", onchange: (event) => set({ compare: event.target.value === "" ? null : Number(event.target.value) }) },
      h("option", { value: "", selected: chosen === null }, "no other round"),
      moments.map((one) => h("option", { value: String(one.seq), selected: one.seq === chosen },
        `round ${one.round}, as its action was decided (${one.k} clusters)`))));
}

/** The next or the first round to compare with, from the keyboard. */
export function compareNext() {
  const at = moments.findIndex((one) => one.seq === state.compare);
  set({ lower: "clusters", compare: moments[at + 1]?.seq ?? null });
}

const link = (part) => h("button", { type: "button", class: "link", onclick: () => set({ cluster: part.cluster, side: "cluster" }) }, part.name || `cluster ${part.cluster}`);

/** Draw the comparison into an element. */
export async function compare(into) {
  let found;
  try {
    found = await json("/api/compared", { with: state.compare });
  } catch (error) {
    set({ compare: null });
    toast(error.message, true);
    return;
  }
  const counts = Object.keys(KIND).map((name) => [name, found.clusters.filter((one) => one.became === name).length]).filter(([, many]) => many);
  const lines = found.clusters.map((one) => h("tr", {},
    h("td", { class: "wide" }, h("span", { class: "name" }, one.name || `cluster ${one.cluster}`, h("span", { class: "soft" }, one.cluster < 0 ? "" : `#${one.cluster}`))),
    h("td", {}, whole(one.rows)), h("td", {}, one.gone ? whole(one.gone) : ""),
    h("td", {}, h("span", { class: `pill ${KIND[one.became]}`, title: SAID[one.became] }, one.became)),
    h("td", { class: "wide" }, one.parts.map((part) => h("div", { class: "name" }, link(part), h("span", { class: "soft" }, `${whole(part.rows)} of ${whole(part.of)}`))),
      one.more > 0 && h("div", { class: "soft" }, `and ${one.more} more`))));
  fill(into,
    h("p", { class: "compared" }, `${found.then.clusters} clusters of ${whole(found.then.rows)} rows in round ${found.then.round}, `,
      `${found.now.clusters} of ${whole(found.now.rows)} ${state.at === null ? "now" : `before event ${state.at}`}: `,
      counts.map(([name, many]) => `${many} ${name}`).join(", "), found.came ? `; ${whole(found.came)} rows came` : ""),
    h("table", { class: "figures" }, h("thead", {}, h("tr", {}, ["Cluster then", "Rows", "Went", "Became", "Where its rows are now: of how many"].map((title, at) =>
      h("th", { scope: "col", class: at % 4 ? "" : "wide" }, title)))), h("tbody", {}, lines)));
}
