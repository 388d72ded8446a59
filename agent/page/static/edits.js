// What a person does with single rows: those drawn around on the map, or the one in the drawer. Each is a proposal.

import { deed } from "./deeds.js";
import { question } from "./dialogs.js";
import { toast } from "./dom.js";
import { state } from "./store.js";

/** What can be done, and how the buttons call it. */
export const EDITS = { restore: "Restore", drop: "Drop", protect: "Protect", label: "Relabel…" };

/** The rows that are meant: those that are chosen, or the one that is looked at. */
const meant = () => (state.query.selection ? state.chosen : state.row === null ? [] : [state.row]);

export const canEdit = () => Boolean(state.proposal?.proposal) && meant().length > 0;

/** Put forward what becomes of rows; `suggested` is a label that they might have. */
export async function edit(name, rows = meant(), suggested = "") {
  if (!rows.length) {
    toast("choose rows first: draw around them on the map, or open one", true);
    return;
  }
  if (name !== "label") {
    deed("choose", { edit: { edit: name, rows } });
    return;
  }
  const known = state.about?.colours.find((one) => one.by === "label")?.values.map((one) => one.value).filter(Boolean) ?? [];
  const fields = [{ name: "label", words: rows.length === 1 ? "Its label" : `Label of ${rows.length} rows`, value: suggested, list: known }];
  const said = await question("Another label", fields, "Propose");
  if (said) deed("choose", { edit: { edit: name, rows, label: said.label } });
}

/** Write a note on the row that is open, or another in the place of the one that an event wrote. */
export async function note({ event = null, note: value = "" } = {}) {
  const { row } = state;
  if (row === null) return;
  const said = await question(`A note on row ${row.toLocaleString("en")}`, [{ name: "text", words: "What whoever looks at it should know", lines: 4, most: 1000, value }], "Write it down");
  if (said) deed("note", { note: { row, text: said.text, replaces: event } });
}

/** Take a note back; the log keeps that it stood there. */
export const withdraw = ({ event }) => deed("note", { note: { row: state.row, text: "", replaces: event } });
