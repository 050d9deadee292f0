"""Alignment of two melodies: the best local one of pitch classes, weighted by note length.

Edit distances between melodies with costs that depend on length are due to Mongeau and Sankoff,
"Comparison of musical sequences", Computers and the Humanities 24, 1990; that the best *part* of
an alignment counts, to Smith and Waterman, 1981. Here notes of the same pitch class match, and a
note that the other melody lacks has a cost that grows with its length: so passing notes and cuts
are cheap. A note's weight is the square root of its length against the typical one of
its melody, so that doubling all lengths changes nothing. All scores are integers, so that
alignments of A with B and of B with A score exactly the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musicgen.music.similarity.melody import Ints, Melody
from musicgen.music.tune import Tune

Scores = NDArray[np.int32]

MATCH, GAP = 4, 3  # a matched pair scores MATCH times both weights, a left-out note costs GAP
TYPICAL_WEIGHT = 16
_MAX_WEIGHT = 3 * TYPICAL_WEIGHT
_TABLE_CELLS = 1 << 23  # of alignments worked out at a time, 32 MiB
_NO_PITCH = 12  # padding, which matches nothing


def typical_length(lengths: Ints) -> float:
    """Mean note length in ticks, weighted by length; 1 without notes."""
    values = lengths.astype(np.float64)
    return float((values * values).sum() / values.sum()) if len(values) else 1.0


def weights(lengths: Ints) -> Scores:
    """The weight of each note, at least 1."""
    relative = np.rint(TYPICAL_WEIGHT * np.sqrt(lengths / typical_length(lengths)))
    return np.clip(relative.astype(np.int32), 1, _MAX_WEIGHT)


@dataclass(frozen=True, eq=False, slots=True)
class MelodyLine:
    """A melody ready for alignment: pitch classes (n,) and weights (n,)."""

    pitch_classes: NDArray[np.uint8]
    weights: Scores

    @staticmethod
    def of(melody: Melody) -> MelodyLine:
        """The line of a melody."""
        return MelodyLine(melody.pitches % 12, weights(melody.lengths))

    @property
    def own_score(self) -> int:
        """The score of its alignment with itself, the highest it can have."""
        return 2 * MATCH * int(self.weights.sum())


def score_rows(a: MelodyLine, targets: list[MelodyLine]) -> Iterator[Scores]:
    """The scores of the best alignments that end at each note of `a` and each of every target:
    for each note of `a` a table (K, 1 + m), padded to the longest target.

    Targets must be transposed already.
    """
    n_targets, longest = len(targets), max(len(line.weights) for line in targets)
    pitches = np.full((n_targets, longest), _NO_PITCH, np.uint8)
    sizes = np.zeros((n_targets, longest), np.int32)
    for row, line in enumerate(targets):
        pitches[row, : len(line.weights)] = line.pitch_classes
        sizes[row, : len(line.weights)] = line.weights
    # The target's share of the gain of a match, by pitch class; a mismatch never pays.
    never = np.int32(-(1 << 28))
    gains = [np.where(pitches == p, MATCH * sizes, never) for p in range(12)]
    ramp = np.zeros((n_targets, longest + 1), np.int32)
    np.cumsum(GAP * sizes, axis=1, out=ramp[:, 1:])
    before = np.zeros((n_targets, longest + 1), np.int32)
    for pitch, weight in zip(a.pitch_classes.tolist(), a.weights.tolist(), strict=True):
        row = before - GAP * weight
        matched = before[:, :-1] + gains[pitch]
        matched += MATCH * weight
        np.maximum(row[:, 1:], matched, out=row[:, 1:])
        np.maximum(row, 0, out=row)
        # Leaving out notes of the target: the best of all cells to the left, less their cost.
        row += ramp
        np.maximum.accumulate(row, axis=1, out=row)
        row -= ramp
        yield row
        before = row


def transposed(line: MelodyLine, semitones: int) -> MelodyLine:
    """The line moved up."""
    return MelodyLine((line.pitch_classes + semitones % 12) % 12, line.weights)


@dataclass(frozen=True, slots=True)
class Alignment:
    """The best local alignment of two lines: its score, and which notes (i, j) match, in order."""

    score: int
    pairs: list[tuple[int, int]]


def best_alignments(
    a: MelodyLine, targets: list[MelodyLine], n: int
) -> list[tuple[int, Alignment]]:
    """The best local alignments of `a` with the `n` targets with which it scores highest, each
    with the number of the target; targets are transposed already."""
    longest = max((len(line.weights) for line in targets), default=0)
    at_a_time = max(1, _TABLE_CELLS // max(1, len(a.weights) * longest))
    best: list[tuple[int, int, Alignment]] = []
    for begin in range(0, len(targets), at_a_time):
        some = targets[begin : begin + at_a_time]
        tables = np.stack(list(score_rows(a, some)))  # (n, K, 1 + m)
        scores = tables.max(axis=(0, 2))
        for k in np.argsort(-scores, kind="stable")[:n].tolist():
            best.append((-int(scores[k]), begin + k, _trace(a, some[k], tables[:, k])))
    return [(k, alignment) for _, k, alignment in sorted(best, key=lambda row: row[:2])[:n]]


def _trace(a: MelodyLine, b: MelodyLine, table: Scores) -> Alignment:
    """The alignment that ends in the best cell of a table of `score_rows` (n, >= 1 + m)."""
    i, j = (int(k) for k in np.unravel_index(int(table.argmax()), table.shape))
    score = int(table[i, j])
    pairs: list[tuple[int, int]] = []
    ours, theirs = a.pitch_classes.tolist(), b.pitch_classes.tolist()
    our_weights, their_weights = a.weights.tolist(), b.weights.tolist()
    cell, value = table.item, score
    while value > 0:
        diagonal = cell(i - 1, j - 1) if i else 0
        above = cell(i - 1, j) if i else 0
        gain = MATCH * (our_weights[i] + their_weights[j - 1])
        if ours[i] == theirs[j - 1] and value == diagonal + gain:
            pairs.append((i, j - 1))
            i, j, value = i - 1, j - 1, diagonal
        elif value == above - GAP * our_weights[i]:
            i, value = i - 1, above
        else:
            j -= 1
            value = cell(i, j)
    return Alignment(score, pairs[::-1])


def similarity_of(score: int, a: MelodyLine, b: MelodyLine) -> float:
    """A score over the mean of the scores of both lines with themselves."""
    return 2 * score / (a.own_score + b.own_score)


def similarity(a: Tune, b: Tune) -> float:
    """How alike two melodies are, from 0 to 1; the same both ways round.

    The score of the best local alignment of their first sounding lines under the best of twelve
    transpositions, over the mean of their scores with themselves. It is 1 for the same melody in
    any key, octave, barring or note values (augmentation), repeated notes counting as one.
    Unrelated tunes of the Irish books have 0.2 to 0.4; a tune with every tenth note changed has
    about 0.85 with itself, one with a passing note in every third rarely less than 0.7. Where one
    tune writes out repeats that the other marks, it is lower. Without notes on one side it is 0,
    on both 1.
    """
    return line_similarity(MelodyLine.of(Melody.of(a)), MelodyLine.of(Melody.of(b)))


def line_similarity(a: MelodyLine, b: MelodyLine) -> float:
    """`similarity` of two lines."""
    if not len(a.weights) or not len(b.weights):
        return float(len(a.weights) == len(b.weights))
    if len(a.weights) > len(b.weights):
        a, b = b, a  # fewer, longer rows
    rows = score_rows(a, [transposed(b, semitones) for semitones in range(12)])
    return similarity_of(max(int(row.max()) for row in rows), a, b)
