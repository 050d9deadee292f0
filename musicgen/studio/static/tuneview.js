/** One tune on the page: its player, and beneath it score, piano roll, ABC text or surprise. */

import { AbcEditor } from "./abceditor.js";
import { button, el, freshId } from "./elements.js";
import { placeKey } from "./notes.js";
import { PianoRoll } from "./pianoroll.js";
import { Player } from "./player.js";
import { legibleSize, Score } from "./score.js";
import { Surprise } from "./surprise.js";
import { copy } from "./takeaway.js";

const VIEWS = { score: "Score", roll: "Piano roll", abc: "ABC", surprise: "Surprise" };
const USUAL_WIDTH = 600; // pixels, of a view that is not shown yet

/**
 * Tells listeners what its parts do: "bars" and "pick" of the score, "edit" of the ABC text.
 * `choosing` is what can be chosen on the score: "none", "bars" or "notes".
 */
export class TuneView extends EventTarget {
  #tune = null;
  #view = "score";
  #sketched = false; // music that is still being written stands there
  #choosing;
  #panels;
  #tabs = new Map();

  constructor({ choosing = "none", editable = false } = {}) {
    super();
    this.#choosing = choosing;
    this.score = new Score();
    this.roll = new PianoRoll();
    this.player = new Player();
    this.surprise = new Surprise();
    this.editor = editable ? new AbcEditor() : null;
    this.text = editable ? null : el("pre", { class: "abc", tabindex: 0, "aria-label": "ABC text" });
    const abc = editable ? this.editor.element
      : el("div", {}, this.text, button("Copy", () => copy(this.#tune.abc, "The ABC text"),
        { class: "quiet" }));
    this.legend = el("p", { class: "legend", hidden: true },
      el("span", { class: "given" }, "given"), el("span", { class: "new" }, "new"));
    this.#panels = { score: el("div", {}, this.score.element, this.legend),
      roll: this.roll.element, abc, surprise: this.surprise.element };
    this.element = el("div", { class: "tuneview" }, this.player.element, this.#tablist(),
      ...Object.values(this.#panels));
    this.#connect();
    this.view("score");
  }

  get tune() { return this.#tune; }

  /** The size of music, in percent, that is asked of the server for this view. */
  get size() { return legibleSize(this.element.clientWidth || USUAL_WIDTH); }

  /** Show a tune: TUNE of the API; its drawing stays where it has none of its own. */
  show(tune, { label = "" } = {}) {
    this.#tune = tune;
    if (this.#sketched) this.view("score");
    this.#sketched = false;
    if (tune.svg) this.score.show(tune.svg, tune, { choosing: this.#choosing, label });
    const given = new Set((tune.given ?? []).map((place) => placeKey(place)));
    this.legend.hidden = given.size === 0;
    if (given.size > 0) this.score.colour((key) => (given.has(key) ? "given" : "new"));
    this.player.show(tune);
    if (this.editor) this.editor.show(tune.abc);
    else this.text.textContent = tune.abc;
    this.surprise.forget();
    this.#draw();
  }

  /** Music that is still being written: its notes as they come, or its text. */
  sketch({ abc, notes = null }) {
    this.#sketched = true;
    if (this.text) this.text.textContent = abc ?? "";
    if (notes === null) return this.view("abc");
    this.roll.show({ notes });
    this.roll.follow();
    return this.view("roll");
  }

  view(name) {
    this.#view = name;
    for (const [key, tab] of this.#tabs) {
      tab.setAttribute("aria-selected", String(key === name));
      tab.tabIndex = key === name ? 0 : -1;
      this.#panels[key].hidden = key !== name;
    }
    this.#draw();
  }

  /** What is only drawn when it is looked at. */
  #draw() {
    if (this.#tune === null) return;
    if (this.#view === "roll") this.roll.show(this.#tune);
    if (this.#view === "surprise") this.surprise.show(this.#tune);
  }

  #connect() {
    this.player.addEventListener("notes", ({ detail: { notes, indices } }) => {
      const keys = notes.map(({ place, voice }) => placeKey(place, voice));
      this.score.sound(keys);
      this.surprise.score.sound(keys);
      this.roll.sound(indices);
    });
    this.roll.addEventListener("seek", ({ detail }) => this.player.play(detail));
    this.score.addEventListener("pick", (event) => {
      if (this.#choosing === "none") this.player.playFrom(event.detail.key);
      this.#pass(event);
    });
    this.score.addEventListener("bars", (event) => this.#pass(event));
    this.editor?.addEventListener("edit", (event) => this.#pass(event));
  }

  #pass({ type, detail }) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #tablist() {
    const names = Object.keys(VIEWS);
    for (const name of names) {
      const id = freshId(name);
      this.#tabs.set(name, el("button", { type: "button", role: "tab", id: `${id}-tab`,
        "aria-controls": id, click: () => this.view(name) }, VIEWS[name]));
      this.#panels[name].id = id;
      if (name !== "roll") this.#panels[name].setAttribute("role", "tabpanel");
      if (name !== "roll") this.#panels[name].setAttribute("aria-labelledby", `${id}-tab`);
    }
    return el("div", { role: "tablist", class: "tabs", "aria-label": "How to see the tune",
      keydown: (event) => this.#tabKey(event, names) }, ...this.#tabs.values());
  }

  #tabKey(event, names) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const next = names[(names.indexOf(this.#view) + step + names.length) % names.length];
    this.view(next);
    this.#tabs.get(next).focus();
    event.preventDefault();
  }
}
