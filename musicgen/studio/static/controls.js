/** The form of controls: built from the fields and sections that the server lists. */

import { el } from "./elements.js";

export const TONICS = ["C", "G", "D", "A", "E", "B", "F#", "F", "Bb", "Eb", "Ab", "Db", "Gb", "C#",
  "D#", "G#"];
const MODES = ["major", "minor", "dorian", "mixolydian", "lydian", "phrygian", "locrian"];

/** Fields by name; `values` is {controls, sampling, selection} of what was filled in. */
export class ControlForm {
  #inputs = new Map(); // name -> {read, write, box, group}

  /** {fields, sections} as /api/choices lists them; `names` are those to show (default: all that
   *  have a section). */
  constructor({ fields, sections }, { names = null, prefix }) {
    const shown = fields.filter(({ name, section }) =>
      section !== "" && (names === null || names.includes(name)));
    this.element = el("div", { class: "controls" }, ...sections.map((section) => {
      const inside = shown.filter((field) => field.section === section.title);
      return inside.length === 0 ? null
        : sectionOf(section, inside.map((field) => this.#add(field, prefix)));
    }));
  }

  get values() {
    const values = { controls: {}, sampling: {}, selection: {} };
    for (const [name, { read, group }] of this.#inputs) {
      const value = read();
      if (value !== null) values[group][name] = value;
    }
    return values;
  }

  /** Fill the form in; fields that are not named go back to their defaults. */
  fill(request) {
    for (const [name, { write, box, group }] of this.#inputs) {
      const given = request[group] ?? {};
      write(given[name] ?? null);
      if (name in given) box.closest("details")?.setAttribute("open", "");
    }
    this.clearErrors();
  }

  /** Say at its field what was refused; true where the field is one of this form. */
  report(error) {
    this.clearErrors();
    const name = error.field?.split(".").at(-1).replaceAll("-", "_");
    const input = this.#inputs.get(name);
    if (input === undefined) return false;
    input.box.closest("details")?.setAttribute("open", "");
    input.box.querySelector(".error").textContent = error.message.replace(`${error.field}: `, "");
    const target = input.box.querySelector("input, select");
    target.setAttribute("aria-invalid", "true");
    target.focus();
    return true;
  }

  clearErrors() {
    for (const { box } of this.#inputs.values()) {
      box.querySelector(".error").textContent = "";
      for (const input of box.querySelectorAll("[aria-invalid]")) {
        input.removeAttribute("aria-invalid");
      }
    }
  }

  #add(field, prefix) {
    const id = `${prefix}-${field.name}`;
    const widget = widgetOf(field, id);
    const help = el("p", { class: "help", id: `${id}-help` }, field.help ?? "");
    const error = el("p", { class: "error", id: `${id}-error`, "aria-live": "polite" });
    const label = el("label", { for: id }, field.label ?? field.name);
    for (const input of widget.element.matches("input, select") ? [widget.element]
      : widget.element.querySelectorAll("input, select")) {
      input.setAttribute("aria-describedby", `${id}-help ${id}-error`);
    }
    const box = field.kind === "flag"
      ? el("div", { class: "field flag" }, widget.element, label, help, error)
      : el("div", { class: "field" }, label, widget.element, help, error);
    this.#inputs.set(field.name, { ...widget, box, group: field.group });
    return box;
  }
}

function sectionOf({ title, open }, boxes) {
  return el("details", { class: "group", open }, el("summary", {}, title), ...boxes);
}

function widgetOf(field, id) {
  if (field.widget === "key") return keyWidget(id);
  if (field.widget === "slider") return sliderWidget(field, id);
  if (field.widget === "suggestions") return textWidget(field, id);
  if (field.kind === "flag") return flagWidget(id);
  if (field.choices?.length) return choiceWidget(field, id);
  if (field.kind === "number" || field.kind === "integer") return numberWidget(field, id);
  return textWidget(field, id);
}

function textWidget(field, id) {
  const input = el("input", { id, type: "text", autocomplete: "off", spellcheck: "false",
    list: field.choices ? `${id}-usual` : null });
  const element = field.choices ? el("div", {}, input, el("datalist", { id: `${id}-usual` },
    ...field.choices.map((value) => el("option", { value })))) : input;
  return { element, read: () => input.value.trim() || null,
    write: (value) => { input.value = value ?? ""; } };
}

function numberWidget(field, id) {
  const step = field.step ?? (field.kind === "integer" ? 1 : "any");
  const element = el("input", { id, type: "number", min: field.minimum, max: field.maximum, step,
    placeholder: field.default ?? "any", inputmode: "decimal" });
  return { element, read: () => (element.value === "" ? null : Number(element.value)),
    write: (value) => { element.value = value ?? ""; } };
}

function sliderWidget(field, id) {
  const [low, high] = [field.minimum ?? 0, Math.min(2, field.maximum ?? 2)];
  const usual = field.default ?? 1;
  const shown = el("output", { for: id });
  const element = el("input", { id, type: "range", min: low, max: high, step: 0.05, value: usual,
    input: () => say() });
  const words = (value) => (value < 0.75 ? "safe" : value < 0.95 ? "careful" : value <= 1.05
    ? "as it learned" : value <= 1.25 ? "daring" : "wild");
  const say = () => {
    shown.textContent = `${Number(element.value).toFixed(2)} · ${words(Number(element.value))}`;
    element.setAttribute("aria-valuetext", shown.textContent);
  };
  say();
  return { element: el("div", { class: "slider" }, element, shown),
    read: () => Number(element.value), // so that a link says it, whatever is usual later
    write: (value) => { element.value = value ?? usual; say(); } };
}

function flagWidget(id) {
  const element = el("input", { id, type: "checkbox" });
  return { element, read: () => (element.checked ? true : null),
    write: (value) => { element.checked = value === true; } };
}

function choiceWidget(field, id) {
  const usual = field.default ?? "";
  const options = [...new Set(field.choices ?? [])].map((value) => el("option", { value }, `${value}`));
  const any = usual === "" || usual === null ? [el("option", { value: "" }, "any")] : [];
  const element = el("select", { id }, ...any, ...options);
  element.value = usual;
  return { element, read: () => (element.value === `${usual}` ? null : element.value),
    write: (value) => {
      if (value !== null && ![...element.options].some((option) => option.value === `${value}`)) {
        element.append(el("option", { value }, `${value}`)); // of a link: the server will judge it
      }
      element.value = value ?? usual;
    } };
}

/** A key is a tonic and a mode: "Ador" is A and dorian. */
function keyWidget(id) {
  const options = (values) => values.map((value) =>
    el("option", { value }, value.replace(/(?<=^[A-G])b/, "♭").replace("#", "♯")));
  const mode = el("select", { id: `${id}-mode`, "aria-label": "Mode", disabled: true },
    ...options(MODES));
  const tonic = el("select", { id, change: () => { mode.disabled = tonic.value === ""; } },
    el("option", { value: "" }, "any"), ...options(TONICS));
  return { element: el("div", { class: "pair" }, tonic, mode),
    read: () => (tonic.value === "" ? null : `${tonic.value} ${mode.value}`),
    write: (value) => {
      const [, note = "", rest = ""] = /^\s*([A-G][b#]?)\s*(.*)$/.exec(value ?? "") ?? [];
      tonic.value = note;
      mode.value = modeOf(rest.trim());
      mode.disabled = tonic.value === "";
    } };
}

function modeOf(text) {
  if (text === "m") return "minor";
  const known = { aeo: "minor", ion: "major", "": "major" };
  const start = text.slice(0, 3).toLowerCase();
  return known[start] ?? MODES.find((mode) => mode.startsWith(start)) ?? "major";
}
