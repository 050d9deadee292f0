"""Accuracy of predictions, with bootstrap intervals over whole families of tunes.

share_right(right, asked, families)      # ConfidenceInterval(value=0.71, low=0.67, high=0.75)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from musicgen.music.metrics.distances import ConfidenceInterval, bootstrap_weights
from musicgen.music.metrics.note_arrays import Floats

RESAMPLES = 1000


def share_right(right: ArrayLike, asked: ArrayLike, groups: Sequence[str]) -> ConfidenceInterval:
    """Share of the questions that were answered rightly, of all tunes together.

    `right` and `asked` count for each tune, `groups` are their families: whole families are
    resampled, since variants of one tune are not independent. NaN where nothing was asked.
    """
    weights = bootstrap_weights(groups, RESAMPLES, np.random.default_rng(0))
    return _ratio(np.asarray(right, float), np.asarray(asked, float), weights)


def difference_right(
    first: ArrayLike, second: ArrayLike, asked: ArrayLike, groups: Sequence[str]
) -> ConfidenceInterval:
    """How much larger the share of the first is than that of the second, on the same samples."""
    weights = bootstrap_weights(groups, RESAMPLES, np.random.default_rng(0))
    more = np.asarray(first, float) - np.asarray(second, float)
    return _ratio(more, np.asarray(asked, float), weights)


def _ratio(numerator: Floats, denominator: Floats, weights: Floats) -> ConfidenceInterval:
    if not denominator.sum():
        return ConfidenceInterval(np.nan, np.nan, np.nan)
    totals = weights @ denominator
    samples = (weights @ numerator)[totals > 0] / totals[totals > 0]
    low, high = np.quantile(samples, [0.025, 0.975])
    return ConfidenceInterval(float(numerator.sum() / denominator.sum()), float(low), float(high))


def confusion(guesses: Sequence[int], truths: Sequence[int], n_classes: int) -> Floats:
    """Counts (n_classes, n_classes): row the truth, column the guess."""
    table: Floats = np.zeros((n_classes, n_classes))
    np.add.at(table, (np.asarray(truths, int), np.asarray(guesses, int)), 1)
    return table
