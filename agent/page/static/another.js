// Another run of the same folder, on a page of its own.

import { beside, json } from "./api.js";
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
