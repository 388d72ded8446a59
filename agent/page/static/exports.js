// What is listed, saved as a file.

import { blob, query } from "./api.js";
import { h, toast } from "./dom.js";
import { state } from "./store.js";

/** The kinds of file, and what the commands call them. */
export const KINDS = { jsonl: "JSONL", parquet: "Parquet", hf: "a Hugging Face data set", atlas: "Parquet for embedding-atlas" };

/** Save the rows that are listed; what is missing for it is said. */
export async function save(kind) {
  try {
    const { content, name } = await blob("/api/export", { ...query(), as: kind, method: state.method });
    const address = URL.createObjectURL(content);
    h("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  } catch (error) {
    toast(error.message, true);
  }
}
