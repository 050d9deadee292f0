"""Measures of rhythm: density, lengths, groove, syncopation, with MusPy's and mgeval's formulas.

Onsets and durations are whole ticks of any size. Sources as in `pitch`; on the same notes the
numbers are MusPy's (tested). NaN where there is nothing to measure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from musicgen.music.metrics.pitch import entropy

Ticks = Sequence[int] | NDArray[np.int64]


def mean_inter_onset(onsets: Ticks, ticks_per_quarter: int) -> float:
    """Mean time from one note's beginning to the next's, in quarters (mgeval's "average IOI")."""
    return float(np.diff(onsets).mean() / ticks_per_quarter) if len(onsets) > 1 else math.nan


def duration_entropy(durations: Ticks) -> float:
    """Bits of the distribution of note lengths."""
    _, counts = np.unique(np.asarray(durations), return_counts=True)
    return entropy(counts)


def groove_consistency(onsets: Ticks, length: int, measure_ticks: int) -> float:
    """1 less the mean Hamming distance of the onset patterns of neighbouring measures (MusPy; Wu
    and Yang, ISMIR 2020).

        1 - sum_i d(G_i, G_{i+1}) / (measure_ticks * (T - 1)),   T = length // measure_ticks + 1

    where G_i has a one at each tick of measure i on which a note begins and `length` is the end of
    the last note in ticks. NaN for a single measure. It depends on how fine the ticks are.
    """
    n_measures = length // measure_ticks + 1
    if n_measures < 2:
        return math.nan
    places = np.unique(np.asarray(onsets, np.int64))
    measures = places // measure_ticks
    both = len(np.intersect1d(places + measure_ticks, places, assume_unique=True))
    # A note of a middle measure is compared with the measures on both of its sides.
    compared = int((measures > 0).sum() + (measures < n_measures - 1).sum())
    return 1 - (compared - 2 * both) / (measure_ticks * (n_measures - 1))


def off_beat_rate(positions: Ticks, beat_ticks: int) -> float:
    """Share of notes that do not begin on a beat of the meter."""
    return float((np.asarray(positions) % beat_ticks != 0).mean()) if len(positions) else math.nan
