/** Change: one tune on the desk; bars are chosen on its score and written anew, or the whole is. */

import { post } from "./api.js";
import { badgesOf } from "./badges.js";
import { Amount, titleOf } from "./compose.js";
import { ControlForm, TONICS } from "./controls.js";
import { announce, button, el, toast } from "./elements.js";
import { Gallery } from "./gallery.js";
import { barRange, summary } from "./notes.js";
import { linkOf, linkOfTune } from "./permalink.js";
import { History, tunebook } from "./state.js";
import { takeawayMenu } from "./takeaway.js";
import { TuneView } from "./tuneview.js";

const BANDS = [["0.8-0.95", "close"], ["0.6-0.8", "a new setting"], ["0.4-0.6", "a distant relative"]];

/** Tells listeners "motif" with {abc, bars, title}, and "continue" with the ABC text. */
export class Change extends EventTarget {
  #history = null;
  #bars = null; // {first, last} that are chosen
  #asked = 0;

  constructor(choices, { opened }) {
    super();
    this.opened = opened;
    this.amount = new Amount("change", 3);
    this.form = new ControlForm(choices,
      { prefix: "change", names: ["temperature", "top_k", "top_p", "min_p"] });
    this.gallery = new Gallery(choices.formats, { offers: ["use"], label: "Versions" });
    this.gallery.addEventListener("use", ({ detail }) => this.#use(detail));
    this.view = new TuneView({ choosing: "bars", editable: true });
    this.view.addEventListener("bars", ({ detail }) => this.#choose(detail));
    this.view.addEventListener("edit", ({ detail }) => this.#edited(detail));
    this.error = el("p", { class: "error", role: "alert" });
    this.title = el("h2", {});
    this.facts = el("p", { class: "facts" });
    this.badges = el("p", { class: "badges" });
    this.undo = button("Undo", () => this.#history.undo(), { picture: "undo" });
    this.redo = button("Redo", () => this.#history.redo(), { picture: "redo" });
    this.keep = button("Keep", () => this.#keep(), { picture: "keep" });
    const takeaway = takeawayMenu(choices.formats, () => ({ abc: this.abc, link: this.#link() }));
    this.desk = el("article", { class: "take desk", "aria-label": "The tune that is changed" },
      el("header", {}, el("div", { class: "headline" }, this.title, this.facts, this.badges),
        el("div", { class: "row" }, this.undo, this.redo, this.keep, takeaway)), this.view.element);
    this.stage = el("div", { class: "stage" }, this.desk, this.gallery.element);
    const rhythms = choices.fields.find(({ name }) => name === "rhythm")?.choices ?? [];
    this.element = el("div", { class: "split", keydown: (event) => this.#key(event) },
      this.#panel(rhythms, { chords: choices.changes?.includes("chords") ?? false }), this.stage);
    this.#choose(null);
    this.#reset(null);
  }

  get abc() { return this.#history?.current?.tune.abc ?? ""; }

  /** Put a tune on the desk; `link` is what reproduces it. */
  put(tune, link = null) {
    this.gallery.clear();
    this.#reset({ tune, what: "as it came", link });
  }

  /** Put ABC on the desk. */
  async putAbc(abc) {
    const tune = await this.#ask("/api/tune", { abc });
    if (tune?.svg) this.put(tune, linkOfTune(abc));
    else if (tune) {
      this.view.editor.show(abc);
      this.view.editor.report(tune.problems);
      this.view.view("abc");
    }
  }

  /** Rewrite or vary as a link asks. */
  async open(request, only) {
    this.form.fill(request);
    this.amount.fill(request);
    await this.putAbc(request.abc ?? "");
    return this.#perform(request, only);
  }

  #panel(rhythms, { chords }) {
    this.selection = el("p", { class: "selection", "aria-live": "polite" });
    this.rewrite = button("Rewrite these bars", () => this.#rewrite(), { class: "primary" });
    this.motif = button("Keep these bars as motif", () => this.#asMotif());
    this.band = el("select", { id: "band" },
      ...BANDS.map(([value, name]) => el("option", { value }, name)));
    this.band.value = BANDS[1][0];
    this.key = el("select", { "aria-label": "To the key" },
      ...TONICS.map((key) => el("option", { value: key }, key.replace("b", "♭").replace("#", "♯"))));
    this.rhythm = el("select", { "aria-label": "To the rhythm" },
      ...rhythms.map((name) => el("option", { value: name }, name)));
    this.tempo = el("input", { type: "text", value: "110", size: 6, inputmode: "numeric",
      "aria-label": "Beats a minute", title: "Beats a minute: 110, or 3/8=110" });
    const change = (what, body) => () => this.#change(what(), body());
    return el("form", { class: "panel", "aria-label": "What to change", novalidate: true,
      submit: (event) => event.preventDefault() },
    this.error,
    el("fieldset", {}, el("legend", {}, "Bars"), this.selection,
      el("div", { class: "row" }, this.rewrite, this.motif)),
    this.whole = el("fieldset", {}, el("legend", {}, "The whole tune"),
      el("div", { class: "row" }, button("Vary", () => this.#vary()),
        el("label", { for: "band", class: "sr" }, "How close"),
        this.band),
      el("div", { class: "row" },
        button("Semitone up", change(() => "a semitone up", () => ({ change: "transpose", semitones: 1 }))),
        button("Semitone down", change(() => "a semitone down", () => ({ change: "transpose", semitones: -1 })))),
      el("div", { class: "row" }, button("Transpose to", change(() => `to ${this.key.value}`,
        () => ({ change: "transpose", key: this.#keyWithMode() }))), this.key),
      el("div", { class: "row" }, button("Make it a", change(() => `a ${this.rhythm.value}`,
        () => ({ change: "rhythm", rhythm: this.rhythm.value }))), this.rhythm),
      el("div", { class: "row" }, button("Play at", change(() => `at ${this.tempo.value} beats`,
        () => ({ change: "tempo", tempo: this.tempo.value || "110" }))), this.tempo),
      el("div", { class: "row" }, chords ? button("Write chords", change(() => "chords",
        () => ({ change: "chords" }))) : null,
      button("Continue it", () => this.dispatchEvent(
        new CustomEvent("continue", { detail: this.abc })), { picture: "onward" }))),
    this.amount.element, this.form.element);
  }

  #reset(first) {
    this.#history = new History(first, (state) => this.#show(state));
    this.#show(first);
  }

  #show(state) {
    const there = state !== null;
    const bare = this.stage.classList.contains("bare");
    this.stage.classList.toggle("bare", !there);
    this.undo.disabled = !this.#history.canUndo;
    this.redo.disabled = !this.#history.canRedo;
    this.undo.title = this.#history.canUndo ? `Undo: ${this.#history.undoes}` : "Nothing to undo";
    this.redo.title = this.#history.canRedo ? `Redo: ${this.#history.redoes}` : "Nothing to redo";
    this.title.textContent = there ? state.tune.title || "Untitled" : "No tune yet";
    this.badges.replaceChildren(...(there ? badgesOf(state.tune) : []));
    this.facts.textContent = there ? summary(state.tune)
      : "Choose “Change” at a take, or write ABC below.";
    if (there) {
      if (bare && !this.view.editor.focused) this.view.view("score");
      this.view.show(state.tune, { label: "Score; choose bars with the mouse or the arrow keys" });
      this.view.editor.report(state.tune.problems ?? []);
    } else {
      this.view.view("abc");
    }
    this.#choose(null);
  }

  #push(tune, what, link = null) {
    if (!this.#history.current) this.#reset({ tune, what, link });
    else this.#history.push({ tune, what, link });
    announce(`${tune.title || "The tune"}: ${what}`);
  }

  #choose(bars) {
    this.#bars = bars;
    this.rewrite.disabled = this.motif.disabled = bars === null;
    const tune = this.#history?.current?.tune;
    this.whole.disabled = !tune;
    if (bars === null || !tune) {
      this.selection.textContent = "Choose bars on the score: click, drag or Shift and click; "
        + "with the keyboard the arrow keys, Enter, Shift and arrows.";
      return;
    }
    const range = barRange(tune, bars);
    this.selection.textContent = range.includes("-") ? `Bars ${range.replace("-", " to ")} are chosen.`
      : `Bar ${range} is chosen.`;
  }

  #rewrite() {
    const bars = barRange(this.#history.current.tune, this.#bars);
    return this.#run({ kind: "infill", abc: this.abc, bars });
  }

  #vary() {
    return this.#run({ kind: "vary", abc: this.abc, similarity: this.band.value });
  }

  #run(asked) {
    const { sampling } = this.form.values;
    const request = { ...asked, ...this.amount.values, sampling };
    this.opened(linkOf({ request }));
    return this.#perform(request);
  }

  async #perform(request, only = null) {
    this.error.textContent = "";
    const running = this.gallery.run(request, { only });
    this.gallery.element.scrollIntoView({ block: "nearest" });
    const error = await running;
    if (error && !this.form.report(error)) this.error.textContent = error.message;
  }

  #use(card) {
    const { kind, bars } = card.origin.request;
    this.#push(card.tune, kind === "infill" ? `rewrite bars ${bars}` : "vary", card.link);
    this.desk.scrollIntoView({ block: "nearest" });
    this.view.view("score");
  }

  #asMotif() {
    const tune = this.#history.current.tune;
    this.dispatchEvent(new CustomEvent("motif", { detail: { abc: tune.abc,
      bars: barRange(tune, this.#bars), title: tune.title || titleOf(tune.abc) } }));
  }

  async #change(what, body) {
    if (!this.#history.current) return;
    const tune = await this.#ask("/api/change", { abc: this.abc, ...body });
    if (tune?.svg) this.#push(tune, what);
  }

  async #edited(abc) {
    const asked = this.#asked += 1;
    if (!abc.trim() || abc === this.abc) return;
    const tune = await this.#ask("/api/tune", { abc });
    if (tune === null || asked !== this.#asked || this.view.editor.text !== abc) return;
    this.view.editor.report(tune.problems ?? []);
    if (tune.svg) this.#push({ ...tune, abc }, "edit the ABC");
  }

  async #ask(path, body) {
    this.error.textContent = "";
    try {
      return await post(path, { ...body, size: this.view.size });
    } catch (error) {
      this.error.textContent = error.message;
      return null;
    }
  }

  #keyWithMode() {
    const mode = /^[A-G][b#]?\s*(.*)$/.exec(this.#history.current.tune.key ?? "")?.[1] ?? "";
    return `${this.key.value} ${mode}`.trim();
  }

  #keep() {
    const { tune } = this.#history.current ?? {};
    if (!tune) return;
    tunebook.keep({ abc: tune.abc, title: tune.title, link: this.#link() });
    toast(`${tune.title || "The tune"} is kept in the tunebook.`);
  }

  #link() { return this.#history.current?.link ?? linkOfTune(this.abc); }

  #key(event) {
    if (!(event.ctrlKey || event.metaKey) || event.target.closest("textarea, input")) return;
    const key = event.key.toLowerCase();
    if (key === "z" && !event.shiftKey) this.#history.undo();
    else if (key === "y" || (key === "z" && event.shiftKey)) this.#history.redo();
    else return;
    event.preventDefault();
  }
}
