// The run at a glance: how many rows stand, what they are worth, what went and why.

import { h, percent, plain, signed, whole } from "./dom.js";
import { set, state, toggle } from "./store.js";

const tile = (value, words) => h("div", { class: "tile" }, h("b", {}, value), h("span", {}, words));

function headline({ headline }) {
  const score = headline?.score;
  if (!score) return null;
  const kind = score.low > 0 ? "good" : score.high < 0 ? "bad" : "";
  const said = score.low > 0 ? "better" : score.high < 0 ? "worse" : "no clear difference";
  return h("div", { class: "card tight" }, h("h3", {}, `On ${whole(headline.confirmed)} of ${whole(headline.rows)} sealed rows, those that are borne out`),
    h("div", { class: "line" }, h("span", { class: "big" }, `${score.before.toFixed(3)} → ${score.after.toFixed(3)}`), h("span", { class: `pill ${kind}` }, said)),
    h("p", { class: "soft" }, `${signed(score.difference, 3)}, 95 % interval ${signed(score.low, 3)} to ${signed(score.high, 3)}`));
}

function worth({ now, first }) {
  if (!now) return null;
  const lines = [["worth of the rows", first.value, now.value], ...now.probes.map((probe, at) => [plain(probe.name), first.probes[at]?.score, probe.score]),
    ["coverage", first.coverage, now.coverage], ["clustering", first.clustering, now.clustering]];
  return h("div", { class: "tight" }, h("h3", {}, "At the start, and now"), h("table", { class: "figures" }, h("tbody", {}, lines.map(([name, before, after]) =>
    h("tr", {}, h("td", { class: "wide" }, name), h("td", { class: "soft" }, before?.toFixed(4) ?? ""), h("td", {}, after.toFixed(4)))))));
}

function went({ funnel, rows }) {
  const gone = (funnel ?? []).slice(1);
  if (!gone.length) return rows && h("p", { class: "soft" }, "No row was removed.");
  const most = Math.max(...gone.map((one) => one.rows));
  return h("div", { class: "tight" }, h("h3", {}, "What went, and why"), gone.map((one) =>
    h("button", { type: "button", class: "small-row", onclick: () => { if (!(state.query.filters.reason ?? []).includes(one.reason)) toggle("reason", one.reason); set({ lower: "rows" }); } },
      h("div", { class: "bar-row" }, h("span", {}, one.words, " ", h("span", { class: "soft" }, `(${plain(one.stage)})`)), h("b", {}, whole(one.rows)),
        h("div", { class: "bar-track" }, h("div", { class: "bar-fill gone", style: { width: `${(100 * one.rows) / most}%` } }))))));
}

/** The panel. */
export async function overview() {
  const { status } = state;
  if (!status) return h("p", { class: "soft" }, "…");
  const { rows } = status;
  return h("div", { class: "stack" },
    h("div", { class: "tight" }, h("h2", { class: "data" }, status.source), h("p", { class: "soft" }, Object.entries(status.runs_on).filter(([role]) => role !== "address").map(([role, what]) => `${role}: ${what}`).join(" · "))),
    status.error && h("p", { class: "pill bad data" }, status.error),
    rows && h("div", { class: "tiles" }, tile(whole(rows.kept + rows.synthetic), "rows kept"), tile(whole(rows.removed), `removed, ${percent(rows.removed / Math.max(1, rows.ingested), 1)}`), tile(whole(state.clusters.length), "clusters")),
    rows && h("p", { class: "soft" }, `${whole(rows.train)} to train on, ${whole(rows.anchor)} held out${rows.sealed ? `, ${whole(rows.sealed)} sealed` : ""}${rows.synthetic ? `, ${whole(rows.synthetic)} synthetic` : ""}`),
    headline(status),
    went(status),
    worth(status),
    status.stop_reason && h("p", { class: "soft" }, `The rounds ended: ${status.stop_reason}.`),
    status.report && h("div", {}, h("button", { type: "button", onclick: () => window.open("/report", "_blank", "noopener") }, "Open the report")),
  );
}
