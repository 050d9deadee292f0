"""How often a harmonizer names the chord of the book, slot by slot, on held-out tunes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from musicgen import corpus as corpora
from musicgen.composer.harmony.baselines import Guess, HmmConfig, fit_hmm, fit_majority, fit_ngram
from musicgen.composer.harmony.chords import KINDS, NOT_KNOWN
from musicgen.composer.harmony.features import MAX_PIECES, MAX_SLOTS, Lesson, lesson
from musicgen.composer.harmony.reduction import learned_slots
from musicgen.music.metrics.accuracy import difference_right, share_right
from musicgen.music.metrics.distances import ConfidenceInterval
from musicgen.music.tune import Tune

# Settings of the hidden Markov model that are tried on the validation tunes.
HMM_GRID = tuple(HmmConfig(weight=w) for w in (0.1, 0.2, 0.3, 0.5, 0.8))


@dataclass(frozen=True, slots=True, eq=False)
class LessonSet:
    """The lessons of one split, each with the family of its tune."""

    lessons: tuple[Lesson, ...]
    families: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HarmonyScore:
    """Share of slots whose root is right, and whose root and kind are; `ahead` is how much more
    roots are right than by the guess it is compared with."""

    root: ConfidenceInterval
    chord: ConfidenceInterval
    n_tunes: int
    n_slots: int
    ahead: ConfidenceInterval | None = None


def read_courses(sources: Sequence[str]) -> dict[str, LessonSet]:
    """A corpus with chords, split by family; tunes without chords are left out.

    Raises:
        CorpusError: nothing can be read.
    """
    found: list[Lesson] = []
    corpus = corpora.load(sources, extract=_lesson, keep=found.append, all_voices=True)
    pairs: dict[str, list[tuple[Lesson, str]]] = {split: [] for split in corpora.SPLITS}
    for entry, each in zip(corpus.entries, found, strict=True):
        if (each.chords != NOT_KNOWN).any():
            pairs[entry.split].append((each, entry.family))
    return {
        split: LessonSet(tuple(each for each, _ in of_split), tuple(name for _, name in of_split))
        for split, of_split in pairs.items()
    }


def _lesson(tune: Tune) -> Lesson:
    """A long piece is learned from as far as it could be harmonized."""
    slots = learned_slots(tune)[:MAX_SLOTS]
    n_pieces = np.cumsum([len(slot.pieces) for slot in slots])
    return lesson(slots[: int(np.searchsorted(n_pieces, MAX_PIECES, side="right"))])


def measure(guess: Guess, course: LessonSet, against: Guess | None = None) -> HarmonyScore:
    """Score a guess on all slots of which the chord is known."""
    root, chord, asked = _counts(guess, course)
    ahead = None
    if against is not None:
        ahead = difference_right(root, _counts(against, course)[0], asked, course.families)
    return HarmonyScore(
        root=share_right(root, asked, course.families),
        chord=share_right(chord, asked, course.families),
        n_tunes=len(course.lessons),
        n_slots=int(asked.sum()),
        ahead=ahead,
    )


def _counts(
    guess: Guess, course: LessonSet
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], ...]:
    """For each tune how many roots and chords are right, and how many were asked for."""
    rows = []
    for each in course.lessons:
        known = each.chords != NOT_KNOWN
        guessed, written = guess(each)[known] - 1, each.chords[known] - 1
        roots = guessed // len(KINDS) == written // len(KINDS)
        rows.append((int(roots.sum()), int((guessed == written).sum()), int(known.sum())))
    return tuple(np.array(rows, np.float64).reshape(-1, 3).T)


def fit_baselines(train: LessonSet, val: LessonSet) -> dict[str, Guess]:
    """The guesses that a network has to beat, fitted on `train`, settings chosen on `val`."""
    settings = max(HMM_GRID, key=lambda c: measure(fit_hmm(train.lessons, c), val).root.value)
    return {
        "majority": fit_majority(train.lessons),
        "n-gram": fit_ngram(train.lessons),
        "hidden Markov model": fit_hmm(train.lessons, settings),
    }
