"""Distances between sets of tunes, with bootstrap intervals over whole groups of tunes.

    distance = jensen_shannon(real.sum(axis=0), new.sum(axis=0))     # pooled counts
    distance = wasserstein(real, new)                                # one number a tune

A set's tunes are resampled by group (its family), for variants of one tune are not independent.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musicgen.music.metrics.note_arrays import Floats

RESAMPLES = 200
# Kinds of an n-gram that are told apart; the rarer ones count as one. With more, two sets of a few
# hundred tunes would differ by chance alone.
MAX_KINDS = 400
OTHER = "other"


@dataclass(frozen=True, slots=True)
class ConfidenceInterval:
    """An estimate and the bounds of 95 % of its bootstrap samples."""

    value: float
    low: float
    high: float


def jensen_shannon(first: Floats, second: Floats) -> Floats:
    """Square root of the Jensen-Shannon divergence in bits, 0 (alike) to 1 (nothing in common).

        sqrt(H((p + q) / 2) - (H(p) + H(q)) / 2)

    Lin, "Divergence measures based on the Shannon entropy", 1991; a metric by Endres and Schindelin
    2003. Takes counts along the last axis (..., kinds) and gives (...). NaN for a set of nothing.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        p = first / first.sum(axis=-1, keepdims=True)
        q = second / second.sum(axis=-1, keepdims=True)
        divergence = _bits((p + q) / 2) - (_bits(p) + _bits(q)) / 2
    return np.sqrt(np.maximum(divergence, 0))


def _bits(shares: Floats) -> Floats:
    return -(shares * np.log2(np.where(shares > 0, shares, 1))).sum(axis=-1)


def wasserstein(first: Floats, second: Floats, u: Floats, v: Floats) -> Floats:
    """The earth mover's distance of two samples, integral of |F - G|, in their own unit.

    `u` and `v` (..., n) are how often each value counts; gives (...). NaN values count for nothing;
    a set without any value gives NaN.
    """
    u, one = u[..., ~np.isnan(first)], first[~np.isnan(first)]
    v, two = v[..., ~np.isnan(second)], second[~np.isnan(second)]
    values = np.concatenate([one, two])
    order = np.argsort(values, kind="stable")
    with np.errstate(invalid="ignore", divide="ignore"):
        up = u / u.sum(axis=-1, keepdims=True)
        down = -v / v.sum(axis=-1, keepdims=True)
    masses = np.concatenate([up, down], axis=-1)[..., order]
    if not len(one) or not len(two):
        return np.full(masses.shape[:-1], math.nan)
    return np.abs(np.cumsum(masses, axis=-1))[..., :-1] @ np.diff(values[order])


def kinds_of(counts: Sequence[Counter[str]], most: int = MAX_KINDS) -> tuple[str, ...]:
    """The most frequent kinds, and `OTHER` where there are more."""
    pooled: Counter[str] = Counter()
    for tune in counts:
        pooled.update(tune)
    ordered = sorted(pooled, key=lambda kind: (-pooled[kind], kind))
    return (*ordered[:most], OTHER)


def tabulate(counts: Sequence[Counter[str]], kinds: Sequence[str]) -> Floats:
    """Counts as a table (tunes, kinds); a kind that is none of `kinds` counts as the last one."""
    columns = {kind: column for column, kind in enumerate(kinds)}
    table = np.zeros((len(counts), len(kinds)))
    for row, tune in enumerate(counts):
        for kind, n in tune.items():
            table[row, columns.get(kind, len(kinds) - 1)] += n
    return table


def bootstrap_weights(groups: Sequence[str], n: int, rng: np.random.Generator) -> Floats:
    """How often each tune counts in each of `n` samples of whole groups: (n, tunes)."""
    names, members = np.unique(np.asarray(groups, np.str_), return_inverse=True)
    draws = rng.integers(0, len(names), (n, len(names)))
    of_group = np.zeros((n, len(names)))
    np.add.at(of_group, (np.arange(n)[:, None], draws), 1)
    return of_group[:, members]


def interval(value: float, samples: NDArray[np.float64]) -> ConfidenceInterval:
    """The 95 % of bootstrap samples, moved by the bootstrap's own bias.

    A distance of resampled sets is greater than that of the sets, as each resampling adds noise;
    the mean excess is taken off (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
    section 10.6). Distances stay at 0 or above.
    """
    known = samples[~np.isnan(samples)]
    if math.isnan(value) or not len(known):
        return ConfidenceInterval(value, math.nan, math.nan)
    low, high = np.quantile(known, [0.025, 0.975]) - (known.mean() - value)
    floor = 0.0 if value >= 0 and (known >= 0).all() else -math.inf
    return ConfidenceInterval(value, max(floor, float(low)), float(high))


def mean_interval(values: Floats, weights: Floats) -> ConfidenceInterval:
    """Mean of a number a tune, NaN left out, with its interval; `weights` (samples, tunes)."""
    known = ~np.isnan(values)
    if not known.any():
        return ConfidenceInterval(math.nan, math.nan, math.nan)
    own, counted = values[known], weights[:, known]
    with np.errstate(invalid="ignore", divide="ignore"):
        samples = (counted @ own) / counted.sum(axis=1)
    low, high = np.nanquantile(samples, [0.025, 0.975])
    return ConfidenceInterval(float(own.mean()), float(low), float(high))


def share(values: Sequence[bool]) -> ConfidenceInterval:
    """A share with Wilson's 95 % score interval (J. Am. Stat. Assoc. 22, 1927), which is right for
    0 and 1 as well."""
    n, z = len(values), 1.959964
    if not n:
        return ConfidenceInterval(math.nan, math.nan, math.nan)
    p = sum(values) / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return ConfidenceInterval(p, max(0.0, centre - reach), min(1.0, centre + reach))
