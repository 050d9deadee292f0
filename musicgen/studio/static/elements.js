/** Elements of the page. Text goes in as text, never as HTML. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An HTML element. Attributes that are functions are listeners ("click": () => ...), `true` is a
 * bare attribute, `false`, null and undefined are left out; children are nodes or text.
 */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element, as `el`. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// Drawn on 20 by 20 units; stroked, except those of `SOLID`.
const SHAPES = {
  play: "M6 4l10 6-10 6z",
  pause: "M5 4h3.5v12H5zM11.5 4H15v12h-3.5z",
  stop: "M5 5h10v10H5z",
  keep: "M5.5 3.5h9v13L10 13l-4.5 3.5z",
  kept: "M5.5 3.5h9v13L10 13l-4.5 3.5z",
  discard: "M5 5l10 10M15 5L5 15",
  rename: "M4 16l1-4 8-8 3 3-8 8z",
  edit: "M7 15.5V5l8-1.5V14M7 15.5a2 1.6 0 1 1-4 0 2 1.6 0 0 1 4 0zM15 14a2 1.6 0 1 1-4 0 2 1.6 0 0 1 4 0z",
  onward: "M3 10h13M11 5l5 5-5 5",
  take: "M10 3v9M6 9l4 4 4-4M4 16.5h12",
  link: "M8.5 11.5l3-3M7 9l-2 2a2.8 2.8 0 0 0 4 4l2-2M13 11l2-2a2.8 2.8 0 0 0-4-4L9 7",
  undo: "M7 4L3.5 7.5 7 11M3.5 7.5H12a4.5 4.5 0 0 1 0 9H8",
  redo: "M13 4l3.5 3.5L13 11M16.5 7.5H8a4.5 4.5 0 0 0 0 9h4",
  dice: "M4 4h12v12H4zM7.5 7.5h.01M12.5 12.5h.01M12.5 7.5h.01M7.5 12.5h.01M10 10h.01",
};
const SOLID = new Set(["play", "pause", "stop", "kept"]);

/** A small picture that says nothing to a screen reader; its button has the name. */
export function icon(name) {
  const solid = SOLID.has(name);
  return svg("svg", { class: `icon${solid ? " solid" : ""}`, viewBox: "0 0 20 20",
    "aria-hidden": "true", focusable: "false" }, svg("path", { d: SHAPES[name] }));
}

/** A button with a picture; `label` is its name, shown beside it or only to screen readers. */
export function button(label, click, { picture, plain = true, ...attributes } = {}) {
  const text = picture && !plain ? el("span", { class: "sr" }, label) : el("span", {}, label);
  return el("button", { type: "button", click, title: plain ? null : label, ...attributes },
    picture ? icon(picture) : null, text);
}

/** Put another picture and name on a button. */
export function relabel(target, picture, label) {
  target.querySelector("svg")?.replaceWith(icon(picture));
  target.querySelector("span").textContent = label;
  if (target.title) target.title = label;
}

/** Say something to screen readers, politely. */
export function announce(text) {
  const region = document.getElementById("announcements");
  region.textContent = "";
  // A change of the same words is only read out when the region was empty in between.
  setTimeout(() => { region.textContent = text; }, 30);
}

/** Say something at the foot of the page for a while, with something to do about it. */
export function toast(text, action = null) {
  const shelf = document.getElementById("toasts");
  const note = el("div", { class: "toast", role: "status" }, el("span", {}, text));
  if (action) {
    note.append(button(action.label, () => { note.remove(); action.run(); }, { class: "quiet" }));
  }
  note.append(button("Dismiss", () => note.remove(),
    { picture: "discard", plain: false, class: "bare" }));
  shelf.append(note);
  while (shelf.children.length > 3) shelf.firstChild.remove();
  setTimeout(() => note.remove(), 12_000);
}

let made = 0;

/** An id that no other element has. */
export function freshId(kind) {
  made += 1;
  return `${kind}-${made}`;
}

/** "1:05" of seconds. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** "1 bar", "8 bars". */
export function count(n, noun) {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
