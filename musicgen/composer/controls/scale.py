"""Which notes a tune may use: a scale by name, relative to its key, or note by note."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from musicgen.composer.controls.values import refuse
from musicgen.music.theory import ACCIDENTALS, MODE_FIFTHS, STEP_SEMITONES, Key, Pitch

MIN_NOTES = 3
MAJOR_LIKE = ("lydian", "major", "mixolydian")
# Semitones above the tonic.
NAMED = {
    "major pentatonic": (0, 2, 4, 7, 9),
    "minor pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "melodic minor": (0, 2, 3, 5, 7, 9, 11),
    "chromatic": tuple(range(12)),
}
# Degrees of the key, counted from 1: the five of the two common pentatonic scales.
PENTATONIC = {True: (1, 2, 3, 5, 6), False: (1, 3, 4, 5, 7)}
_NOTE = re.compile(r"([A-Ga-g])(##|bb|#|b|♯|♭|)")
_SIGNS = {"♯": "#", "♭": "b"}

Spelled = tuple[str, int]  # step and alteration


@dataclass(frozen=True, slots=True)
class Scale:
    """`notes` are spelled notes, or () where `name` is a scale relative to the key."""

    name: str
    notes: tuple[Spelled, ...] = ()

    @staticmethod
    def read(text: str) -> Scale:
        """Understand "pentatonic", "harmonic minor", "dorian" or "D E F# A B".

        Raises:
            ControlError: it is neither a scale's name nor notes.
        """
        name = " ".join(text.lower().replace("-", " ").split())
        if name in NAMED or name in MODE_FIFTHS or name in ("diatonic", "pentatonic"):
            return Scale(name)
        matches = [_NOTE.fullmatch(word) for word in re.split(r"[\s,]+", text.strip())]
        notes = dict.fromkeys(
            (m[1].upper(), ACCIDENTALS[_SIGNS.get(m[2], m[2])]) for m in matches if m is not None
        )
        if not notes or None in matches:
            known = ", ".join(("diatonic", "pentatonic", *NAMED))
            refuse("scale", text, f"write notes such as D E F# A B, a mode, or one of {known}")
        if len({pitch_class(note) for note in notes}) < MIN_NOTES:
            refuse("scale", text, f"a tune needs at least {MIN_NOTES} notes")
        return Scale(text.strip(), tuple(notes))

    def pitch_classes(self, key: Key) -> frozenset[int]:
        """The notes as numbers from 0 (C) to 11 (B)."""
        tonic = key.tonic_pitch_class
        if self.notes:
            return frozenset(map(pitch_class, self.notes))
        if self.name in NAMED:
            return frozenset((tonic + n) % 12 for n in NAMED[self.name])
        mode = self.name if self.name in MODE_FIFTHS else key.mode
        pentatonic = PENTATONIC[key.mode in MAJOR_LIKE]
        degrees = pentatonic if self.name == "pentatonic" else range(1, 8)
        scale = Key(key.tonic, mode)
        pitches = (Pitch.from_diatonic(scale.tonic_diatonic + d - 1, 0).step for d in degrees)
        return frozenset(pitch_class((step, scale.signature[step])) for step in pitches)

    def permits(self, pitches: Iterable[Pitch], key: Key) -> set[Pitch]:
        """Those of the pitches that are in the scale: in the spelling that was asked where the
        pitches have it, else in any."""
        wanted = self.pitch_classes(key)
        inside = {pitch for pitch in pitches if pitch.midi % 12 in wanted}
        spelled = {pitch for pitch in inside if (pitch.step, pitch.alter) in self.notes}
        as_asked = {pitch.midi for pitch in spelled}
        return spelled | {pitch for pitch in inside if pitch.midi not in as_asked}


def pitch_class(note: Spelled) -> int:
    """Number of a spelled note, 0 (C) to 11 (B)."""
    return (STEP_SEMITONES[note[0]] + note[1]) % 12
