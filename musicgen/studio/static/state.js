/** What the page remembers: the history of a tune that is changed, tunes kept, settings. */

/** States that can be undone and redone; `onchange` is told of each move. */
export class History {
  #past = [];
  #future = [];

  constructor(first, onchange = () => {}) {
    this.current = first;
    this.onchange = onchange;
  }

  get canUndo() { return this.#past.length > 0; }
  get canRedo() { return this.#future.length > 0; }

  /** What undo would take back, and redo would do again, in words; null where there is nothing. */
  get undoes() { return this.canUndo ? this.current.what : null; }
  get redoes() { return this.canRedo ? this.#future.at(-1).what : null; }

  push(state) {
    this.#past.push(this.current);
    this.#future = [];
    this.#move(state);
  }

  undo() {
    if (!this.canUndo) return;
    this.#future.push(this.current);
    this.#move(this.#past.pop());
  }

  redo() {
    if (!this.canRedo) return;
    this.#past.push(this.current);
    this.#move(this.#future.pop());
  }

  #move(state) {
    this.current = state;
    this.onchange(state);
  }
}

const BOOK = "musicgen-tunebook";
const SETTINGS = "musicgen-settings";

/** Tunes kept, in order, across visits; a tune is {abc, title, link}. Tells listeners "change". */
export class Tunebook extends EventTarget {
  #tunes = stored(BOOK, []).filter((tune) => typeof tune?.abc === "string");

  get tunes() { return [...this.#tunes]; }

  has(abc) { return this.#tunes.some((tune) => tune.abc === abc); }

  keep(tune) {
    if (!this.has(tune.abc)) this.#set([...this.#tunes, tune]);
  }

  drop(abc) { this.#set(this.#tunes.filter((tune) => tune.abc !== abc)); }

  /** A kept tune under other words: a new title, or a changed version. */
  replace(abc, tune) {
    this.#set(this.#tunes.map((kept) => (kept.abc === abc ? tune : kept)));
  }

  restore(tunes) { this.#set(tunes); }

  #set(tunes) {
    this.#tunes = tunes;
    store(BOOK, tunes);
    this.dispatchEvent(new Event("change"));
  }
}

/** Choices of the person at this browser: instrument, speed, loop, single-key shortcuts. */
export class Settings extends EventTarget {
  #values = { instrument: "", speed: 1, loop: false, keys: true, ...stored(SETTINGS, {}) };

  get(name) { return this.#values[name]; }

  set(name, value) {
    this.#values[name] = value;
    store(SETTINGS, this.#values);
    this.dispatchEvent(new CustomEvent("change", { detail: name }));
  }
}

export const tunebook = new Tunebook();
export const settings = new Settings();

function stored(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(name)) ?? otherwise;
  } catch {
    return otherwise; // storage that is blocked, or not ours
  }
}

function store(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // Private windows may have no storage; the page works, it only forgets.
  }
}
