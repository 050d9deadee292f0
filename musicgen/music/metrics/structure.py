"""Measures of structure: repeated bars and phrases, loops, cadences, sections, self-similarity.

All are computed on the tune with its repeats played out (`NoteArrays`). A measure is an
exact repeat of another when it has the same notes at the same places for the same time.
"""

from __future__ import annotations

import math
import zlib

import numpy as np

from musicgen.music.metrics.note_arrays import Floats, Ints, NoteArrays

PHRASE = 8  # measures; the strain of nearly all dance tunes
SAME_SECTION = 0.55  # mean similarity from which two strains bear the same letter
MAX_LAG = 32
_MAX_LETTERS = 8


def repeat_lags(tune: NoteArrays) -> Ints:
    """For each measure the distance in measures to the latest exact repeat before it, 0 where
    there is none: (K,). Folk tunes repeat at 8, phrases at 4 and 2."""
    latest: dict[int, int] = {}
    lags = np.zeros(tune.n_measures, np.int64)
    for place, content in enumerate(tune.contents.tolist()):
        if content in latest:
            lags[place] = place - latest[content]
        latest[content] = place
    return lags


def repeated_measure_rate(tune: NoteArrays) -> float:
    """Share of measures that repeat an earlier one exactly."""
    return float((repeat_lags(tune) > 0).mean()) if tune.n_measures else math.nan


def repeated_phrase_rate(tune: NoteArrays, length: int = 4) -> float:
    """Share of runs of `length` measures that occur earlier in the tune."""
    contents = tune.contents.tolist()
    runs = [tuple(contents[i : i + length]) for i in range(len(contents) - length + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else math.nan


def longest_loop(tune: NoteArrays) -> int:
    """The greatest number of measures spent in going round: one to four measures played again
    and again at once, more than twice. 0 for a tune without."""
    contents = tune.contents
    longest = 0
    for period in (1, 2, 3, 4):
        run = 0
        for same in (contents[period:] == contents[:-period]).tolist():
            run = run + 1 if same else 0
            if run >= 2 * period:
                longest = max(longest, run + period)
    return longest


def lag_similarity(tune: NoteArrays, lag: int) -> float:
    """Mean similarity of measures `lag` apart: the mean of a diagonal of the self-similarity
    matrix (Foote 1999); NaN for a tune that is too short."""
    diagonal = np.diagonal(tune.similarity, lag)
    return float(diagonal.mean()) if len(diagonal) else math.nan


def similarity_curve(tune: NoteArrays, most: int = MAX_LAG) -> Floats:
    """`lag_similarity` for lags 1 to `most`: (most,)."""
    return np.array([lag_similarity(tune, lag) for lag in range(1, most + 1)])


def form(tune: NoteArrays) -> str:
    """Letters of the strains of 8 measures as heard, such as "AABB"; alike ones share a letter.

    A rest of fewer than 8 measures gets "+", a tune without a whole strain is "-".
    """
    n_whole, rest = divmod(tune.n_measures, PHRASE)
    letters: list[int] = []
    firsts: list[int] = []
    for strain in range(n_whole):
        rows = np.arange(PHRASE) + strain * PHRASE
        alike = [tune.similarity[rows, rows - rows[0] + first].mean() for first in firsts]
        if alike and max(alike) >= SAME_SECTION:
            letters.append(int(np.argmax(alike)))
        else:
            letters.append(len(firsts))
            firsts.append(int(rows[0]))
    text = "".join(chr(ord("A") + min(n, _MAX_LETTERS)) for n in letters[:_MAX_LETTERS])
    more = "..." if n_whole > _MAX_LETTERS else ""
    return (text + more or "-") + ("+" if rest and text else "")


def strain_contrast(tune: NoteArrays) -> float:
    """1 less the similarity of the first two strains that differ; NaN for a tune of one strain."""
    letters = form(tune).rstrip("+.")
    if "B" not in letters:
        return math.nan
    rows = np.arange(PHRASE)
    return float(1 - tune.similarity[rows, rows + PHRASE * letters.index("B")].mean())


def cadence_degrees(tune: NoteArrays) -> list[int]:
    """Degree (semitones above the tonic) of the last note on a beat in each strain of 8 measures;
    notes off the beat there may be a pickup to the next strain."""
    on_beat = tune.positions % tune.beat_ticks == 0
    measures, degrees = tune.measures[on_beat].tolist(), tune.degrees[on_beat].tolist()
    last = dict(zip(measures, degrees, strict=True))
    return [last[m] for m in range(PHRASE - 1, tune.n_measures, PHRASE) if m in last]


def ends_on_tonic(tune: NoteArrays) -> float:
    """1 if the last note is the tonic in any octave, else 0."""
    return float(tune.degrees[-1] == 0)


def cadence_rate(tune: NoteArrays) -> float:
    """Share of strains of 8 measures that end on the tonic (see `cadence_degrees`)."""
    degrees = cadence_degrees(tune)
    return degrees.count(0) / len(degrees) if degrees else math.nan


def compressibility(tune: NoteArrays) -> float:
    """Share of the melody that Lempel-Ziv coding (zlib) saves: repetition of any kind and length.

    The melody is a byte for each interval and one for each length.
    """
    lengths = {d: i for i, d in enumerate(sorted(set(tune.durations.tolist())))}
    steps = np.clip(tune.intervals, -100, 100) + 128
    data = bytes(
        b
        for step, duration in zip(steps.tolist(), tune.durations[1:].tolist(), strict=True)
        for b in (step, lengths[duration] % 256)
    )
    return 1 - len(zlib.compress(data, 9)) / len(data) if data else math.nan
