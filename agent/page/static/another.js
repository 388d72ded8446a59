// Another run, on a page of its own: one of the same folder, or one that is begun.

import { begun, beside, json } from "./api.js";
import { question } from "./dialogs.js";
import { toast } from "./dom.js";

/** Ask which, and open it beside this one. */
export async function another() {
  try {
    const { runs } = await json("/api/runs");
    if (!runs.length) {
      toast("there is no other run in this folder", true);
      return;
    }
    const options = Object.fromEntries(runs.map((name) => [name, name]));
    const said = await question("Another run", [{ name: "name", words: "Run of the same folder", options }], "Open beside this one");
    if (said) window.open(await beside(said.name), "_blank", "noopener");
  } catch (error) {
    toast(error.message, true);
  }
}

/** Ask of which rows, and begin a run with the settings of this one. */
export async function begin() {
  const fields = [
    { name: "source", words: "Rows: a file or folder on this machine, or hf:NAME; empty: the same rows", optional: true },
    { name: "seed", words: "Seed; empty: the same", type: "number", min: 0, step: 1, optional: true },
    { name: "name", words: "Name of the run; empty: that of the rows", optional: true },
  ];
  try {
    const said = await question("A new run with the settings of this one", fields, "Begin it");
    if (said) window.open(await begun({ ...said, seed: said.seed === "" ? null : Number(said.seed) }), "_blank", "noopener");
  } catch (error) {
    toast(error.message, true);
  }
}
