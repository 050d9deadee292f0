"""Families of tunes: duplicates and variants, found by shared runs of intervals.

Two tunes are related when the sets of their runs of eight successive melodic intervals overlap
(Jaccard index at least 0.3), whatever their key or title; a family is a connected component of
that relation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from musicgen.music.theory import Meter

SHINGLE_INTERVALS = 8
SAME_FAMILY_JACCARD = 0.3
# A run of intervals shared by more tunes than this (a scale, a repeated note) proposes no pairs
# with further ones; pairs proposed by a rarer run are still compared on all of theirs.
MAX_SHINGLE_TUNES = 500
_NO_INTERVAL = 0x80  # a byte that is no interval between two MIDI pitches

_BLOCK = 1 << 20  # shingles looked up at once

Line = Sequence[tuple[int | None, Fraction]]
Shingles = NDArray[np.uint64]


def melody_digest(meter: Meter, lines: Sequence[Line]) -> bytes:
    """SHA-256 of what makes two melodies the same: meter, intervals and durations of every voice
    (see `playback.melody`)."""
    digest = hashlib.sha256(str(meter.bar_duration).encode())
    for line in lines:
        first = next((midi for midi, _ in line if midi is not None), 0)
        text = ";".join(
            f"{'z' if midi is None else midi - first},{duration}" for midi, duration in line
        )
        digest.update(f"|{text}".encode())
    return digest.digest()


def shingles(line: Line) -> Shingles:
    """The set of runs of `SHINGLE_INTERVALS` successive intervals of a line, in ascending order.

    Intervals are semitones between successive notes, rests passed over, so transposing a tune
    changes nothing. A tune with fewer intervals has one shingle, all of them.
    """
    pitches = [midi for midi, _ in line if midi is not None]
    intervals = np.array([(b - a) & 0xFF for a, b in pairwise(pitches)], np.uint8)
    if len(intervals) < SHINGLE_INTERVALS:
        short = bytes([_NO_INTERVAL, *intervals.tolist()]).ljust(SHINGLE_INTERVALS, b"\x80")
        return np.array([int.from_bytes(short)], np.uint64)
    return np.unique(interval_runs(intervals, SHINGLE_INTERVALS))


def interval_runs(intervals: NDArray[np.uint8], length: int) -> Shingles:
    """Every run of `length` (1 to 8) successive intervals, each one a byte of a number, in order.

    Shape (n - length + 1,), or (0,) where there are fewer. Two runs are the same number exactly
    when their intervals are.
    """
    n_runs = max(0, len(intervals) - length + 1)
    runs = np.zeros(n_runs, np.uint64)
    for k in range(length if n_runs else 0):
        runs = runs << np.uint64(8) | intervals[k : k + n_runs]
    return runs


def group_families(values: Shingles, sizes: Sequence[int]) -> list[int]:
    """For each tune the number of the first tune of its family.

    `values` are the shingles of all tunes end to end, `sizes` how many each has. Pairs are
    proposed by the shingles that tunes share, so unrelated tunes are never compared.
    """
    parents = list(range(len(sizes)))

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    index = _Index(values, sizes)
    lengths = np.array(sizes, np.int64)
    for i in index.tunes_that_share:
        earlier, n_shared, n_common = index.candidates(i)
        total = lengths[i] + lengths[earlier]
        needed = SAME_FAMILY_JACCARD * total / (1 + SAME_FAMILY_JACCARD)
        for k in np.flatnonzero(n_shared + n_common >= needed).tolist():
            j = int(earlier[k])
            if n_shared[k] >= needed[k] or index.n_shared(i, j) >= needed[k]:
                a, b = sorted((root(i), root(j)))
                parents[b] = a
    return [root(i) for i in range(len(parents))]


class _Index:
    """Shingles that several tunes have, each with those tunes in order.

    `places` says for every such shingle of every tune (tunes end to end, tune i from `starts[i]`)
    where it stands among `holders`, and `firsts` where the holders of the same shingle begin.
    """

    def __init__(self, values: Shingles, sizes: Sequence[int]) -> None:
        ordered = np.sort(values)
        again = ordered[1:] == ordered[:-1]
        repeated = np.unique(ordered[1:][again])
        del ordered, again
        numbers = _numbers_in(repeated, values)
        kept = numbers >= 0
        tunes = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)[kept]
        self.shingle = numbers[kept]
        del numbers, kept
        self.starts = np.searchsorted(tunes, np.arange(len(sizes) + 1))
        order = np.argsort(self.shingle, kind="stable")
        self.holders = tunes[order]
        self.places = np.empty(len(order), np.int32)
        self.places[order] = np.arange(len(order), dtype=np.int32)
        begins = np.searchsorted(self.shingle[order], np.arange(len(repeated)))
        self.firsts = begins.astype(np.int32)[self.shingle]
        self.tunes_that_share = np.flatnonzero(np.diff(self.starts)).tolist()

    def candidates(self, tune: int) -> tuple[NDArray[np.int32], NDArray[np.int64], int]:
        """Earlier tunes that share a shingle, how many each, and the number of too common ones."""
        span = slice(self.starts[tune], self.starts[tune + 1])
        firsts, ends = self.firsts[span], self.places[span]
        n_common = int(np.count_nonzero(ends - firsts >= MAX_SHINGLE_TUNES))
        ends = np.minimum(ends, firsts + MAX_SHINGLE_TUNES)
        slices = zip(firsts.tolist(), ends.tolist(), strict=True)
        lists = [self.holders[a:b] for a, b in slices if b > a]
        if not lists:
            return np.zeros(0, np.int32), np.zeros(0, np.int64), n_common
        earlier, counts = np.unique(np.concatenate(lists), return_counts=True)
        return earlier, counts, n_common

    def n_shared(self, a: int, b: int) -> int:
        """Size of the intersection of two tunes' sets."""
        ours, theirs = (self.shingle[self.starts[i] : self.starts[i + 1]] for i in (a, b))
        return len(np.intersect1d(ours, theirs, assume_unique=True))


def _numbers_in(repeated: Shingles, values: Shingles) -> NDArray[np.int32]:
    """The place of each value among the repeated ones, -1 for the others."""
    numbers = np.full(len(values), -1, np.int32)
    for start in range(0, len(values) if len(repeated) else 0, _BLOCK):
        block = values[start : start + _BLOCK]
        places = np.searchsorted(repeated, block).clip(max=len(repeated) - 1)
        numbers[start : start + _BLOCK] = np.where(repeated[places] == block, places, -1)
    return numbers
