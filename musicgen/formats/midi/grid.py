"""The places of a score as whole units (`UNITS` a quarter), and the ticks that fall on them.

A place in a score is a simple fraction of a quarter, or the tick next to a tuplet's place where
the resolution has none for it (341 of 1024 for a third). A performed place is hardly ever either.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from math import gcd

import numpy as np

from musicgen.formats.midi.smf import Ints
from musicgen.music.notation.rhythms import UNITS

# Odd part of a place's denominator -> the greatest power of two that goes with it in a score.
SCORE_GRIDS = {1: 64, 3: 16, 5: 16, 7: 16, 9: 4, 15: 4}
TUPLET_GRIDS = (24, 20, 28)  # places of triplets, quintuplets, septuplets
ROUNDING_TICKS = 1
COARSEST_ROUNDED = 200  # ticks a quarter; below, a distance of one tick is no rounding

# Places that hold nearly all notes of a score, and few of a performance. Where ticks are so coarse
# that nearly all of them are such places, the file has been quantised.
_PLAIN = frozenset(number * UNITS // grid for grid in (24, 10, 14, 9) for number in range(grid))
QUANTISED_TICKS = 48
NEAR_TICKS = 160  # of a quarter: the greatest distance from the place that was meant
SCORE_SHARE, PLAIN_SHARE = 0.95, 0.5


@lru_cache(maxsize=16)
def _places(ticks_per_quarter: int) -> list[int]:
    """The place of each tick of a quarter in units, -1 where a score has none."""
    ticks = np.arange(ticks_per_quarter, dtype=np.int64)
    denominators = ticks_per_quarter // np.gcd(ticks, ticks_per_quarter)
    places = np.full(ticks_per_quarter, -1, np.int64)
    odd = denominators // (denominators & -denominators)
    for part, power in SCORE_GRIDS.items():
        exact = (odd == part) & (denominators <= part * power)
        places[exact] = ticks[exact] * UNITS // ticks_per_quarter
    if ticks_per_quarter >= COARSEST_ROUNDED:
        for grid in TUPLET_GRIDS:
            near = np.rint(ticks * grid / ticks_per_quarter).astype(np.int64)
            off = np.abs(near * ticks_per_quarter - ticks * grid)
            rounded = (places < 0) & (off <= ROUNDING_TICKS * grid)
            places[rounded] = near[rounded] * UNITS // grid
    return [*map(int, places)]


def score_places(ticks: Iterable[int], ticks_per_quarter: int) -> list[int]:
    """The places of ticks in units, -1 for a tick at which a score has no place."""
    places = _places(ticks_per_quarter)
    return [
        -1 if (within := places[tick % ticks_per_quarter]) < 0
        else tick // ticks_per_quarter * UNITS + within
        for tick in ticks
    ]  # fmt: skip


def near_places(ticks: Ints, ticks_per_quarter: int) -> Ints | None:
    """The places of a score whose notes are all a few ticks off, in units; None for other ticks.

    No player is that exact; some programs write such files.
    """
    nearest = np.rint(ticks * 24 / ticks_per_quarter).astype(np.int64)
    beside = np.abs(nearest * ticks_per_quarter / 24 - ticks)
    is_near = (beside <= ticks_per_quarter // NEAR_TICKS).mean() >= SCORE_SHARE
    return nearest * (UNITS // 24) if is_near else None


def is_score(onsets: Sequence[int], ticks_per_quarter: int) -> bool:
    """Whether notes were written and not performed; `onsets` are `score_places`."""
    written = [place % UNITS for place in onsets if place >= 0]
    return len(written) >= SCORE_SHARE * len(onsets) and (
        ticks_per_quarter <= QUANTISED_TICKS
        or sum(place in _PLAIN for place in written) >= PLAIN_SHARE * len(onsets)
    )


def denominators(places: Iterable[int]) -> list[int]:
    """Denominators of places (in units) as fractions of a quarter."""
    return [_denominator(place % UNITS) for place in places]


@cache
def _denominator(within: int) -> int:
    return UNITS // gcd(within, UNITS)
