// The conversation beside the run: commands as at the terminal, and words for the language model, if there is one.

import { json, say } from "./api.js";
import { $, fill, h, toast, whole } from "./dom.js";
import { set, state } from "./store.js";

const LINES = { person: "said", shown: "shown", model: "answer" };
let entries = [];
let gone = 0; // entries before these
let unheard = []; // lines that wait until the model has answered
let model = null;
let begun = ""; // what is written and not sent yet
let reading = false;
let more = false;

async function read() {
  const from = Math.max(0, gone + entries.length - 1); // the last may have grown
  const found = await json("/api/talk", { from });
  entries = [...entries.slice(found.gone - gone, found.first - gone), ...found.entries];
  ({ gone, unheard, model } = found);
}

/** The clusters that an answer names can be opened. */
const linked = (text) => text.split(/\b(cluster \d+)\b/i).map((part, at) => at % 2
  ? h("button", { type: "button", class: "link", onclick: () => set({ cluster: Number(part.split(" ")[1]), side: "cluster" }) }, part) : part);

const line = ({ kind, text }) => kind === "shown" && !text.includes("\n") ? h("p", { class: "soft data" }, text) : h(kind === "shown" ? "pre" : "p", { class: `${LINES[kind]} data`, dir: "auto" }, kind === "model" ? linked(text.trimEnd()) : text);

const lines = () => [
  gone > 0 && h("p", { class: "soft" }, `${whole(gone)} earlier entries are gone; what was done stands in the log`),
  entries.map(line),
  unheard.map((text) => h("p", { class: "said data", dir: "auto" }, text, h("span", { class: "soft" }, " · waiting"))),
];

async function send(event) {
  event.preventDefault();
  const field = $("say");
  const text = field.value.trim();
  if (!text) return;
  try {
    if (!state.proposal?.waiting) throw new Error("the run is at work: wait until it asks");
    await say(state.proposal.waiting, text);
    field.value = begun = "";
  } catch (error) {
    toast(error.message, true);
  }
}

/** The panel; without a loop behind the page nobody answers. */
export async function talk() {
  if (!state.desk) return h("p", { class: "soft" }, "This page only looks: nobody listens here.");
  await read();
  const hint = model ? "Ask the language model, or /help" : "A command; /help lists them";
  const field = h("input", { id: "say", type: "text", value: begun, placeholder: hint, aria_label: hint, autocomplete: "off", maxlength: 4000,
    disabled: state.desk.ended, oninput: (event) => { begun = event.target.value; } });
  setTimeout(() => { lowest(); if (state.side === "talk") field.focus(); });
  return h("div", { class: "stack" },
    h("div", { id: "talk", class: "tight", role: "log", aria_label: "Conversation" }, lines()),
    h("form", { class: "talk-form", onsubmit: send }, field, h("button", { type: "submit", class: "primary", disabled: state.desk.ended }, "Send")));
}

/** Show what was said since. */
export async function hear() {
  if (state.side !== "talk" || !$("talk")) return;
  if (reading) {
    more = true;
    return;
  }
  reading = true;
  try {
    await read();
    fill($("talk"), lines());
    lowest();
  } finally {
    reading = false;
  }
  if (more) {
    more = false;
    await hear();
  }
}

/** Look at the end of what was said, but not past the person's own last line: a long answer is read from its beginning. */
function lowest() {
  const side = $("side");
  const mine = [...$("talk").querySelectorAll(".said")].at(-1);
  const above = mine ? mine.getBoundingClientRect().top - side.getBoundingClientRect().top : Infinity;
  side.scrollTop = Math.min(side.scrollHeight, side.scrollTop + above - 8);
}
