"""Baselines of harmonizing (commonest chord, n-gram, hidden Markov model), and the score.

All count the same examples, see the same melody and fill the same slots. The n-gram predicts from
the most sounding degrees of a slot and its place, with shorter contexts where a longer one was
never met; the hidden Markov model has chords as states, degrees of the melody as what they emit,
and finds the likeliest path by the Viterbi algorithm (as in Simon, Morris and Basu, "MySong:
automatic accompaniment generation for vocal melodies", CHI 2008).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicgen.corpus.harmony import ExampleSet
from musicgen.evaluation.accuracy import difference_right, share_right
from musicgen.music.metrics.distances import ConfidenceInterval
from musicgen.tokens.harmony.chords import KINDS, N_CHORDS, NOT_KNOWN
from musicgen.tokens.harmony.features import MELODY_SIZES, MODES, REST, SLOT_SIZES, HarmonyExample

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Predictor = Callable[[HarmonyExample], Ints]
_LENGTH = list(MELODY_SIZES).index("length")
_MODE, _INDEX, _LEFT = (list(SLOT_SIZES).index(name) for name in ("mode", "index", "bars_left"))
_MINOR = {MODES.index(name) for name in ("minor", "dorian", "phrygian", "locrian")}


def time_on_degrees(example: HarmonyExample) -> Floats:
    """(S, 12): eighths of each slot that sound each degree, in semitones above the tonic."""
    times = np.zeros((len(example), 12))
    sounding = example.melody[:, 0] != REST
    rows = example.slot_of[sounding], example.melody[sounding, 0]
    np.add.at(times, rows, np.maximum(example.melody[sounding, _LENGTH], 0.5))
    return times


def _is_minor(example: HarmonyExample) -> Ints:
    """(S,): 1 for the slots of a minor mode."""
    return np.isin(example.slots[:, _MODE], list(_MINOR)).astype(np.int64)


def fit_majority(examples: Sequence[HarmonyExample]) -> Predictor:
    """The commonest chord of major and of minor tunes."""
    counts = np.zeros((2, N_CHORDS))
    for example in examples:
        known = example.chords != NOT_KNOWN
        np.add.at(counts, (_is_minor(example)[known], example.chords[known]), 1)
    best = counts.argmax(axis=1)
    return lambda example: best[_is_minor(example)]


def _contexts(example: HarmonyExample) -> Iterator[tuple[tuple[int, ...], ...]]:
    """For each slot what is known of it, the longest context first."""
    times = time_on_degrees(example)
    strongest = np.argsort(-times, axis=1, kind="stable")[:, :3]
    minor = _is_minor(example)
    for slot, (top, mode) in enumerate(zip(strongest.tolist(), minor.tolist(), strict=True)):
        n = int((times[slot] > 0).sum())
        index = int(example.slots[slot, _INDEX])
        left = min(int(example.slots[slot, _LEFT]), 2)
        following = int(strongest[slot + 1, 0]) if slot + 1 < len(strongest) else -1
        heard = (mode, *sorted(top[: min(n, 3)]))
        yield (
            (0, *heard, index, left, following),
            (1, *heard, index, left),
            (2, *heard),
            (3, mode, top[0] if n else -1, index, left),
            (4, mode, top[0] if n else -1),
            (5, mode),
        )


def fit_ngram(examples: Sequence[HarmonyExample], *, fewest: int = 3) -> Predictor:
    """The commonest chord of the longest context that was met at least `fewest` times."""
    counts: dict[tuple[int, ...], Counter[int]] = {}
    for example in examples:
        for contexts, chord in zip(_contexts(example), example.chords.tolist(), strict=True):
            if chord != NOT_KNOWN:
                for context in contexts:
                    counts.setdefault(context, Counter())[chord] += 1
    best = {c: k.most_common(1)[0][0] for c, k in counts.items() if k.total() >= fewest}

    def predict(example: HarmonyExample) -> Ints:
        found = [
            next((best[c] for c in contexts if c in best), 1) for contexts in _contexts(example)
        ]
        return np.array(found, np.int64)

    return predict


class HmmConfig(NamedTuple):
    """How much the melody counts against the progression, and pseudo-counts of both."""

    weight: float = 0.5
    emission: float = 1.0
    transition: float = 0.1


def fit_hmm(examples: Sequence[HarmonyExample], config: HmmConfig) -> Predictor:
    """Chords as hidden states; transitions for each slot of the bar, emissions by degree."""
    first = np.full((2, N_CHORDS), config.transition)
    moves = np.full((2, 2, N_CHORDS, N_CHORDS), config.transition)
    emits = np.full((2, N_CHORDS, 12), config.emission)
    for example in examples:
        minor, times = _is_minor(example), time_on_degrees(example)
        for slot, chord in enumerate(example.chords.tolist()):
            if chord == NOT_KNOWN:
                continue
            mode = int(minor[slot])
            emits[mode, chord] += times[slot] / 8
            before = int(example.chords[slot - 1]) if slot else NOT_KNOWN
            if before == NOT_KNOWN:
                first[mode, chord] += 1
            else:
                moves[mode, int(example.slots[slot, _INDEX] > 0), before, chord] += 1
    start, step, sound = (np.log(t / t.sum(axis=-1, keepdims=True)) for t in (first, moves, emits))
    for table in (start, step):
        table[..., 0] = -np.inf

    def viterbi(example: HarmonyExample) -> Ints:
        if not len(example):
            return np.zeros(0, np.int64)
        minor, times = _is_minor(example), time_on_degrees(example)
        back = np.zeros((len(example), N_CHORDS), np.int64)
        score = start[minor[0]].copy()
        for slot in range(len(example)):
            if slot:
                inner = int(example.slots[slot, _INDEX] > 0)
                reached = score[:, None] + step[minor[slot], inner]
                back[slot], score = reached.argmax(axis=0), reached.max(axis=0)
            score = score + config.weight * (sound[minor[slot]] @ times[slot])
        path = [int(score.argmax())]
        for slot in range(len(example) - 1, 0, -1):
            path.append(int(back[slot, path[-1]]))
        return np.array(path[::-1], np.int64)

    return viterbi


# Settings of the hidden Markov model that are tried on the validation tunes.
HMM_GRID = tuple(HmmConfig(weight=w) for w in (0.1, 0.2, 0.3, 0.5, 0.8))


@dataclass(frozen=True, slots=True)
class HarmonyScore:
    """Share of slots whose root is right, and whose root and kind are; `ahead` is how much more
    roots are right than by the predictor it is compared with."""

    root: ConfidenceInterval
    chord: ConfidenceInterval
    n_tunes: int
    n_slots: int
    ahead: ConfidenceInterval | None = None


def measure(
    predict: Predictor, held_out: ExampleSet, against: Predictor | None = None
) -> HarmonyScore:
    """Score a predictor on all slots with a known chord."""
    root, chord, asked = _counts(predict, held_out)
    ahead = None
    if against is not None:
        ahead = difference_right(root, _counts(against, held_out)[0], asked, held_out.families)
    return HarmonyScore(
        root=share_right(root, asked, held_out.families),
        chord=share_right(chord, asked, held_out.families),
        n_tunes=len(held_out.examples),
        n_slots=int(asked.sum()),
        ahead=ahead,
    )


def _counts(predict: Predictor, held_out: ExampleSet) -> tuple[Floats, ...]:
    """For each tune how many roots and chords are right, and how many were asked for."""
    rows = []
    for example in held_out.examples:
        known = example.chords != NOT_KNOWN
        guessed, written = predict(example)[known] - 1, example.chords[known] - 1
        roots = guessed // len(KINDS) == written // len(KINDS)
        rows.append((int(roots.sum()), int((guessed == written).sum()), int(known.sum())))
    return tuple(np.array(rows, np.float64).reshape(-1, 3).T)


def fit_baselines(train: ExampleSet, val: ExampleSet) -> dict[str, Predictor]:
    """The baselines, fitted on `train`, settings chosen on `val`."""
    settings = max(HMM_GRID, key=lambda c: measure(fit_hmm(train.examples, c), val).root.value)
    return {
        "majority": fit_majority(train.examples),
        "n-gram": fit_ngram(train.examples),
        "hidden Markov model": fit_hmm(train.examples, settings),
    }
