// Elements made of text alone: what stands in the data is never read as markup.

/** An element: `h("button", {onclick, class: "primary", aria_label: "…"}, "text", child, …)`. */
export function h(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, to] of Object.entries(value)) made.style.setProperty(key, to);
    else if (name === "value" || name === "checked") made[name] = value;
    else made.setAttribute(name.replace("_", "-"), value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** An element of an SVG drawing. */
export function svg(tag, props = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props)) made.setAttribute(name, value);
  made.append(...children.flat(Infinity));
  return made;
}

export const $ = (id) => document.getElementById(id);

/** Put children in the place of what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child));
}

export const whole = (number) => (number ?? 0).toLocaleString("en");
export const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)}\u00a0%`;
export const signed = (value, digits = 4) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;
export const figure = (value, digits = 2) => (value === null || value === undefined ? "" : value.toFixed(digits));
export const plain = (name) => String(name ?? "").replaceAll("_", " ");

/** Call `act` once nothing has asked for it for so many milliseconds. */
export function later(milliseconds, act) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...given), milliseconds);
  };
}

/** Say something at the corner of the page for a while. */
export function toast(text, bad = false) {
  const shown = h("div", { class: bad ? "toast bad" : "toast", role: bad ? "alert" : null }, text);
  $("toasts").append(shown);
  setTimeout(() => shown.remove(), bad ? 9000 : 4500);
}
