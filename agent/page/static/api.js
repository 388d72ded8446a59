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

/** A file, and the name that the server gives it. */
export async function blob(path, words) {
  const answer = await asked(address(path, words));
  const name = /filename="([^"]*)"/.exec(answer.headers.get("content-disposition"))?.[1] ?? "rows";
  return { content: await answer.blob(), name };
}

/** The words of a query of rows: what is searched, filtered and selected. */
export function query(more = {}) {
  return { q: JSON.stringify({ ...state.query, at: state.at, ...more }) };
}

/** Remember a selection of positions on the server; gives its name. */
export async function select(rows) {
  const answer = await asked("/api/selection", { method: "POST", body: Uint32Array.from(rows) });
  return (await answer.json()).selection;
}

/** Tell the server something in JSON; what it answers. */
async function told(path, what) {
  const headers = { "Content-Type": "application/json" };
  return (await asked(path, { method: "POST", body: JSON.stringify(what), headers })).json();
}

/** Place words or a row among the rows, {text} or {row}; gives the name of the place. */
export const near = async (to) => (await told("/api/near", to)).near;

/** Do something: an answer to what is shown, which `waiting` names. */
export const act = async (waiting, answer, more = {}) => (await told("/api/act", { ...waiting, answer, ...more })).done;

/** Say a line beside what is shown, which `waiting` names. */
export const say = async (waiting, text) => (await told("/api/say", { ...waiting, text })).done;

/** Have the run ask before its next action; what will happen. */
export const pause = async () => (await told("/api/pause", {})).done;

/** The address of the page of another run of the same folder. */
export const beside = async (name) => (await told("/api/beside", { name })).address;

/** Begin a run beside this one; the address of its page. */
export const begun = async (run) => (await told("/api/begin", run)).address;

/** Hear of every change of the run. */
export function live(heard, lost) {
  const stream = new EventSource("/api/live");
  stream.onmessage = (event) => heard(JSON.parse(event.data));
  stream.onerror = () => lost();
}
