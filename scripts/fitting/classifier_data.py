"""Examples for the classifier of tunes, split by family, and the share of right answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musicgen import corpus as corpora
from musicgen.errors import InvalidTuneError
from musicgen.evaluation.accuracy import confusion, share_right
from musicgen.evaluation.classification.questions import QUESTIONS, Question
from musicgen.music.metrics.distances import ConfidenceInterval
from musicgen.music.tune import Tune
from musicgen.tokens.melody.encoding import encode, melody
from musicgen.tokens.melody.transcription import Transcription, transcribe

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Tunes of one split: what is heard, the same written down, its family, and the right answers
    (n, questions), -1 where the book does not say."""

    transcriptions: tuple[Transcription, ...]
    by_ear: tuple[Tune, ...]
    families: tuple[str, ...]
    targets: Ints

    def __len__(self) -> int:
        return len(self.families)

    def texts(self) -> list[str]:
        """The tokens that the network hears, as words."""
        return [" ".join(("^", *encode(melody(tune).tune), "$")) for tune in self.by_ear]


def read_examples(sources: Sequence[str] = ("celtic",)) -> dict[str, Examples]:
    """The melodies of a corpus, split by family.

    Raises:
        CorpusError: nothing can be read.
    """
    found: list[tuple[Transcription, Tune] | None] = []
    corpus = corpora.load(sources, extract=_hear, keep=found.append)
    splits: dict[str, list[tuple[Transcription, Tune, str, list[int]]]] = {
        split: [] for split in corpora.SPLITS
    }
    for entry, heard in zip(corpus.entries, found, strict=True):
        if heard is not None:
            transcription, written = heard
            targets = [question.target(written, entry.source) for question in QUESTIONS]
            splits[entry.split].append(
                (transcription, transcription.notated(), entry.family, targets)
            )
    return {
        split: Examples(
            tuple(row[0] for row in rows),
            tuple(row[1] for row in rows),
            tuple(row[2] for row in rows),
            np.array([row[3] for row in rows], np.int64).reshape(-1, len(QUESTIONS)),
        )
        for split, rows in splits.items()
    }


def _hear(tune: Tune) -> tuple[Transcription, Tune] | None:
    try:
        return transcribe(tune), melody(tune).tune
    except InvalidTuneError:
        return None


@dataclass(frozen=True, slots=True, eq=False)
class ClassifierScore:
    """Share of right answers, and counts: row the truth, column the guess."""

    right: ConfidenceInterval
    table: NDArray[np.float64]
    n: int


def score(guesses: Sequence[int], examples: Examples, question: int) -> ClassifierScore:
    """Score guesses (one for each tune) at the tunes of which the answer is known."""
    truth = examples.targets[:, question]
    known = np.flatnonzero(truth >= 0)
    guessed = np.asarray(guesses, np.int64)[known]
    right = guessed == truth[known]
    return ClassifierScore(
        right=share_right(right, np.ones(len(known)), [examples.families[i] for i in known]),
        table=confusion(guessed.tolist(), truth[known].tolist(), _n_classes(question)),
        n=len(known),
    )


def _n_classes(question: int) -> int:
    return len(QUESTIONS[question].classes)


def estimated(examples: Examples, question: Question) -> list[int] | None:
    """What `estimation` says, for the questions that it answers."""
    if question.name not in ("mode", "meter"):
        return None
    return [question.target(tune, "") for tune in examples.by_ear]


def likeliest(
    answers: Sequence[Mapping[str, Mapping[str, float]]], question: Question
) -> list[int]:
    """The likeliest answer of each tune, as its position among the classes."""
    key: Callable[[Mapping[str, float]], int] = lambda of_class: max(  # noqa: E731
        range(len(question.classes)), key=lambda i: of_class[question.classes[i]]
    )
    return [key(each[question.name]) for each in answers]
