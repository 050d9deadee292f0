/** Names of notes and bars, for people and screen readers. */

import { count } from "./elements.js";

const SHARP = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];
const FLAT = ["C", "D♭", "D", "E♭", "E", "F", "G♭", "G", "A♭", "A", "B♭", "B"];

// On the circle of fifths: tonics from C, modes from major.
const FIFTHS = { C: 0, G: 1, D: 2, A: 3, E: 4, B: 5, F: -1 };
const MODES = { maj: 0, ion: 0, mix: -1, dor: -2, min: -3, m: -3, aeo: -3, phr: -4, loc: -5, lyd: 1 };

/** Sharps (above 0) or flats (below) of a key such as "D major", "Bb mixolydian" or "Ador". */
export function fifths(key) {
  const [, tonic, sign, mode] = /^([A-G])([b#]?)\s*(.*)$/.exec(key) ?? [null, "C", "", ""];
  const sharps = { b: -7, "#": 7, "": 0 }[sign];
  return FIFTHS[tonic] + sharps + (MODES[mode.slice(0, 3).toLowerCase()] ?? 0);
}

/** A note's place as its drawing has it: "voice.bar.event", of the first voice where none is said. */
export function placeKey(place, voice = 0) {
  return place ? [voice, ...place].join(".") : null;
}

/** "D5" of 74; flats in keys with flats. */
export function pitchName(pitch, key = "") {
  const names = fifths(key) < 0 ? FLAT : SHARP;
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
  const kind = [tune.rhythm, hasKey(tune) && `in ${tune.key}`].filter(Boolean).join(" ");
  const bars = Number.isInteger(tune.bars) ? count(fullBars(tune), "bar") : null;
  return [kind && kind[0].toUpperCase() + kind.slice(1), tune.meter, bars].filter(Boolean).join(" · ");
}

function hasKey({ key }) {
  return Boolean(key) && key !== "none";
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
