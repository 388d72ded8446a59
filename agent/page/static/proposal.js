// What waits for a person: a card with the evidence, the gain against its noise and its price, and what would go.

import { json } from "./api.js";
import { deed, severalRounds, stopAndAsk } from "./deeds.js";
import { fill, h, plain, toast, whole } from "./dom.js";
import { gains } from "./gains.js";
import { set, state } from "./store.js";

const WHO = { rules: "the rules", model: "the language model", person: "you", agent: "an agent" };
const THREE = 3;
const MORE = 50;

/** The card, or why there is none. */
export async function card() {
  const { desk } = state;
  if (!desk) {
    const says = state.status?.finished ? "This run has ended." : "This page only looks at the run.";
    const ask = state.status?.asks && !state.status.finished;
    return h("div", { class: "stack" }, h("p", {}, says),
      ask && h("p", { class: "soft" }, "It asks before it acts: ", h("span", { class: "mono" }, "recryst chat RUN --page"), " answers on this page."));
  }
  if (desk.failed) return h("p", { class: "pill bad" }, desk.failed);
  const shown = state.proposal?.proposal;
  if (!shown) return h("div", { class: "stack" }, h("h2", {}, desk.ended ? "The run has ended" : "At work"), h("p", { class: "soft", id: "progress" }, working(desk)),
    !desk.ended && h("div", {}, h("button", { type: "button", id: "pause", disabled: desk.pausing, title: "Ask before the next action, although its round was approved beforehand (P)", onclick: stopAndAsk }, "Pause")), h("div", { class: "tight" }, desk.said.map((line) => h("p", { class: "soft data" }, line))));
  const one = shown.candidate;
  return h("div", { class: "stack", id: "proposal" },
    h("div", { class: "tight" },
      h("div", { class: "soft" }, `Round ${shown.round} · proposed by ${WHO[shown.by]}`),
      h("h2", { class: "data" }, sentence(one.words)),
      one.rows > 0 && h("div", {}, h("b", {}, whole(one.rows)), " rows at most")),
    h("div", { class: "tight" }, shown.reasons.filter((reason) => !one.appraisal || !reason.endsWith(one.appraisal.reasons[0])).map((reason) => h("p", { class: "data" }, reason)), shown.looks.map((look) => h("p", { class: "soft data" }, `looked at ${look}`))),
    worth(one),
    one.rows > 0 && goes(one),
    shown.rolled_back && h("div", { class: "card tight" }, h("h3", {}, `Round ${shown.rolled_back.round} was rolled back`), h("p", { class: "data" }, shown.rolled_back.words),
      h("div", {}, h("button", { type: "button", onclick: () => deed("keep") }, "Keep it after all"))),
    h("details", { open: true }, h("summary", {}, h("b", {}, `${shown.alternatives.length} alternatives`)), h("div", { class: "stack" }, h("span"), shown.alternatives.map(alternative))),
    h("div", { class: "answer tight" }, h("div", { class: "actions" },
      h("button", { type: "button", class: "primary", id: "approve", onclick: () => deed("approve") }, shown.stops ? "Finish the run" : "Approve"),
      !shown.stops && h("button", { type: "button", id: "reject", onclick: () => deed("reject") }, "Reject"),
      !shown.stops && h("button", { type: "button", onclick: severalRounds }, "Several…"),
      !shown.stops && h("button", { type: "button", class: "quiet", onclick: () => deed("finish") }, "Finish")),
      h("p", { class: "soft" }, "Holds for exactly what is shown here, and is on the record.")),
  );
}

export const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1);

export function working(desk) {
  if (desk.ended) return "Nothing waits for an answer.";
  const then = desk.pausing ? "; then it asks you" : "";
  if (!desk.now) return `The run goes on${then || "…"}`;
  const { step, done, total, unit } = desk.now;
  return `${plain(step)}: ${whole(done)}${total ? ` of ${whole(total)}` : ""} ${unit}${then}`;
}

/** What a candidate would be worth, where that was measured. */
export function worth(one) {
  if (!one.appraisal) {
    const figures = Object.entries(one.evidence);
    return figures.length > 0 && h("div", { class: "tight" }, h("h3", {}, "Evidence"), h("dl", { class: "facts" }, figures.map(([name, value]) => [h("dt", {}, plain(name)), h("dd", {}, value.toLocaleString("en", { maximumSignificantDigits: 4 }))])),
      h("p", { class: "soft" }, "Its gain is measured once it is carried out on a copy; what does not pay is rolled back."));
  }
  return h("div", { class: "tight" }, h("h3", {}, "Measured on the held-out rows"), gains(one.appraisal),
    h("p", { class: "soft" }, one.appraisal.reasons.join("; ")),
    h("p", { class: "soft" }, `Price of its rows ${one.appraisal.price.toFixed(4)}; needed in all, after ${one.appraisal.looks} looks at the held-out rows, ${one.appraisal.needed.toFixed(4)}.`));
}

/** The rows that would go: three, and more when asked for. */
function goes(one) {
  const list = h("div", {});
  const more = h("button", { type: "button", class: "link" }, "");
  let shown = 0;
  const next = async (limit) => {
    try {
      const found = await json("/api/going", { id: one.id, offset: shown, limit });
      shown += found.rows.length;
      list.append(...found.rows.map(moved));
      if (found.refused) list.append(h("p", { class: "pill warn" }, found.refused));
      more.textContent = shown < found.total ? `show more of ${whole(found.total)}` : "";
      more.hidden = shown >= found.total;
    } catch (error) {
      if (list.isConnected) toast(error.message, true); // else it was answered in the meantime
    }
  };
  more.addEventListener("click", () => next(MORE));
  next(THREE);
  return h("div", { class: "tight" }, h("h3", {}, "Which rows"), list, more);
}

function moved(row) {
  const becomes = row.becomes === "relabelled" ? `label ${row.label ?? "none"} → ${row.to}` : row.becomes === "back" ? "comes back" : row.becomes === "protected" ? "stays, whatever comes" : [row.label, row.score === null ? "" : `score ${row.score.toPrecision(2)}`].filter(Boolean).join(" · ");
  return h("button", { type: "button", class: "small-row", title: row.why, onclick: () => set({ row: row.row, side: "row" }) },
    h("div", { class: "data" }, row.text || "(no text)"),
    row.twin_text && h("div", { class: "data soft" }, `stays: ${row.twin_text}`),
    h("div", { class: "soft" }, becomes));
}

function alternative(one) {
  const measured = one.appraisal ? one.appraisal.reasons.join("; ") : one.reasons.join("; ");
  return h("div", { class: "card tight" }, h("div", { class: "data" }, sentence(one.words), one.rows > 0 && h("span", { class: "soft" }, ` (${whole(one.rows)} rows)`)),
    h("p", { class: "soft data" }, measured),
    h("div", {}, h("button", { type: "button", "data-choose": one.id, onclick: () => deed("choose", { candidate: one.id }) }, "Put forward")));
}
