/** The tunebook: what was kept, to be played again and taken away as a whole. */

import { post } from "./api.js";
import { button, count, el, toast } from "./elements.js";
import { tunebook } from "./state.js";
import { TakeCard } from "./take.js";
import { takeawayMenu } from "./takeaway.js";

/** Tells listeners "change" and "continue" with the card. */
export class TunebookPage extends EventTarget {
  #formats;
  #cards = new Map(); // of ABC text

  constructor(choices) {
    super();
    this.#formats = choices.formats;
    this.heading = el("h2", {}, "Tunebook");
    this.whole = takeawayMenu([...new Set(["zip", "pdf", "abc", ...choices.formats])]
      .filter((format) => ["zip", "pdf", "abc"].includes(format)), () => ({
      abc: tunebook.tunes.map(({ abc }) => abc.trim()).join("\n\n") + "\n", link: location.href,
    }), { label: "Take the whole book away" });
    this.empty = el("p", { class: "empty" },
      "Nothing is kept yet. Keep a take, and it stands here the next time as well.");
    this.grid = el("div", { class: "takes" });
    this.element = el("div", { class: "stage wide" }, el("div", { class: "bar" }, this.heading,
      el("div", { class: "row" }, this.whole,
        this.drop = button("Empty the book", () => this.#emptyBook(), { class: "quiet" }))),
    this.empty, this.grid);
    tunebook.addEventListener("change", () => { if (!this.element.hidden) this.show(); });
  }

  /** Show what is kept; tunes are read again by the server, so that they can be seen and heard. */
  show() {
    const tunes = tunebook.tunes;
    this.heading.textContent = tunes.length ? `Tunebook: ${count(tunes.length, "tune")}` : "Tunebook";
    this.empty.hidden = tunes.length > 0;
    this.whole.hidden = this.drop.hidden = tunes.length === 0;
    this.grid.dataset.count = tunes.length;
    const kept = new Map(tunes.map((tune) => [tune.abc, tune]));
    for (const [abc, card] of this.#cards) {
      if (kept.has(abc)) continue;
      card.view.player.stop();
      card.element.remove();
      this.#cards.delete(abc);
    }
    for (const tune of tunes) if (!this.#cards.has(tune.abc)) this.#add(tune);
  }

  #add(kept) {
    const card = new TakeCard(this.#cards.size, { formats: this.#formats,
      offers: ["change", "continue"], origin: kept.link ? { link: kept.link } : null });
    this.#cards.set(kept.abc, card);
    this.grid.append(card.element);
    card.addEventListener("discard", () => tunebook.drop(kept.abc));
    for (const name of ["change", "continue"]) {
      card.addEventListener(name, () =>
        this.dispatchEvent(new CustomEvent(name, { detail: card })));
    }
    this.#fill(card, kept);
  }

  async #fill(card, kept) {
    try {
      const tune = await post("/api/tune", { abc: kept.abc, size: card.view.size });
      card.show({ ...tune, abc: kept.abc });
    } catch (error) {
      card.fail(error);
    }
  }

  #emptyBook() {
    const before = tunebook.tunes;
    tunebook.restore([]);
    toast("The tunebook is empty.", { label: "Undo", run: () => tunebook.restore(before) });
  }
}
