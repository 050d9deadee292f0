"""Durations as written note values: type, dots, tuplet; longer ones as several tied values.

written(Fraction(5, 2), None)   # a half note and an eighth
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from musicgen.errors import InvalidTuneError
from musicgen.music.tune import Tuplet

# Quarters in each note value, longest first. Two dots are as many as anybody reads at sight.
TYPES = {
    Fraction(32): "maxima",
    Fraction(16): "long",
    Fraction(8): "breve",
    Fraction(4): "whole",
    Fraction(2): "half",
    Fraction(1): "quarter",
    Fraction(1, 2): "eighth",
    Fraction(1, 4): "16th",
    Fraction(1, 8): "32nd",
    Fraction(1, 16): "64th",
    Fraction(1, 32): "128th",
    Fraction(1, 64): "256th",
    Fraction(1, 128): "512th",
    Fraction(1, 256): "1024th",
}
_SHORTEST = min(TYPES)
_DOTTED = {
    base * (2 - Fraction(1, 2**dots)): (name, dots)
    for base, name in TYPES.items()
    for dots in (0, 1, 2)
    if base / 2**dots >= _SHORTEST
}
_LONGEST_FIRST = sorted(_DOTTED, reverse=True)
_NAMES = list(TYPES.values())
_BEAMS = {name: max(0, i - _NAMES.index("quarter")) for i, name in enumerate(_NAMES)}


@dataclass(frozen=True, slots=True)
class Value:
    """A note value: `actual` of them in the time of `normal` (1, 1 outside tuplets)."""

    type: str
    dots: int
    duration: Fraction  # what sounds, in quarters
    actual: int = 1
    normal: int = 1

    @property
    def beams(self) -> int:
        """Beams or flags: 1 for an eighth."""
        return _BEAMS[self.type]


@lru_cache(4096)  # a piece has few different ones
def written(duration: Fraction, tuplet: Tuplet | None) -> tuple[Value, ...]:
    """The values that add up to a duration in quarters, longest first; one where that is possible.

    A duration such as 1/3 outside any tuplet is written as a member of one.

    Raises:
        InvalidTuneError: no note value is so short or so long.
    """
    actual, normal = (tuplet.actual, tuplet.normal) if tuplet else (1, 1)
    left = duration * actual / normal
    odd = left.denominator // (left.denominator & -left.denominator)
    if odd > 1:
        power = 1 << (odd.bit_length() - 1)
        actual, normal, left = actual * odd, normal * power, left * odd / power
    if left <= 0 or left > 64 * 32 or left % (_SHORTEST / 4) or actual > 255:
        raise InvalidTuneError(f"a duration of {duration} quarter notes cannot be written")
    values = []
    while left:
        size = next((d for d in _LONGEST_FIRST if d <= left), None)
        if size is None:
            raise InvalidTuneError(f"a duration of {duration} quarter notes cannot be written")
        name, dots = _DOTTED[size]
        values.append(Value(name, dots, size * normal / actual, actual, normal))
        left -= size
    return tuple(values)
