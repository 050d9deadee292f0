"""Ticks to places in a score, as whole numbers of a unit that all of them are multiples of.

A place in a score is a simple fraction of a quarter, or the tick next to a tuplet's place where
the resolution has none for it (341 of 1024 for a third). A performed place hardly ever is either.
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
COARSEST_ROUNDED = 200  # ticks a quarter; below, one tick is a rhythm and no rounding

# Places at which scores have nearly all of their notes, and a performance few. Where ticks are so
# coarse that nearly all are such places, whoever wrote the file has quantised it.
_PLAIN = frozenset(number * UNITS // grid for grid in (24, 10, 14, 9) for number in range(grid))
QUANTISED_TICKS = 48
NEAR_TICKS = 160  # of a quarter: so near a place that it was meant
SCORE_SHARE, PLAIN_SHARE = 0.95, 0.5


@lru_cache(maxsize=16)
def _places(ticks_per_quarter: int) -> list[int]:
    """For each tick of a quarter its place in units, -1 where a score has none."""
    ticks = np.arange(ticks_per_quarter, dtype=np.int64)
    denominators = ticks_per_quarter // np.gcd(ticks, ticks_per_quarter)
    places = np.full(ticks_per_quarter, -1, np.int64)
    odd = denominators // (denominators & -denominators)
    for part, power in SCORE_GRIDS.items():
        good = (odd == part) & (denominators <= part * power)
        places[good] = ticks[good] * UNITS // ticks_per_quarter
    if ticks_per_quarter >= COARSEST_ROUNDED:
        for grid in TUPLET_GRIDS:
            near = np.rint(ticks * grid / ticks_per_quarter).astype(np.int64)
            off = np.abs(near * ticks_per_quarter - ticks * grid)
            good = (places < 0) & (off <= ROUNDING_TICKS * grid)
            places[good] = near[good] * UNITS // grid
    found: list[int] = places.tolist()
    return found


def score_places(ticks: Iterable[int], ticks_per_quarter: int) -> list[int]:
    """Places of a score in units, -1 for each tick that is none."""
    places = _places(ticks_per_quarter)
    return [
        -1 if (within := places[tick % ticks_per_quarter]) < 0
        else tick // ticks_per_quarter * UNITS + within
        for tick in ticks
    ]  # fmt: skip


def near_places(ticks: Ints, ticks_per_quarter: int) -> Ints | None:
    """Places of a score whose notes are all a few ticks beside them, in units; None for any other.

    Nobody plays that exactly; programs do, for reasons of their own.
    """
    nearest = np.rint(ticks * 24 / ticks_per_quarter).astype(np.int64)
    beside = np.abs(nearest * ticks_per_quarter / 24 - ticks)
    if (beside <= ticks_per_quarter // NEAR_TICKS).mean() < SCORE_SHARE:
        return None
    return nearest * (UNITS // 24)


def is_score(onsets: Sequence[int], ticks_per_quarter: int) -> bool:
    """Whether notes were written, not played: `onsets` are `score_places`."""
    written = [place % UNITS for place in onsets if place >= 0]
    if len(written) < SCORE_SHARE * len(onsets):
        return False
    if ticks_per_quarter <= QUANTISED_TICKS:
        return True
    return sum(place in _PLAIN for place in written) >= PLAIN_SHARE * len(onsets)


def denominators(places: Iterable[int]) -> list[int]:
    """Of places in units, those of quarters."""
    return [_denominator(place % UNITS) for place in places]


@cache
def _denominator(within: int) -> int:
    return UNITS // gcd(within, UNITS)
