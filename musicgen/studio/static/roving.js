/**
 * One tab stop for a row of things: arrows move among them, shift extends, the mouse drags.
 * After the listbox and roving tabindex patterns of the ARIA Authoring Practices Guide.
 */

/** Tells listeners "select" with {first, last}, or null when nothing is chosen any more. */
export class Roving extends EventTarget {
  #items;
  #many;
  #anchor = null;
  #at = 0;
  #dragging = false;
  range = null;

  constructor(container, items, { many }) {
    super();
    this.#items = items;
    this.#many = many;
    items.forEach((item, index) => item.setAttribute("tabindex", index === 0 ? "0" : "-1"));
    container.addEventListener("keydown", (event) => this.#key(event));
    container.addEventListener("pointerdown", (event) => this.#press(event));
    container.addEventListener("pointermove", (event) => this.#drag(event));
    for (const end of ["pointerup", "pointercancel"]) {
      container.addEventListener(end, () => { this.#dragging = false; });
    }
  }

  select(first, last) {
    this.#anchor = first;
    this.#choose(first, last);
  }

  clear() {
    this.#anchor = null;
    this.#mark(null);
  }

  #press(event) {
    const index = this.#items.indexOf(event.target);
    if (index < 0 || event.button !== 0) return;
    event.preventDefault(); // no text selection while dragging
    // A finger captures the pointer by itself; let it go so that moves name what is under it.
    if (event.target.hasPointerCapture(event.pointerId)) {
      event.target.releasePointerCapture(event.pointerId);
    }
    this.#dragging = this.#many && event.pointerType === "mouse";
    const extends_ = this.#many && (event.shiftKey || this.#touchExtends(event, index));
    if (!extends_) this.#anchor = index;
    this.#go(index);
    this.#choose(this.#anchor, index);
  }

  /** On a touch screen a second tap elsewhere extends what one tap began. */
  #touchExtends(event, index) {
    const one = this.range !== null && this.range.first === this.range.last;
    return event.pointerType === "touch" && one && index !== this.range.first;
  }

  #drag(event) {
    if (!this.#dragging || event.buttons === 0) return;
    const index = this.#items.indexOf(event.target);
    if (index >= 0) this.#choose(this.#anchor, index);
  }

  #key(event) {
    const { key, shiftKey } = event;
    const last = this.#items.length - 1;
    const moves = { ArrowRight: this.#at + 1, ArrowLeft: this.#at - 1, Home: 0, End: last,
      ArrowDown: this.#vertical(1), ArrowUp: this.#vertical(-1) };
    if (key in moves) {
      const to = Math.min(last, Math.max(0, moves[key]));
      this.#go(to);
      if (shiftKey && this.#many) this.#choose(this.#anchor ?? to, to);
    } else if (key === "Enter" || key === " ") {
      if (!(shiftKey && this.#many && this.#anchor !== null)) this.#anchor = this.#at;
      this.#choose(this.#anchor, this.#at);
    } else if (key === "Escape" && this.range !== null) {
      this.clear();
    } else if (key === "a" && (event.ctrlKey || event.metaKey) && this.#many) {
      this.select(0, last);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  /** The nearest thing of the line below (1) or above (-1). */
  #vertical(direction) {
    const here = middle(this.#items[this.#at]);
    let [best, distance] = [this.#at, Infinity];
    this.#items.forEach((item, index) => {
      const there = middle(item);
      const down = direction * (there.y - here.y);
      if (down < here.height / 2) return;
      const far = down * 10 + Math.abs(there.x - here.x);
      if (far < distance) [best, distance] = [index, far];
    });
    return best;
  }

  #go(index) {
    this.#items[this.#at].setAttribute("tabindex", "-1");
    this.#at = index;
    this.#items[index].setAttribute("tabindex", "0");
    this.#items[index].focus({ preventScroll: false });
  }

  #choose(from, to) {
    if (this.#anchor === null) this.#anchor = from;
    this.#mark({ first: Math.min(from, to), last: Math.max(from, to) });
  }

  #mark(range) {
    const same = range?.first === this.range?.first && range?.last === this.range?.last;
    this.range = range;
    this.#items.forEach((item, index) => {
      const chosen = range !== null && index >= range.first && index <= range.last;
      item.setAttribute("aria-selected", String(chosen));
    });
    if (!same || !this.#many) this.dispatchEvent(new CustomEvent("select", { detail: range }));
  }
}

function middle(item) {
  const box = item.getBoundingClientRect();
  return { x: box.x + box.width / 2, y: box.y + box.height / 2, height: box.height };
}
