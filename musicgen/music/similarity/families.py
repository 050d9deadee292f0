"""Families of tunes: duplicates and variants, found by shared runs of intervals.

Two tunes are related when the sets of their runs of eight successive melodic intervals overlap
(Jaccard index at least 0.3), whatever their key or title; a family is a connected component of
that relation. Pairs are found by prefix and position filtering (Bayardo, Ma and Srikant, "Scaling
up all pairs similarity search", WWW 2007; Xiao et al., "Efficient similarity joins for near-
duplicate detection", WWW 2008), on disk: memory grows by some 80 bytes a tune.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen.music.theory import Meter
from musicgen.system.partitions import BLOCK, Partitions, RaggedFile, n_buckets_for

SHINGLE_INTERVALS = 8
SAME_FAMILY_JACCARD = 0.3
# A run of intervals (a scale, a repeated note) proposes pairs with the first so many tunes that
# have it; pairs proposed by any run are compared on all of theirs.
MAX_SHINGLE_TUNES = 500
_NO_INTERVAL = 0x80  # a byte that is no interval between two MIDI pitches

_PAIRS = 1 << 15  # compared at once
_HASH = np.uint64(0x9E3779B97F4A7C15)
_OTHER_HASH = np.uint64(0xC2B2AE3D27D4EB4F)
_SKETCH_WORDS = 4  # of 64 bits
_MOST_TUNES = 1 << 32

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


# --- which tunes are related ---------------------------------------------------------------------

_OCCURRENCE = [("shingle", np.uint64), ("tune", np.uint32)]
# `shingle` is a number, `n_tunes` how many tunes have it; `early`: this is one of the first ones.
_SHARED = [("tune", np.uint32), ("n_tunes", np.uint32), ("shingle", np.uint32), ("early", np.bool_)]
# `rest` is how many shared shingles of the tune come after this one, from the rarest on.
_PREFIX = [("shingle", np.uint32), ("tune", np.uint32), ("rest", np.uint32), ("early", np.bool_)]


def group_families(
    values: Iterable[Shingles],
    sizes: Sequence[int] | NDArray[np.integer],
    folder: Path | None = None,
) -> NDArray[np.int64]:
    """For each tune the number of the first tune of its family.

    `values` are the shingles of all tunes end to end, in blocks, `sizes` how many each tune has.
    Pairs are proposed by the shingles that tunes share, so unrelated tunes are never compared.
    What does not stay in memory is in temporary files of `folder` (default: the system's).
    """
    grouping = _Grouping(np.asarray(sizes, np.int64), folder)
    for pairs in grouping.related(values):
        grouping.unite(pairs)
    return grouping.roots(np.arange(len(grouping.sizes)))


class _Grouping:
    """Tunes with the number of their shingles each, and the families so far, as trees."""

    def __init__(self, sizes: NDArray[np.int64], folder: Path | None) -> None:
        assert len(sizes) < _MOST_TUNES
        self.sizes, self._folder = sizes, folder
        self._ends = np.cumsum(sizes)
        self._n_buckets = n_buckets_for(int(self._ends[-1]) if len(sizes) else 0)
        self._parents = np.arange(len(sizes))
        # Of its shingles a tune shares at least so many with a related one.
        self._sketches = np.zeros((len(sizes), _SKETCH_WORDS), np.uint64)  # a bit for each shingle
        self._fewest = np.ceil(SAME_FAMILY_JACCARD * sizes - 1e-9).astype(np.int64)

    def roots(self, tunes: NDArray[np.integer]) -> NDArray[np.int64]:
        """The first tune of the family of each of these, so far."""
        roots = self._parents[tunes]
        while True:
            above = self._parents[roots]
            if np.array_equal(above, roots):
                return roots
            roots = above

    def unite(self, pairs: NDArray[np.integer]) -> None:
        """Make one family of the families of each pair (P, 2)."""
        for pair in pairs:
            first, second = np.sort(self.roots(pair)).tolist()
            self._parents[second] = first
            self._parents[pair] = first

    def related(self, values: Iterable[Shingles]) -> Iterator[NDArray[np.int64]]:
        """Pairs of related tunes (P, 2) that are of different families so far."""
        n, folder = self._n_buckets, self._folder
        starts = np.zeros(len(self.sizes) + 1, np.int64)
        with (
            Partitions(_PREFIX, n, folder) as prefixes,
            RaggedFile(np.uint32, starts, folder) as sets,
        ):
            with Partitions(_SHARED, n + 1, folder) as shared:
                with Partitions(_OCCURRENCE, n, folder) as occurrences:
                    self._collect(values, occurrences)
                    self._count(occurrences, shared)
                self._select(shared, prefixes, sets)
            for records in prefixes:
                for pairs in self._proposed(records):
                    for start in range(0, len(pairs), _PAIRS):
                        yield self._verified(pairs[start : start + _PAIRS], sets)

    def _collect(self, values: Iterable[Shingles], occurrences: Partitions) -> None:
        """Every shingle of every tune, by a hash of the shingle."""
        shift = np.uint64(64 - self._n_buckets.bit_length() + 1)
        done = 0
        for whole in values:
            for start in range(0, len(whole), BLOCK):
                block = whole[start : start + BLOCK]
                records = np.empty(len(block), _OCCURRENCE)
                records["shingle"] = block
                places = np.arange(done, done + len(block))
                records["tune"] = np.searchsorted(self._ends, places, "right")
                self._sketch(records["tune"], block)
                buckets = block * _HASH >> shift if shift < 64 else np.zeros(len(block))
                occurrences.append(records, buckets.astype(np.int64))
                done += len(block)

    def _sketch(self, tunes: NDArray[Any], shingles: Shingles) -> None:
        """Set the bits of some shingles."""
        bits = shingles * _OTHER_HASH >> np.uint64(56)
        places = tunes.astype(np.int64) * _SKETCH_WORDS + (bits >> np.uint64(6)).astype(np.int64)
        mask = np.uint64(1) << (bits & np.uint64(63))
        np.bitwise_or.at(self._sketches.reshape(-1), places, mask)

    def _count(self, occurrences: Partitions, shared: Partitions) -> None:
        """Keep the shingles that several tunes have, numbered, by tune."""
        n_numbered = 0
        for records in occurrences:
            records = records[np.argsort(records["shingle"], kind="stable")]
            group, counts = _groups(records["shingle"])
            ranks = np.arange(len(records)) - (np.cumsum(counts) - counts)[group]
            repeated = counts > 1
            numbers = n_numbered + np.cumsum(repeated) - 1
            n_numbered += int(repeated.sum())
            kept = repeated[group]
            found = np.empty(int(kept.sum()), _SHARED)
            found["tune"] = records["tune"][kept]
            found["n_tunes"] = counts[group][kept]
            found["shingle"] = numbers[group][kept]
            found["early"] = ranks[kept] < MAX_SHINGLE_TUNES
            shared.append(found, self._ends[found["tune"]] // BLOCK)

    def _select(self, shared: Partitions, prefixes: Partitions, sets: RaggedFile) -> None:
        """Of each tune that may be related to any, its shared shingles, and the rarest of them: so
        many that two related tunes have one of those in common."""
        lengths = np.zeros(len(self.sizes), np.int64)
        for records in shared:
            order = np.lexsort((records["shingle"], records["n_tunes"], records["tune"]))
            records = records[order]
            group, counts = _groups(records["tune"])
            rest = np.cumsum(counts)[group] - 1 - np.arange(len(records))
            fewest = self._fewest[records["tune"]]
            kept = counts[group] >= fewest
            prefix = kept & (rest + 1 >= fewest)
            found = np.empty(int(prefix.sum()), _PREFIX)
            for name in ("shingle", "tune", "early"):
                found[name] = records[name][prefix]
            found["rest"] = rest[prefix]
            prefixes.append(found, found["shingle"].astype(np.int64) % self._n_buckets)
            members = records[kept]
            members = members[np.lexsort((members["shingle"], members["tune"]))]
            sets.append(members["shingle"])
            np.add.at(lengths, members["tune"], 1)
        np.cumsum(lengths, out=sets.starts[1:])

    def _proposed(self, records: NDArray[Any]) -> Iterator[NDArray[np.int64]]:
        """Pairs (later, earlier) of tunes that have a rare shingle in common and enough others."""
        records = records[np.argsort(records["shingle"], kind="stable")]
        group, counts = _groups(records["shingle"])
        begins = np.cumsum(counts) - counts
        n_early = np.bincount(group, records["early"], len(counts)).astype(np.int64)
        n_partners = np.minimum(np.arange(len(records)) - begins[group], n_early[group])
        total = np.cumsum(n_partners)
        start = 0
        while start < len(records):
            before = int(total[start - 1]) if start else 0
            end = max(start + 1, int(np.searchsorted(total, before + BLOCK, "right")))
            n = n_partners[start:end]
            later = np.repeat(np.arange(start, end), n)
            within = np.arange(len(later)) - np.repeat(np.cumsum(n) - n, n)
            earlier = begins[group[later]] + within
            n_common = 1 + np.minimum(records["rest"][later], records["rest"][earlier])
            a, b = (records["tune"][which].astype(np.int64) for which in (later, earlier))
            enough = n_common >= self._needed(a, b)
            a, b = a[enough], b[enough]
            enough = self._most_shared(a, b) >= self._needed(a, b)
            pairs = np.unique((a << 32 | b)[enough])
            yield np.column_stack([pairs >> 32, pairs & 0xFFFFFFFF])
            start = end

    def _needed(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.floating]:
        """How many shingles two tunes must share to be related."""
        total = self.sizes[a] + self.sizes[b]
        return SAME_FAMILY_JACCARD * total / (1 + SAME_FAMILY_JACCARD)

    def _most_shared(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
        """A bound for how many shingles two tunes share: where their sketches differ, one of them
        has a shingle that the other has not (Sandes et al., "Bitmap filter", 2020)."""
        different = np.bitwise_count(self._sketches[a] ^ self._sketches[b]).sum(axis=1)
        return (self.sizes[a] + self.sizes[b] - different.astype(np.int64)) // 2

    def _verified(self, pairs: NDArray[np.int64], sets: RaggedFile) -> NDArray[np.int64]:
        """Those of the pairs that are related and of different families so far."""
        pairs = pairs[self.roots(pairs[:, 0]) != self.roots(pairs[:, 1])]
        tunes, places = np.unique(pairs, return_inverse=True)
        places = places.reshape(pairs.shape)
        lengths = np.diff(sets.starts)[tunes]
        begins = np.cumsum(lengths) - lengths
        shingles = sets.read(tunes).astype(np.int64)
        table = np.repeat(np.arange(len(tunes)), lengths) << 32 | shingles  # in ascending order
        n = lengths[places[:, 1]]
        owner = np.repeat(np.arange(len(pairs)), n)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(n) - n, n)
        wanted = places[owner, 0] << 32 | shingles[begins[places[owner, 1]] + within]
        found = table[np.searchsorted(table, wanted).clip(max=len(table) - 1)] == wanted
        n_shared = np.bincount(owner, found, len(pairs))
        return pairs[n_shared >= self._needed(pairs[:, 0], pairs[:, 1])]


def _groups(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of sorted values the number of the group of equal ones that each is in, and their sizes."""
    starts = np.ones(len(values), np.bool_)
    starts[1:] = values[1:] != values[:-1]
    group = np.cumsum(starts) - 1
    return group, np.bincount(group) if len(values) else np.zeros(0, np.int64)
