// The command palette: every command by its name, and the clusters.

import { commands } from "./commands.js";
import { $, fill, h } from "./dom.js";
import { set, state } from "./store.js";

let found = [];
let at = 0;

function listed(typed) {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const able = commands().filter((one) => !one.able || one.able());
  const clusters = state.clusters.map((one) => ({ title: `Cluster ${one.name}`, menu: "Go to", run: () => set({ cluster: one.cluster, side: "cluster" }) }));
  return [...able, ...clusters].filter((one) => words.every((word) => `${one.menu} ${one.title}`.toLowerCase().includes(word))).slice(0, 60);
}

function draw(input) {
  const list = $("palette").querySelector("ul");
  fill(list, found.map((one, n) => h("li", { role: "option", id: `command-${n}`, aria_selected: String(n === at), onclick: () => run(one) },
    h("span", {}, one.title), h("span", { class: "soft" }, one.menu), one.keys && h("kbd", {}, one.keys))));
  if (!found.length) fill(list, h("li", { role: "option", aria_disabled: "true", class: "soft" }, "no command is called that here"));
  input.setAttribute("aria-activedescendant", found.length ? `command-${at}` : "");
  list.children[at]?.scrollIntoView({ block: "nearest" });
}

function run(one) {
  $("palette").close();
  one.run();
}

/** Open it. */
export function open() {
  if ($("palette").open) return;
  const input = h("input", {
    type: "text", placeholder: "What do you want to do?", aria_label: "Commands", role: "combobox", aria_expanded: "true", aria_controls: "palette-list", autocomplete: "off",
    oninput: () => { [found, at] = [listed(input.value), 0]; draw(input); },
    onkeydown: (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && found.length) at = (at + step + found.length) % found.length;
      else if (event.key === "Enter" && found[at]) run(found[at]);
      else return;
      event.preventDefault();
      draw(input);
    },
  });
  fill($("palette"), input, h("ul", { role: "listbox", id: "palette-list", aria_label: "Commands" }));
  [found, at] = [listed(""), 0];
  $("palette").showModal();
  draw(input);
  input.focus();
}

export function begin() {
  $("open-palette").addEventListener("click", open);
  $("palette").addEventListener("click", (event) => event.target === $("palette") && $("palette").close());
}
