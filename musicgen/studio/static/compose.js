/** Compose: all that can be asked of a new tune, and the takes. */

import { ControlForm } from "./controls.js";
import { button, el } from "./elements.js";
import { Gallery, MOST_TAKES } from "./gallery.js";
import { linkOf } from "./permalink.js";

const MOST_SEED = 2 ** 31; // of a drawn one; any that JavaScript can say may be typed

/** How many takes, and the seed: what every request has. */
export class Amount {
  constructor(prefix, number) {
    this.number = el("input", { type: "number", id: `${prefix}-number`, min: 1, max: MOST_TAKES,
      value: number, required: true });
    this.seed = el("input", { type: "number", id: `${prefix}-seed`, min: 0, max: Number.MAX_SAFE_INTEGER,
      placeholder: "another each time", "aria-describedby": `${prefix}-seed-help` });
    this.element = el("div", { class: "amount" },
      el("div", { class: "field" }, el("label", { for: this.number.id }, "Takes"), this.number),
      el("div", { class: "field" }, el("label", { for: this.seed.id }, "Seed"), this.seed),
      el("p", { class: "help", id: `${prefix}-seed-help` },
        "The same seed and settings give the same tunes again."));
  }

  /** {number, seed}; a seed that was not given is drawn. Whether they can be had the server says. */
  get values() {
    return { number: Number(this.number.value) || 1, seed: this.seed.value === ""
      ? crypto.getRandomValues(new Uint32Array(1))[0] % MOST_SEED : Number(this.seed.value) };
  }

  fill({ number, seed }) {
    if (number !== undefined) this.number.value = number;
    if (seed !== undefined) this.seed.value = seed;
  }
}

export class Compose {
  #motif = null; // {abc, bars, title} that opens the tune

  constructor(choices, { opened }) {
    this.form = new ControlForm(choices, { prefix: "compose" });
    this.amount = new Amount("compose", 4);
    this.gallery = new Gallery(choices.formats,
      { offers: ["change", "continue"], label: "Takes composed" });
    this.opened = opened; // told of the link of each run
    this.motif = el("p", { class: "motif", hidden: true });
    this.error = el("p", { class: "error", role: "alert" });
    this.start = el("button", { type: "submit", class: "primary" }, "Compose");
    const form = el("form", { class: "panel", "aria-label": "What to compose", novalidate: true,
      submit: (event) => { event.preventDefault(); this.run(); } },
    el("div", { class: "go" }, this.start,
      button("Clear", () => this.#clear(), { class: "quiet" })), this.error, this.motif,
    this.amount.element, this.form.element);
    this.empty = el("div", { class: "empty" },
      el("p", { class: "lead" }, "Ask for a tune, or ask for nothing and be surprised."),
      el("p", {}, "Every control holds; anything you leave out follows the training corpus. "
        + "Everything is made on this computer."),
      button("Surprise me", () => { this.#clear(); this.run(); }, { picture: "dice" }));
    this.element = el("div", { class: "split" }, form,
      el("div", { class: "stage" }, this.empty, this.gallery.element));
  }

  /** Compose what the form asks for. */
  run() {
    const values = this.form.values;
    if (this.#motif) {
      Object.assign(values.controls, { motif: this.#motif.abc, motif_bars: this.#motif.bars });
    }
    const request = { kind: "generate", ...this.amount.values, ...values };
    this.opened(linkOf({ request }));
    return this.perform(request);
  }

  /** Compose what a link asks for; `only` is the take it shows. */
  open(request, only) {
    this.form.fill(request);
    this.amount.fill(request);
    const { motif = null, motif_bars: bars = "1-2" } = request.controls ?? {};
    this.setMotif(motif === null ? null : { abc: motif, bars, title: titleOf(motif) });
    return this.perform(request, only);
  }

  async perform(request, only = null) {
    this.empty.hidden = true;
    this.error.textContent = "";
    this.form.clearErrors();
    const error = await this.gallery.run(request, { only });
    if (error === null) return;
    this.empty.hidden = this.gallery.cards.length > 0;
    if (!this.form.report(error)) this.error.textContent = error.message;
  }

  /** Bars that open the next tunes and come back in them, {abc, bars, title}; null for none. */
  setMotif(motif) {
    this.#motif = motif;
    this.motif.hidden = motif === null;
    if (motif === null) return;
    const bars = `${motif.bars.includes("-") ? "bars" : "bar"} ${motif.bars}`;
    this.motif.replaceChildren(el("span", {}, `Motif: ${bars} of “${motif.title}”`),
      button("Without the motif", () => this.setMotif(null),
        { picture: "discard", plain: false, class: "bare" }));
  }

  #clear() {
    this.form.fill({});
    this.amount.seed.value = "";
    this.error.textContent = "";
    this.setMotif(null);
  }
}

/** The title in ABC text. */
export function titleOf(abc) {
  return /^T:\s*(.*)$/m.exec(abc)?.[1].trim() || "Untitled";
}
