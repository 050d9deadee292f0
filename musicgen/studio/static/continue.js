/** Continue: a beginning that is dropped, pasted or clicked together, and the ways on from it. */

import { post } from "./api.js";
import { AbcEditor } from "./abceditor.js";
import { Amount } from "./compose.js";
import { ControlForm } from "./controls.js";
import { button, count, el } from "./elements.js";
import { Gallery } from "./gallery.js";
import { barNumber } from "./notes.js";
import { Notepad } from "./notepad.js";
import { linkOf } from "./permalink.js";
import { TuneView } from "./tuneview.js";

const MOST_BYTES = 5 * 2 ** 20;
const ACCEPTED = ".abc,.txt,.mid,.midi,.musicxml,.xml,.mxl";

export class Continue {
  #tune = null; // as it was given, whole
  #given = null; // its ABC up to where the given part ends
  #asked = 0; // number of the latest thing asked of the server
  #cutting = Promise.resolve(); // until the given part is known

  constructor(choices, { opened }) {
    this.opened = opened;
    this.form = new ControlForm(choices,
      { prefix: "continue", names: ["temperature", "top_k", "top_p", "min_p"] });
    this.amount = new Amount("continue", 3);
    this.gallery = new Gallery(choices.formats, { offers: ["change", "continue"], label: "Ways on" });
    this.error = el("p", { class: "error", role: "alert" });
    this.view = new TuneView({ choosing: "notes" });
    this.view.addEventListener("pick", ({ detail }) => {
      this.#cutting = this.#cutAfter(detail.key);
    });
    this.ends = el("p", { class: "ends", "aria-live": "polite" });
    this.several = el("select", { "aria-label": "Tune of the file", hidden: true });
    this.voice = el("select", { "aria-label": "Voice of the tune", hidden: true });
    this.given = el("section", { class: "given-part take", hidden: true, "aria-label": "The given part" },
      el("header", {}, this.title = el("h2", {}), this.several, this.voice), this.ends, this.view.element);
    this.bars = el("input", { type: "number", id: "continue-bars", min: 1, max: 256,
      placeholder: "as its form asks", "aria-describedby": "continue-bars-help" });
    this.start = el("button", { type: "submit", class: "primary", disabled: true }, "Continue");
    this.element = el("div", { class: "split" }, this.#panel(),
      el("div", { class: "stage" }, this.given, this.gallery.element));
    this.#acceptDrops();
  }

  #panel() {
    const pad = new Notepad();
    pad.addEventListener("edit", ({ detail }) => this.#sketched(detail));
    this.editor = new AbcEditor({ patience: 500 });
    this.editor.area.rows = 6;
    this.editor.area.setAttribute("aria-label", "ABC text of the beginning");
    this.editor.area.placeholder = "X:1\nM:6/8\nK:D\nA | dfe d2 A | …";
    this.editor.addEventListener("edit", ({ detail }) => this.#typed(detail));
    const file = el("input", { type: "file", id: "upload", accept: ACCEPTED, class: "sr",
      change: () => { if (file.files[0]) this.read(file.files[0]); file.value = ""; } });
    return el("form", { class: "panel", "aria-label": "What to continue", novalidate: true,
      submit: (event) => { event.preventDefault(); this.run(); } },
    el("div", { class: "go" }, this.start), this.error,
    el("div", { class: "drop" }, file, el("label", { for: "upload", class: "button" }, "Choose a file"),
      el("p", { class: "help" }, "or drop it anywhere: ABC, MIDI or MusicXML, up to 5 MiB.")),
    el("details", { class: "group" }, el("summary", {}, "Paste ABC"), this.editor.element),
    el("details", { class: "group" }, el("summary", {}, "Click notes together"), pad.element),
    el("div", { class: "field" }, el("label", { for: "continue-bars" }, "Bars of the whole tune"),
      this.bars, el("p", { class: "help", id: "continue-bars-help" },
        "The given bars count too. Left empty, it ends where its form asks.")),
    this.amount.element, this.form.element);
  }

  /** Read a file that was chosen or dropped. */
  async read(file) {
    this.error.textContent = "";
    if (file.size > MOST_BYTES) {
      this.error.textContent = `${file.name}: larger than 5 MiB; give a smaller file.`;
      return;
    }
    try {
      const data = base64(new Uint8Array(await file.arrayBuffer()));
      const { tunes, skipped } = await post("/api/read", { name: file.name, data });
      if (tunes.length === 0) {
        this.error.textContent = skipped[0]?.why ?? `${file.name}: no tune in it.`;
        return;
      }
      this.#offer(tunes);
      if (skipped.length > 0) {
        this.error.textContent = `${count(skipped.length, "tune")} could not be read: ${skipped[0].why}`;
      }
    } catch (error) {
      this.error.textContent = error.message;
    }
  }

  /** Go on from a tune of the page. */
  async take(abc) {
    this.editor.show(abc);
    await this.#show(abc);
  }

  /** Continue what the given part and the form ask for. */
  async run() {
    await this.#cutting;
    if (this.#given === null) return null;
    const { sampling } = this.form.values;
    const request = { kind: "continue", abc: this.#given, ...this.amount.values, sampling };
    if (this.bars.value !== "") request.bars = this.bars.value;
    this.opened(linkOf({ request }));
    return this.perform(request);
  }

  async open(request, only) {
    this.form.fill(request);
    this.amount.fill(request);
    this.bars.value = request.bars ?? "";
    await this.take(request.abc ?? "");
    return this.perform(request, only);
  }

  async perform(request, only = null) {
    this.error.textContent = "";
    const error = await this.gallery.run(request, { only });
    if (error && !this.form.report(error)) this.error.textContent = error.message;
  }

  #offer(tunes) {
    this.several.hidden = tunes.length < 2;
    this.several.replaceChildren(...tunes.map((tune, index) =>
      el("option", { value: index }, tune.title || `Tune ${index + 1}`)));
    this.several.onchange = () => this.take(tunes[Number(this.several.value)].abc);
    return this.take(tunes[0].abc);
  }

  #sketched(abc) {
    this.several.hidden = true;
    if (abc === null) this.#forget();
    else this.take(abc);
  }

  #typed(text) {
    this.several.hidden = true;
    if (text.trim()) this.#show(text);
    else this.#forget();
  }

