"""A second judge of whether new tunes are told from real ones: by views that no critic may use.

    told = discriminate_unseen(real, new)        # two `TuneSet`s -> a `Discrimination`

Whoever chooses among attempts by some measures looks better by them, so they can no longer judge.
The views here are strings of the music and a small network on them. Nothing that chooses, fits or
trains may use them or anything computed from them; a test sees to it that only reports import this
module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from musicgen.evaluation.discrimination import (
    MIN_TUNES,
    Discrimination,
    TellingFeature,
    boosted_trees,
    discrimination,
    held_out_scores,
)
from musicgen.evaluation.sets import TuneSet
from musicgen.music.metrics.distributions import quarters
from musicgen.music.metrics.note_arrays import Floats, Ints, NoteArrays
from musicgen.music.tune import Note, Timed, Tune, highest

LONGEST = 6  # signs in a string
PHRASES = (2, 4)  # measures
N_COMPONENTS = 60  # principal components of a view's strings
RARE = 3  # strings of fewer tunes are left out
N_EPOCHS = 60  # of the network
_NEVER = 1e9  # no gain is enough to go on: it stops after `N_EPOCHS` without a warning

Strings = Callable[[Tune, NoteArrays], Iterator[str]]


class _WrittenBar(NamedTuple):
    opening: list[str]  # |: or [1
    signs: list[str]  # lengths other than the unit, degrees with octave and accidental, ties
    line: str


def note_strings(tune: Tune, notes: NoteArrays) -> Iterator[str]:
    """Runs of 1 to `LONGEST` signs as written: lengths, degrees, bar lines."""
    signs = [sign for bar in _bars(tune) for sign in (*bar.opening, *bar.signs, bar.line)]
    for length in range(1, LONGEST + 1):
        for i in range(len(signs) - length + 1):
            yield " ".join(signs[i : i + length])


def phrase_strings(tune: Tune, notes: NoteArrays) -> Iterator[str]:
    """Whole bars, the order of the bar lines, and how parts and phrases begin and end: as written,
    and as played out."""
    bars = _bars(tune)
    for bar in bars:
        yield "written " + " ".join(bar.signs)
        if bar.line != "|":
            for n_signs in (2, 4, len(bar.signs)):
                yield f"before {bar.line} " + " ".join(bar.signs[-n_signs:])
    yield "opening " + " ".join(bars[0].signs[:3])
    signs = (sign for bar in bars for sign in (*bar.opening, bar.line))
    yield "lines " + " ".join(sign for sign in signs if sign != "|")
    yield from _played_phrases(notes)


def _played_phrases(notes: NoteArrays) -> Iterator[str]:
    degrees = list(map(str, notes.degrees.tolist()))
    lengths = list(map(quarters, notes.durations.tolist()))
    both = [f"{degree}*{length}" for degree, length in zip(degrees, lengths, strict=True)]
    first = np.searchsorted(notes.measures, np.arange(notes.n_measures + 1)).tolist()
    for measure in range(notes.n_measures):
        begin, end = first[measure : measure + 2]
        if begin == end:
            continue
        yield "played " + " ".join(degrees[begin:end])
        for n_measures in PHRASES:
            if measure % n_measures == 0:
                yield f"{n_measures} begin " + " ".join(degrees[begin : begin + 3])
            elif measure % n_measures == n_measures - 1:
                for n_notes, what in ((2, both), (3, degrees), (3, lengths), (5, degrees)):
                    yield f"{n_measures} end " + " ".join(what[max(0, end - n_notes) : end])
    downbeats = [degrees[i] for i, j in pairwise(first) if i < j]
    for measure in range(0, len(downbeats), 2):
        yield "downbeats " + " ".join(downbeats[measure : measure + 4])
    yield "end " + " ".join(both[-2:])


VIEWS: Mapping[str, Strings] = {"notes": note_strings, "phrases": phrase_strings}


def _bars(tune: Tune) -> list[_WrittenBar]:
    return [
        _WrittenBar(
            ["|:"] * bar.repeat_start + [f"[{ending}" for ending in bar.volta[:1]],
            [sign for event in bar.timed for sign in _signs(event, tune)],
            ":|" if bar.repeat_end else bar.barline,
        )
        for bar in tune.bars
    ]


def _signs(event: Timed, tune: Tune) -> Iterator[str]:
    if event.duration != tune.unit:
        yield f"*{event.duration / tune.unit}"
    note = highest(event)
    if note is None:
        yield "z"
        return
    alter = note.pitch.alter - tune.key.signature[note.pitch.step]
    yield f"{note.pitch.diatonic - tune.key.tonic_diatonic}{'b' * -alter}{'#' * alter}"
    if isinstance(event, Note) and event.tie:
        yield "-"


def discriminate_unseen(real: TuneSet, new: TuneSet, *, seed: int = 0) -> Discrimination | None:
    """Five-fold cross-validated AUC of the views together; None for too few tunes.

    For each view a logistic regression on its strings (tf-idf) and boosted trees on their principal
    components, and for the notes a network with a hidden layer; their standardised scores are added
    up. No family of tunes is in two folds.
    """
    if min(len(real), len(new)) < MIN_TUNES:
        return None
    labels = np.repeat([0, 1], [len(real), len(new)])
    groups = [*(f"real {g}" for g in real.families), *(f"new {g}" for g in new.families)]
    pairs = [*zip(real.tunes, real.notes, strict=True), *zip(new.tunes, new.notes, strict=True)]
    scores = np.zeros(len(pairs))
    giveaways: list[TellingFeature] = []
    for name, strings in VIEWS.items():
        counts, names = _table([list(strings(*pair)) for pair in pairs])
        for each in _scores(counts, labels, groups, seed, network=name == "notes"):
            scores += (each - each.mean()) / (each.std() or 1)
        giveaways += _giveaways(counts, names, labels)
    return discrimination(scores, labels, groups, giveaways, seed)


def _table(documents: Sequence[Sequence[str]]) -> tuple[Any, Sequence[str]]:
    """The tf-idf of the strings of each tune, a sparse matrix (tunes, strings), and the strings."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer=lambda words: words, sublinear_tf=True, min_df=RARE)
    return vectorizer.fit_transform(documents), vectorizer.get_feature_names_out().tolist()


def _scores(
    table: Any, labels: Ints, groups: Sequence[str], seed: int, *, network: bool
) -> Iterator[Floats]:
    """How new each tune looks to each kind of classifier that was trained on the other folds."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    linear = LogisticRegression(
        C=10, solver="liblinear", dual=True, max_iter=300, random_state=seed
    )
    yield held_out_scores(linear, table, labels, groups, seed)
    components = TruncatedSVD(min(N_COMPONENTS, table.shape[1] - 1), random_state=seed)
    vectors = components.fit_transform(table)
    yield held_out_scores(boosted_trees(seed), vectors, labels, groups, seed)
    if network:
        perceptron = MLPClassifier(
            (32,), alpha=1, tol=_NEVER, n_iter_no_change=N_EPOCHS, random_state=seed
        )
        yield held_out_scores(perceptron, vectors / vectors.std(axis=0), labels, groups, seed)


def _giveaways(table: Any, names: Sequence[str], labels: Ints) -> Iterator[TellingFeature]:
    """Each string as what tells by itself, with the share of tunes that have it."""
    present = (table > 0).tocsc()
    real, new = (np.asarray(present[labels == label].mean(axis=0)).ravel() for label in (0, 1))
    for name, a, b in zip(names, real.tolist(), new.tolist(), strict=True):
        yield TellingFeature(name, 0.5 + (b - a) / 2, a, b)  # the AUC of a yes or no
