"""Candidate search: the melodies of an index that share the most runs of intervals with one.

As Shazam finds recordings (Wang, "An industrial-strength audio search algorithm", 2003): a run of
intervals that occurs in the query at i and in a sequence at j votes for that sequence with offset
j - i, a rare run more than a common one; a copy gathers its votes on one offset.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicgen.music.similarity.melody import Melody
from musicgen.music.similarity.sequences import (
    Melodies,
    PitchSequences,
    indexed_sequences,
    query_sequences,
)

_MAX_HITS = 30_000  # votes counted; the commonest runs are the first that have none
_DRIFT = 8  # notes or beats by which a copy may slip against its original
_OFFSET_BITS, _PLACE_BITS = 15, 18  # room for offsets, and for places in the query


class Candidate(NamedTuple):
    """A melody that may be like the query once it is moved up by `semitones` (0 to 11)."""

    melody: int
    semitones: int


class _Hits(NamedTuple):
    """Runs in common: place in the query's sequences, place in the indexed ones, votes."""

    ours: NDArray[np.int64]
    theirs: NDArray[np.int64]
    votes: NDArray[np.float64]


class _Tally(NamedTuple):
    """Lanes with their votes; those for lane k came from the hits `order[begins[k]:ends[k]]`."""

    lanes: NDArray[np.int64]
    votes: NDArray[np.float64]
    order: NDArray[np.int64]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]


class CandidateSearch:
    """Finds candidates among T melodies."""

    def __init__(self, melodies: Melodies) -> None:
        self._n_melodies = len(melodies)
        self._sequences = indexed_sequences(melodies)
        self._owners = self._sequences.owners
        runs, places = self._sequences.runs()
        packed = np.sort(runs.astype(np.uint64) << np.uint64(32) | places)
        self._runs = (packed >> np.uint64(32)).astype(np.uint32)
        self._places = (packed & np.uint64(0xFFFFFFFF)).astype(np.uint32)

    def candidates(self, melody: Melody, n: int) -> list[Candidate]:
        """The `n` melodies with the most votes, or fewer, the likeliest first."""
        query = query_sequences(melody)
        hits = self._hits(query)
        if not len(hits.ours):
            return []
        tally = self._tally(query, hits)
        n_mine = len(query.starts) - 1
        chosen: dict[int, Candidate] = {}
        for k in np.argsort(-tally.votes, kind="stable").tolist():
            number = int(tally.lanes[k] >> _OFFSET_BITS) // n_mine % self._n_melodies
            if number not in chosen:
                voters = tally.order[tally.begins[k] : tally.ends[k]]
                chosen[number] = Candidate(number, self._transposition(query, hits, voters))
            if len(chosen) == n:
                break
        return list(chosen.values())

    def _tally(self, query: PitchSequences, hits: _Hits) -> _Tally:
        """The votes for each lane: a sequence of ours along a sequence of theirs at some offset."""
        sequences = self._owners[hits.theirs].astype(np.int64)
        mine = query.owners[hits.ours].astype(np.int64)
        offsets = (hits.theirs - self._sequences.starts[sequences]) - (
            hits.ours - query.starts[mine + 1]
        )
        pairs = sequences * (len(query.starts) - 1) + mine
        lanes = pairs << _OFFSET_BITS | offsets // _DRIFT
        # Each run of the query votes once for a lane, however often it comes back there.
        order = np.argsort(lanes << _PLACE_BITS | hits.ours)
        lanes, ours = lanes[order], hits.ours[order]
        again = np.zeros(len(order), np.bool_)
        again[1:] = (lanes[1:] == lanes[:-1]) & (ours[1:] == ours[:-1])
        begins = np.flatnonzero(np.diff(lanes, prepend=-1))
        votes = np.add.reduceat(np.where(again, 0.0, hits.votes[order]), begins)
        ends = np.append(begins[1:], len(order))
        lanes = lanes[begins]
        # A copy may straddle two offsets.
        straddles = np.append(np.diff(lanes) == 1, False)
        votes[straddles] += np.append(votes[1:], 0.0)[straddles]
        ends[straddles] = np.append(ends[1:], 0)[straddles]
        return _Tally(lanes, votes, order, begins, ends)

    def _hits(self, query: PitchSequences) -> _Hits:
        runs, places = query.runs()
        firsts = np.searchsorted(self._runs, runs)
        counts = np.searchsorted(self._runs, runs, "right") - firsts
        rarest = np.argsort(counts, kind="stable")
        rarest = rarest[np.cumsum(counts[rarest]) <= _MAX_HITS]
        kept = np.sort(rarest[counts[rarest] > 0])
        firsts, counts, places = firsts[kept], counts[kept], places[kept]
        begins = np.cumsum(counts) - counts
        within = np.arange(counts.sum()) - np.repeat(begins, counts)
        theirs = self._places[np.repeat(firsts, counts) + within]
        weights = np.log2(1 + len(self._runs) / counts) if len(counts) else counts
        return _Hits(
            np.repeat(places, counts).astype(np.int64),
            theirs.astype(np.int64),
            np.repeat(weights, counts),
        )

    def _transposition(self, query: PitchSequences, hits: _Hits, chosen: NDArray[np.int64]) -> int:
        ours = query.pitch_classes[hits.ours[chosen]].astype(np.int64)
        theirs = self._sequences.pitch_classes[hits.theirs[chosen]]
        return int(np.bincount((ours - theirs) % 12, hits.votes[chosen]).argmax())
