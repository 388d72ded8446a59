// Dialogs: a question with fields, and the keys.

import { $, fill, h } from "./dom.js";

/** Ask for some values; null where the person thinks better of it. */
export function question(title, fields, done) {
  return new Promise((answered) => {
    const inputs = fields.map((field) => {
      if (field.options) {
        return h("select", { name: field.name, id: `ask-${field.name}` }, Object.entries(field.options).map(([value, words]) => h("option", { value }, words)));
      }
      if (field.lines) return h("textarea", { name: field.name, id: `ask-${field.name}`, rows: field.lines, maxlength: field.most, required: true }, field.value ?? "");
      return h("input", {
        name: field.name, id: `ask-${field.name}`, type: field.type ?? "text", min: field.min, max: field.max, step: field.step,
        value: field.value ?? "", required: !field.optional, list: field.list ? "ask-list" : null, autocomplete: "off",
      });
    });
    const list = fields.find((field) => field.list)?.list;
    const form = h("form", { method: "dialog" },
      h("h2", { id: "ask-title" }, title),
      fields.map((field, at) => h("label", { class: "tight" }, h("span", {}, field.words), inputs[at])),
      list && h("datalist", { id: "ask-list" }, list.map((value) => h("option", { value }))),
      h("div", { class: "actions" },
        h("button", { type: "button", onclick: () => $("ask").close("") }, "Cancel"),
        h("button", { type: "submit", class: "primary", value: "done" }, done)));
    show(form, () => answered($("ask").returnValue === "done" ? Object.fromEntries(inputs.map((one) => [one.name, one.value])) : null));
  });
}

/** Tell every command that has a key. */
export function keys(commands) {
  const listed = commands.filter((one) => one.keys);
  const more = [["Lasso on the map", "Shift + drag"], ["Move the map", "Arrows"], ["Fit the map", "Double-click"]];
  show(h("form", { method: "dialog" },
    h("h2", { id: "ask-title" }, "Keys"),
    h("div", { class: "keys" }, [...listed.map((one) => [one.title, one.keys]), ...more].map(([title, key]) => [h("span", {}, title), h("kbd", {}, key)])),
    h("div", { class: "actions" }, h("button", { class: "primary", value: "done" }, "Close"))), () => null);
}

function show(form, closed) {
  const dialog = $("ask");
  dialog.returnValue = "";
  fill(dialog, form);
  dialog.addEventListener("close", closed, { once: true });
  dialog.showModal();
}
