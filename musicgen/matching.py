"""What came next after the longest earlier match in the same tune, as integers.

Music repeats itself, exactly and with variations. At every position the last few tokens are
looked for earlier in the tune; the token that followed the longest such match (the most recent
of equals) is what a repeat would bring next.

    ids            2 7 8 9 4 7 8      "7 8" was here before, and 9 came next
    match_next     . . . . . . 9
    match_length   0 0 0 0 0 0 1      a bucket: 0 none, 1 for 2 tokens, 2 for 3, ...

The same idea is the match model of the PAQ family of compressors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_MATCH = 2  # tokens; shorter matches are as good as chance
# A match of at least BUCKETS[i] tokens is in bucket i + 1.
BUCKETS = np.array([2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48], dtype=np.int32)
N_COLUMNS = 2
_BLOCK = 1 << 22  # elements of the lag-by-time table held at once

Ids = NDArray[np.integer]


def match_sizes(vocab_size: int) -> dict[str, int]:
    """Names and sizes of the columns, in order: every value is in [0, size)."""
    return {"match_next": vocab_size, "match_length": len(BUCKETS) + 1}


def match_features(ids: Ids) -> NDArray[np.uint16]:
    """Features of a whole tune: (T,) ids -> (T, 2), row t from ids[: t + 1] only."""
    length = len(ids)
    best = np.zeros(length, dtype=np.int32)
    lag_of_best = np.ones(length, dtype=np.int64)
    time = np.arange(length, dtype=np.int32)
    block = max(1, _BLOCK // max(1, length))
    for first in range(1, length, block):
        lags = np.arange(first, min(first + block, length))
        source = time[None, :] - lags[:, None]  # (lags, T)
        same = (source >= 0) & (ids[source.clip(0)] == ids[None, :])
        # Length of the run of equal tokens that ends here: time since the last difference.
        last_difference = np.maximum.accumulate(np.where(same, -1, time), axis=1)
        run = time - last_difference
        winner = run.argmax(axis=0)  # the first, so the most recent, of equals
        longer = run[winner, time] > best
        best[longer] = run[winner, time][longer]
        lag_of_best[longer] = lags[winner[longer]]
    found = best >= MIN_MATCH
    following = ids[np.where(found, time - lag_of_best + 1, 0)]
    return _columns(np.where(found, following, 0), best)


class MatchTracker:
    """The same features for `batch` tunes that grow by one token a step; O(T) numpy a step."""

    def __init__(self, batch: int) -> None:
        self._ids = np.zeros((batch, 64), dtype=np.int32)
        self._run = np.zeros((batch, 64), dtype=np.int32)  # match that ends there and now
        self._time = 0

    def advance(self, ids: Ids) -> NDArray[np.uint16]:
        """Append one token to each tune: (B,) -> features (B, 2)."""
        time, rows = self._time, np.arange(len(ids))
        if time == self._ids.shape[1]:
            self._ids = np.pad(self._ids, ((0, 0), (0, time)))
            self._run = np.pad(self._run, ((0, 0), (0, time)))
        self._ids[:, time] = ids
        self._time += 1
        if time == 0:
            return _columns(np.zeros(len(ids), np.int32), np.zeros(len(ids), np.int32))
        before = np.pad(self._run[:, : time - 1], ((0, 0), (1, 0)))
        run = (before + 1) * (self._ids[:, :time] == self._ids[:, time, None])
        self._run[:, :time] = run
        latest = time - 1 - run[:, ::-1].argmax(axis=1)
        best = run[rows, latest]
        following = np.where(best >= MIN_MATCH, self._ids[rows, latest + 1], 0)
        return _columns(following, best)


def _columns(following: Ids, length: Ids) -> NDArray[np.uint16]:
    bucket = np.searchsorted(BUCKETS, length, side="right")
    return np.stack([following, bucket], axis=1).astype(np.uint16)
