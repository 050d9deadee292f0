/** A piano roll: time from left to right, pitch upwards, as the tune is played. */

import { el, svg } from "./elements.js";
import { pitchName } from "./notes.js";

const ROW = 7; // height of a semitone
const SECOND = 56; // width of a second
const MARGIN = 28; // for the names of the notes
const BLACK = new Set([1, 3, 6, 8, 10]);

/** Tells listeners "seek" with the seconds at which it was clicked. */
export class PianoRoll extends EventTarget {
  #shown = null;
  #notes = [];
  #lit = [];
  #cursor = null;

  constructor() {
    super();
    this.element = el("div", { class: "roll", tabindex: 0, role: "img" });
  }

  show(tune) {
    if (tune === this.#shown) return undefined;
    this.#shown = tune;
    this.#lit = [];
    const notes = tune.notes ?? [];
    if (notes.length === 0) return this.element.replaceChildren();
    const pitches = notes.map(({ pitch }) => pitch);
    const [low, high] = [Math.min(...pitches) - 2, Math.max(...pitches) + 2];
    const last = Math.max(...notes.map(({ onset, duration }) => onset + duration));
    const width = Math.max(MARGIN + last * SECOND + 8, this.element.clientWidth - 2);
    const height = (high - low + 1) * ROW;
    const y = (pitch) => (high - pitch) * ROW;
    const rows = [];
    for (let pitch = low; pitch <= high; pitch += 1) rows.push(...row(pitch, y(pitch), width));
    rows.push(...barLines(notes, height));
    this.#notes = notes.map((note) => svg("rect", {
      class: `note${note.given ? " given" : ""}`, rx: 1.5, x: MARGIN + note.onset * SECOND,
      y: y(note.pitch) + 0.5, width: Math.max(2, note.duration * SECOND - 1), height: ROW - 1,
    }));
    this.#cursor = svg("rect", { class: "cursor hidden", width: 1.5, height });
    this.element.setAttribute("aria-label", `Piano roll, ${pitchName(Math.min(...pitches), tune.key)} `
      + `to ${pitchName(Math.max(...pitches), tune.key)}`);
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height,
      click: (event) => this.#seek(event, drawing) }, ...rows, ...this.#notes, this.#cursor);
    return this.element.replaceChildren(drawing);
  }

  /** Keep the latest note in view. */
  follow() { this.element.scrollLeft = this.element.scrollWidth; }

  /** Light up the notes that sound, by their numbers, and keep the last of them in view. */
  sound(indices) {
    for (const index of this.#lit) this.#notes[index]?.classList.remove("sounding");
    this.#lit = indices;
    for (const index of indices) this.#notes[index]?.classList.add("sounding");
    const last = this.#notes[indices.at(-1)];
    this.#cursor?.classList.toggle("hidden", last === undefined);
    if (last === undefined) return;
    const x = Number(last.getAttribute("x"));
    this.#cursor.setAttribute("x", x);
    const { scrollLeft, clientWidth } = this.element;
    if (x < scrollLeft + MARGIN || x > scrollLeft + clientWidth - 40) {
      this.element.scrollLeft = x - MARGIN - 20;
    }
  }

  #seek(event, drawing) {
    const at = (event.clientX - drawing.getBoundingClientRect().left - MARGIN) / SECOND;
    if (at >= 0) this.dispatchEvent(new CustomEvent("seek", { detail: at }));
  }
}

/** A line where another bar begins. */
function barLines(notes, height) {
  return notes.filter(({ place }, i) => i > 0 && place?.[0] !== notes[i - 1].place?.[0])
    .map(({ onset }) => MARGIN + onset * SECOND - 1)
    .map((x) => svg("line", { class: "barline", x1: x, x2: x, y2: height }));
}

function row(pitch, y, width) {
  const parts = [];
  if (BLACK.has(pitch % 12)) parts.push(svg("rect", { class: "black", y, width, height: ROW }));
  if (pitch % 12 === 0) {
    parts.push(svg("line", { class: "octave", y1: y + ROW, y2: y + ROW, x2: width }),
      svg("text", { x: 4, y: y + ROW - 0.5 }, pitchName(pitch)));
  }
  return parts;
}
