// One row in full: what it says, where it stands, its life in the run, its neighbours; and what a person says of it.

import { json } from "./api.js";
import { deed } from "./deeds.js";
import { figure, h, percent, plain, whole } from "./dom.js";
import { EDITS, edit, note, withdraw } from "./edits.js";
import { called } from "./legend.js";
import { likeOpen } from "./search.js";
import { set, state } from "./store.js";

const KIND = { kept: "good", "held out": "warn", sealed: "accent", removed: "bad", synthetic: "accent" };

function facts(row) {
  const told = {
    id: row.id,
    label: row.label,
    "in the input": row.label_in_input,
    cluster: row.cluster === undefined ? null : called("cluster", String(row.cluster)),
    why: row.why,
    score: row.score === null ? null : `${row.score.toPrecision(3)}${row.threshold === null ? "" : `, limit ${row.threshold}`}`,
    "a person said": row.said,
    "predicted quality": row.quality === undefined ? null : `${figure(row.quality)} of 5`,
    marked: row.marked && Object.entries(row.marked).map(([rule, value]) => `${rule} (${value.toPrecision(3)})`).join(", "),
    "written by": row.generator,
    characters: whole(row.characters),
  };
  return h("dl", { class: "facts" }, Object.entries(told).filter(([, value]) => value).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** Figures of the evidence on the row; those that are shares as bars. */
function evidence(row) {
  const figures = Object.entries(row.evidence ?? {}).filter(([, value]) => typeof value === "number");
  const words = Object.entries(row.evidence ?? {}).filter(([name, value]) => typeof value === "string" && name !== "label");
  if (!figures.length) return null;
  return h("div", { class: "tight" }, h("h3", {}, "Evidence"),
    figures.map(([name, value]) => h("div", { class: "bar-row" }, h("span", {}, plain(name)), h("span", {}, value.toPrecision(3)),
      value >= 0 && value <= 1 && h("div", { class: "bar-track" }, h("div", { class: "bar-fill", style: { width: `${100 * value}%` } })))),
    words.map(([name, value]) => h("p", { class: "soft" }, `${plain(name)}: ${value}`)));
}

/** What a person may do with it, by where it stands; what they said before and did not apply. */
function acts(row) {
  if (!state.desk || state.desk.ended) return null;
  const able = { kept: ["protect", "drop", "label"], removed: ["restore"], synthetic: ["drop"] }[row.standing] ?? [];
  if (!able.length) return h("p", { class: "soft" }, "Held-out rows stay as they are while a run goes on.");
  const shown = able.filter((name) => name !== "label" || state.status?.label_column);
  const to = row.said?.startsWith("label ") ? row.said.slice(6) : null;
  const waits = row.standing === "kept" && (row.said === "remove" || (to !== null && to !== row.label));
  return h("div", { class: "tight" },
    h("div", { class: "actions" }, shown.map((name) => h("button", { type: "button", "data-edit": name,
      onclick: () => edit(name, [row.row], row.evidence?.other_label ?? row.label ?? "") }, EDITS[name]))),
    row.said && h("div", { class: "line" }, h("span", { class: "pill accent" }, `a person said: ${row.said}`),
      waits && h("button", { type: "button", class: "primary", onclick: () => deed("apply") }, "Apply what I said")));
}

/** What people noted about it. */
function notes(row) {
  const able = state.desk && !state.desk.ended;
  return (able || row.notes) && h("div", { class: "tight", id: "notes" },
    (row.notes ?? []).map((one) => h("div", { class: "card tight" }, h("p", { class: "data", dir: "auto" }, one.note),
      h("p", { class: "soft data" }, `${one.who || "a person"}, ${new Date(one.ts).toLocaleString("en")}`),
      able && h("div", { class: "actions" },
        h("button", { type: "button", onclick: () => note(one) }, "Change…"),
        h("button", { type: "button", onclick: () => withdraw(one) }, "Withdraw")))),
    able && h("div", {}, h("button", { type: "button", id: "note", onclick: () => note() }, "Write a note…")));
}

const small = (row, beside) => h("button", { type: "button", class: "small-row", onclick: () => set({ row: row.row }) },
  h("div", { class: "data" }, row.text || "(no text)"), h("div", { class: "soft" }, beside));

/** The drawer of the row that is chosen. */
export async function drawer() {
  if (state.row === null) return h("p", { class: "soft" }, "Choose a row: click a point on the map, or a line of the table.");
  const { row, steps, twin, neighbours } = await json("/api/row", { n: state.row });
  const to = [...neighbours.map((one) => ({ row: one.row })), ...(twin ? [{ row: twin.row, twin: true }] : [])];
  set({ links: { row: state.row, to } });
  return h("div", { class: "stack" },
    h("div", { class: "line" }, h("h2", {}, `Row ${whole(row.row)}`), h("span", { class: `pill ${KIND[row.standing]}` }, row.standing)),
    h("div", { class: "quote data", dir: "auto" }, row.text || "(no text)"),
    acts(row),
    notes(row),
    facts(row),
    evidence(row),
    twin && h("div", { class: "tight" }, h("h3", {}, row.status === "removed" ? "It repeats a row that stays" : "It nearly repeats"), small(twin, twin.id)),
    h("div", { class: "tight" }, h("h3", {}, "Its life in the run"), h("ol", { class: "life" }, steps.map((step) => h("li", { class: "data" }, step.said)))),
    neighbours.length > 0 && h("div", { class: "tight" }, h("div", { class: "line" }, h("h3", {}, "Nearest rows"),
      h("button", { type: "button", class: "link", id: "like", onclick: likeOpen }, "Show more like this one")),
      h("div", {}, neighbours.map((one) => small(one, [one.cosine.toFixed(3), one.label, one.standing === "kept" ? "" : one.standing].filter(Boolean).join(" · "))))),
  );
}
