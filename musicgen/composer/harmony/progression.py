"""Chords that are given, bar by bar: read from a line of text, and the key that they are in.

Progression.read("Am | G | F E7 | Am").key()      # Key("A", "minor")
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from musicgen.errors import ControlError, printable
from musicgen.music.chord_symbols import ChordSymbol, parse_chord, spelled_chord
from musicgen.music.theory import STEP_SEMITONES, Key, Meter

MOST_BARS = 64
# Modes that a progression may be in, and how much a key of each has to fit better to be believed:
# of two that fit as well, the commoner.
_RARITY = {"major": 0.0, "minor": 0.05, "mixolydian": 0.1, "dorian": 0.15}
# The weight of a tonic chord at the beginning and at the end for its key, in chords.
_TONIC_CHORD = (0.5, 0.3)


@dataclass(frozen=True)
class Progression:
    """The chords of each bar, at least one in each."""

    bars: tuple[tuple[str, ...], ...]

    @staticmethod
    def read(text: str) -> Progression:
        """Bars parted by "|", chords of a bar by blanks; "%" and an empty bar repeat the last.

        Raises:
            ControlError: there is none, too many, or something is no chord.
        """
        cells = text.replace("||", "|").strip().strip("|").split("|")
        bars: list[tuple[str, ...]] = []
        for number, cell in enumerate(cells, start=1):
            names = tuple(name for name in cell.split() if name != "%")
            for name in names:
                symbol = parse_chord(name)
                if symbol is None or not symbol.intervals:
                    raise ControlError(
                        f"melody-for: '{printable(name[:40])}' in bar {number} is no chord; "
                        'write it like "Am | G | F | E7"'
                    )
            if not names and not bars:
                raise ControlError('melody-for: begins without a chord; write "Am | G | F | E7"')
            bars.append(names or bars[-1])
        if len(bars) > MOST_BARS:
            raise ControlError(f"melody-for: {len(bars)} bars; {MOST_BARS} at most")
        return Progression(tuple(bars))

    def over(self, n_bars: int) -> Progression:
        """So many bars of it, begun again as often as needed."""
        return Progression(tuple(self.bars[i % len(self.bars)] for i in range(n_bars)))

    def changes(self, meter: Meter) -> list[list[tuple[Fraction, str]]]:
        """For each bar where its chords begin, in quarters: on beats, spread evenly.

        Raises:
            ControlError: a bar has more chords than the meter has beats.
        """
        beats = meter.beat_durations
        changes = []
        for number, names in enumerate(self.bars, start=1):
            if len(names) > len(beats):
                raise ControlError(
                    f"melody-for: bar {number} has {len(names)} chords, {meter} has {len(beats)} "
                    "beats; write longer bars"
                )
            firsts = [-(-i * len(beats) // len(names)) for i in range(len(names))]
            starts = [sum(beats[:first], Fraction(0)) for first in firsts]
            changes.append(list(zip(starts, names, strict=True)))
        return changes

    def key(self) -> Key:
        """The key that has most of the chords' notes (in minor with the raised seventh degree),
        and a tonic chord where they begin or end.

        Raises:
            ControlError: no root of the chords is the tonic of a key of seven signs at most.
        """
        chords = [chord for bar in self.bars for chord in bar]
        keys = list(_keys(chords))
        if not keys:
            raise ControlError("melody-for: no usual key has such chords; name one with --key")
        return max(keys, key=lambda key: _fit(key, chords))


def _keys(chords: list[str]) -> Iterator[Key]:
    """Keys whose tonic is a root of the chords, as it is spelled there."""
    tonics: dict[str, None] = {}
    for name in chords:
        spelled = spelled_chord(name)
        if spelled is not None:
            step, alter = spelled.root
            tonics[step + ("#" * alter if alter > 0 else "b" * -alter)] = None
    for tonic in tonics:
        for mode in _RARITY:
            key = Key(tonic, mode)
            if abs(key.fifths) <= 7:
                yield key


def _fit(key: Key, chords: list[str]) -> float:
    scale = {(STEP_SEMITONES[step] + alter) % 12 for step, alter in key.signature.items()}
    tonic = key.tonic_pitch_class
    if key.mode == "minor":
        scale.add((tonic - 1) % 12)
    third = (tonic + (3 if key.mode in ("minor", "dorian") else 4)) % 12
    symbols = [symbol_of(name) for name in chords]
    inside = sum(
        sum(note in scale for note in symbol.pitch_classes) / len(symbol.intervals)
        for symbol in symbols
    )
    on_tonic = sum(
        weight
        for weight, end in zip(_TONIC_CHORD, (symbols[0], symbols[-1]), strict=True)
        if end.root == tonic and third in end.pitch_classes
    )
    return inside + on_tonic - _RARITY[key.mode]


def symbol_of(name: str) -> ChordSymbol:
    """The chord of a name that `Progression.read` has let through."""
    symbol = parse_chord(name)
    assert symbol is not None
    return symbol
