/**
 * A score that the server drew: notes that light up, a cursor, bars or notes that can be chosen.
 *
 * Every note of the drawing has `data-event="voice.bar.event"`. Bars count from 0 in the drawing;
 * the numbers that people see are the tune's `numbers`.
 */

import { svg } from "./elements.js";
import { barName, noteName, placeKey } from "./notes.js";
import { Roving } from "./roving.js";

const CURSOR_WIDTH = 60; // in the drawing's units; a staff is 720 high
const [STAFF_MM, LINE_MM] = [6.2, 176]; // of the server's sheet: a staff's height, a line's width
const REACH = 500; // above and below the staff that belongs to its bar

/** The size of the music, in percent, at which a score of so many pixels is read with ease. */
export function legibleSize(pixels) {
  const staff = (STAFF_MM * pixels) / LINE_MM; // its height in pixels at 100 percent
  const wanted = 16 + pixels / 110;
  return Math.round(Math.min(200, Math.max(70, (100 * wanted) / Math.max(1, staff))));
}

/** Tells listeners "pick" ({place}) of a note clicked or chosen, "bars" ({first, last} or null). */
export class Score extends EventTarget {
  #root = null;
  #tune = null;
  #notes = new Map(); // place -> group in the drawing
  #bars = []; // boxes of the bars
  #cursor = null;
  #sounding = []; // keys of the notes that are lit
  #roving = null;
  #choosing = "none";

