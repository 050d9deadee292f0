"""How loud each note is: the accents of the meter, written accents, forte and piano."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from fractions import Fraction

from musicgen.music.tune import Marks

PLAIN_VELOCITY = 80  # of every note when accents are off
WEAK_VELOCITY = 72  # between the beats, at mezzoforte
BEAT_VELOCITY = 28  # what the first beat of a bar has more
# Velocity added from a dynamic mark on.
DYNAMICS = {
    "pppp": -44,
    "ppp": -40,
    "pp": -30,
    "p": -20,
    "mp": -10,
    "mf": 0,
    "f": 10,
    "ff": 18,
    "fff": 24,
    "ffff": 26,
}
# Velocity added to the one note that has the mark.
ACCENTS = {"accent": 14, ">": 14, "emphasis": 14, "marcato": 18, "sf": 18, "sfz": 18}


class Dynamics:
    """The dynamic mark in force at any moment of one voice."""

    def __init__(self, marks: Iterable[tuple[Fraction, Marks]]) -> None:
        """`marks`: onset in quarters and what is written there, by onset."""
        written = [
            (onset, DYNAMICS[name])
            for onset, on_note in marks
            for name in on_note.decorations
            if name in DYNAMICS
        ]
        self._onsets = [onset for onset, _ in written]
        self._velocities = [velocity for _, velocity in written]

    def at(self, moment: Fraction) -> int:
        """Velocity added there."""
        i = bisect_right(self._onsets, moment) - 1
        return self._velocities[i] if i >= 0 else 0


def velocity(strength: float, decorations: Iterable[str] = (), dynamic: int = 0) -> int:
    """MIDI velocity on a beat of some strength (0 to 1)."""
    accent = max((ACCENTS[name] for name in decorations if name in ACCENTS), default=0)
    return min(max(round(WEAK_VELOCITY + BEAT_VELOCITY * strength) + accent + dynamic, 1), 127)
