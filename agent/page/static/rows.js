// The rows: as many lines as there are rows to be seen, fetched page by page; and the facets beside them.

import { json, query } from "./api.js";
import { $, fill, h, plain, toast, whole } from "./dom.js";
import { called, everything } from "./legend.js";
import { narrowed, on, set, state, toggle } from "./store.js";

const HEIGHT = 30; // pixels of a line
const PAGE = 100;
const SHOWN = 8; // values of a facet
const TALLEST = 30_000_000; // pixels that a browser can scroll
const COLUMNS = [["•", "row"], ["Text", "text"], ["Label", "label"], ["Cluster", "cluster"], ["Standing", "status"]];
const DOTS = { kept: "good", "held out": "warn", sealed: "accent", removed: "bad", synthetic: "good" };

const pages = new Map();
const order = { sort: "", descending: false };
const opened = new Set(); // facets of which every value is shown
let total = 0;
let asked = 0; // so that a late answer to an earlier query is dropped
let at = 0; // the line that the keyboard is on
let body = null;

async function page(number) {
  const now = asked;
  if (pages.has(number)) return;
  pages.set(number, null);
  try {
    const found = await json("/api/rows", query({ ...order, offset: number * PAGE, limit: PAGE }));
    if (now !== asked) return;
    pages.set(number, found.rows);
    if (total !== found.total) {
      total = found.total;
      sized();
    }
    draw();
  } catch (error) {
    if (now === asked) toast(error.message, true);
  }
}

function sized() {
  body.style.height = `${Math.min(TALLEST, total * HEIGHT)}px`;
  $("table").setAttribute("aria-rowcount", total);
  const count = document.querySelector("#lower-tabs [data-tab='rows'] .count");
  if (count) count.textContent = whole(total);
}

/** Ask anew: the query, the order or the run has changed. */
export async function reload(keep = false) {
  asked += 1;
  pages.clear();
  if (!keep) {
    at = 0;
    $("table").scrollTop = 0;
  }
  await Promise.all([page(Math.floor(first() / PAGE)), facets()]);
  draw();
}

const first = () => Math.max(0, Math.floor($("table").scrollTop / HEIGHT));

function draw() {
  const lines = [];
  const from = first();
  const until = Math.min(total, from + Math.ceil($("table").clientHeight / HEIGHT) + 2);
  for (let n = from; n < until; n++) {
    const rows = pages.get(Math.floor(n / PAGE));
    if (rows === undefined) page(Math.floor(n / PAGE));
    lines.push(line(n, rows?.[n % PAGE]));
  }
  fill(body, lines, !total && h("div", { class: "table-empty" }, asked === 0 ? "reading the run …" : narrowed() ? "no row fits" : "no rows are read yet"));
}

function line(n, row) {
  const top = { top: `${n * HEIGHT}px` };
  if (!row) return h("div", { class: "table-row", style: top, role: "row" }, h("span"), h("span", { class: "soft" }, "…"));
  const cluster = row.cluster === null ? "" : called("cluster", String(row.cluster));
  const stands = row.status === "removed" ? plain(row.reason) : row.status;
  const shown = row.closeness === undefined ? stands : `${row.closeness.toFixed(2)} · ${stands}`;
  const cells = [
    h("span", { role: "gridcell" }, h("span", { class: row.status === "removed" ? "dot ghost" : `dot`, style: { background: row.status === "removed" ? "transparent" : `var(--${DOTS[row.status]})` } })),
    h("span", { role: "gridcell", class: "one-line text", dir: "auto" }, row.text.replaceAll(/\s+/g, " ") || "(no text)"),
    h("span", { role: "gridcell", class: "one-line soft", dir: "auto" }, row.label ?? ""),
    h("span", { role: "gridcell", class: "one-line soft" }, cluster),
    h("span", { role: "gridcell", class: `one-line ${row.status === "removed" ? "" : "soft"}`, title: row.why || row.status }, shown),
  ];
  return h("div", {
    class: `table-row ${row.status === "removed" ? "gone" : ""}`, style: top, role: "row", aria_rowindex: n + 1, "data-row": row.row,
    aria_selected: row.row === state.row ? "true" : "false",
    onclick: () => { at = n; set({ row: row.row, side: "row" }); },
  }, cells);
}

function head() {
  return h("div", { class: "table-head", role: "row" }, COLUMNS.map(([title, sort]) =>
    h("span", { role: "columnheader", aria_sort: order.sort === sort ? (order.descending ? "descending" : "ascending") : "none" },
      h("button", { type: "button", title: `Sort by ${sort}`, aria_label: title === "•" ? "Sort by place" : null, onclick: () => sorted(sort) }, title + (order.sort === sort ? (order.descending ? " ↓" : " ↑") : "")))));
}

function sorted(sort) {
  if (order.sort === sort && order.descending) order.sort = "";
  else [order.sort, order.descending] = [sort, order.sort === sort];
  $("table").firstChild.replaceWith(head());
  reload();
}

async function facets() {
  const now = asked;
  const { facets: listed } = await json("/api/facets", query());
  if (now !== asked) return;
  fill(
    $("facets"),
    narrowed() && h("button", { type: "button", class: "quiet", onclick: everything }, "Show all rows"),
    state.query.near && h("p", { class: "soft data near" }, `Nearest in meaning to ${state.nearTo}`),
    listed.map(({ facet, values, more }) => {
      const all = opened.has(facet);
      const most = Math.max(...values.map((one) => one.rows), 1);
      const chosen = state.query.filters[facet] ?? [];
      const shown = values.filter((one, n) => all || n < SHOWN || chosen.includes(one.value));
      return h("div", {}, h("h3", { class: facet.startsWith("column:") ? "data" : "" }, facet.replace(/^column:/, "")), shown.map(({ value, rows }) => {
        const name = facet === "cluster" ? called("cluster", value) : facet === "reason" ? plain(value) || "none: they stand" : value || "none";
        return h("button", { type: "button", class: "facet-value", aria_pressed: chosen.includes(value) ? "true" : "false", title: name, onclick: () => toggle(facet, value) },
          h("span", { class: "bar", style: { width: `${(100 * rows) / most}%` } }),
          h("span", { class: "one-line" }, name), h("span", { class: "rows" }, whole(rows)));
      }), (values.length > SHOWN || more > 0) && h("button", { type: "button", class: "link more", onclick: () => {
        if (!opened.delete(facet)) opened.add(facet);
        facets();
      } }, all ? "fewer" : `all ${values.length}${more ? ` of ${values.length + more}` : ""}`));
    }),
  );
}

function typed(event) {
  const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 12, PageUp: -12, Home: -total, End: total }[event.key];
  if (step === undefined && event.key !== "Enter") return;
  event.preventDefault();
  at = Math.max(0, Math.min(total - 1, at + (step ?? 0)));
  const table = $("table");
  const top = at * HEIGHT;
  if (top < table.scrollTop) table.scrollTop = top;
  if (top + 2 * HEIGHT > table.scrollTop + table.clientHeight) table.scrollTop = top + 2 * HEIGHT - table.clientHeight;
  const row = pages.get(Math.floor(at / PAGE))?.[at % PAGE];
  if (row) set({ row: row.row, side: "row" });
}

export function begin() {
  const table = $("table");
  body = h("div", { role: "rowgroup", style: { position: "relative" } });
  fill(table, head(), body);
  table.addEventListener("scroll", draw, { passive: true });
  table.addEventListener("keydown", typed);
  new ResizeObserver(draw).observe(table);
  on("query", () => reload().catch((error) => toast(error.message, true)));
  on("row clusters", draw);
  on("clusters", () => facets().catch(() => null));
}