  constructor() {
    super();
    this.element = document.createElement("div");
    this.element.className = "score";
    new ResizeObserver(() => this.#lay()).observe(this.element);
  }

  get tune() { return this.#tune; }

  /** Bars that are chosen, {first, last} from 0, or null. */
  get bars() { return this.#choosing === "bars" ? (this.#roving?.range ?? null) : null; }

  /** The places of notes and rests, "voice.bar.event", in the order in which they are written. */
  get keys() { return [...this.#notes.keys()]; }

  /** Put another drawing in place. `choosing` is what can be chosen: "none", "bars" or "notes". */
  show(text, tune, { choosing = "none", label = "" } = {}) {
    const root = adopted(text);
    if (root === null) return;
    this.#tune = tune;
    this.#root = root;
    this.#choosing = choosing;
    this.#sounding = [];
    root.setAttribute("role", choosing === "none" ? "img" : "group");
    root.setAttribute("aria-label", label || `Score of ${tune.title ?? "the tune"}`);
    this.element.replaceChildren(root);
    this.#notes = new Map();
    for (const group of root.querySelectorAll("[data-event]")) {
      this.#notes.set(group.dataset.event, group);
    }
    this.#lay();
  }

  /** Light up the notes of those keys, which sound, and put the cursor at the last of them. */
  sound(keys) {
    for (const key of this.#sounding) this.#notes.get(key)?.classList.remove("sounding");
    this.#sounding = keys.filter((key) => this.#notes.has(key));
    for (const key of this.#sounding) this.#notes.get(key).classList.add("sounding");
    const last = this.#sounding.at(-1);
    this.#cursor?.classList.toggle("hidden", last === undefined);
    if (last === undefined || this.#cursor === null) return;
    const box = this.#notes.get(last).getBBox();
    const bar = this.#bars[Number(last.split(".")[1])];
    this.#cursor.setAttribute("x", box.x + box.width / 2 - CURSOR_WIDTH / 2);
    if (bar) {
      this.#cursor.setAttribute("y", bar.top - REACH);
      this.#cursor.setAttribute("height", bar.bottom - bar.top + 2 * REACH);
    }
  }

  /** Give notes a class each: `classOf` takes a place's key and answers one, or null. */
  colour(classOf) {
    for (const [key, group] of this.#notes) {
      group.classList.remove("given", "new", "dropped", "s0", "s1", "s2", "s3");
      const name = classOf(key);
      if (name) group.classList.add(name);
    }
  }

  /** Draw arcs from a note back to others: `arcs` are [{place, weight 0..1}]. */
  arcs(place, arcs) {
    const layer = this.#root?.querySelector(".arcs");
    if (!layer) return;
    layer.replaceChildren();
    const from = this.#notes.get(placeKey(place))?.getBBox();
    if (from === undefined) return;
    for (const { place: target, weight } of arcs) {
      const to = this.#notes.get(placeKey(target))?.getBBox();
      if (to !== undefined) layer.append(arc(from, to, weight));
    }
  }

  clearArcs() { this.#root?.querySelector(".arcs")?.replaceChildren(); }

  selectBars(first, last) { this.#roving?.select(first, last); }
  clearBars() { this.#roving?.clear(); }

  /** Crop it and put on top what lights up and is chosen; once it is shown and can be measured. */
  #lay() {
    const music = this.#root?.querySelector(".page-margin");
    if (!music || music.querySelector(":scope > .overlay") || music.getBBox().width === 0) return;
    this.#bars = [...music.querySelectorAll(".measure")].map(boxOf);
    crop(this.#root, music);
    const targets = svg("g", { class: "targets" });
    this.#cursor = svg("rect", { class: "cursor hidden", width: CURSOR_WIDTH, rx: 30 });
    const items = this.#choosing === "bars" ? this.#barItems() : this.#noteItems();
    targets.append(...items.map(({ element }) => element));
    music.prepend(svg("g", { class: "overlay" }, this.#cursor));
    music.append(svg("g", { class: "overlay" }, svg("g", { class: "arcs" }), targets));
    this.#makeChoosable(targets, items);
  }

  #makeChoosable(targets, items) {
    this.#roving = null;
    if (this.#choosing === "none") {
      targets.addEventListener("click", (event) => this.#pick(event.target.dataset.place));
      return;
    }
    const many = this.#choosing === "bars";
    targets.setAttribute("role", "listbox");
    targets.setAttribute("aria-label", many ? "Bars of the score" : "Notes of the score");
    targets.setAttribute("aria-multiselectable", String(many));
    targets.setAttribute("aria-orientation", "horizontal");
    this.#roving = new Roving(targets, items.map(({ element }) => element), { many });
    this.#roving.addEventListener("select", ({ detail }) => {
      if (many) this.dispatchEvent(new CustomEvent("bars", { detail }));
      else if (detail) this.#pick(items[detail.first].element.dataset.place);
    });
  }

  #pick(key) {
    if (key === undefined) return;
    const place = key.split(".").map(Number);
    this.dispatchEvent(new CustomEvent("pick", { detail: { place: place.slice(1), key } }));
  }

  #barItems() {
    return this.#bars.map((box, index) => ({
      element: svg("rect", { class: "target bar", role: "option", "aria-selected": "false",
        "aria-label": barName(this.#tune, index), x: box.left, y: box.top - REACH,
        width: box.right - box.left, height: box.bottom - box.top + 2 * REACH, rx: 60 }),
    }));
  }

  #noteItems() {
    const choosable = this.#choosing === "notes";
    return [...this.#notes].map(([key, group]) => {
      const box = group.getBBox();
      const named = choosable ? { role: "option", "aria-selected": "false",
        "aria-label": noteName(this.#tune, key) } : {};
      return { element: svg("rect", { class: "target note", "data-place": key, ...named,
        x: box.x - 70, y: box.y - 70, width: box.width + 140, height: box.height + 140, rx: 60 }) };
    });
  }
}

/** The root of a drawing, taken into this document without anything that could act. */
function adopted(text) {
  const parsed = new DOMParser().parseFromString(text, "image/svg+xml");
  const root = parsed.documentElement;
  if (root.localName !== "svg" || root.querySelector("parsererror")) return null;
  for (const node of root.querySelectorAll("script, foreignObject, style, a, image")) node.remove();
  for (const node of root.querySelectorAll("*")) {
    for (const { name } of [...node.attributes]) {
      if (name.startsWith("on") || name === "style") node.removeAttribute(name);
    }
  }
  root.querySelector(':scope > rect[width="100%"]')?.remove(); // the paper; ours follows the theme
  for (const heading of root.querySelectorAll(":scope > g > text")) heading.remove();
  root.removeAttribute("width");
  root.removeAttribute("height");
  return document.adoptNode(root);
}

/** Left and right of a bar, top line of its first staff and bottom line of its last. */
function boxOf(measure) {
  const boxes = [...measure.querySelectorAll(".staff")]
    .flatMap((staff) => [...staff.querySelectorAll(":scope > path")].slice(0, 5))
    .map((line) => line.getBBox());
  if (boxes.length === 0) return { left: 0, right: 0, top: 0, bottom: 0 };
  return { left: boxes[0].x, right: boxes[0].x + boxes[0].width,
    top: boxes[0].y, bottom: boxes.at(-1).y };
}

/** Show nothing but the music: its heading is on the page already, its margins are too. */
function crop(root, music) {
  const box = music.getBBox();
  const full = root.viewBox.baseVal;
  const matrix = root.getScreenCTM().inverse().multiply(music.getScreenCTM());
  const x = matrix.e + matrix.a * box.x;
  const y = matrix.f + matrix.d * box.y;
  const [width, height] = [matrix.a * box.width, matrix.d * box.height];
  if (!(width > 0) || !(full.width > 0)) return;
  // A short tune does not become larger than others.
  root.setAttribute("viewBox", `${x - 1} ${y - 2} ${Math.max(width, LINE_MM) + 2} ${height + 4}`);
}

function arc(from, to, weight) {
  const [x1, x2] = [from.x + from.width / 2, to.x + to.width / 2];
  const [y1, y2] = [from.y - 60, to.y - 60];
  const high = Math.min(y1, y2) - 250 - Math.abs(x1 - x2) * 0.08;
  return svg("path", { d: `M${x1} ${y1}C${x1} ${high} ${x2} ${high} ${x2} ${y2}`,
    "stroke-width": 20 + 90 * weight, "stroke-opacity": 0.3 + 0.7 * weight });
}
