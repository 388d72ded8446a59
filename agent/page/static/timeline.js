// The rounds: what was chosen, why, what came of it, and what was not chosen with the evidence the log holds.

import { json } from "./api.js";
import { $, fill, h, plain, toast, whole } from "./dom.js";
import { course, gains } from "./gains.js";
import { sentence } from "./proposal.js";
import { on, set, state } from "./store.js";

const KIND = { kept: "good", keep: "good", apply: "good", rolled_back: "bad", refused: "bad", undo: "warn" };
const opened = new Set();

/** Read the rounds again. */
export async function reload() {
  const { rounds, decisions, last } = await json("/api/timeline");
  const count = document.querySelector("#lower-tabs [data-tab='timeline'] .count");
  if (count) count.textContent = decisions.length || "";
  if (!decisions.length) {
    fill($("timeline-panel"), h("div", { class: "table-empty" }, last ? `before the first decision: ${plain(last)} is done` : "nothing is done yet"));
    return;
  }
  fill($("timeline-panel"), h("div", { class: "rounds" },
    h("div", { class: "tight" }, h("h3", {}, "What the rows are worth, round by round; a ring was rolled back"), course(rounds)),
    [...decisions].reverse().map(round)));
}

function round(one) {
  const outcome = one.outcome ?? (one.candidates.find((c) => c.id === one.chosen)?.kind === "stop" ? "stopped" : "waits");
  const others = one.candidates.filter((other) => other.id !== one.chosen);
  const chosen = one.candidates.find((other) => other.id === one.chosen);
  const answers = one.answers.filter((answer) => answer.answer !== "review");
  return h("details", { class: "card round", open: opened.has(one.seq), ontoggle: (event) => opened[event.target.open ? "add" : "delete"](one.seq) },
    h("summary", {}, h("b", {}, `Round ${one.round}`), h("span", { class: "words data" }, sentence(one.words)),
      h("span", { class: "soft" }, `${whole(one.kept)} rows, ${one.k} clusters`), h("span", { class: `pill ${KIND[outcome] ?? ""}` }, plain(outcome))),
    h("div", { class: "stack" },
      h("div", { class: "tight" }, one.reasons.map((reason) => h("p", { class: "data" }, reason))),
      one.verdict ? h("div", { class: "tight" }, h("h3", {}, "As it was measured"), gains(one.verdict), (one.why ?? []).map((why) => h("p", { class: "soft" }, why))) : chosen?.appraisal && gains(chosen.appraisal),
      answers.length > 0 && h("p", { class: "soft" }, answers.map(answered).join(", then ")),
      h("div", { class: "actions" },
        h("button", { type: "button", onclick: () => set({ at: one.seq }) }, "See the rows before it"),
        one.ended && h("button", { type: "button", onclick: () => set({ at: one.ended }) }, "See the rows after it")),
      h("div", { class: "tight" }, h("h3", {}, `${others.length} not chosen`),
        h("table", { class: "figures" }, h("thead", {}, h("tr", {}, ["Action", "Rows", "Gain", "Needed", "Why not"].map((name, at) => h("th", { scope: "col", class: at % 4 ? "" : "wide" }, name)))),
          h("tbody", {}, others.map((other) => h("tr", {}, h("td", { class: "wide data" }, sentence(other.words)), h("td", {}, other.rows ? whole(other.rows) : ""),
            h("td", {}, other.appraisal ? other.appraisal.gain.toFixed(4) : ""), h("td", {}, other.appraisal ? other.appraisal.needed.toFixed(4) : ""),
            h("td", { class: "wide data soft" }, other.why_not || other.unavailable_because))))))));
}

function answered({ actor, who, answer, ts }) {
  const by = actor === "human" ? who || "a person" : plain(actor);
  return `${by}: ${answer}${actor === "human" ? ` (${new Date(ts).toLocaleString("en")})` : ""}`;
}

/** Show which earlier state is looked at. */
function then() {
  $("then").hidden = state.at === null;
  fill($("then"), h("span", {}, `The run as it stood before event ${state.at}`), h("button", { type: "button", onclick: () => set({ at: null }) }, "Back to now"));
}

export function begin() {
  on("at", then);
  on("lower", () => state.lower === "timeline" && reload().catch((error) => toast(error.message, true)));
}
