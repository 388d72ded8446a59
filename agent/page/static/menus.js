// The menu bar, the toolbar, the tabs, and on a phone the parts of the page.

import { commands, hasMap } from "./commands.js";
import { $, fill, h, plain } from "./dom.js";
import { on, set, state } from "./store.js";

const MENUS = ["File", "View", "Run", "Act", "Help"];
let opened = null;

function menus(focus) {
  fill($("menus"), MENUS.map((name) => h("div", { class: "menu" },
    h("button", { type: "button", role: "menuitem", aria_haspopup: "true", aria_expanded: opened === name ? "true" : "false", "data-menu": name,
      onclick: () => unfold(opened === name ? null : name), onmouseenter: () => opened && opened !== name && unfold(name) }, name),
    opened === name && h("div", { class: "menu-list", role: "menu", aria_label: name }, commands().filter((one) => one.menu === name).map((one) =>
      h("button", { type: "button", role: one.checked ? "menuitemcheckbox" : "menuitem", aria_checked: one.checked ? String(Boolean(one.checked())) : null,
        disabled: one.able && !one.able(), onclick: () => { unfold(null); one.run(); } },
      h("span", {}, one.title), one.keys && h("kbd", {}, one.keys)))))));
  if (focus) document.querySelector(".menu-list button:not(:disabled)")?.focus();
}

function unfold(name, focus = false) {
  const before = opened;
  opened = name;
  menus(focus);
  if (name && !focus) document.querySelector(`[data-menu="${name}"]`)?.focus(); // so that Escape closes it
  if (!name && before) document.querySelector(`[data-menu="${before}"]`)?.focus();
}

function inMenu(event) {
  if (!opened) {
    if (event.key === "ArrowDown" && event.target.dataset.menu) unfold(event.target.dataset.menu, true);
    return;
  }
  const items = [...document.querySelectorAll(".menu-list button:not(:disabled)")];
  const at = items.indexOf(document.activeElement);
  const side = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (event.key === "Escape") unfold(null);
  else if (event.key === "ArrowDown") items[(at + 1) % items.length]?.focus();
  else if (event.key === "ArrowUp") items[(at - 1 + items.length) % items.length]?.focus();
  else if (side) unfold(MENUS[(MENUS.indexOf(opened) + side + MENUS.length) % MENUS.length], true);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function tools() {
  const { about } = state;
  if (!about?.points) {
    fill($("tools"), h("span", { class: "soft" }, about ? "The map comes once the rows are embedded" : "reading the run …"));
    return;
  }
  const methods = [...new Set(about.maps.map((one) => one.method))];
  const called = { umap: "UMAP", tsne: "t-SNE", pca: "PCA" };
  const choose = (id, words, values, chosen, act) => h("label", {}, h("span", {}, words),
    h("select", { id, aria_label: words, onchange: (event) => act(event.target.value) }, values.map(([value, name]) => h("option", { value, selected: value === chosen }, name))));
  const method = methods.includes(state.method) ? state.method : methods[0];
  fill($("tools"),
    choose("method", "Map", methods.map((one) => [one, called[one] ?? one]), method, (value) => set({ method: value })),
    h("div", { class: "segmented", role: "group", aria_label: "Dimensions" }, [2, 3].map((dimensions) => h("button", {
      type: "button", aria_pressed: String(state.dimensions === dimensions), disabled: !methods.some((one) => hasMap(one, dimensions)),
      onclick: () => set({ dimensions }) }, `${dimensions}-D`))),
    choose("colour", "Colour", about.colours.map(({ by, words }) => [by, by.startsWith("column:") ? `column ${words}` : words ?? plain(by)]), state.by, (by) => set({ by })),
    h("button", { type: "button", id: "lasso", aria_pressed: String(state.lasso), title: "Choose rows by drawing around them (L, or Shift and drag)", onclick: () => set({ lasso: !state.lasso }) }, "Lasso"));
}

const LOWER = { rows: "Rows", clusters: "Clusters", timeline: "Timeline" };
const SIDE = { overview: "Overview", proposal: "Proposal", row: "Row", cluster: "Cluster", talk: "Chat" };

function tabs(where, names, chosen, act) {
  const waits = Boolean(state.proposal?.proposal);
  for (const [name, title] of Object.entries(names)) {
    let tab = where.querySelector(`[data-tab="${name}"]`);
    if (!tab) {
      tab = h("button", { type: "button", role: "tab", "data-tab": name, onclick: () => act(name) }, title, h("span", { class: "count" }), h("span", { class: "badge", hidden: true }));
      where.append(tab);
    }
    tab.setAttribute("aria-selected", String(name === chosen));
    tab.tabIndex = name === chosen ? 0 : -1;
    tab.querySelector(".badge").hidden = name !== "proposal" || !waits || chosen === "proposal";
  }
}

function besides(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  const all = [...event.currentTarget.querySelectorAll("[role='tab']")];
  const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
  next.focus();
  next.click();
}

function phone() {
  const names = { map: "Map", ...LOWER, side: "Details" };
  const view = $("desk").dataset.view;
  fill($("phone-nav"), Object.entries(names).map(([name, title]) => h("button", { type: "button", aria_current: String(view === name), onclick: () => look(name) }, title)));
}

/** On a phone: the part of the page that is seen. */
export function look(name) {
  $("desk").dataset.view = name;
  if (name in LOWER) set({ lower: name });
  phone();
}

function panels() {
  for (const name of Object.keys(LOWER)) $(`${name}-panel`).hidden = state.lower !== name;
  tabs($("lower-tabs"), LOWER, state.lower, (lower) => set({ lower }));
  tabs($("side-tabs"), SIDE, state.side, (side) => set({ side }));
}

export function begin() {
  menus();
  tools();
  panels();
  phone();
  $("menus").addEventListener("keydown", inMenu);
  for (const id of ["lower-tabs", "side-tabs"]) $(id).addEventListener("keydown", besides);
  document.addEventListener("pointerdown", (event) => opened && !event.target.closest("#menus") && unfold(null));
  on("about by method dimensions lasso", tools);
  on("lower side proposal", panels);
  on("row cluster", () => matchMedia("(max-width: 760px)").matches && look("side"));
  on("query", () => $("desk").dataset.view === "side" && matchMedia("(max-width: 760px)").matches && look("rows"));
}
