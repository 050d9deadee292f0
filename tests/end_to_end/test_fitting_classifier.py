"""Fitting the classifier's head, its score, and the baselines that it is measured beside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from musicgen.evaluation.classification import QUESTIONS
from musicgen.evaluation.classification.baselines import (
    fit_majority,
    fit_naive_bayes,
    fit_regression,
)
from musicgen.evaluation.classification.head import ClassifierHead
from scripts.benchmarks.classify import draw
from scripts.fitting.classifier_data import Examples, likeliest, score
from scripts.fitting.classifier_training import FittingConfig, fit


def test_a_head_is_fitted_to_what_tells_tunes_apart() -> None:
    """Tunes of two kinds differ in one channel, in the middle of each alone."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 2, 64)
    states = [rng.normal(size=(30, 5)).astype(np.float32) for _ in kinds]
    for each, kind in zip(states, kinds, strict=True):
        each[15, 2] += 12 * kind
    targets = np.full((len(kinds), len(QUESTIONS)), -1)
    targets[:, 1] = kinds
    config = FittingConfig(n_features=8, epochs=40, dropout=0, crops=0, learning_rate=0.02)
    weights = fit(states[:48], targets[:48], config)
    fitted = ClassifierHead(weights=weights, checkpoint="celtic", fingerprint="f", scores={})
    guesses = likeliest([fitted.answer(each) for each in states[48:]], QUESTIONS[1])
    assert np.mean(np.array(guesses) == kinds[48:]) > 0.9
    again = fit(states[:48], targets[:48], config)
    assert all(np.array_equal(weights[name], again[name]) for name in weights)


def test_scores_count_only_what_is_known(tmp_path: Path) -> None:
    targets = np.full((4, len(QUESTIONS)), -1)
    targets[:3, 1] = [0, 1, 1]
    examples = Examples((), (), ("a", "b", "c", "d"), targets)
    found = score([0, 1, 2, 3], examples, 1)
    assert (found.n, found.right.value) == (3, pytest.approx(2 / 3))
    assert found.table.sum() == 3
    assert found.table[1].tolist() == [0, 1, 1, 0]
    draw({"head": {"mode": found.table}}, tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").read_bytes()[:4] == b"\x89PNG"


def test_baselines_learn_what_runs_of_tokens_tell() -> None:
    texts = ["a b c", "b a c", "c a b", "c b a"] * 8
    targets = np.array([0, 1, 0, 1] * 8)  # whether "a b" or "b a"
    val = texts[:4], targets[:4]
    assert fit_naive_bayes(texts, targets, val)(texts[:4]).tolist() == [0, 1, 0, 1]
    assert fit_regression(texts, targets, val)(texts[:4]).tolist() == [0, 1, 0, 1]
    assert fit_majority(np.array([1, 1, 0]))(["x", "y"]).tolist() == [1, 1]
