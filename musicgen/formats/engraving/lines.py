"""Where lines of music begin: whole parts, even lines, four bars where four fit.

The best division by dynamic programming over the natural widths of the bars, so that a line is
neither squeezed nor stretched and a part ends with its line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from musicgen.music.theory import Meter
from musicgen.music.tune import Bar

MOST_BARS = 16  # in one line
USUAL_BARS = 4
_TIGHT, _TOO_TIGHT = 1.0, 1.12  # natural over available width
_HEAVY = ("||", "|]", "[|")


@dataclass(frozen=True, slots=True)
class _Place:
    """A bar as the choice of lines sees it."""

    width: float
    counts: bool  # pickups and later endings do not count as bars of a line
    ends_part: bool
    in_ending: bool  # and so does the bar after it
    broken_in_source: bool


def line_starts(
    bars: Sequence[Bar],
    widths: Sequence[float],
    *,
    available: float,
    meter: Meter,
    bars_per_line: int | None = None,
) -> tuple[int, ...]:
    """Numbers of the bars that begin a line, the first aside.

    `widths` and `available` are in staff spaces, `available` less what the clef and the signature
    take at the beginning of each line.
    """
    places = _places(bars, widths, meter)
    best = [0.0] + [float("inf")] * len(bars)
    before = [0] * (len(bars) + 1)
    for stop in range(1, len(bars) + 1):
        for start in range(max(0, stop - MOST_BARS - 2), stop):
            cost = best[start] + _cost(places, start, stop, available, bars_per_line)
            if cost < best[stop]:
                best[stop], before[stop] = cost, start
    starts = []
    at = len(bars)
    while before[at] > 0:
        at = before[at]
        starts.append(at)
    return tuple(reversed(starts))


def _places(bars: Sequence[Bar], widths: Sequence[float], meter: Meter) -> list[_Place]:
    full = meter.bar_duration
    places = []
    later, inside = False, False
    for i, bar in enumerate(bars):
        after = bars[i + 1] if i + 1 < len(bars) else None
        if bar.volta:
            later, inside = 1 not in bar.volta, True
        short = full is not None and bar.duration <= full / 2 and bar.duration < Fraction(full)
        closed = bool(bar.repeat_end) or bar.barline in _HEAVY
        follows_ending = after is not None and bool(after.volta)
        starts = after is not None and after.repeat_start
        places.append(
            _Place(
                widths[i] if i < len(widths) else 10.0,
                counts=not (short or (later and inside)),
                ends_part=(closed or starts) and not follows_ending,
                in_ending=inside and (not closed or follows_ending),
                broken_in_source=bar.line_break,
            )
        )
        if closed:
            inside = later = False
    return places


def _cost(
    places: Sequence[_Place], start: int, stop: int, available: float, wanted: int | None
) -> float:
    """How bad a line of the bars [start, stop) is."""
    line = places[start:stop]
    filled = sum(place.width for place in line) / available
    if filled > _TOO_TIGHT and len(line) > 1:
        return 1e6 * filled
    counted = sum(place.counts for place in line)
    mean = sum(place.width for place in line) / len(line)
    target = (
        wanted or max(1, min(USUAL_BARS, int(available * _TOO_TIGHT / mean)))
        if mean
        else USUAL_BARS
    )
    cost = (4.0 if wanted else 0.7) * (counted - target) ** 2
    cost += 150 * max(0.0, filled - _TIGHT) ** 2 * 10
    last = stop == len(places)
    if not last:
        cost += 14 * max(0.0, 0.75 - filled) ** 2
        cost += 3 * line[-1].in_ending
    cost += 4.0 * sum(place.ends_part for place in line[:-1])
    if line[-1].ends_part or last:
        cost -= 2.5
    if line[-1].broken_in_source:
        cost -= 1.2
    return cost + 0.2
