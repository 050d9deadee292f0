/** Names of notes and bars, for people and screen readers. */

import { count } from "./elements.js";

const SHARP = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];
const FLAT = ["C", "D♭", "D", "E♭", "E", "F", "G♭", "G", "A♭", "A", "B♭", "B"];

/** A note's place as its drawing has it: "voice.bar.event", of the first voice where none is said. */
export function placeKey(place, voice = 0) {
  return place ? [voice, ...place].join(".") : null;
}

/** "D5" of 74; flats in keys with flats. */
export function pitchName(pitch, key = "") {
  const names = /^([A-G]b|F(?!#)|[DGC] ?m|[GC] ?dor)/.test(key) ? FLAT : SHARP;
  return `${names[pitch % 12]}${Math.floor(pitch / 12) - 1}`;
}

/** The printed number of a bar: a pickup is bar 0. */
export function barNumber(tune, index) {
  return tune.numbers?.[index] ?? index + 1;
}

/** "Bar 5: D5 F♯5 A5", as a bar is read out. */
export function barName(tune, index) {
  const heard = notesOfBar(tune, index).map((note) => pitchName(note.pitch, tune.key));
  return `Bar ${barNumber(tune, index)}: ${heard.join(" ") || "no notes"}`;
}

/** "D5, bar 5, note 2". */
export function noteName(tune, key) {
  const [, bar, event] = key.split(".").map(Number);
  const note = tune.notes?.find(({ place, voice }) => placeKey(place, voice) === key);
  const name = note ? pitchName(note.pitch, tune.key) : "rest";
  return `${name}, bar ${barNumber(tune, bar)}, note ${event + 1}`;
}

/** "5-8" of the bars from index 4 to 7, or "5". */
export function barRange(tune, { first, last }) {
  const [from, to] = [barNumber(tune, first), barNumber(tune, last)];
  return from === to ? `${from}` : `${from}-${to}`;
}

/** "Jig in D major · 6/8 · 16 bars". */
export function summary(tune) {
  const kind = [tune.rhythm, tune.key && `in ${tune.key}`].filter(Boolean).join(" ");
  const bars = Number.isInteger(tune.bars) ? count(fullBars(tune), "bar") : null;
  return [kind && kind[0].toUpperCase() + kind.slice(1), tune.meter, bars].filter(Boolean).join(" · ");
}

/** Bars as people count them: a pickup is none. */
function fullBars(tune) {
  return tune.numbers?.length ? Math.max(...tune.numbers) : tune.bars;
}

/** The notes of a bar as written: what comes again in a repeat is left out. */
function notesOfBar(tune, index) {
  const found = new Map();
  for (const note of tune.notes ?? []) {
    if (note.place?.[0] === index) found.set(placeKey(note.place, note.voice), note);
  }
  return [...found.values()];
}
