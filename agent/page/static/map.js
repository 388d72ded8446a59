// The map: what is drawn of the state, and what a pointer or the keyboard does to it.

import { buffer, json, query, select } from "./api.js";
import { Camera } from "./camera.js";
import { DIM, GHOST, HIDDEN, PLAIN, Cloud } from "./cloud.js";
import { colours, ghost, grey, ramp } from "./colours.js";
import { $, later, toast, whole } from "./dom.js";
import { contours } from "./density.js";
import { hover } from "./hover.js";
import { Names } from "./names.js";
import { ask, narrowed, on, set, state } from "./store.js";

let cloud = null;
const camera = new Camera();
const names = new Names();
const held = { rows: new Uint32Array(0), codes: null, status: null, found: null, place: new Map() };
const LEGEND = 190; // pixels that it takes
let wanted = 0; // of the next frame

const size = () => ({ width: cloud.width, height: cloud.height, dimensions: cloud.dimensions ?? 2 });
/** A point is smaller the more there are. */
const pointSize = () => {
  const first = Math.max(2, Math.min(6.5, 220 / Math.sqrt(cloud.count || 1)));
  return first * Math.min(2.2, Math.max(1, camera.zoom / (camera.first ?? 1)) ** 0.35);
};
const narrow = () => matchMedia("(max-width: 760px)").matches;

/** The colouring that is chosen, or the first there is. */
export const colouring = () => state.about?.colours.find((one) => one.by === state.by) ?? state.about?.colours[0];

let share = 1; // of the points that are drawn while the map moves
const QUICK = 18; // milliseconds of a frame below which more points are drawn …
const SLOW = 34; // … and above which fewer
const FEWEST = 8000; // points

const [MARKS, MOVING, WHOLE] = [1, 2, 3]; // what a frame draws: what lies above the points, some points, all

/** Draw at the next frame; while the map moves, as many points as this machine draws in time. */
export function redraw(moving = false) {
  if (moving === true) stopped();
  draw(moving === true ? MOVING : WHOLE);
}

function draw(what) {
  if (!cloud) return;
  if (!wanted) requestAnimationFrame(() => {
    const [now, begun] = [wanted, performance.now()];
    wanted = 0;
    if (now > MARKS) cloud.draw(camera.matrix(size()), pointSize(), now === MOVING ? share : 1);
    if (now === MOVING) {
      cloud.settle();
      const took = performance.now() - begun;
      const least = Math.min(1, FEWEST / (cloud.count || 1));
      if (took > SLOW) share = Math.max(least, share * Math.max(0.1, SLOW / took));
      else if (took < QUICK) share = Math.min(1, share * 1.2);
    }
    names.draw(cloud, held, state, lasso);
  });
  wanted = Math.max(wanted, what);
}

const stopped = later(140, () => (pointers.size ? stopped() : redraw()));

/** Read the maps there are; then places and colours, where they are others than before. */
export async function reload() {
  const about = await json("/api/map");
  if (state.about && JSON.stringify(about) === JSON.stringify(state.about)) return;
  set({ about });
  if (!about.points) {
    $("map-note").textContent = "the map is drawn once the rows are embedded";
    return;
  }
  held.rows = new Uint32Array(await buffer("/api/map/rows"));
  held.place = new Map(Array.from(held.rows, (row, at) => [row, at]));
  await places();
}

async function places() {
  if (!cloud || !state.about?.points) return;
  const { maps } = state.about;
  const fits = (one) => one.method === state.method && one.dimensions === state.dimensions;
  let chosen = maps.find(fits) ?? maps.find((one) => one.dimensions === state.dimensions) ?? maps[0];
  cloud.load(new Float32Array(await buffer("/api/map/places", chosen)), chosen.dimensions);
  const name = `${chosen.method} ${chosen.dimensions}`;
  const [another, first] = [name !== held.name, !held.gone];
  if (another) look();
  held.name = name;
  const said = { pca: "PCA", umap: "UMAP", tsne: "t-SNE" }[chosen.method] ?? chosen.method;
  const instead = fits(chosen) ? "" : " until the other map is drawn";
  $("map-note").textContent = `${whole(held.rows.length)} embedded rows · ${said}, ${chosen.dimensions}-D${instead}`;
  $("map").dataset.map = name;
  await recolour();
  if (first) fit(); // only now is it known which rows were removed
}

/** Look at all rows that stand, but a few far out. */
const look = () => camera.fit(cloud, narrow() ? 0 : LEGEND, (at) => !held.gone?.has(held.status[at]));

async function recolour() {
  if (!cloud || !state.about?.points) return;
  const [codes, status, clusters] = await Promise.all(
    [colouring().by, "status", "cluster"].map(async (by) => new Float32Array(await buffer("/api/map/codes", { by }))),
  );
  const list = (by) => state.about.colours.find((one) => one.by === by)?.values ?? [{ value: "kept" }];
  Object.assign(held, { codes, status, clusters });
  held.gone = new Set([...list("status").keys()].filter((at) => list("status")[at].value === "removed"));
  held.clusterValues = list("cluster").map((one) => one.value);
  await sift();
}

async function sift() {
  if (!cloud || !state.about?.points) return;
  held.found = narrowed() ? new Uint8Array(await buffer("/api/map/found", query())) : null;
  paint();
}

