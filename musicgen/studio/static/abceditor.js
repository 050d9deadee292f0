/** ABC text that can be edited: errors underlined where they are, and listed. */

import { button, el, freshId } from "./elements.js";

/** Tells listeners "edit" with the text, a moment after it was typed. */
export class AbcEditor extends EventTarget {
  #timer = null;

  constructor({ patience = 450 } = {}) {
    super();
    this.marks = el("pre", { class: "marks", "aria-hidden": "true" });
    this.problems = el("ul", { class: "problems", id: freshId("problems") });
    this.area = el("textarea", { class: "abc", spellcheck: "false", autocapitalize: "off",
      autocomplete: "off", "aria-label": "ABC text of the tune", "aria-describedby": this.problems.id,
      rows: 12, input: () => this.#typed(patience), scroll: () => this.#align() });
    this.element = el("div", { class: "editor" },
      el("div", { class: "page" }, this.marks, this.area), this.problems);
  }

  get text() { return this.area.value; }

  get focused() { return document.activeElement === this.area; }

  /** Another text; one that is being typed is left alone. */
  show(text) {
    if (this.area.value === text) return;
    clearTimeout(this.#timer);
    this.area.value = text;
    this.area.rows = Math.min(24, Math.max(8, text.split("\n").length + 1));
    this.report([]);
  }

  /** Underline problems {line, column, message, severity}; lines and columns count from 1. */
  report(problems) {
    this.area.setAttribute("aria-invalid", String(problems.some(isError)));
    const lines = this.area.value.split("\n");
    this.marks.replaceChildren(...lines.flatMap((line, index) =>
      [...marked(line, problems.filter((problem) => problem.line === index + 1)), "\n"]));
    this.problems.replaceChildren(...problems.map((problem) => el("li", {
      class: isError(problem) ? "error" : "warning" }, this.#entry(problem))));
    this.#align();
  }

  #entry(problem) {
    if (!problem.line) return problem.message;
    const where = `Line ${problem.line}${problem.column ? `, column ${problem.column}` : ""}`;
    return button(`${where}: ${problem.message}`, () => this.#goTo(problem), { class: "link" });
  }

  #goTo({ line, column }) {
    const before = this.area.value.split("\n").slice(0, line - 1);
    const start = before.reduce((sum, text) => sum + text.length + 1, 0) + (column ?? 1) - 1;
    this.area.focus();
    this.area.setSelectionRange(start, start + 1);
  }

  #typed(patience) {
    this.report([]);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.dispatchEvent(new CustomEvent("edit", { detail: this.area.value }));
    }, patience);
  }

  #align() {
    this.marks.scrollTop = this.area.scrollTop;
    this.marks.scrollLeft = this.area.scrollLeft;
  }
}

function isError(problem) {
  return problem.severity !== "warning";
}

/** A line with its problems underlined: one character, or all of it where no column is known. */
function marked(line, problems) {
  if (problems.length === 0) return [line];
  const parts = [];
  let at = 0;
  for (const problem of [...problems].sort((a, b) => (a.column ?? 1) - (b.column ?? 1))) {
    const start = Math.min(line.length, (problem.column ?? 1) - 1);
    if (start < at) continue;
    const end = problem.column ? endOf(line, start) : line.length;
    parts.push(line.slice(at, start), el("mark", { class: isError(problem) ? "error" : "warning" },
      line.slice(start, end) || " "));
    at = end;
  }
  return [...parts, line.slice(at)];
}

/** To the end of the word or note that begins there. */
function endOf(line, start) {
  const rest = /^([^\s|]+|.)/.exec(line.slice(start));
  return start + Math.max(1, rest?.[0].length ?? 1);
}
