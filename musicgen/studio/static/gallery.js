/** Takes side by side, streaming in as they are sampled. */

import { ApiError, sampled } from "./api.js";
import { announce, button, count, el, toast } from "./elements.js";
import { settings } from "./state.js";
import { TakeCard } from "./take.js";

export const MOST_TAKES = 8; // of a request

/** Tells listeners "change", "continue" and "use" with the card, "settled" when a run has ended. */
export class Gallery extends EventTarget {
  #formats;
  #offers;
  #run = null;
  #cards = [];

  /** `offers` are the actions of a card besides those that each has. */
  constructor(formats, { offers, label }) {
    super();
    this.#formats = formats;
    this.#offers = offers;
    this.status = el("p", { class: "status", "aria-live": "polite" });
    this.stop = button("Stop", () => this.abort(), { picture: "stop", hidden: true });
    this.grid = el("div", { class: "takes", keydown: (event) => this.#step(event) });
    this.element = el("section", { class: "gallery", "aria-label": label },
      el("div", { class: "bar" }, this.status, this.stop), this.grid);
  }

  get busy() { return this.#run !== null; }
  get cards() { return [...this.#cards]; }

  abort() { this.#run?.abort(); }

  clear() {
    this.abort();
    for (const card of this.#cards) card.view.player.stop();
    this.#cards = [];
    this.grid.replaceChildren();
    this.status.textContent = "";
  }

  /**
   * Sample what is asked, in place of what is there; `only` shows a single take of it. Answers the
   * error where the whole request was refused, else null.
   */
  async run(request, { only = null } = {}) {
    const before = this.#cards.filter(({ tune }) => tune !== null);
    this.clear();
    const run = new AbortController();
    this.#run = run;
    this.stop.hidden = false;
    const number = Math.max(1, Math.min(MOST_TAKES, request.number ?? 1));
    const wanted = only === null ? Array.from({ length: number }, (_, k) => k) : [only];
    for (const take of wanted) this.#add(take, { request, take });
    this.#say(0);
    this.#bringIntoView();
    try {
      const { size } = this.#cards[0].view;
      for await (const event of sampled({ ...request, size }, run.signal)) {
        if (this.#run !== run) return null; // another has begun
        this.#hear(event);
      }
      return null;
    } catch (error) {
      if (error.name === "AbortError") return null;
      if (this.#cards.every(({ tune }) => tune === null)) this.#putBack(before);
      return error;
    } finally {
      if (this.#run === run) this.#settle();
    }
  }

  /** On a phone the takes are below the form. */
  #bringIntoView() {
    if (this.element.getBoundingClientRect().top > innerHeight * 0.75) {
      this.element.scrollIntoView({ block: "start" });
    }
  }

  #hear(event) {
    if (event.event === "failed" && event.take === undefined) {
      throw new ApiError(422, event.error);
    }
    const card = this.#cards.find(({ number }) => number === event.take);
    if (card === undefined) return;
    if (event.event === "notes") card.sketch(event);
    if (event.event === "failed") card.fail(event.error);
    if (event.event === "take") {
      card.show(event.tune);
      this.#say(this.#cards.filter(({ tune }) => tune !== null).length);
    }
  }

  /** What stood there before a request that gave nothing. */
  #putBack(cards) {
    this.clear();
    this.#cards = cards;
    this.grid.append(...cards.map(({ element }) => element));
    this.#count();
  }

  #settle() {
    this.#run = null;
    this.stop.hidden = true;
    for (const card of this.#cards.filter(({ element }) => element.classList.contains("composing"))) {
      this.#remove(card); // stopped before it was whole
    }
    const done = this.#cards.filter(({ tune }) => tune !== null).length;
    this.status.textContent = done ? count(done, "take") : "";
    if (done) announce(`${count(done, "take")} ready`);
    this.dispatchEvent(new Event("settled"));
  }

  #say(done) {
    this.status.textContent = this.#cards.length === 1 ? "Composing …"
      : `Composing … ${done} of ${this.#cards.length}`;
  }

  #add(take, origin) {
    const card = new TakeCard(take, { formats: this.#formats, offers: this.#offers, origin });
    card.addEventListener("discard", () => this.#discard(card));
    for (const name of this.#offers) {
      card.addEventListener(name, () =>
        this.dispatchEvent(new CustomEvent(name, { detail: card })));
    }
    this.#cards.push(card);
    this.grid.append(card.element);
    this.#count();
  }

  #discard(card) {
    const index = this.#cards.indexOf(card);
    const next = this.#cards[index + 1] ?? this.#cards[index - 1];
    this.#remove(card);
    next?.element.focus();
    toast(`${card.tune.title || "The take"} is discarded.`, { label: "Undo", run: () => {
      this.#cards.splice(index, 0, card);
      this.grid.insertBefore(card.element, this.grid.children[index] ?? null);
      this.#count();
      card.element.focus();
    } });
  }

  /** J and L go to the take before and to the next one. */
  #step(event) {
    const step = { j: -1, l: 1 }[event.key];
    if (step === undefined || !settings.get("keys") || event.ctrlKey || event.metaKey
      || event.altKey || event.target.closest("input, textarea, select")) return;
    const at = this.#cards.findIndex(({ element }) => element.contains(event.target));
    this.#cards[at + step]?.element.focus();
  }

  #remove(card) {
    this.#cards = this.#cards.filter((other) => other !== card);
    card.element.remove();
    this.#count();
  }

  #count() { this.grid.dataset.count = this.#cards.length; }
}
