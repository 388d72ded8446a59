// The text of the row that is pointed at.

import { json } from "./api.js";
import { $, fill, h } from "./dom.js";
import { state } from "./store.js";

const known = new Map();
const MOST = 500; // rows that are remembered
let wanted = null;

/** Show the row at a place of the map; null: none. */
export async function hover(what) {
  wanted = what;
  if (!what) {
    $("tip").hidden = true;
    return;
  }
  const key = `${what.row} ${state.at}`;
  if (!known.has(key)) {
    if (known.size > MOST) known.clear();
    known.set(key, json("/api/brief", { n: what.row }).catch(() => null));
  }
  const row = await known.get(key);
  if (wanted !== what || !row) return;
  const cluster = state.clusters.find((one) => String(one.cluster) === what.cluster);
  const beside = [row.label, cluster?.name].filter(Boolean).join("  ·  ");
  fill($("tip"), h("div", { class: "data" }, row.text || "(no text)"), beside && h("div", { class: "soft one-line" }, beside));
  const tip = $("tip");
  tip.hidden = false;
  const map = $("map");
  const left = Math.min(what.x + 14, map.clientWidth - tip.offsetWidth - 8);
  const below = what.y + 16 + tip.offsetHeight < map.clientHeight;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${below ? what.y + 16 : Math.max(8, what.y - tip.offsetHeight - 12)}px`;
}
