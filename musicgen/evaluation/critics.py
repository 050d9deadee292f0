"""Fitting a critic: boosted trees that learn to tell real tunes from a model's own.

critic = fit(real, new)                         # two `Features`
held_out_odds(real, new, n_folds=3)             # of tunes that the trees did not see
"""

from __future__ import annotations

from typing import Any

import numpy as np

from musicgen.music.metrics.critic import Critic, Node
from musicgen.music.metrics.features import Features
from musicgen.music.metrics.note_arrays import Floats, Ints
from musicgen.music.metrics.vectors import FeatureSpace, learnable

_FAR = 1e30  # instead of an infinite threshold


def fit(real: Features, new: Features, *, seed: int = 0) -> Critic:
    """A critic of whatever made the new tunes."""
    space = FeatureSpace.of(real)
    return _critic(space, _trees(*_labelled(space, real, new), seed))


def held_out_odds(
    real: Features, new: Features, *, n_folds: int = 3, seed: int = 0
) -> tuple[Floats, Ints]:
    """Log odds that each tune is real by trees that saw no tune of its family, the real ones first,
    and the truth, 1 for a real one: (tunes,) each."""
    vectors, labels = _labelled(FeatureSpace.of(real), real, new)
    rng = np.random.default_rng(seed)
    folds = np.concatenate([_folds(tunes.groups, n_folds, rng) for tunes in (real, new)])
    odds = np.zeros(len(labels))
    for fold in range(n_folds):
        out = folds == fold
        odds[out] = _trees(vectors[~out], labels[~out], seed).decision_function(vectors[out])
    return odds, labels


def _labelled(space: FeatureSpace, real: Features, new: Features) -> tuple[Floats, Ints]:
    vectors = np.vstack([space.vectors(real), space.vectors(new)])
    return vectors, np.repeat([1, 0], [len(real), len(new)])


def _folds(groups: tuple[str, ...], n_folds: int, rng: np.random.Generator) -> Ints:
    """A fold for each tune, the same for a whole family: (tunes,)."""
    names, members = np.unique(np.array(groups), return_inverse=True)
    return rng.integers(0, n_folds, len(names))[members]


def _trees(vectors: Floats, labels: Ints, seed: int) -> Any:
    """Both labels weigh the same, so that the odds are the ratio of the densities."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    trees = HistGradientBoostingClassifier(
        learning_rate=0.06,
        max_iter=250,
        max_leaf_nodes=8,
        min_samples_leaf=40,
        l2_regularization=1.0,
        class_weight="balanced",
        random_state=seed,
    )
    with threadpool_limits(1):
        return trees.fit(learnable(vectors), labels)


def _critic(space: FeatureSpace, trees: Any) -> Critic:
    # scikit-learn has no public way to its trees; a test compares what they say.
    nodes = [[_node(node) for node in tree.nodes] for (tree,) in trees._predictors]
    return Critic(space, nodes, float(trees._baseline_prediction.item()))


def _node(node: Any) -> Node:
    if node["is_leaf"]:
        return (round(float(node["value"]), 6),)
    return (
        int(node["feature_idx"]),
        float(f"{np.clip(node['num_threshold'], -_FAR, _FAR):.8g}"),
        int(node["left"]),
        int(node["right"]),
        bool(node["missing_go_to_left"]),
    )
