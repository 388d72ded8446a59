// What lies over the points: cluster names where they do not collide, the lasso, what is pointed at, pinned and linked.

import { drawContours } from "./density.js";
import { $ } from "./dom.js";

const FONT = "600 11px Inter, system-ui, sans-serif";
const GAP = 4; // pixels between two names
const LONGEST = 30; // characters of a name

/** On the map two terms of a name are enough. */
function short(name) {
  const said = name.split(" · ").slice(0, 2).join(" · ");
  return said.length > LONGEST ? `${said.slice(0, LONGEST - 1)}…` : said;
}

export class Names {
  constructor() {
    this.middles = [];
  }

  resize(cloud) {
    const canvas = $("overlay");
    canvas.width = cloud.canvas.width;
    canvas.height = cloud.canvas.height;
    this.sharp = cloud.sharp;
  }

  /** Find the middle of every cluster: the point nearest to the mean of those that stand. */
  place(cloud, held, { clusters }) {
    this.middles = [];
    if (!held.clusters || held.clusters.length !== cloud.count) return;
    const named = new Map(clusters.map((one) => [String(one.cluster), one]));
    const sums = new Map();
    for (let at = 0; at < cloud.count; at++) {
      if (held.gone.has(held.status[at]) || (held.found && !held.found[at])) continue;
      const sum = sums.get(held.clusters[at]) ?? [0, 0, 0, 0];
      for (let axis = 0; axis < 3; axis++) sum[axis] += cloud.three[3 * at + axis];
      sum[3] += 1;
      sums.set(held.clusters[at], sum);
    }
    const best = new Map();
    for (let at = 0; at < cloud.count; at++) {
      const sum = sums.get(held.clusters[at]);
      if (!sum || held.gone.has(held.status[at])) continue;
      let far = 0;
      for (let axis = 0; axis < 3; axis++) far += (cloud.three[3 * at + axis] - sum[axis] / sum[3]) ** 2;
      const least = best.get(held.clusters[at]);
      if (!least || far < least[1]) best.set(held.clusters[at], [at, far]);
    }
    for (const [code, [at]] of best) {
      const cluster = named.get(held.clusterValues[code]);
      if (cluster && cluster.cluster >= 0) this.middles.push({ at, name: short(cluster.name), rows: sums.get(code)[3] });
    }
    this.middles.sort((one, other) => other.rows - one.rows);
  }

  draw(cloud, held, state, lasso) {
    const pen = $("overlay").getContext("2d");
    pen.setTransform(this.sharp, 0, 0, this.sharp, 0, 0);
    pen.clearRect(0, 0, cloud.width, cloud.height);
    if (!cloud.count || !cloud.matrix) return;
    const look = getComputedStyle(document.documentElement);
    const [ink, surface, accent] = ["--ink", "--surface", "--accent"].map((name) => look.getPropertyValue(name));
    drawContours(pen, cloud, held.contours ?? [], ink);
    this._links(pen, cloud, held, state, accent);
    if (state.names) this._names(pen, cloud, ink, surface);
    this._ring(pen, cloud, held.hovered ?? -1, ink, 6);
    this._ring(pen, cloud, held.place.get(state.row) ?? -1, accent, 8);
    if (lasso?.length > 1) {
      pen.beginPath();
      lasso.forEach(([x, y], at) => (at ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      pen.closePath();
      pen.globalAlpha = 0.12;
      pen.fillStyle = accent;
      pen.fill();
      pen.globalAlpha = 1;
      pen.lineWidth = 1.5;
      pen.strokeStyle = accent;
      pen.stroke();
    }
  }

  _names(pen, cloud, ink, surface) {
    pen.font = FONT;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    const keys = $("legend"); // a name beneath it could not be read
    const taken = [[keys.offsetLeft, keys.offsetTop, keys.offsetLeft + keys.offsetWidth, keys.offsetTop + keys.offsetHeight]];
    for (const { at, name } of this.middles) {
      const [x, y] = cloud.project(at);
      const half = pen.measureText(name).width / 2;
      if (x - half < 4 || x + half > cloud.width - 4 || y < 10 || y > cloud.height - 10) continue;
      for (const lift of [-13, 13, 0]) {
        const box = [x - half - GAP, y + lift - 9, x + half + GAP, y + lift + 9];
        if (box[1] < 0 || box[3] > cloud.height) continue;
        if (taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) continue;
        taken.push(box);
        pen.lineWidth = 3.5;
        pen.strokeStyle = surface;
        pen.globalAlpha = 0.88;
        pen.strokeText(name, x, y + lift);
        pen.globalAlpha = 1;
        pen.fillStyle = ink;
        pen.fillText(name, x, y + lift);
        break;
      }
    }
    $("map").dataset.names = taken.length - 1;
  }

  /** Lines from the pinned row to the rows nearest to it, and a bolder one to its twin. */
  _links(pen, cloud, held, state, accent) {
    const from = held.place.get(state.row);
    if (from === undefined || state.links?.row !== state.row) return;
    const [x, y] = cloud.project(from);
    pen.strokeStyle = accent;
    for (const { row, twin } of state.links.to) {
      const to = held.place.get(row);
      if (to === undefined) continue;
      const [tx, ty] = cloud.project(to);
      pen.globalAlpha = twin ? 0.95 : 0.45;
      pen.lineWidth = twin ? 2.5 : 1.2;
      pen.beginPath();
      pen.moveTo(x, y);
      pen.lineTo(tx, ty);
      pen.stroke();
    }
    pen.globalAlpha = 1;
  }

  _ring(pen, cloud, at, colour, radius) {
    if (at < 0 || at >= cloud.count) return;
    const [x, y] = cloud.project(at);
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.lineWidth = 2;
    pen.strokeStyle = colour;
    pen.stroke();
  }
}
