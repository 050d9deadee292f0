/** A small staff and keyboard on which a beginning is clicked together. */

import { button, el, svg } from "./elements.js";
import { pitchName } from "./notes.js";
import { KEYS, LENGTHS, METERS, pitchOf, signatureOf, toAbc } from "./sketch.js";
import { tone } from "./tone.js";

const [LOWEST, HIGHEST] = [57, 84]; // A3 to C6
const BLACK = new Set([1, 3, 6, 8, 10]);
const [WHITE_WIDTH, BLACK_WIDTH, TALL, SHORT] = [24, 15, 84, 52];
const TOP_LINE = 38; // F5, counted in letters from C of octave 0
const GAP = 10; // between the lines of the staff

/** Tells listeners "edit" with the ABC text, or null when nothing stands there. */
export class Notepad extends EventTarget {
  #events = [];

  constructor() {
    super();
    const changed = () => this.#changed();
    this.key = choice("Key", KEYS, "D", changed);
    this.meter = choice("Meter", METERS, "6/8", changed);
    this.lengths = el("div", { class: "segments", role: "group", "aria-label": "Length of the next note" },
      ...LENGTHS.map(([length, name], index) => el("label", { title: name },
        el("input", { type: "radio", name: "length", value: length, checked: length === 2,
          "aria-label": name, class: "sr" }), noteShape(length), el("kbd", {}, `${index + 1}`))));
    this.staff = this.#staff();
    this.keys = this.#keyboard();
    this.element = el("div", { class: "notepad", keydown: (event) => this.#key(event) },
      el("div", { class: "row" }, this.key.box, this.meter.box), this.lengths,
      this.staff, this.keys,
      el("div", { class: "row" },
        button("Rest", () => this.#add({ pitch: null, length: this.#length })),
        button("Bar line", () => this.#add({ bar: true })),
        button("Take back", () => this.#takeBack(), { picture: "undo" }),
        button("Empty", () => { this.#events = []; changed(); }, { class: "quiet" })),
      el("p", { class: "help" }, "Click on the staff or the keys, or type: A to G for the nearest "
        + "such note, 1 to 7 for the length, Z for a rest, | for a bar line after a pickup, "
        + "Backspace to take back."));
  }

  get #length() {
    return Number(this.lengths.querySelector("input:checked").value);
  }

  get #signature() { return signatureOf(this.key.value); }

  #add(event) {
    this.#events.push(event);
    this.#changed();
  }

  #takeBack() {
    this.#events.pop();
    this.#changed();
  }

  #changed() {
    const sounding = this.#events.some(({ pitch }) => pitch !== null && pitch !== undefined);
    const abc = sounding ? toAbc(this.#events, { key: this.key.value, meter: this.meter.value,
      title: "Beginning" }) : null;
    this.dispatchEvent(new CustomEvent("edit", { detail: abc }));
  }

  #play(pitch) {
    tone(pitch);
    this.#add({ pitch, length: this.#length });
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select")) return;
    const key = event.key.toLowerCase();
    const last = this.#events.findLast(({ pitch }) => pitch !== null && pitch !== undefined);
    if (/^[a-g]$/.test(key)) this.#play(nearest(key.toUpperCase(), last?.pitch ?? 71, this.#signature));
    else if (key === "z") this.#add({ pitch: null, length: this.#length });
    else if (key === "|") this.#add({ bar: true });
    else if (key === "backspace") this.#takeBack();
    else if (/^[1-7]$/.test(key)) this.lengths.querySelectorAll("input")[Number(key) - 1].checked = true;
    else return;
    event.preventDefault();
  }

  #keyboard() {
    const keys = [];
    let white = 0;
    for (let pitch = LOWEST; pitch <= HIGHEST; pitch += 1) {
      const black = BLACK.has(pitch % 12);
      const x = black ? white * WHITE_WIDTH - BLACK_WIDTH / 2 : white * WHITE_WIDTH;
      if (!black) white += 1;
      keys.push(svg("rect", { class: black ? "black" : "white", role: "button", x, y: 0, rx: 2,
        width: black ? BLACK_WIDTH : WHITE_WIDTH, height: black ? SHORT : TALL,
        tabindex: pitch === 60 ? 0 : -1, "aria-label": pitchName(pitch), "data-pitch": pitch }));
    }
    const inOrder = [...keys];
    keys.sort((a, b) => Number(a.matches(".black")) - Number(b.matches(".black"))); // black on top
    return svg("svg", { class: "keys", viewBox: `-1 -1 ${white * WHITE_WIDTH + 2} ${TALL + 2}`,
      role: "group", "aria-label": "Keyboard; arrow keys move, Enter plays",
      click: (event) => event.target.dataset.pitch && this.#play(Number(event.target.dataset.pitch)),
      keydown: (event) => this.#walk(event, inOrder) }, ...keys);
  }

  #walk(event, keys) {
    const at = keys.indexOf(event.target);
    if (at < 0) return;
    if (event.key === "Enter" || event.key === " ") this.#play(Number(keys[at].dataset.pitch));
    const to = keys[at + ({ ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key] ?? 0)];
    if (to !== undefined && to !== keys[at]) {
      keys[at].setAttribute("tabindex", "-1");
      to.setAttribute("tabindex", "0");
      to.focus();
    } else if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** For the mouse; whoever uses keys has the keyboard below. */
  #staff() {
    const y = (diatonic) => 30 + ((TOP_LINE - diatonic) * GAP) / 2;
    const ghost = svg("ellipse", { class: "ghost hidden", rx: 6.5, ry: 4.6 });
    const name = svg("text", { class: "hidden", y: 14 });
    const lines = [..."FDBGE"].flatMap((letter, i) => [
      svg("line", { x1: 14, x2: 360, y1: 30 + i * GAP, y2: 30 + i * GAP }),
      svg("text", { class: "name", x: 5, y: 32.5 + i * GAP }, letter)]);
    const ledger = svg("line", { class: "hidden" });
    const at = (event) => {
      const box = staff.getBoundingClientRect();
      const inside = ((event.clientY - box.top) / box.height) * 110;
      return Math.min(42, Math.max(28, TOP_LINE - Math.round((inside - 30) / (GAP / 2))));
    };
    const hover = (event) => {
      const diatonic = at(event);
      const box = staff.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * 360;
      for (const part of [ghost, name]) part.classList.remove("hidden");
      ghost.setAttribute("cx", x);
      ghost.setAttribute("cy", y(diatonic));
      name.setAttribute("x", Math.min(330, x + 12));
      name.setAttribute("y", y(diatonic) - 8);
      name.textContent = pitchName(pitchOf(diatonic, this.#signature), this.key.value);
      const off = diatonic >= 40 || diatonic <= 28;
      ledger.classList.toggle("hidden", !off);
      const line = y(diatonic >= 40 ? 40 : 28);
      for (const [k, v] of Object.entries({ x1: x - 10, x2: x + 10, y1: line, y2: line })) {
        ledger.setAttribute(k, v);
      }
    };
    const staff = svg("svg", { class: "staff", viewBox: "0 0 360 110", "aria-hidden": "true",
      pointermove: hover,
      pointerleave: () => [ghost, name, ledger].forEach((part) => part.classList.add("hidden")),
      click: (event) => this.#play(pitchOf(at(event), this.#signature)) },
    ...lines, ledger, ghost, name);
    return staff;
  }
}

/** The note of a letter, in the key, that is nearest to a pitch. */
function nearest(letter, pitch, signature) {
  const step = "CDEFGAB".indexOf(letter);
  const all = [3, 4, 5, 6].map((octave) => pitchOf(7 * octave + step, signature))
    .filter((found) => found >= LOWEST && found <= HIGHEST);
  return all.sort((a, b) => Math.abs(a - pitch) - Math.abs(b - pitch))[0];
}

function choice(label, values, value, change) {
  const select = el("select", { change }, ...values.map((name) => el("option", { value: name }, name)));
  select.value = value;
  return { box: el("label", {}, `${label} `, select), get value() { return select.value; } };
}

/** A note head with stem, flags and dot, by its length in sixteenths. */
function noteShape(length) {
  const [dotted, plain] = [length % 3 === 0, length % 3 === 0 ? (length * 2) / 3 : length];
  const flags = { 1: 2, 2: 1 }[plain] ?? 0;
  return svg("svg", { class: "length", viewBox: "0 0 20 28", "aria-hidden": "true" },
    svg("ellipse", { cx: 7, cy: 22, rx: 4.6, ry: 3.4, transform: "rotate(-20 7 22)",
      class: plain >= 8 ? "hollow" : "" }),
    svg("path", { d: "M11.3 21V4" }),
    ...Array.from({ length: flags }, (_, i) => svg("path", { d: `M11.3 ${4 + 5 * i}c1 4 5 4 4 9` })),
    dotted ? svg("circle", { cx: 15.5, cy: 22, r: 1.4 }) : null);
}