function paint() {
  if (!held.codes || held.codes.length !== cloud.count) return;
  const chosen = colouring();
  const theme = state.theme;
  const listed = chosen.values ? colours(chosen, theme) : null;
  const paint = new Uint8Array(4 * cloud.count);
  const standing = new Float32Array(cloud.count);
  const none = grey(theme);
  for (let at = 0; at < cloud.count; at++) {
    const gone = held.gone.has(held.status[at]);
    const out = held.found && !held.found[at];
    const own = listed ? (listed[held.codes[at]] ?? none) : ramp(held.codes[at], chosen.low, chosen.high, theme);
    const colour = out ? none : gone ? ghost(theme) : own;
    paint.set(colour, 4 * at);
    paint[4 * at + 3] = out ? 60 : gone ? 190 : cloud.dimensions === 3 ? 255 : 225;
    standing[at] = gone && !state.ghosts ? HIDDEN : out ? DIM : gone ? GHOST : PLAIN;
  }
  cloud.colour(paint, standing);
  names.place(cloud, held, state);
  contour();
}

/** Find the contours anew: of the rows that stand and that the query finds. */
function contour() {
  const shown = state.density && cloud.dimensions === 2 && cloud.standing;
  held.contours = shown ? contours(cloud.three, (at) => cloud.standing[at] === PLAIN) : [];
  $("map").dataset.contours = held.contours.length;
  redraw();
}

// Pointer and keyboard ------------------------------------------------------------------------------------------------

let lasso = null; // the corners so far
const pointers = new Map();

function here(event) {
  const box = $("map").getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

const onControls = (event) => event.target.closest(".legend, .chosen");

function pressed(event) {
  if (onControls(event) || event.button > 0) return;
  pointers.set(event.pointerId, { at: here(event), from: here(event), moved: false });
  $("map").setPointerCapture(event.pointerId);
  if (state.lasso || event.shiftKey) lasso = [here(event)];
  $("map").classList.toggle("dragging", !lasso);
}

function moved(event) {
  const own = pointers.get(event.pointerId);
  const [x, y] = here(event);
  if (!own) {
    if (!onControls(event) && event.pointerType !== "touch") point(x, y);
    return;
  }
  const [dx, dy] = [x - own.at[0], y - own.at[1]];
  own.moved ||= Math.hypot(x - own.from[0], y - own.from[1]) > 4;
  if (pointers.size === 2) {
    const [other] = [...pointers.entries()].filter(([id]) => id !== event.pointerId).map(([, one]) => one.at);
    const apart = (at) => Math.hypot(at[0] - other[0], at[1] - other[1]) || 1;
    camera.zoomBy(apart([x, y]) / apart(own.at), [(x + other[0]) / 2, (y + other[1]) / 2], size());
    camera.move(dx / 2, dy / 2, { ...size(), dimensions: 2 });
  } else if (lasso) lasso.push([x, y]);
  else camera.move(dx, dy, size());
  own.at = [x, y];
  held.moved = true;
  hover(null);
  if (lasso) draw(MARKS);
  else redraw(true);
}

async function released(event) {
  const own = pointers.get(event.pointerId);
  pointers.delete(event.pointerId);
  $("map").classList.remove("dragging");
  if (!own) return;
  if (lasso) {
    const corners = lasso;
    lasso = null;
    redraw();
    if (corners.length > 3) await choose(cloud.within(corners));
    return;
  }
  if (own.moved) return;
  const at = cloud.nearest(...own.at, event.pointerType === "touch" ? 22 : 12);
  if (at >= 0) set({ row: held.rows[at], side: "row" });
  else if (state.query.selection) clear();
}

const point = later(25, (x, y) => {
  const at = cloud.nearest(x, y, 10);
  held.hovered = at;
  hover(at < 0 ? null : { row: held.rows[at], x, y, cluster: held.clusterValues?.[held.clusters[at]] });
  draw(MARKS);
});

async function choose(found) {
  if (!found.length) {
    toast("no row lies within the lasso");
    return;
  }
  const rows = found.map((at) => held.rows[at]);
  try {
    const selection = await select(rows);
    set({ chosen: [...rows], lasso: false });
    ask({ selection });
  } catch (error) {
    toast(error.message, true);
  }
}

export function clear() {
  set({ chosen: [] });
  ask({ selection: "" });
}

/** Look at the map as at first. */
export function fit() {
  look();
  redraw();
}

export function zoom(factor) {
  camera.zoomBy(factor, null, size());
  redraw();
}

const MOVES = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };

function typed(event) {
  const move = MOVES[event.key];
  if (!move || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  camera.move(...move, size());
  redraw();
}

/** Begin: the canvas, its listeners, and what of the state it is redrawn for. */
export function begin() {
  const map = $("map");
  try {
    cloud = new Cloud($("points"));
  } catch (error) {
    $("map-note").textContent = error.message;
    return;
  }
  const resized = () => {
    const first = !cloud.width;
    cloud.resize();
    if (first || !held.moved) look();
    names.resize(cloud);
    redraw();
  };
  new ResizeObserver(resized).observe(map);
  resized();
  map.addEventListener("pointerdown", pressed);
  map.addEventListener("pointermove", moved);
  map.addEventListener("pointerup", released);
  map.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
  map.addEventListener("pointerleave", () => hover(null));
  map.addEventListener("dblclick", (event) => onControls(event) || fit());
  map.addEventListener("keydown", typed);
  map.addEventListener("wheel", (event) => {
    if (onControls(event)) return;
    event.preventDefault();
    camera.zoomBy(Math.exp(-event.deltaY * 0.0016), here(event), size());
    redraw(true);
  }, { passive: false });
  const caught = (act) => () => act().catch((error) => toast(error.message, true));
  on("method dimensions", caught(places));
  on("by", caught(recolour));
  on("query", caught(sift));
  on("theme ghosts", paint);
  on("density", contour);
  on("names row clusters", () => {
    names.place(cloud, held, state);
    redraw();
  });
  on("links", redraw);
  on("lasso", () => map.classList.toggle("lassoing", state.lasso));
}
