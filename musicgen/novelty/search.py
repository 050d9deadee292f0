"""Which of many melodies may be like a given one: shared runs of intervals vote for them.

As Shazam finds recordings (Wang, "An industrial-strength audio search algorithm", 2003): a run of
intervals that occurs in the query at i and in a strand at j votes for that strand with offset
j - i, a rare run more than a common one; a copy gathers its votes on one offset.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicgen.novelty.melody import Melody
from musicgen.novelty.strands import Melodies, Strands, indexed_strands, query_strands

_COMMON = 2000  # a run that occurs oftener than this has no vote
_DRIFT = 8  # notes or beats by which a copy may slip against its original
_OFFSET_BITS = 24


class Candidate(NamedTuple):
    """A melody that may be like the query once it is moved up by `semitones` (0 to 11)."""

    melody: int
    semitones: int


class _Hits(NamedTuple):
    """Runs in common: place in the query's strands, place in the indexed ones, votes."""

    ours: NDArray[np.int64]
    theirs: NDArray[np.int64]
    votes: NDArray[np.float64]


class Finder:
    """Finds candidates among T melodies."""

    def __init__(self, melodies: Melodies) -> None:
        self._n_melodies = len(melodies)
        self._strands = indexed_strands(melodies)
        self._owners = self._strands.owners
        runs, places = self._strands.runs()
        packed = np.sort(runs.astype(np.uint64) << np.uint64(32) | places)
        self._runs = (packed >> np.uint64(32)).astype(np.uint32)
        self._places = (packed & np.uint64(0xFFFFFFFF)).astype(np.uint32)

    def candidates(self, melody: Melody, n: int) -> list[Candidate]:
        """The `n` melodies with the most votes, or fewer, the likeliest first."""
        query = query_strands(melody)
        hits = self._hits(query)
        if not len(hits.ours):
            return []
        strands = self._owners[hits.theirs].astype(np.int64)
        mine = query.owners[hits.ours].astype(np.int64)
        offsets = (hits.theirs - self._strands.starts[strands]) - (
            hits.ours - query.starts[mine + 1]
        )
        n_mine = len(query.starts) - 1
        codes = (strands * n_mine + mine) << _OFFSET_BITS | offsets // _DRIFT
        found, which = np.unique(codes, return_inverse=True)
        votes = np.bincount(which, hits.votes)
        after = np.zeros_like(votes)  # a copy may straddle two offsets
        adjacent = np.flatnonzero(np.diff(found) == 1)
        after[adjacent] = votes[adjacent + 1]
        votes += after
        chosen: dict[int, Candidate] = {}
        for k in np.argsort(-votes, kind="stable").tolist():
            number = int(found[k] >> _OFFSET_BITS) // n_mine % self._n_melodies
            if number not in chosen:
                theirs = (which == k) | (which == k + 1) & bool(after[k])
                chosen[number] = Candidate(number, self._transposition(query, hits, theirs))
            if len(chosen) == n:
                break
        return list(chosen.values())

    def _hits(self, query: Strands) -> _Hits:
        runs, places = query.runs()
        firsts = np.searchsorted(self._runs, runs)
        counts = np.searchsorted(self._runs, runs, "right") - firsts
        known = (counts > 0) & (counts <= _COMMON)
        firsts, counts, places = firsts[known], counts[known], places[known]
        begins = np.cumsum(counts) - counts
        within = np.arange(counts.sum()) - np.repeat(begins, counts)
        theirs = self._places[np.repeat(firsts, counts) + within]
        weights = np.log2(1 + len(self._runs) / counts) if len(counts) else counts
        return _Hits(
            np.repeat(places, counts).astype(np.int64),
            theirs.astype(np.int64),
            np.repeat(weights, counts),
        )

    def _transposition(self, query: Strands, hits: _Hits, chosen: NDArray[np.bool_]) -> int:
        ours = query.pitch_classes[hits.ours[chosen]].astype(np.int64)
        theirs = self._strands.pitch_classes[hits.theirs[chosen]]
        return int(np.bincount((ours - theirs) % 12, hits.votes[chosen]).argmax())
