"""Measures of pitch: range, entropy, scale, steps and leaps, with MusPy's and mgeval's formulas.

Every function takes MIDI pitches in playing order. MusPy: Dong et al., "MusPy: a toolkit for
symbolic music generation", ISMIR 2020; mgeval: Yang and Lerch, "On the evaluation of generative
models in music", Neural Computing and Applications 32, 2020. On the same notes the numbers are
theirs (tested). NaN where there is nothing to measure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Pitches = Sequence[int] | NDArray[np.int64]

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
}


def n_pitches_used(pitches: Pitches) -> int:
    """Number of different pitches (MusPy; mgeval's "total used pitch")."""
    return len(np.unique(np.asarray(pitches)))


def n_pitch_classes_used(pitches: Pitches) -> int:
    """Number of different pitch classes, 0-12 (MusPy)."""
    return len(np.unique(np.asarray(pitches, np.int64) % 12))


def pitch_range(pitches: Pitches) -> int:
    """Highest less lowest pitch in semitones; 0 without notes (MusPy, mgeval)."""
    return int(np.max(pitches) - np.min(pitches)) if len(pitches) else 0


def pitch_entropy(pitches: Pitches) -> float:
    """Bits of the distribution of pitches, -sum p log2 p (MusPy)."""
    return entropy(np.bincount(np.asarray(pitches, np.int64), minlength=128))


def pitch_class_entropy(pitches: Pitches) -> float:
    """Bits of the distribution of pitch classes, 0 to log2 12 (MusPy; Wu and Yang, "The Jazz
    Transformer on the front line", ISMIR 2020)."""
    return entropy(np.bincount(np.asarray(pitches, np.int64) % 12, minlength=12))


def pitch_in_scale_rate(pitches: Pitches, root: int, mode: str) -> float:
    """Share of notes in the major or minor scale on `root`, a pitch class (MusPy; MuseGAN 2018)."""
    counts = np.bincount(np.asarray(pitches, np.int64) % 12, minlength=12)
    inside = counts[[(root + degree) % 12 for degree in SCALES[mode]]].sum()
    return float(inside / counts.sum()) if counts.sum() else math.nan


def scale_consistency(pitches: Pitches) -> float:
    """The greatest `pitch_in_scale_rate` of the 24 scales (MusPy; Mogren, C-RNN-GAN, 2016)."""
    return max(pitch_in_scale_rate(pitches, root, mode) for mode in SCALES for root in range(12))


def mean_interval(pitches: Pitches) -> float:
    """Mean size of the step from note to note in semitones, direction aside (mgeval's "average
    pitch interval")."""
    return float(np.abs(np.diff(pitches)).mean()) if len(pitches) > 1 else math.nan


def leap_rate(pitches: Pitches, least: int = 5) -> float:
    """Share of intervals of at least `least` semitones, a fourth or more."""
    return float((np.abs(np.diff(pitches)) >= least).mean()) if len(pitches) > 1 else math.nan


def repeated_note_rate(pitches: Pitches) -> float:
    """Share of intervals that are unisons."""
    return float((np.diff(pitches) == 0).mean()) if len(pitches) > 1 else math.nan


def turn_rate(pitches: Pitches) -> float:
    """Share of places where the melody changes direction, unisons passed over."""
    moves = np.sign(np.diff(pitches))
    moves = moves[moves != 0]
    return float((moves[1:] != moves[:-1]).mean()) if len(moves) > 1 else math.nan


def entropy(counts: Sequence[int] | NDArray[np.int64]) -> float:
    """Shannon entropy of counts, in bits; NaN when all are 0."""
    numbers = np.asarray(counts, np.float64)
    if not numbers.sum():
        return math.nan
    shares = numbers[numbers > 0] / numbers.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0
