"""How loud each note is: the accents of the meter, written accents, forte and piano."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from musicgen.music.performance.timing import PlacedBar, StepFunction
from musicgen.music.theory import Meter
from musicgen.music.tune import Marks

DOWNBEAT, HALFWAY, BEAT, OFF_BEAT = 1.0, 0.6, 0.35, 0.0  # metrical strength
PLAIN_VELOCITY = 80  # of every note when accents are off
WEAK_VELOCITY = 72  # between the beats, at mezzoforte
BEAT_VELOCITY = 28  # added on the first beat of a bar
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


class MetricalStrength:
    """The strength of every moment in its meter, from 0 (between the beats) to 1 (a downbeat)."""

    def __init__(self, bars: Sequence[PlacedBar]) -> None:
        self._bar_at = StepFunction([(bar.onset, bar) for bar in bars], None)
        self._strengths = {bar.meter: _strengths(bar.meter) for bar in bars}

    def __call__(self, moment: Fraction) -> float:
        """The strength at a moment, in quarters."""
        bar = self._bar_at(moment)
        if bar is None:
            return OFF_BEAT
        return self._strengths[bar.meter].get(moment - bar.downbeat, OFF_BEAT)


def _strengths(meter: Meter) -> dict[Fraction, float]:
    strengths = dict.fromkeys(meter.beat_onsets, BEAT)
    half = (meter.bar_duration or Fraction(0)) / 2
    if half in strengths:
        strengths[half] = HALFWAY
    return strengths | {Fraction(0): DOWNBEAT} if strengths else {}


def dynamics(marks: Iterable[tuple[Fraction, Marks]]) -> StepFunction[int]:
    """Velocity added by the dynamic marks of a voice; `marks` are by onset, in quarters."""
    return StepFunction(
        [
            (onset, DYNAMICS[name])
            for onset, written in marks
            for name in written.decorations
            if name in DYNAMICS
        ],
        0,
    )


def velocity(strength: float, decorations: Iterable[str] = (), dynamic: int = 0) -> int:
    """MIDI velocity, 1 to 127, at a metrical strength (0 to 1)."""
    accent = max((ACCENTS[name] for name in decorations if name in ACCENTS), default=0)
    return min(max(round(WEAK_VELOCITY + BEAT_VELOCITY * strength) + accent + dynamic, 1), 127)
