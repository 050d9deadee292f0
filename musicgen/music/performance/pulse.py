"""Where every moment stands in its bar: how strong its beat is, and how it swings."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from musicgen.music.playback import PlayedBar, PlayedNote
from musicgen.music.theory import Meter

DOWNBEAT, HALFWAY, BEAT, OFF_BEAT = 1.0, 0.6, 0.35, 0.0  # strength of an accent
SIXTEENTH, EIGHTH = Fraction(1, 4), Fraction(1, 2)


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
        """When the full bar began, or would have."""
        return self.onset - self.offset


def place_bars(bars: Sequence[PlayedBar]) -> list[PlacedBar]:
    """Bars in their meter: a pickup stands at the end of a full bar, the rest of a bar that was
    cut in two goes on where its first half stopped."""
    placed: list[PlacedBar] = []
    bars = [bar for bar in bars if bar.duration]
    reached = Fraction(0)  # place in its full bar where the bar before stopped; 0 when that is full
    for i, bar in enumerate(bars):
        full = bar.meter.bar_duration
        offset = Fraction(0)
        if full is not None and bar.duration < full:
            if reached and reached + bar.duration <= full:
                offset = reached
            elif bar.duration < full / 2 and i + 1 < len(bars) and bars[i + 1].duration >= full:
                offset = full - bar.duration
        placed.append(PlacedBar(bar.onset, bar.duration, bar.meter, offset))
        end = offset + bar.duration
        reached = Fraction(0) if full is None or end >= full else end
    return placed


class Pulse:
    """The beats of a tune as it is played."""

    def __init__(self, bars: Sequence[PlacedBar]) -> None:
        self._bars = bars
        self._onsets = [bar.onset for bar in bars]
        self._strengths = {bar.meter: _strengths(bar.meter) for bar in bars}

    def strength(self, moment: Fraction) -> float:
        """How strong a beat is there, from 0 (between the beats) to 1 (the first of a bar)."""
        i = bisect_right(self._onsets, moment) - 1
        if i < 0:
            return OFF_BEAT
        bar = self._bars[i]
        return self._strengths[bar.meter].get(moment - bar.downbeat, OFF_BEAT)


def _strengths(meter: Meter) -> dict[Fraction, float]:
    beats = meter.beat_durations
    places = [sum(beats[:i], Fraction(0)) for i in range(len(beats))]
    strengths = dict.fromkeys(places, BEAT)
    half = (meter.bar_duration or Fraction(0)) / 2
    if half in strengths:
        strengths[half] = HALFWAY
    return strengths | {Fraction(0): DOWNBEAT} if beats else {}


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
        self._pairs = [
            (start, unit) for start, unit in sorted(pairs.items()) if _is_even(start, unit, onsets)
        ]
        self._starts = [start for start, _ in self._pairs]

    def __call__(self, moment: Fraction) -> Fraction:
        """When a written moment is played, both in quarter notes."""
        i = bisect_right(self._starts, moment) - 1
        if i < 0:
            return moment
        start, unit = self._pairs[i]
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
