"""What a classifier has to beat: the commonest answer, and n-grams of the same tokens.

    guesses = fit(texts, targets, val_texts, val_targets, n_classes)   # name -> probabilities

Both n-gram models count runs of 1 to 4 tokens: naive Bayes, and logistic regression on tf-idf (Wang
and Manning, "Baselines and bigrams: simple, good sentiment and topic classification", ACL 2012).
What is smoothed or penalised how much is chosen on the validation tunes, as for the head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
# Texts (tokens parted by blanks) -> the answers guessed.
Guess = Callable[[Sequence[str]], Ints]
LENGTHS = (3, 4)
ALPHAS = (0.003, 0.01, 0.1)
PENALTIES = (3.0, 10.0, 30.0)
_RAREST = 3  # runs that occur in fewer tunes are left out


def fit_majority(targets: Ints) -> Guess:
    """The commonest answer, always."""
    best = int(np.bincount(targets).argmax())
    return lambda texts: np.full(len(texts), best)


def fit_naive_bayes(texts: Sequence[str], targets: Ints, val: tuple[Sequence[str], Ints]) -> Guess:
    """Multinomial naive Bayes on counts of n-grams."""
    from sklearn.naive_bayes import MultinomialNB

    return _best(
        (
            _pipeline(n, MultinomialNB(alpha=alpha), weighted=False)
            for n, alpha in product(LENGTHS, ALPHAS)
        ),
        (texts, targets),
        val,
    )


def fit_regression(texts: Sequence[str], targets: Ints, val: tuple[Sequence[str], Ints]) -> Guess:
    """Logistic regression on tf-idf of n-grams."""
    from sklearn.linear_model import LogisticRegression

    return _best(
        (
            _pipeline(LENGTHS[-1], LogisticRegression(C=c, max_iter=1000), weighted=True)
            for c in PENALTIES
        ),
        (texts, targets),
        val,
    )


def _pipeline(n: int, model: Any, *, weighted: bool) -> Any:
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
    from sklearn.pipeline import make_pipeline

    count = CountVectorizer(
        ngram_range=(1, n), tokenizer=str.split, token_pattern=None, lowercase=False, min_df=_RAREST
    )
    weight = [TfidfTransformer(sublinear_tf=True)] if weighted else []
    return make_pipeline(count, *weight, model)


def _best(models: Any, train: tuple[Sequence[str], Ints], val: tuple[Sequence[str], Ints]) -> Guess:
    fitted = [model.fit(*train) for model in models]
    chosen = max(fitted, key=lambda model: model.score(*val))

    def guess(texts: Sequence[str]) -> Ints:
        found: Ints = chosen.predict(list(texts)).astype(np.int64)
        return found

    return guess
