"""Times of a performance: full bars and their pickups, swing, quarter notes to seconds."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

from musicgen.music.playback import PlayedBar, PlayedNote
from musicgen.music.theory import Meter

SIXTEENTH, EIGHTH = Fraction(1, 4), Fraction(1, 2)
T = TypeVar("T")


class StepFunction(Generic[T]):
    """A value that changes at some onsets, given in order; `initial` is the one before them."""

    def __init__(self, steps: Iterable[tuple[Fraction, T]], initial: T) -> None:
        pairs = list(steps)
        self._onsets = [onset for onset, _ in pairs]
        self._values = [initial, *(value for _, value in pairs)]

    def __call__(self, moment: Fraction) -> T:
        """The value at a moment."""
        return self._values[bisect_right(self._onsets, moment)]


@dataclass(frozen=True, slots=True)
class PlacedBar:
    """A played bar and the place in a full bar at which it begins (not 0 for a pickup).

    Times in quarter notes.
    """

    onset: Fraction
    duration: Fraction
    meter: Meter
    offset: Fraction

    @property
    def downbeat(self) -> Fraction:
        """The time at which the full bar began, or would have begun."""
        return self.onset - self.offset


def place_bars(bars: Sequence[PlayedBar]) -> list[PlacedBar]:
    """Bars in their meter: a pickup stands at the end of a full bar, the second part of a bar that
    was cut in two where its first part stopped."""
    placed: list[PlacedBar] = []
    bars = [bar for bar in bars if bar.duration]
    filled = Fraction(0)  # how much of its full bar the bar before filled; 0 when that is full
    for bar, following in zip(bars, [*bars[1:], None], strict=False):
        full = bar.meter.bar_duration
        offset = Fraction(0)
        if full is not None and bar.duration < full:
            if filled and filled + bar.duration <= full:
                offset = filled
            elif following and bar.duration < full / 2 and following.duration >= full:
                offset = full - bar.duration
        placed.append(PlacedBar(bar.onset, bar.duration, bar.meter, offset))
        end = offset + bar.duration
        filled = Fraction(0) if full is None or end >= full else end
    return placed


class Clock:
    """Quarter notes to seconds.

    `tempos` are (onset in quarters, quarters a minute), the first at 0.
    """

    def __init__(self, tempos: Sequence[tuple[Fraction, Fraction]]) -> None:
        steps: list[tuple[Fraction, tuple[Fraction, Fraction, Fraction]]] = []
        for onset, qpm in tempos:
            seconds = Fraction(0)
            if steps:
                before, start, pace = steps[-1][1]
                seconds = start + (onset - before) * pace
            steps.append((onset, (onset, seconds, 60 / qpm)))
        self._step_at = StepFunction(steps, steps[0][1])

    def __call__(self, moment: Fraction) -> Fraction:
        """The time of a moment in seconds from the beginning, exactly."""
        onset, seconds, pace = self._step_at(moment)
        return seconds + (moment - onset) * pace


class Swing:
    """A change of time: the second of each even pair of short notes comes late.

    With ratio r the halves of a pair last r to 1. In compound meters the pair is the first two of
    the three parts of a beat. A pair with an onset anywhere else than at its halves is left as it
    is, and no time outside the pairs moves.
    """

    def __init__(
        self, bars: Sequence[PlacedBar], notes: Sequence[PlayedNote], ratio: Fraction
    ) -> None:
        self._turn = 2 * ratio / (1 + ratio)  # when the second half begins, in halves
        pairs = {} if ratio == 1 else _pairs(bars, notes)
        onsets = sorted({note.onset for note in notes})
        self._pair_at = StepFunction(
            [
                (start, (start, unit))
                for start, unit in sorted(pairs.items())
                if _is_even(start, unit, onsets)
            ],
            None,
        )

    def __call__(self, moment: Fraction) -> Fraction:
        """When a written moment is played, both in quarter notes."""
        pair = self._pair_at(moment)
        if pair is None:
            return moment
        start, unit = pair
        inner = (moment - start) / unit
        if inner >= 2:
            return moment
        if inner <= 1:
            return start + unit * inner * self._turn
        return start + unit * (self._turn + (inner - 1) * (2 - self._turn))


def _pairs(bars: Sequence[PlacedBar], notes: Sequence[PlayedNote]) -> dict[Fraction, Fraction]:
    """Where pairs may begin, and the length of their halves; a pair ends within its bar."""
    lengths = Counter(note.duration for note in notes)
    short = SIXTEENTH if lengths[SIXTEENTH] > lengths[EIGHTH] else EIGHTH
    pairs: dict[Fraction, Fraction] = {}
    for bar in bars:
        unit = Fraction(4, bar.meter.unit) if bar.meter.compound else short
        step = 3 * unit if bar.meter.compound else 2 * unit
        start = bar.downbeat + bar.offset // step * step
        while start + 2 * unit <= bar.onset + bar.duration:
            pairs[start] = unit
            start += step
    return pairs


def _is_even(start: Fraction, unit: Fraction, onsets: Sequence[Fraction]) -> bool:
    first = bisect_right(onsets, start)
    inside = onsets[first : first + 2]
    return all(onset == start + unit or onset >= start + 2 * unit for onset in inside)
