"""Classifier two-sample test: can new tunes be told from real ones, and by which features?

Lopez-Paz and Oquab, "Revisiting classifier two-sample tests", ICLR 2017: a classifier learns to
tell the two sets on some tunes and is scored on others. An AUC of 0.5 means that it cannot; 1 that
it always can.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from musicgen.music.metrics.distances import RESAMPLES, ConfidenceInterval, bootstrap_weights
from musicgen.music.metrics.features import Features
from musicgen.music.metrics.note_arrays import Floats, Ints
from musicgen.music.metrics.vectors import FeatureSpace, learnable

N_FOLDS = 5
MIN_TUNES = 20  # of each set
_TINY = 1e-12  # a probability that a network may take for 0


@dataclass(frozen=True, slots=True)
class TellingFeature:
    """One thing that tells the sets apart by itself: its AUC (above 0.5: greater in the new set),
    and its mean in the real and in the new tunes."""

    name: str
    auc: float
    real: float
    new: float


@dataclass(frozen=True, slots=True)
class Discrimination:
    """The classifier's AUC on tunes it was not trained on, with the 95 % of bootstrap samples, and
    what gives the new set away, most telling first."""

    auc: ConfidenceInterval
    n_real: int
    n_new: int
    giveaways: tuple[TellingFeature, ...]


def discriminate(real: Features, new: Features, *, seed: int = 0) -> Discrimination | None:
    """Five-fold cross-validated AUC of gradient-boosted trees; None for too few tunes.

    No family of tunes is in two folds, so that variants of one tune teach nothing about it.
    """
    if min(len(real), len(new)) < MIN_TUNES:
        return None
    space = FeatureSpace.of(real)
    vectors = np.vstack([space.vectors(real), space.vectors(new)])
    labels = np.repeat([0, 1], [len(real), len(new)])
    groups = [f"real {g}" for g in real.groups] + [f"new {g}" for g in new.groups]
    scores = held_out_scores(boosted_trees(seed), learnable(vectors), labels, groups, seed)
    return discrimination(scores, labels, groups, _giveaways(space.names, vectors, labels), seed)


def discrimination(
    scores: Floats,
    labels: Ints,
    groups: Sequence[str],
    giveaways: Iterable[TellingFeature],
    seed: int,
    most: int = 12,
) -> Discrimination:
    """The AUC of scores (tunes,) of labels 0 (real) and 1 (new), its interval by a bootstrap of
    families, and the `most` telling of the giveaways."""
    weights = bootstrap_weights(groups, RESAMPLES, np.random.default_rng([seed, 5]))
    low, high = np.quantile([auc(scores, labels, w) for w in weights], [0.025, 0.975])
    return Discrimination(
        ConfidenceInterval(auc(scores, labels), float(low), float(high)),
        int((labels == 0).sum()),
        int((labels == 1).sum()),
        tuple(sorted(giveaways, key=lambda giveaway: -abs(giveaway.auc - 0.5))[:most]),
    )


def boosted_trees(seed: int) -> Any:
    """The classifier of columns of numbers."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        learning_rate=0.1,
        max_iter=80,
        max_leaf_nodes=8,
        l2_regularization=1.0,
        random_state=seed,
    )


def held_out_scores(
    classifier: Any, table: Any, labels: Ints, groups: Sequence[str], seed: int
) -> Floats:
    """Log odds that each tune of a table (tunes, columns), which may be sparse, is labelled 1, by
    the scikit-learn classifier when trained on the folds without its family: (tunes,)."""
    from sklearn.model_selection import StratifiedGroupKFold
    from threadpoolctl import threadpool_limits

    folds = StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=seed)
    scores = np.zeros(len(labels))
    # So little work is done sooner by one thread than shared out.
    with threadpool_limits(1):
        for train, test in folds.split(table, labels, groups):
            classifier.fit(table[train], labels[train])
            likely = classifier.predict_proba(table[test])[:, 1].clip(_TINY, 1 - _TINY)
            scores[test] = np.log(likely / (1 - likely))
    return scores


def auc(scores: Floats, labels: Ints, weights: Floats | None = None) -> float:
    """Probability that a tune labelled 1 scores higher than one labelled 0, ties counting half.

    Mann and Whitney 1947. NaN scores are left out; 0.5 where one label is missing.
    """
    known = ~np.isnan(scores)
    scores, labels = scores[known], labels[known]
    mass = np.ones(len(scores)) if weights is None else weights[known]
    _, place = np.unique(scores, return_inverse=True)
    size = place.max(initial=0) + 1
    ones = np.bincount(place, mass * (labels == 1), size)
    zeros = np.bincount(place, mass * (labels == 0), size)
    if not ones.sum() or not zeros.sum():
        return 0.5
    below = np.cumsum(zeros) - zeros / 2
    return float((ones * below).sum() / (ones.sum() * zeros.sum()))


def _giveaways(names: Sequence[str], vectors: Floats, labels: Ints) -> Iterator[TellingFeature]:
    for name, column in zip(names, vectors.T, strict=True):
        real, new = (column[~np.isnan(column) & (labels == label)] for label in (0, 1))
        if len(real) and len(new):
            yield TellingFeature(name, auc(column, labels), float(real.mean()), float(new.mean()))
