// What the colours of the map mean; a click on a value narrows the rows to it.

import { colours, css, ramp } from "./colours.js";
import { EDITS, edit } from "./edits.js";
import { $, figure, fill, h, plain, whole } from "./dom.js";
import { save } from "./exports.js";
import { clear, colouring } from "./map.js";
import { ask, on, state, toggle } from "./store.js";

const MOST = 80; // values that are listed

/** What a value is called. */
export function called(by, value) {
  if (by !== "cluster") return value || "none";
  if (value === "") return "in no cluster";
  return state.clusters.find((one) => String(one.cluster) === value)?.name ?? `cluster ${value}`;
}

/** An end of a ramp in words: a day where the amounts are moments. */
function end({ moment }, value) {
  if (moment) return new Date(1000 * value).toISOString().slice(0, 10);
  return Math.abs(value) >= 100 ? value.toLocaleString("en", { maximumFractionDigits: 0 }) : figure(value);
}

function draw() {
  const chosen = colouring();
  const legend = $("legend");
  legend.hidden = !chosen;
  if (!chosen) return;
  if (!chosen.values) {
    const stops = [0, 0.25, 0.5, 0.75, 1].map((share) => css(ramp(share, 0, 1, state.theme)));
    fill(
      legend,
      h("div", { class: "soft data" }, chosen.words),
      h("div", { class: "ramp", style: { background: `linear-gradient(90deg, ${stops.join(", ")})` } }),
      h("div", { class: "ends" }, h("span", {}, end(chosen, chosen.low)), h("span", {}, end(chosen, chosen.high))),
    );
    return;
  }
  const drawn = colours(chosen, state.theme);
  const order = [...chosen.values.keys()].sort((one, other) => chosen.values[other].rows - chosen.values[one].rows);
  const filters = state.query.filters[chosen.by] ?? [];
  fill(
    legend,
    chosen.words && h("div", { class: "soft data" }, chosen.words),
    order.slice(0, MOST).map((at) => {
      const { value, rows } = chosen.values[at];
      const gone = chosen.by === "status" && value === "removed";
      const dot = h("span", { class: gone ? "dot ghost" : "dot", style: gone ? {} : { background: css(drawn[at]) } });
      const pressed = filters.includes(value) ? "true" : "false";
      const name = called(chosen.by, value);
      return h("button", { type: "button", aria_pressed: pressed, title: name, onclick: () => toggle(chosen.by, value) },
        dot, h("span", { class: "one-line" }, name), h("span", { class: "soft" }, whole(rows)));
    }),
    order.length > MOST && h("div", { class: "soft" }, `and ${order.length - MOST} more`),
  );
}

function chosen() {
  const bar = $("chosen");
  bar.hidden = !state.query.selection;
  fill(
    bar,
    h("b", {}, `${whole(state.chosen.length)} rows chosen`),
    state.proposal?.proposal && Object.entries(EDITS).map(([name, words]) =>
      h("button", { type: "button", "data-edit": name, onclick: () => edit(name) }, words)),
    h("button", { type: "button", onclick: () => save("jsonl") }, "Export"),
    h("button", { type: "button", onclick: clear }, "Clear"),
  );
}

/** Show all rows again. */
export function everything() {
  clear();
  ask({ search: "", filters: {}, near: "" });
  $("search").value = "";
}

export function begin() {
  on("about by clusters theme query", draw);
  on("query chosen proposal", chosen);
}
