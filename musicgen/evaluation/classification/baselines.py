"""Baselines of a classifier: the commonest label, and runs of one to four tokens.

A fitted one gives labels (n,) for texts of tokens parted by blanks. Settings are chosen on the
validation texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
# Texts (tokens parted by blanks) -> the labels guessed.
Guess = Callable[[Sequence[str]], Ints]
LENGTHS = (3, 4)
ALPHAS = (0.003, 0.01, 0.1)
PENALTIES = (3.0, 10.0, 30.0)
_RAREST, _FEW = 3, 200  # runs that occur in fewer tunes are left out, where there are not so few


def fit_majority(targets: Ints) -> Guess:
    """The commonest label, always; of several the first."""
    best = int(np.bincount(targets).argmax())
    return lambda texts: np.full(len(texts), best)


def fit_naive_bayes(texts: Sequence[str], targets: Ints, val: tuple[Sequence[str], Ints]) -> Guess:
    """Multinomial naive Bayes on counts of n-grams."""
    from sklearn.naive_bayes import MultinomialNB

    models = (
        _pipeline(n, MultinomialNB(alpha=alpha), len(texts), weighted=False)
        for n, alpha in product(LENGTHS, ALPHAS)
    )
    return _best(models, (texts, targets), val)


def fit_regression(texts: Sequence[str], targets: Ints, val: tuple[Sequence[str], Ints]) -> Guess:
    """Logistic regression on tf-idf of n-grams."""
    from sklearn.linear_model import LogisticRegression

    models = (
        _pipeline(LENGTHS[-1], LogisticRegression(C=c, max_iter=1000), len(texts), weighted=True)
        for c in PENALTIES
    )
    return _best(models, (texts, targets), val)


def _pipeline(n: int, model: Any, n_texts: int, *, weighted: bool) -> Any:
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
    from sklearn.pipeline import make_pipeline

    count = CountVectorizer(
        ngram_range=(1, n),
        tokenizer=str.split,
        token_pattern=None,
        lowercase=False,
        min_df=_RAREST if n_texts >= _FEW else 1,
    )
    weight = [TfidfTransformer(sublinear_tf=True)] if weighted else []
    return make_pipeline(count, *weight, model)


def _best(
    models: Iterable[Any], train: tuple[Sequence[str], Ints], val: tuple[Sequence[str], Ints]
) -> Guess:
    fitted = [model.fit(*train) for model in models]
    chosen = max(fitted, key=lambda model: model.score(*val))

    def guess(texts: Sequence[str]) -> Ints:
        return chosen.predict(list(texts)).astype(np.int64)

    return guess
