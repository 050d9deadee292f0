"""Classifiers that `musicgen train --task classify` trained: their answers and their accuracy.

trained = TrainedClassifier.load("runs/types")
trained.classify(tune)                       # {"rhythm": {"jig": 0.97, ...}}
accuracy_of(trained.model, corpus, "test")   # beside the commonest label and n-grams
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from musicgen.corpus.labelled import MAX_TOKENS, LabelledCorpus
from musicgen.errors import CheckpointError, CorpusError, InvalidTuneError
from musicgen.evaluation.accuracy import confusion, difference_right, share_right
from musicgen.evaluation.classification.baselines import fit_majority, fit_regression
from musicgen.models import classifier as classifiers
from musicgen.models.checkpoint import locate
from musicgen.models.classifier import ClassifierModel
from musicgen.models.inference.threads import torch_single_threaded
from musicgen.music.metrics.distances import ConfidenceInterval
from musicgen.music.tune import Tune
from musicgen.tokens.languages import LANGUAGES
from musicgen.tokens.sequences import IdSequence, encode_sequence, reads_text, to_ids
from musicgen.tokens.vocabulary import Vocabulary

Answers = dict[str, dict[str, float]]


@dataclass(frozen=True, eq=False)
class TrainedClassifier:
    """A classifier of one question, by a network of its own."""

    model: ClassifierModel

    @staticmethod
    def load(checkpoint: str | Path) -> TrainedClassifier:
        """The classifier in a run folder or a model folder.

        Raises:
            CheckpointError: it is missing, damaged, or no classifier.
        """
        return TrainedClassifier(classifiers.load(locate(checkpoint)))

    @property
    def reads_text(self) -> bool:
        """Whether it classifies texts; else it classifies tunes."""
        return reads_text(LANGUAGES[self.model.tokenizer])

    def classify(self, music: Tune | str) -> Answers:
        """The probability of each label.

        Raises:
            InvalidTuneError: it cannot be written in the tokens of the model.
            CheckpointError: a text for a model of music.
        """
        encoded = encode_sequence(self.model.tokenizer, music)
        if isinstance(encoded, str):
            kind = CheckpointError if isinstance(music, str) else InvalidTuneError
            raise kind(f"{encoded}; the classifier reads {self.model.tokenizer} tokens")
        sequence = to_ids(encoded, Vocabulary(self.model.vocab), MAX_TOKENS)
        with torch_single_threaded():
            (row,) = self.model.probabilities([sequence])
        return {self.model.question: dict(zip(self.model.classes, row.tolist(), strict=True))}


@dataclass(frozen=True)
class LabelAccuracy:
    """Shares of right labels on one split, with 95 % of 1,000 resamples of families; `majority` is
    the share of the commonest training label, `ngrams` that of logistic regression on runs of 1 to
    4 tokens and `ahead` how much more the network has right; `bits` is the mean of -log2 p of the
    right label; `table` (K, K) counts, row the truth, column the answer. `unknown` are sequences
    whose label the model does not know."""

    classes: tuple[str, ...]
    network: ConfidenceInterval
    majority: ConfidenceInterval
    ngrams: ConfidenceInterval
    ahead: ConfidenceInterval
    bits: float
    table: NDArray[np.float64]
    n: int
    unknown: int


def accuracy_of(model: ClassifierModel, corpus: LabelledCorpus, split: str) -> LabelAccuracy:
    """Measure a classifier on a split of a corpus that was read with its vocabulary.

    Raises:
        CorpusError: there is no sequence with a label that it knows.
    """
    numbers = [_number(model, label) for label in corpus.classes]

    def known(name: str) -> tuple[list[IdSequence], NDArray[np.int64], list[str]]:
        part = corpus.splits[name]
        labels = np.array([numbers[label - 1] for label in part.labels.tolist()], np.int64)
        rows = np.flatnonzero(labels >= 0).tolist()
        chosen = [part.sequences[i] for i in rows]
        return chosen, labels[rows], [part.families[i] for i in rows]

    sequences, truth, families = known(split)
    if not sequences:
        raise CorpusError(
            f"the {split} split has no tune or text with a label that the model knows"
        )
    with torch_single_threaded():
        table = model.probabilities(sequences)
    guessed = table.argmax(axis=1)
    train, val = known("train"), known("val")
    texts = _texts(sequences)
    ngrams = fit_regression(_texts(train[0]), train[1], (_texts(val[0]), val[1]))(texts)
    majority = fit_majority(train[1])(texts)
    right = [(guess == truth).astype(float) for guess in (guessed, majority, ngrams)]
    ones = np.ones(len(truth))
    chosen = np.maximum(table[np.arange(len(truth)), truth], 1e-12)
    return LabelAccuracy(
        classes=model.classes,
        network=share_right(right[0], ones, families),
        majority=share_right(right[1], ones, families),
        ngrams=share_right(right[2], ones, families),
        ahead=difference_right(right[0], right[2], ones, families),
        bits=float(-np.log2(chosen).mean()),
        table=confusion(guessed.tolist(), truth.tolist(), len(model.classes)),
        n=len(truth),
        unknown=len(corpus.splits[split]) - len(truth),
    )


def _number(model: ClassifierModel, label: str) -> int:
    return model.classes.index(label) if label in model.classes else -1


def _texts(sequences: Sequence[IdSequence]) -> list[str]:
    return [" ".join(map(str, sequence.ids.tolist())) for sequence in sequences]
