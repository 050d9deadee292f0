/** Notes as they are clicked together, written as ABC: bar lines, ties and accidentals come by themselves. */

import { fifths } from "./notes.js";

const STEPS = { C: 0, D: 2, E: 4, F: 5, G: 7, A: 9, B: 11 };
const LETTERS = Object.keys(STEPS);
const SHARPS = ["F", "C", "G", "D", "A", "E", "B"];
export const KEYS = ["C", "G", "D", "A", "E", "F", "Bb", "Eb", "Am", "Em", "Bm", "Dm", "Gm",
  "Ador", "Edor", "Ddor", "Dmix", "Amix", "Gmix"];
export const METERS = ["4/4", "6/8", "2/4", "3/4", "9/8", "12/8", "2/2"];
export const LENGTHS = [[1, "sixteenth"], [2, "eighth"], [3, "dotted eighth"], [4, "quarter"],
  [6, "dotted quarter"], [8, "half"], [12, "dotted half"]];
const SIXTEENTHS = 16; // in a whole note, the unit of lengths here

/** Letters that a key alters, with the semitones: {F: 1, C: 1} of D. */
export function signatureOf(key) {
  const n = fifths(key);
  const letters = n > 0 ? SHARPS.slice(0, n) : [...SHARPS].reverse().slice(0, -n);
  return Object.fromEntries(letters.map((letter) => [letter, Math.sign(n)]));
}

/** A pitch in a key as {letter, alter, octave}: one of the key's own notes where it can be. */
export function spelled(midi, signature) {
  const flat = Object.values(signature).includes(-1);
  const found = LETTERS.flatMap((letter) => [-1, 0, 1].map((alter) => ({ letter, alter })))
    .filter(({ letter, alter }) => (STEPS[letter] + alter + 12) % 12 === midi % 12);
  const score = ({ letter, alter }) => (alter === (signature[letter] ?? 0) ? 0
    : alter === 0 ? 1 : alter === (flat ? -1 : 1) ? 2 : 3);
  const { letter, alter } = found.sort((a, b) => score(a) - score(b))[0];
  return { letter, alter, octave: Math.floor((midi - alter) / 12) - 1 };
}

/** The pitch of a letter in a key: midi of step `diatonic`, counted in letters from C of octave 0. */
export function pitchOf(diatonic, signature) {
  const letter = LETTERS[diatonic % 7];
  return 12 * (Math.floor(diatonic / 7) + 1) + STEPS[letter] + (signature[letter] ?? 0);
}

/** ABC of events {pitch or null for a rest, length} or {bar: true}. */
export function toAbc(events, { key, meter, title }) {
  const signature = signatureOf(key);
  const [beats, unit] = meter.split("/").map(Number);
  const full = (beats * SIXTEENTHS) / unit;
  const beat = beats % 3 === 0 && beats > 3 ? 6 : SIXTEENTHS / unit;
  let [at, text, altered] = [0, "", {}];
  const closeBar = () => { text += " | "; at = 0; altered = {}; };
  for (const event of events) {
    if (event.bar) {
      if (at > 0) closeBar();
      continue;
    }
    for (let left = event.length; left > 0;) {
      const length = Math.min(left, full - at);
      left -= length;
      text += written(event.pitch, length, signature, altered);
      if (left > 0 && event.pitch !== null) text += "-";
      at += length;
      if (at === full) closeBar();
      else if (at % beat === 0) text += " ";
    }
  }
  return `X:1\nT:${title}\nM:${meter}\nL:1/8\nK:${key}\n${text.trim()}\n`;
}

function written(pitch, length, signature, altered) {
  const duration = length % 2 === 0 ? (length === 2 ? "" : `${length / 2}`)
    : (length === 1 ? "/" : `${length}/`);
  if (pitch === null) return `z${duration}`;
  const { letter, alter, octave } = spelled(pitch, signature);
  // Readers differ in whether an accidental holds in other octaves: say it where that matters.
  const held = [altered[letter], altered[letter + octave]].map((a) => a ?? signature[letter] ?? 0);
  const sign = held.every((one) => one === alter) ? "" : { 1: "^", 0: "=", "-1": "_" }[alter];
  altered[letter] = altered[letter + octave] = alter;
  const body = octave >= 5 ? letter.toLowerCase() + "'".repeat(octave - 5)
    : letter + ",".repeat(4 - octave);
  return sign + body + duration;
}