  #forget() {
    this.#asked += 1;
    this.#tune = this.#given = null;
    this.editor.show("");
    this.given.hidden = true;
    this.start.disabled = true;
  }

  async #show(abc) {
    this.voice.hidden = true;
    await this.#give(async (size) => {
      const tune = await post("/api/tune", { abc, size });
      if (this.editor.text === abc) this.editor.report(tune.problems ?? []);
      return tune.voices > 1 ? this.#offerVoices(tune, size) : tune;
    });
  }

  /** The model continues one line: the first of the tune's voices, or another. */
  #offerVoices({ abc, voices }, size) {
    const alone = (voice) => post("/api/change", { abc, change: "voice", voice, size });
    this.voice.replaceChildren(...Array.from({ length: voices }, (_, index) =>
      el("option", { value: index + 1 }, `Voice ${index + 1} of ${voices}`)));
    this.voice.onchange = () => this.#give(() => alone(Number(this.voice.value)));
    this.voice.hidden = false;
    return alone(1);
  }

  /** Show what is given, once the server has answered; unless something else was asked since. */
  async #give(answer) {
    const asked = this.#asked += 1;
    this.error.textContent = "";
    try {
      const tune = await answer(this.view.size);
      if (asked !== this.#asked) return;
      this.start.disabled = !tune.svg;
      if (!tune.svg) return;
      this.#tune = tune;
      this.#given = tune.abc;
      this.given.hidden = false;
      this.title.textContent = tune.title || "Beginning";
      this.view.show(tune, { label: "Score of the given part; choose its last note" });
      this.#say(null);
    } catch (error) {
      if (asked === this.#asked) this.error.textContent = error.message;
    }
  }

  /** The given part ends with this note. */
  async #cutAfter(key) {
    const keys = this.view.score.keys;
    const next = keys[keys.indexOf(key) + 1];
    const asked = this.#asked += 1;
    this.#colour(keys, key);
    this.#say(next === undefined ? null : key);
    if (next === undefined) {
      this.#given = this.#tune.abc;
      return;
    }
    try {
      const place = next.split(".").slice(1).map(Number);
      const cut = await post("/api/change", { abc: this.#tune.abc, change: "cut", place });
      if (asked === this.#asked) this.#given = cut.abc;
    } catch (error) {
      this.error.textContent = error.message;
    }
  }

  #colour(keys, last) {
    const end = keys.indexOf(last);
    this.view.score.colour((key) => (keys.indexOf(key) <= end ? "given" : "dropped"));
  }

  #say(key) {
    if (key === null) {
      this.ends.replaceChildren("All of it is given. Choose a note, and the given part ends there.");
      return;
    }
    const [, bar, event] = key.split(".").map(Number);
    this.ends.replaceChildren(
      `The given part ends in bar ${barNumber(this.#tune, bar)} with note ${event + 1}. `,
      button("Give all of it", () => {
        this.#given = this.#tune.abc;
        this.#asked += 1;
        this.view.score.colour(() => null);
        this.#say(null);
      }, { class: "link" }));
  }

  #acceptDrops() {
    const over = (event) => {
      if (this.element.hidden || !event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      document.body.classList.toggle("dropping", event.type === "dragover");
    };
    for (const type of ["dragover", "dragleave"]) document.addEventListener(type, over);
    document.addEventListener("drop", (event) => {
      over(event);
      if (!this.element.hidden && event.dataTransfer.files[0]) this.read(event.dataTransfer.files[0]);
    });
  }
}

function base64(bytes) {
  const parts = [];
  for (let i = 0; i < bytes.length; i += 0x8000) {
    parts.push(String.fromCharCode(...bytes.subarray(i, i + 0x8000)));
  }
  return btoa(parts.join(""));
}
