"""Chord symbols as musicians write them: "Am", "D7", "G/B", "F#m7b5", "Bdim", to pitch classes.

    parse_chord("G/B") -> ChordSymbol(root=7, intervals=(0, 4, 7), bass=11)
    spelled_chord("F#m/C#") -> SpelledChord(("F", 1), "m", ("C", 1)), whatever its kind

Pitch classes count semitones from C (0 to 11); intervals count them from the root.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from musicgen.music.theory import ACCIDENTALS, STEP_SEMITONES

_MAJOR, _MINOR, _DIMINISHED, _AUGMENTED = (0, 4, 7), (0, 3, 7), (0, 3, 6), (0, 4, 8)

# The kinds of chord: all spellings, including those of the Nottingham collection ("Bd", "Da"), and
# the intervals. Longer chords leave notes out as players do.
QUALITIES: tuple[tuple[tuple[str, ...], tuple[int, ...]], ...] = (
    (("", "maj", "major", "M", "ma"), _MAJOR),
    (("m", "min", "minor", "-", "mi"), _MINOR),
    (("dim", "d", "o", "°", "mb5", "m-5"), _DIMINISHED),
    (("aug", "a", "+", "+5"), _AUGMENTED),
    (("5", "no3"), (0, 7)),
    (("sus", "sus4", "4"), (0, 5, 7)),
    (("sus2", "2"), (0, 2, 7)),
    (("6", "maj6", "M6", "add6"), (0, 4, 7, 9)),
    (("m6", "min6", "-6"), (0, 3, 7, 9)),
    (("69", "6/9", "6add9"), (0, 4, 9, 14)),
    (("7", "dom7"), (0, 4, 7, 10)),
    (("7sus4", "7sus"), (0, 5, 7, 10)),
    (("7b5", "7-5"), (0, 4, 6, 10)),
    (("7#5", "7+5", "aug7", "a7", "+7", "7+"), (0, 4, 8, 10)),
    (("7b9", "7-9"), (0, 4, 10, 13)),
    (("7#9", "7+9"), (0, 4, 10, 15)),
    (("maj7", "major7", "M7", "ma7", "j7", "Δ", "Δ7", "^", "^7"), (0, 4, 7, 11)),
    (("m7", "min7", "mi7", "-7"), (0, 3, 7, 10)),
    (("mmaj7", "mM7", "m(maj7)", "minmaj7", "m#7", "-M7"), (0, 3, 7, 11)),
    (("dim7", "d7", "o7", "°7"), (0, 3, 6, 9)),
    (("m7b5", "min7b5", "m7-5", "-7b5", "ø", "ø7"), (0, 3, 6, 10)),
    (("9", "dom9"), (0, 4, 10, 14)),
    (("maj9", "M9"), (0, 4, 11, 14)),
    (("m9", "min9"), (0, 3, 10, 14)),
    (("add9", "add2"), (0, 4, 7, 14)),
    (("madd9",), (0, 3, 7, 14)),
    (("11",), (0, 7, 10, 17)),
    (("m11", "min11"), (0, 3, 10, 17)),
    (("13",), (0, 4, 10, 21)),
)
_INTERVALS = {spelling: notes for spellings, notes in QUALITIES for spelling in spellings}
_SILENT = ("n.c.", "nc", "n.c", "tacet")
_CHORD = re.compile(r"([A-G])(##|bb|[#b♯♭])?(\S*?)(?:/([A-Ga-g])(##|bb|[#b♯♭+])?)?")
_SIGNS = str.maketrans({"♯": "#", "♭": "b", "\N{MINUS SIGN}": "-", "∆": "Δ"})
MAX_LENGTH = 40


@dataclass(frozen=True, slots=True)
class ChordSymbol:
    """A chord: its root, its notes from the root in semitones, and the note in the bass.

    `bass` is the root where no other is written. No intervals at all is silence ("N.C.").
    """

    root: int
    intervals: tuple[int, ...]
    bass: int

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """The notes of the chord, the bass aside, from the root upwards."""
        return tuple((self.root + interval) % 12 for interval in self.intervals)


NO_CHORD = ChordSymbol(0, (), 0)


def parse_chord(text: str) -> ChordSymbol | None:
    """Read a chord symbol; None when it is none.

    A second chord in round brackets after the first, or brackets around it all, are for the eye:
    "G(Em)" is G (ABC 2.1, section 4.18).
    """
    word = "".join(text.split()).translate(_SIGNS)
    if len(word) > MAX_LENGTH:
        return None
    if word.lower() in _SILENT:
        return NO_CHORD
    if word.startswith("(") and word.endswith(")"):
        word = word[1:-1]
    return _read(word) or _read(re.sub(r"\([A-G][^()]*\)$", "", word))


Spelling = tuple[str, int]  # a step, C to B, and semitones of alteration


@dataclass(frozen=True, slots=True)
class SpelledChord:
    """A chord symbol as it is written: its root, what is between ("m7", or anything), its bass."""

    root: Spelling
    kind: str
    bass: Spelling | None


def spelled_chord(text: str) -> SpelledChord | None:
    """Take a chord symbol apart; None for what is no root with something after it."""
    match = _CHORD.fullmatch(text.strip())
    if match is None:
        return None
    step, sign, kind, bass, bass_sign = match.groups(default="")
    return SpelledChord(_spelling(step, sign), kind, _spelling(bass, bass_sign) if bass else None)


def _spelling(step: str, sign: str) -> Spelling:
    # "+" is a sharp in the Nottingham collection: D/f+.
    return step.upper(), ACCIDENTALS[sign.translate(_SIGNS).replace("+", "#")]


def _read(word: str) -> ChordSymbol | None:
    spelled = spelled_chord(word)
    if spelled is None:
        return None
    intervals = _INTERVALS.get(spelled.kind) or _INTERVALS.get(re.sub("[()]", "", spelled.kind))
    if intervals is None:
        return None
    root = _pitch_class(spelled.root)
    return ChordSymbol(root, intervals, _pitch_class(spelled.bass) if spelled.bass else root)


def _pitch_class(spelling: Spelling) -> int:
    return (STEP_SEMITONES[spelling[0]] + spelling[1]) % 12
