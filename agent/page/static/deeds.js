// What a person does to a run: each deed is an answer to exactly what is shown, and the server refuses any other.

import { act, pause } from "./api.js";
import { question } from "./dialogs.js";
import { toast } from "./dom.js";
import { set, state } from "./store.js";

const UNREAD = 300; // milliseconds: a proposal that was answered sooner was not read
const BLIND = new Set(["approve", "reject", "run", "finish"]); // what nobody answers without having it before them

/** Hand in an answer to the proposal that is shown. */
export async function deed(answer, more = {}) {
  const waiting = state.proposal?.waiting;
  if (!waiting) {
    toast(state.desk ? "nothing waits for an answer now" : "this page only looks: `recryst chat RUN --page` acts", true);
    return;
  }
  if (BLIND.has(answer)) {
    const seen = state.side === "proposal" && document.getElementById("approve")?.checkVisibility({ visibilityProperty: true });
    if (!seen || performance.now() - state.shownAt < UNREAD) {
      set({ side: "proposal" });
      window.dispatchEvent(new CustomEvent("recryst-look", { detail: "side" }));
      toast(seen ? "that was before the proposal could be read" : "here it is: look at it, then answer");
      return;
    }
  }
  try {
    toast(await act(waiting, answer, more));
  } catch (error) {
    toast(error.message, true);
  }
}

/** One more round: what is proposed; where that is to stop, the first that might still be tried is put forward. */
export function oneMore() {
  const shown = state.proposal?.proposal;
  if (!shown?.stops) deed("run", { rounds: 1 });
  else if (shown.alternatives.length) deed("choose", { candidate: shown.alternatives[0].id });
  else toast("nothing is left that could be tried", true);
}

/** Have a run that acts without asking, because its rounds were approved beforehand, ask again. */
export async function stopAndAsk() {
  try {
    toast(await pause());
  } catch (error) {
    toast(error.message, true);
  }
}

/** Put forward one of the actions of some kinds that are open; which, where there are several. */
export async function putForward(kinds, title, why) {
  const open = (state.proposal?.proposal?.alternatives ?? []).filter((one) => kinds.includes(one.kind));
  if (!open.length) {
    toast(kinds.includes(state.proposal?.proposal?.candidate.kind) ? "that is what is proposed" : why, true);
    return;
  }
  const options = Object.fromEntries(open.map((one) => [one.id, one.words]));
  const said = open.length === 1 ? { candidate: open[0].id } : await question(title, [{ name: "candidate", words: "Which", options }], "Propose");
  if (said) deed("choose", said);
}

export async function changeK() {
  const said = await question("Another number of clusters", [{ name: "k", words: "Clusters", type: "number", min: 2, value: 12 }], "Propose");
  if (said) deed("choose", { k: { k: Number(said.k) } });
}

export async function thin(cluster) {
  const fields = [
    { name: "clusters", words: "Clusters, by number", value: cluster ?? "" },
    { name: "keep", words: "Which rows stay", options: { furthest: "those furthest from the centre", closest: "those closest to the centre", random: "some by lot" } },
    { name: "share", words: "Share that stays", type: "number", min: 0.05, max: 0.95, step: 0.05, value: 0.5 },
  ];
  const said = await question("Thin clusters", fields, "Propose");
  if (said) deed("choose", { prune: { clusters: numbers(said.clusters), keep: said.keep, share: Number(said.share) } });
}

export async function drop(cluster) {
  const fields = [{ name: "clusters", words: "Clusters, by number", value: cluster ?? "" }];
  const said = cluster === undefined ? await question("Drop clusters", fields, "Propose") : { clusters: String(cluster) };
  if (said) deed("choose", { prune: { clusters: numbers(said.clusters), keep: "drop" } });
}

const numbers = (text) => String(text).split(",").map(Number);

export async function severalRounds() {
  const said = await question("Approve this and what comes next", [{ name: "rounds", words: "Rounds in all", type: "number", min: 1, max: 100, value: 3 }], "Approve");
  if (said) deed("run", { rounds: Number(said.rounds) });
}
