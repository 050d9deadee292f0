/** One take: a card with the tune, what is said about it, and what can be done with it. */

import { post } from "./api.js";
import { badgesOf } from "./badges.js";
import { announce, button, clock, el, freshId, relabel, toast } from "./elements.js";
import { summary } from "./notes.js";
import { linkOf, linkOfTune } from "./permalink.js";
import { settings, tunebook } from "./state.js";
import { takeawayMenu } from "./takeaway.js";
import { TuneView } from "./tuneview.js";

/**
 * Tells listeners "discard", and the actions that its page offers: "change", "continue", "use".
 * `origin` says what made it: {request, take} of a run, {link} of a tune kept, or null.
 */
export class TakeCard extends EventTarget {
  #actions;

  /** `offers` names the actions: of "change", "continue", "use". */
  constructor(number, { formats, offers, origin }) {
    super();
    this.number = number;
    this.origin = origin;
    this.tune = null;
    this.made = null; // the ABC as it was sampled: what the link reproduces
    this.view = new TuneView();
    this.title = el("h2", { id: freshId("take") }, `Take ${number + 1}`);
    this.facts = el("p", { class: "facts" }, "composing …");
    this.warning = el("p", { class: "warning", hidden: true });
    this.badges = el("p", { class: "badges" });
    this.#actions = el("div", { class: "actions", hidden: true }, ...this.#buttons(offers),
      takeawayMenu(formats, () => ({ abc: this.tune.abc, link: this.link })));
    this.element = el("article", { class: "take composing", "aria-labelledby": this.title.id,
      "aria-busy": "true", tabindex: -1, keydown: (event) => this.#key(event) },
    el("header", {}, el("div", { class: "headline" }, this.title, " ", button("Rename", () => this.#rename(),
        { picture: "rename", plain: false, class: "bare rename" })), this.badges, this.facts),
    this.warning, this.view.element, this.#actions);
  }

  get link() {
    if (this.origin === null || this.tune.abc !== this.made) return linkOfTune(this.tune.abc);
    return this.origin.link ?? linkOf(this.origin);
  }

  sketch(event) { this.view.sketch(event); }

  show(tune) {
    this.made ??= tune.abc;
    this.tune = tune;
    this.element.classList.remove("composing");
    this.element.removeAttribute("aria-busy");
    this.title.textContent = tune.title || `Take ${this.number + 1}`;
    this.facts.textContent = [summary(tune), tune.seconds && clock(tune.seconds)]
      .filter(Boolean).join(" · ");
    this.badges.replaceChildren(...badgesOf(tune));
    this.#actions.hidden = false;
    this.warning.textContent = tune.warning ?? "";
    this.warning.hidden = !tune.warning;
    this.view.show(tune);
    this.#markKept();
  }

  fail(error) {
    this.element.classList.remove("composing");
    this.element.classList.add("failed");
    this.element.removeAttribute("aria-busy");
    this.facts.textContent = error.message;
    this.view.element.hidden = true;
  }

  discard() {
    this.view.player.stop();
    this.dispatchEvent(new Event("discard"));
  }

  toggleKept() {
    if (tunebook.has(this.tune.abc)) tunebook.drop(this.tune.abc);
    else tunebook.keep({ abc: this.tune.abc, title: this.tune.title, link: this.link });
    const kept = this.#markKept();
    announce(kept ? `${this.tune.title} is kept in the tunebook` : "No longer kept");
  }

  #markKept() {
    const kept = tunebook.has(this.tune.abc);
    this.element.classList.toggle("kept", kept);
    this.keep.setAttribute("aria-pressed", String(kept));
    relabel(this.keep, kept ? "kept" : "keep", kept ? "Kept" : "Keep");
    return kept;
  }

  #buttons(offers) {
    this.keep = button("Keep", () => this.toggleKept(), { picture: "keep", "aria-pressed": "false" });
    const act = (name) => () => this.dispatchEvent(new Event(name));
    return [
      offers.includes("use") ? button("Use this", act("use"), { class: "primary" }) : null,
      this.keep,
      offers.includes("change") ? button("Change", act("change")) : null,
      offers.includes("continue") ? button("Continue", act("continue")) : null,
      button("Discard", () => this.discard(),
        { picture: "discard", plain: false, class: "bare" }),
    ].filter(Boolean);
  }

  #rename() {
    const input = el("input", { type: "text", value: this.tune.title, maxlength: 200,
      "aria-label": "New title", class: "title" });
    let done = false;
    const finish = async (keep) => {
      if (done) return;
      done = true;
      form.replaceWith(this.title);
      const title = input.value.trim();
      if (keep && title && title !== this.tune.title) await this.#retitle(title);
    };
    const form = el("form", { class: "retitle", submit: (event) => { event.preventDefault(); finish(true); } }, input);
    input.addEventListener("blur", () => finish(true));
    input.addEventListener("keydown", (event) => {
      if (event.key === "Escape") finish(false);
      event.stopPropagation();
    });
    this.title.replaceWith(form);
    input.select();
  }

  async #retitle(title) {
    try {
      const tune = await post("/api/change",
        { abc: this.tune.abc, change: "title", title, size: this.view.size });
      const before = this.tune;
      this.show({ ...before, ...tune, likelihood_bits: before.likelihood_bits,
        novelty: before.novelty });
      if (tunebook.has(before.abc)) {
        tunebook.replace(before.abc, { abc: tune.abc, title, link: this.link });
        this.#markKept();
      }
    } catch (error) {
      toast(error.message);
    }
  }

  /** Single keys, while the focus is in the card and not where one types. */
  #key(event) {
    if (!settings.get("keys") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, [role=listbox]") || this.tune === null) return;
    const act = (name) => () => this.dispatchEvent(new Event(name));
    const does = { p: () => this.view.player.toggle(), k: () => this.toggleKept(),
      x: () => this.discard(), r: () => this.#rename(), e: act("change"), c: act("continue"),
      1: () => this.view.view("score"), 2: () => this.view.view("roll"),
      3: () => this.view.view("abc"), 4: () => this.view.view("surprise") }[event.key];
    if (does === undefined) return;
    event.preventDefault();
    does();
  }
}
