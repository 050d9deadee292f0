"""What a harmonizer has to beat: the commonest chord, an n-gram, a hidden Markov model.

All count the same lessons, see the same melody and fill the same slots. The n-gram guesses from the
most sounding degrees of a slot and where it stands, with shorter contexts where a longer one was
never met; the hidden Markov model has chords as states, degrees of the melody as what they emit,
and finds the likeliest path by the Viterbi algorithm (as in Simon, Morris and Basu, "MySong:
automatic accompaniment generation for vocal melodies", CHI 2008).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicgen.composer.harmony.chords import N_CHORDS, NOT_KNOWN
from musicgen.composer.harmony.features import MELODY_SIZES, MODES, REST, SLOT_SIZES, Lesson

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Guess = Callable[[Lesson], Ints]
_LENGTH = list(MELODY_SIZES).index("length")
_MODE, _INDEX, _LEFT = (list(SLOT_SIZES).index(name) for name in ("mode", "index", "bars_left"))
_MINOR = {MODES.index(name) for name in ("minor", "dorian", "phrygian", "locrian")}


def time_on_degrees(lesson: Lesson) -> Floats:
    """(S, 12): eighths of each slot that sound each degree, in semitones above the tonic."""
    times = np.zeros((len(lesson), 12))
    sounding = lesson.melody[:, 0] != REST
    rows = lesson.slot_of[sounding], lesson.melody[sounding, 0]
    np.add.at(times, rows, np.maximum(lesson.melody[sounding, _LENGTH], 0.5))
    return times


def _is_minor(lesson: Lesson) -> Ints:
    """(S,): 1 for the slots of a minor mode."""
    return np.isin(lesson.slots[:, _MODE], list(_MINOR)).astype(np.int64)


def fit_majority(lessons: Sequence[Lesson]) -> Guess:
    """The commonest chord of major and of minor tunes."""
    counts = np.zeros((2, N_CHORDS))
    for lesson in lessons:
        known = lesson.chords != NOT_KNOWN
        np.add.at(counts, (_is_minor(lesson)[known], lesson.chords[known]), 1)
    best = counts.argmax(axis=1)
    return lambda lesson: best[_is_minor(lesson)]


def _contexts(lesson: Lesson) -> Iterator[tuple[tuple[int, ...], ...]]:
    """For each slot what is known of it, the longest context first."""
    times = time_on_degrees(lesson)
    strongest = np.argsort(-times, axis=1, kind="stable")[:, :3]
    minor = _is_minor(lesson)
    for slot, (top, mode) in enumerate(zip(strongest.tolist(), minor.tolist(), strict=True)):
        n = int((times[slot] > 0).sum())
        index = int(lesson.slots[slot, _INDEX])
        left = min(int(lesson.slots[slot, _LEFT]), 2)
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


def fit_ngram(lessons: Sequence[Lesson], *, fewest: int = 3) -> Guess:
    """The commonest chord of the longest context that was met at least `fewest` times."""
    counts: dict[tuple[int, ...], Counter[int]] = {}
    for lesson in lessons:
        for contexts, chord in zip(_contexts(lesson), lesson.chords.tolist(), strict=True):
            if chord != NOT_KNOWN:
                for context in contexts:
                    counts.setdefault(context, Counter())[chord] += 1
    best = {c: k.most_common(1)[0][0] for c, k in counts.items() if k.total() >= fewest}

    def guess(lesson: Lesson) -> Ints:
        found = [
            next((best[c] for c in contexts if c in best), 1) for contexts in _contexts(lesson)
        ]
        return np.array(found, np.int64)

    return guess


class HmmConfig(NamedTuple):
    """How much the melody counts against the progression, and pseudo-counts of both."""

    weight: float = 0.5
    emission: float = 1.0
    transition: float = 0.1


def fit_hmm(lessons: Sequence[Lesson], config: HmmConfig) -> Guess:
    """Chords as hidden states; transitions for each slot of the bar, emissions by degree."""
    first = np.full((2, N_CHORDS), config.transition)
    moves = np.full((2, 2, N_CHORDS, N_CHORDS), config.transition)
    emits = np.full((2, N_CHORDS, 12), config.emission)
    for lesson in lessons:
        minor, times = _is_minor(lesson), time_on_degrees(lesson)
        for slot, chord in enumerate(lesson.chords.tolist()):
            if chord == NOT_KNOWN:
                continue
            mode = int(minor[slot])
            emits[mode, chord] += times[slot] / 8
            before = int(lesson.chords[slot - 1]) if slot else NOT_KNOWN
            if before == NOT_KNOWN:
                first[mode, chord] += 1
            else:
                moves[mode, int(lesson.slots[slot, _INDEX] > 0), before, chord] += 1
    start, step, sound = (np.log(t / t.sum(axis=-1, keepdims=True)) for t in (first, moves, emits))
    for table in (start, step):
        table[..., 0] = -np.inf

    def viterbi(lesson: Lesson) -> Ints:
        if not len(lesson):
            return np.zeros(0, np.int64)
        minor, times = _is_minor(lesson), time_on_degrees(lesson)
        back = np.zeros((len(lesson), N_CHORDS), np.int64)
        score = start[minor[0]].copy()
        for slot in range(len(lesson)):
            if slot:
                inner = int(lesson.slots[slot, _INDEX] > 0)
                reached = score[:, None] + step[minor[slot], inner]
                back[slot], score = reached.argmax(axis=0), reached.max(axis=0)
            score = score + config.weight * (sound[minor[slot]] @ times[slot])
        path = [int(score.argmax())]
        for slot in range(len(lesson) - 1, 0, -1):
            path.append(int(back[slot, path[-1]]))
        return np.array(path[::-1], np.int64)

    return viterbi
