/**
 * What the model expected: each note in the colour of its surprise, and for a chosen note the
 * earlier notes that the model listened to.
 */

import { post } from "./api.js";
import { el } from "./elements.js";
import { noteName, placeKey } from "./notes.js";
import { Score } from "./score.js";

// Bits below which a note has the colour.
const LEVELS = [{ below: 1, name: "s0", meaning: "expected, under 1 bit" },
  { below: 3, name: "s1", meaning: "1 to 3" }, { below: 5, name: "s2", meaning: "3 to 5" },
  { below: Infinity, name: "s3", meaning: "surprising, 5 bits and more" }];
const FAINTEST = 0.04; // share of the attention that is still drawn
const MOST_ARCS = 8;

export class Surprise {
  #tune = null;
  #shown = null; // the tune whose numbers stand there
  #bits = new Map();
  #chosen = null;

  constructor() {
    this.score = new Score();
    this.mean = el("p", { class: "mean" });
    this.reading = el("p", { class: "reading", "aria-live": "polite" },
      "Choose a note: how surprising it is, and what the model listened to.");
    this.layer = select("layer", () => this.#attend());
    this.head = select("head", () => this.#attend());
    this.where = el("div", { class: "row", hidden: true }, this.layer.box, this.head.box);
    this.element = el("div", { class: "surprise" },
      el("ul", { class: "scale" }, ...LEVELS.map(({ name, meaning }) =>
        el("li", { class: name }, meaning))),
      this.mean, this.score.element, this.reading, this.where);
    this.score.addEventListener("pick", ({ detail }) => this.#choose(detail.key));
  }

  forget() {
    this.#shown = null;
    this.#chosen = null;
  }

  async show(tune) {
    if (this.#shown === tune.abc) return;
    this.#tune = tune;
    this.#shown = tune.abc;
    this.#chosen = null;
    this.where.hidden = true;
    this.mean.textContent = "Listening …";
    if (tune.svg) this.score.show(tune.svg, tune, { choosing: "notes" });
    let found;
    try {
      found = await post("/api/surprise", { abc: tune.abc });
    } catch (error) {
      this.mean.textContent = error.message;
      return;
    }
    if (this.#shown !== tune.abc) return;
    this.#bits = new Map(found.notes.map(({ place, bits }) => [placeKey(place), bits]));
    this.mean.textContent = `${found.mean.toFixed(2)} bits a note on average`;
    this.score.colour((key) => levelOf(this.#bits.get(key)));
  }

  #choose(key) {
    this.#chosen = key;
    const bits = this.#bits.get(key);
    const says = bits === undefined ? "" : `: ${bits.toFixed(1)} bits, ${oneIn(bits)}`;
    this.reading.textContent = noteName(this.#tune, key) + says;
    this.#attend();
  }

  async #attend() {
    const key = this.#chosen;
    if (key === null) return;
    const place = key.split(".").slice(1).map(Number);
    let found;
    try {
      found = await post("/api/attention", { abc: this.#tune.abc, place,
        ...this.layer.values, ...this.head.values });
    } catch (error) {
      this.reading.append(` (${error.message})`);
      return;
    }
    if (this.#chosen !== key) return;
    this.layer.fill(found.layers, found.layer ?? this.layer.values.layer ?? 1);
    this.head.fill(found.heads, found.head ?? this.head.values.head ?? 1);
    this.where.hidden = false;
    const arcs = found.weights
      .filter((other) => other.weight >= FAINTEST && placeKey(other.place) !== key)
      .sort((a, b) => b.weight - a.weight).slice(0, MOST_ARCS);
    this.score.arcs(place, arcs);
    const strongest = arcs.slice(0, 3).map((other) =>
      `${noteName(this.#tune, placeKey(other.place))} (${Math.round(100 * other.weight)} %)`);
    this.reading.textContent = this.reading.textContent.split(" — ")[0]
      + (strongest.length ? ` — listened most to ${strongest.join("; ")}` : " — listened to no earlier note");
  }
}

function levelOf(bits) {
  return bits === undefined ? null : LEVELS.find(({ below }) => bits < below).name;
}

/** "one in 8" of 3 bits. */
function oneIn(bits) {
  const odds = 2 ** bits;
  return odds < 1.5 ? "nearly certain" : `one chance in ${odds < 10 ? odds.toFixed(1) : Math.round(odds)}`;
}

/** A choice of layer or head, counted from 1; until it is filled the server chooses. */
function select(name, change) {
  const chooser = el("select", { change });
  return {
    box: el("label", {}, `${name[0].toUpperCase()}${name.slice(1)} `, chooser),
    get values() { return chooser.value === "" ? {} : { [name]: Number(chooser.value) }; },
    fill(n, value) {
      chooser.replaceChildren(...Array.from({ length: n }, (_, i) =>
        el("option", { value: i + 1 }, `${i + 1}`)));
      chooser.value = value;
    },
  };
}
