// Small drawings: gains by term with their noise, and the worth of the rows round by round.

import { plain, signed, svg } from "./dom.js";

const WIDE = 340;
const LINE = 24;
const NAMES = 118;

/** Each change with an interval of two standard errors, and what the mean needs. */
export function gains(verdict) {
  const most = Math.max(...verdict.changes.map((one) => Math.abs(one.gain) + 2 * one.error), verdict.needed, 1e-6);
  const room = WIDE - NAMES - 58;
  const x = (value) => NAMES + (room * (value + most)) / (2 * most);
  const height = verdict.changes.length * LINE + 22;
  const drawn = svg("svg", { class: "gains", viewBox: `0 0 ${WIDE} ${height}`, role: "img", "aria-label": "gain by term, with its noise" });
  drawn.append(svg("line", { x1: x(0), x2: x(0), y1: 0, y2: height - 18 }));
  verdict.changes.forEach((one, at) => {
    const y = at * LINE + 12;
    const paint = one.gain > 2 * one.error ? "var(--good)" : one.gain < -2 * one.error ? "var(--bad)" : "var(--soft)";
    const label = svg("text", { x: 0, y: y + 4 });
    label.textContent = plain(one.name);
    const value = svg("text", { x: WIDE, y: y + 4, "text-anchor": "end", class: "value" });
    value.textContent = signed(one.gain);
    const low = x(Math.max(-most, one.gain - 2 * one.error));
    const high = x(Math.min(most, one.gain + 2 * one.error));
    const whisker = svg("line", { x1: low, x2: high, y1: y, y2: y });
    whisker.style.stroke = paint;
    whisker.style.strokeWidth = "2";
    drawn.append(label, value, whisker, svg("circle", { cx: x(one.gain), cy: y, r: 4.5, fill: paint }));
  });
  const needed = svg("line", { x1: x(verdict.needed), x2: x(verdict.needed), y1: 0, y2: height - 18, "stroke-dasharray": "3 3" });
  needed.style.stroke = "var(--accent)";
  const said = svg("text", { x: x(verdict.needed), y: height - 5, "text-anchor": "middle" });
  said.textContent = "needed";
  drawn.append(needed, said);
  return drawn;
}

/** The worth of the rows after every round: a line, and a ring where a round was rolled back. */
export function course(rounds) {
  if (!rounds.length) return null;
  const points = [{ value: rounds[0].before.value, outcome: "kept", round: 0 }];
  for (const one of rounds) {
    const stands = one.outcome !== "rolled_back" && one.outcome !== "refused";
    points.push({ value: one.metrics.value, stands, round: one.round, before: one.before.value });
  }
  points[0].stands = true;
  const values = points.map((one) => one.value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const [wide, tall] = [900, 92];
  const x = (at) => 44 + (at * (wide - 60)) / Math.max(1, points.length - 1);
  const y = (value) => 14 + (high - value) * ((tall - 40) / (high - low || 1));
  const drawn = svg("svg", { class: "spark gains", viewBox: `0 0 ${wide} ${tall}`, role: "img", "aria-label": "what the rows are worth, round by round" });
  let path = `M${x(0)} ${y(points[0].value)}`;
  let stands = points[0].value;
  points.slice(1).forEach((one, at) => {
    if (one.stands) stands = one.value;
    path += ` L${x(at + 1)} ${y(stands)}`;
  });
  const line = svg("path", { d: path, fill: "none" });
  line.style.stroke = "var(--accent)";
  line.style.strokeWidth = "2";
  drawn.append(line);
  points.forEach((one, at) => {
    const ring = svg("circle", { cx: x(at), cy: y(one.value), r: 5, fill: one.stands ? "var(--accent)" : "var(--surface)" });
    ring.style.stroke = one.stands ? "var(--surface)" : "var(--bad)";
    ring.style.strokeWidth = "2";
    const name = svg("text", { x: x(at), y: tall - 4, "text-anchor": "middle" });
    name.textContent = at ? one.round : "start";
    drawn.append(ring, name);
  });
  for (const value of new Set([low, high])) {
    const label = svg("text", { x: 0, y: y(value) + 4 });
    label.textContent = value.toFixed(3);
    drawn.append(label);
  }
  return drawn;
}
