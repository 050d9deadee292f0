"""Line breaks of a score: a part ends with its line, even lines, four bars where four fit.

The breaks of least cost are found by dynamic programming over the natural widths of the bars, so
that no line is squeezed or stretched more than it has to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from musicgen.music.theory import Meter
from musicgen.music.tune import Bar

MOST_BARS = 16  # in one line
USUAL_BARS = 4
_TIGHT, _TOO_TIGHT = 1.0, 1.12  # natural width over available width
_HEAVY = ("||", "|]", "[|")


@dataclass(frozen=True, slots=True)
class _LineBar:
    """The features of a bar that line breaks depend on."""

    width: float
    counts: bool  # pickups and later endings do not count as bars of a line
    ends_part: bool
    in_ending: bool  # and the bar after it is in the same ending
    broken_in_source: bool


def line_starts(
    bars: Sequence[Bar],
    widths: Sequence[float],
    *,
    available: float,
    meter: Meter,
    bars_per_line: int | None = None,
) -> tuple[int, ...]:
    """Numbers of the bars that begin a line, from 0, without the first.

    `widths` and `available` are in staff spaces; `available` is the width of a line without its
    clef and key signature.
    """
    features = _features(bars, widths, meter)
    best = [0.0] + [float("inf")] * len(bars)
    before = [0] * (len(bars) + 1)
    for stop in range(1, len(bars) + 1):
        for start in range(max(0, stop - MOST_BARS - 2), stop):
            cost = best[start] + _cost(features, start, stop, available, bars_per_line)
            if cost < best[stop]:
                best[stop], before[stop] = cost, start
    starts = [before[-1]]
    while starts[-1] > 0:
        starts.append(before[starts[-1]])
    return tuple(reversed(starts[:-1]))


def _features(bars: Sequence[Bar], widths: Sequence[float], meter: Meter) -> list[_LineBar]:
    full = meter.bar_duration
    features = []
    later, inside = False, False
    for i, bar in enumerate(bars):
        following = bars[i + 1] if i + 1 < len(bars) else Bar()
        if bar.volta:
            later, inside = 1 not in bar.volta, True
        short = full is not None and bar.duration <= full / 2 and bar.duration < Fraction(full)
        closed = bool(bar.repeat_end) or bar.barline in _HEAVY
        ending_follows = bool(following.volta)
        features.append(
            _LineBar(
                widths[i] if i < len(widths) else 10.0,
                counts=not (short or (later and inside)),
                ends_part=(closed or following.repeat_start) and not ending_follows,
                in_ending=inside and (not closed or ending_follows),
                broken_in_source=bar.line_break,
            )
        )
        if closed:
            inside = later = False
    return features


def _cost(
    features: Sequence[_LineBar],
    start: int,
    stop: int,
    available: float,
    bars_per_line: int | None,
) -> float:
    """Cost of a line of the bars [start, stop)."""
    line = features[start:stop]
    width = sum(bar.width for bar in line)
    filled = width / available
    if filled > _TOO_TIGHT and len(line) > 1:
        return 1e6 * filled
    counted = sum(bar.counts for bar in line)
    mean = width / len(line)
    target = USUAL_BARS
    if mean:
        target = bars_per_line or max(1, min(USUAL_BARS, int(available * _TOO_TIGHT / mean)))
    cost = (4.0 if bars_per_line else 0.7) * (counted - target) ** 2
    cost += 150 * max(0.0, filled - _TIGHT) ** 2 * 10
    last = stop == len(features)
    if not last:
        cost += 14 * max(0.0, 0.75 - filled) ** 2
        cost += 3 * line[-1].in_ending
    cost += 4.0 * sum(bar.ends_part for bar in line[:-1])
    cost -= 2.5 * (line[-1].ends_part or last)
    cost -= 1.2 * line[-1].broken_in_source
    return cost + 0.2
