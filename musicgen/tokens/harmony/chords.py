"""Chords as a harmonizer knows them: a root above the tonic and one of four kinds; names in a key.

    chord_id("E7", Key("A"))      # 1 + 4 * 7 + 2: a dominant seventh on the fifth degree
    chord_name(31, Key("A"))      # "E7"

Sixths, added notes and major sevenths count as the triad they stand on, as in every published
measure of chord accuracy on folk tunes (root and major/minor/diminished/dominant).
"""

from __future__ import annotations

from musicgen.music.chord_symbols import ChordSymbol, parse_chord
from musicgen.music.theory import ACCIDENTAL_TEXT, Key, spell

KINDS = ("", "m", "7", "dim")  # as they are written after the root
_INTERVALS = ((0, 4, 7), (0, 3, 7), (0, 4, 7, 10), (0, 3, 6))
BEGIN = 0  # what stands before the first chord
N_CHORDS = 1 + 12 * len(KINDS)
NOT_KNOWN = -1


def kind_of(symbol: ChordSymbol) -> int:
    """Position in `KINDS` of the nearest kind of chord."""
    notes = {interval % 12 for interval in symbol.intervals}
    if 3 in notes and 4 not in notes:
        return 3 if 6 in notes and 7 not in notes else 1
    return 2 if 10 in notes else 0


def chord_id(text: str, key: Key) -> int:
    """Id of a chord symbol in a key; `NOT_KNOWN` for none and for what is no chord."""
    symbol = parse_chord(text) if text else None
    if symbol is None or not symbol.intervals:
        return NOT_KNOWN
    root = (symbol.root - key.tonic_pitch_class) % 12
    return 1 + len(KINDS) * root + kind_of(symbol)


def chord_name(number: int, key: Key) -> str:
    """The symbol of a chord, its root spelled as the key has it."""
    root, kind = divmod(number - 1, len(KINDS))
    pitch = spell(60 + key.tonic_pitch_class + root, key)
    return f"{pitch.step}{ACCIDENTAL_TEXT[pitch.alter]}{KINDS[kind]}"


def root_of(number: int) -> int:
    """Semitones of a chord's root above the tonic."""
    return (number - 1) // len(KINDS)


def notes_of(number: int) -> frozenset[int]:
    """A chord's notes in semitones above the tonic, 0 to 11."""
    root, kind = divmod(number - 1, len(KINDS))
    return frozenset((root + interval) % 12 for interval in _INTERVALS[kind])
