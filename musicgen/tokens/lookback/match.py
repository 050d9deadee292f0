"""Lookback features: the token that followed the longest earlier match in the same tune.

Music repeats itself, exactly and with variations. At every position the last few tokens are
searched for earlier in the tune; the token that followed the longest such match (the most recent
of equals) is the one that a repeat would bring next.

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
_FIRST_SIZE = 256  # tokens that a new tracker holds
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
    matched = best >= MIN_MATCH
    following = ids[np.where(matched, time - lag_of_best + 1, 0)]
    return _columns(np.where(matched, following, 0), best)


class MatchTracker:
    """The same features for `batch` tunes that grow by one token a step.

    Column d of the tables belongs to the token d steps ago, so that a step moves nothing: the
    match that ends d steps before now is one longer than before, or broken.
    """

    def __init__(self, batch: int) -> None:
        self._ids = np.zeros((batch, _FIRST_SIZE), dtype=np.int32)
        self._runs = np.zeros((batch, _FIRST_SIZE), dtype=np.int32)  # length of each match
        self._newest = _FIRST_SIZE  # tokens are stored from the right end to the left

    def advance(self, ids: Ids) -> NDArray[np.uint16]:
        """Append one token to each tune: (B,) -> features (B, 2)."""
        if self._newest == 0:
            size = self._ids.shape[1]
            self._ids = np.pad(self._ids, ((0, 0), (size, 0)))
            self._runs = np.pad(self._runs, ((0, 0), (0, size)))
            self._newest = size
        earlier = self._ids[:, self._newest :]
        self._newest -= 1
        self._ids[:, self._newest] = ids
        if not earlier.shape[1]:
            return np.zeros((len(ids), N_COLUMNS), np.uint16)
        runs = self._runs[:, : earlier.shape[1]]
        runs += 1
        runs *= earlier == self._ids[:, self._newest, None]
        latest = runs.argmax(axis=1)  # the first, so the most recent, of equals
        rows = np.arange(len(ids))
        best = runs[rows, latest]
        following = self._ids[rows, self._newest + latest] * (best >= MIN_MATCH)
        return _columns(following, best)

    def keep(self, rows: Ids) -> None:
        """Continue with these tunes only, in this order."""
        self._ids, self._runs = self._ids[rows], self._runs[rows]


_BUCKET_OF = np.searchsorted(BUCKETS, np.arange(BUCKETS[-1] + 1), side="right")


def _columns(following: Ids, length: Ids) -> NDArray[np.uint16]:
    columns = np.empty((len(following), N_COLUMNS), np.uint16)
    columns[:, 0] = following
    columns[:, 1] = _BUCKET_OF[np.minimum(length, BUCKETS[-1])]
    return columns
