// What the server is asked. Every failure is one sentence.

import { state } from "./store.js";

async function asked(path, options) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch {
    throw new Error("the server does not answer: it was ended at the terminal");
  }
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error ?? `the server said ${answer.status}`);
  return answer;
}

/** The address of something, at the event that is looked at. */
export function address(path, words = {}) {
  const given = Object.entries(words).filter(([, value]) => value !== null && value !== undefined);
  if (state.at !== null && !("q" in words)) given.push(["at", state.at]);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

export const json = async (path, words) => (await asked(address(path, words))).json();
export const buffer = async (path, words) => (await asked(address(path, words))).arrayBuffer();

/** The words of a query of rows: what is searched, filtered and selected. */
export function query(more = {}) {
  return { q: JSON.stringify({ ...state.query, at: state.at, ...more }) };
}

/** Remember a selection of positions on the server; gives its name. */
export async function select(rows) {
  const answer = await asked("/api/selection", { method: "POST", body: Uint32Array.from(rows) });
  return (await answer.json()).selection;
}

/** Place words or a row among the rows, {text} or {row}; gives the name of the place. */
export async function near(to) {
  const headers = { "Content-Type": "application/json" };
  return (await (await asked("/api/near", { method: "POST", body: JSON.stringify(to), headers })).json()).near;
}

/** Do something: an answer to what is shown, which `waiting` names. */
export async function act(waiting, answer, more = {}) {
  const body = JSON.stringify({ ...waiting, answer, ...more });
  const headers = { "Content-Type": "application/json" };
  return (await (await asked("/api/act", { method: "POST", body, headers })).json()).done;
}

/** Hear of every change of the run. */
export function live(heard, lost) {
  const stream = new EventSource("/api/live");
  stream.onmessage = (event) => heard(JSON.parse(event.data));
  stream.onerror = () => lost();
}
