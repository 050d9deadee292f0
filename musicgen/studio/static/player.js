/**
 * The player: one audio element for the page, so that one tune sounds at a time.
 *
 * The server makes the sound; a tune's `notes` say when each of them is heard.
 */

import { exported } from "./api.js";
import { announce, button, clock, el, relabel, toast } from "./elements.js";
import { placeKey } from "./notes.js";
import { settings } from "./state.js";

const audio = el("audio", { id: "audio", preload: "auto", "aria-hidden": "true" });
const sounds = new Map(); // of an instrument and ABC: address of the sound
const MOST_SOUNDS = 12;
const MOST_AT_ONCE = 32; // notes
const [GAP_S, LINGER_S] = [0.02, 0.15]; // players join notes and leave gaps between them
let current = null; // the player that has the audio element

/** The audio element; put into the page once. */
export function audioElement() {
  audio.addEventListener("ended", () => current?.ended());
  audio.addEventListener("error", () => current?.failed());
  for (const name of ["play", "pause", "seeked"]) {
    audio.addEventListener(name, () => current?.update());
  }
  settings.addEventListener("change", ({ detail }) => {
    if (detail === "instrument") current?.reload();
    audio.playbackRate = settings.get("speed");
    audio.loop = settings.get("loop");
  });
  return audio;
}

/** Play, pause and place of one tune. Tells listeners "notes" with those that sound. */
export class Player extends EventTarget {
  #tune = null;
  #frame = null;
  #sounding = []; // numbers of the notes that sound
  #wanted = null; // the request for a sound that is under way

  constructor() {
    super();
    this.button = button("Play", () => this.toggle(),
      { picture: "play", plain: false, class: "round play" });
    this.slider = el("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0,
      class: "place", "aria-label": "Place in the tune", input: () => this.#slide() });
    this.time = el("span", { class: "time" }, "0:00");
    this.element = el("div", { class: "player" }, this.button, this.slider, this.time);
  }

  get playing() { return current === this && !audio.paused; }

  show(tune) {
    if (this.#tune?.abc !== tune.abc && current === this) this.stop();
    this.#tune = tune;
    this.slider.max = tune.seconds ?? 0;
    this.#tell(0);
  }

  toggle() { return this.playing ? audio.pause() : this.play(); }

  async play(from = null) {
    if (this.#tune === null) return;
    const source = await this.#sound();
    if (source === null) return;
    const place = from ?? (current === this && !audio.ended ? audio.currentTime : this.#slid());
    if (current !== this) {
      current?.left();
      current = this;
    }
    if (audio.src !== source) audio.src = source;
    audio.playbackRate = settings.get("speed");
    audio.loop = settings.get("loop");
    audio.currentTime = place;
    try {
      await audio.play();
    } catch (error) {
      if (error.name !== "AbortError") toast(`The sound cannot be played: ${error.message}`);
    }
    this.update();
  }

  /** Play from where a note first sounds. */
  playFrom(key) {
    const note = this.#tune?.notes?.find(({ place, voice }) => placeKey(place, voice) === key);
    if (note) this.play(note.onset);
  }

  stop() {
    this.#wanted?.abort();
    if (current !== this) return;
    audio.pause();
    audio.removeAttribute("src");
    audio.load();
    this.left();
    current = null;
  }

  // What the audio element tells the player that has it.

  update() {
    const playing = !audio.paused;
    relabel(this.button, playing ? "pause" : "play", playing ? "Pause" : "Play");
    if (playing && this.#frame === null) this.#follow();
    if (!playing) this.#tell(audio.currentTime);
  }

  ended() {
    this.left();
    this.#tell(0);
  }

  left() {
    cancelAnimationFrame(this.#frame);
    this.#frame = null;
    relabel(this.button, "play", "Play");
    this.#light([]);
  }

  failed() {
    if (audio.getAttribute("src")) toast("The sound cannot be played by this browser.");
    this.left();
  }

  async reload() {
    if (!this.playing) return this.stop();
    const place = audio.currentTime;
    this.stop();
    return this.play(place);
  }

  async #sound() {
    const instrument = settings.get("instrument");
    const name = `${instrument}\n${this.#tune.abc}`;
    if (sounds.has(name)) return sounds.get(name);
    this.#wanted?.abort();
    this.#wanted = new AbortController();
    this.button.setAttribute("aria-busy", "true");
    announce("Preparing the sound");
    try {
      const { blob } = await exported(this.#tune.abc, "wav", instrument, this.#wanted.signal);
      sounds.set(name, URL.createObjectURL(blob));
      forgetOldest();
      return sounds.get(name);
    } catch (error) {
      if (error.name !== "AbortError") toast(error.message);
      return null;
    } finally {
      this.button.removeAttribute("aria-busy");
    }
  }

  #slid() {
    const place = Number(this.slider.value);
    return place >= Number(this.slider.max) - 0.05 ? 0 : place;
  }

  #slide() {
    const place = Number(this.slider.value);
    if (current === this) audio.currentTime = place;
    this.#tell(place);
  }

  #follow() {
    this.#tell(audio.currentTime);
    this.#frame = audio.paused ? null : requestAnimationFrame(() => this.#follow());
  }

  #tell(seconds) {
    const whole = this.#tune?.seconds ?? 0;
    this.slider.value = seconds;
    this.slider.setAttribute("aria-valuetext", `${clock(seconds)} of ${clock(whole)}`);
    this.time.textContent = `${clock(seconds)} / ${clock(whole)}`;
    this.#light(current === this || seconds > 0 ? heard(this.#tune?.notes ?? [], seconds) : []);
  }

  #light(indices) {
    if (indices.join() === this.#sounding.join()) return;
    this.#sounding = indices;
    const notes = indices.map((index) => this.#tune.notes[index]);
    this.dispatchEvent(new CustomEvent("notes", { detail: { notes, indices } }));
  }
}

/** The numbers of the notes that sound at a time; the last stays a moment more, over short gaps. */
export function heard(notes, seconds) {
  let [low, high] = [0, notes.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (notes[middle].onset <= seconds + 1e-3) low = middle + 1;
    else high = middle;
  }
  const until = (index) => notes[index].onset + notes[index].duration;
  const sounding = [];
  for (let index = Math.max(0, low - MOST_AT_ONCE); index < low - 1; index += 1) {
    if (seconds < until(index) - GAP_S) sounding.push(index);
  }
  if (low > 0 && seconds < until(low - 1) + LINGER_S) sounding.push(low - 1);
  return sounding;
}

function forgetOldest() {
  for (const [name, address] of sounds) {
    if (sounds.size <= MOST_SOUNDS) return;
    if (address === audio.src) continue;
    URL.revokeObjectURL(address);
    sounds.delete(name);
  }
}
