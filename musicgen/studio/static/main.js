/** The page: its sections, what a link opens, sound settings and help. */

import { adoptToken, get } from "./api.js";
import { Change } from "./change.js";
import { Compose } from "./compose.js";
import { Continue } from "./continue.js";
import { count, el, toast } from "./elements.js";
import { read } from "./permalink.js";
import { audioElement } from "./player.js";
import { settings, tunebook } from "./state.js";
import { closeMenusOutside } from "./takeaway.js";
import { TunebookPage } from "./tunebook.js";

const NAMES = ["compose", "continue", "change", "tunebook"];
const KINDS = { generate: "compose", continue: "continue", infill: "change", vary: "change" };

class Studio {
  #pages;
  #fields;
  #link = ""; // of what is shown, so that it is not opened again

  constructor(choices) {
    this.#fields = choices.fields;
    const opened = (link) => this.#opened(link);
    const [compose, continue_] = [new Compose(choices, { opened }), new Continue(choices, { opened })];
    const [change, book] = [new Change(choices, { opened }), new TunebookPage(choices)];
    this.#pages = { compose, continue: continue_, change, tunebook: book };
    for (const source of [compose.gallery, continue_.gallery, book]) {
      source.addEventListener("change", ({ detail }) => this.#change(detail));
      source.addEventListener("continue", ({ detail }) => this.#continue(detail.tune.abc));
    }
    change.addEventListener("continue", ({ detail }) => detail && this.#continue(detail));
    change.addEventListener("motif", ({ detail }) => {
      compose.setMotif(detail);
      this.show("compose");
      compose.start.focus();
    });
    const main = document.querySelector("main");
    for (const name of NAMES) {
      const page = this.#pages[name].element;
      page.id = `page-${name}`;
      main.append(page);
      document.getElementById(`to-${name}`).addEventListener("click", () => this.show(name));
    }
    const say = () => {
      const n = tunebook.tunes.length;
      document.getElementById("kept").textContent = n ? ` ${n}` : "";
      document.getElementById("to-tunebook").setAttribute("aria-label", n
        ? `Tunebook, ${count(n, "tune")}` : "Tunebook");
    };
    tunebook.addEventListener("change", say);
    say();
  }

  /** Show a section. */
  show(name) {
    for (const other of NAMES) {
      this.#pages[other].element.hidden = other !== name;
      const link = document.getElementById(`to-${other}`);
      if (other === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${name[0].toUpperCase()}${name.slice(1)} · musicgen studio`;
    if (name === "tunebook") this.#pages.tunebook.show();
  }

  /** Open what the address asks for; without a request, the first section. */
  open() {
    if (location.href === this.#link) return;
    const asked = read(location.hash, this.#fields);
    if (asked === null) {
      this.show("compose");
      return;
    }
    this.#link = location.href;
    const { request, take } = asked;
    const only = new URLSearchParams(location.hash.slice(1)).has("take") ? take : null;
    if (request.kind === "tune") {
      this.show("change");
      this.#pages.change.putAbc(request.abc ?? "");
      return;
    }
    const page = KINDS[request.kind];
    this.show(page);
    this.#pages[page].open({ ...request, number: Math.max(request.number ?? 1, take + 1) }, only);
  }

  /** A run has its own entry in the history, so that Back brings the one before. */
  #opened(link) {
    if (link === location.href) return;
    history.pushState(null, "", link);
    this.#link = link;
  }

  #change(card) {
    this.#pages.change.put(card.tune, card.link);
    this.show("change");
    this.#pages.change.view.view("score");
    document.getElementById("to-change").focus();
    scrollTo({ top: 0 });
  }

  #continue(abc) {
    this.show("continue");
    this.#pages.continue.take(abc);
    document.getElementById("to-continue").focus();
    scrollTo({ top: 0 });
  }
}

function soundSettings(instruments) {
  const instrument = document.getElementById("instrument");
  instrument.append(...instruments.map((name) => el("option", { value: name }, name)));
  instrument.value = settings.get("instrument");
  instrument.addEventListener("change", () => settings.set("instrument", instrument.value));
  const speed = document.getElementById("speed");
  const shown = document.getElementById("speed-shown");
  const say = () => { shown.textContent = `${Math.round(100 * Number(speed.value))} %`; };
  speed.value = settings.get("speed");
  speed.addEventListener("input", () => { settings.set("speed", Number(speed.value)); say(); });
  say();
  for (const name of ["loop", "keys"]) {
    const box = document.getElementById(name);
    box.checked = settings.get(name);
    box.addEventListener("change", () => settings.set(name, box.checked));
  }
}

function help() {
  const dialog = document.getElementById("help");
  document.getElementById("to-help").addEventListener("click", () => dialog.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.key === "?" && settings.get("keys") && !event.target.closest("input, textarea")) {
      dialog.showModal();
    }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.target.closest(".split")?.querySelector("form.panel")?.requestSubmit();
    }
  });
}

async function start() {
  adoptToken();
  document.body.append(audioElement());
  closeMenusOutside();
  help();
  let choices;
  try {
    choices = await get("/api/choices");
  } catch (error) {
    document.querySelector("main").append(el("p", { class: "failure", role: "alert" }, error.message));
    return;
  }
  soundSettings(choices.instruments);
  document.getElementById("model").textContent = choices.model.name;
  document.getElementById("card").textContent = choices.model.card;
  const studio = new Studio(choices);
  addEventListener("popstate", () => studio.open());
  addEventListener("hashchange", () => studio.open());
  studio.open();
  document.body.dataset.ready = "true";
}

start().catch((error) => toast(error.message));
