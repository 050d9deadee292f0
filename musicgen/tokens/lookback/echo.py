"""Lookback features: the token at the same place 1, 2, 4 and 8 bars earlier and one part earlier.

Folk tunes answer a phrase four or eight bars later, and a part ends as the one before it ended. The
token that followed the same place of the bar some bars earlier, or of the same bar in the previous
part, predicts the next token; the number of predictions that were right in a row is its confidence.
Magenta's Lookback RNN (2016) has such inputs for 1 and 2 bars.

A place is a bar, a position in it, and the number of tokens already read at that position, signs
of repeats and endings left out. Bars are counted through the tune; a pickup belongs to the bar that
it completes, and a second ending stands where the first one does and is not looked up itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LAGS = (1, 2, 4, 8)  # bars
NAMES = (*(f"bar{lag}" for lag in LAGS), "part")
# At least RUNS[i] right predictions in a row are in bucket i + 1.
RUNS = np.array([1, 2, 3, 4, 6, 9, 14, 20])
N_COLUMNS = 2 * len(NAMES)
_MOST = int(RUNS[-1])  # longer runs count as this
_BUCKETS: list[int] = np.searchsorted(RUNS, np.arange(_MOST + 1), side="right").tolist()

Ids = NDArray[np.integer]
# Part (0: by bars of the tune), bar, position, tokens at that position.
Place = tuple[int, int, int, int]


def echo_sizes(vocab_size: int) -> dict[str, int]:
    """Names and sizes of the columns, in order: every value is in [0, size)."""
    runs = {f"{name}_length": len(RUNS) + 1 for name in NAMES}
    return runs | {f"{name}_next": vocab_size for name in NAMES}


def echo_features(ids: Ids, grammar: Ids) -> NDArray[np.uint16]:
    """Features of a whole tune: ids (T,) and the grammar's features (T, 4) -> (T, 10). Row t holds
    the runs of right predictions after ids[t], then the predictions, 0 where there is none.
    """
    tracker = _TuneTracker()
    rows = [
        tracker.advance(*row) for row in zip(ids.tolist(), grammar[:, :3].tolist(), strict=True)
    ]
    return np.array(rows, np.uint16).reshape(len(ids), N_COLUMNS)


class EchoTracker:
    """The same features for `batch` tunes that grow by one token a step."""

    def __init__(self, batch: int) -> None:
        self._tunes = [_TuneTracker() for _ in range(batch)]

    def advance(self, ids: Ids, grammar: Ids) -> NDArray[np.uint16]:
        """Append one token to each tune: (B,), (B, 4) -> (B, 10)."""
        rows = zip(self._tunes, ids.tolist(), grammar[:, :3].tolist(), strict=True)
        return np.array([tune.advance(token, state) for tune, token, state in rows], np.uint16)

    def keep(self, rows: Ids) -> None:
        """Continue with these tunes only, in this order."""
        self._tunes = [self._tunes[row] for row in rows.tolist()]


class _TuneTracker:
    """One tune: its current place, the token that followed each place, the runs of predictions."""

    def __init__(self) -> None:
        self.bar = 0  # of the tune
        self.counted = (0, 0)  # part and bar of the part that were counted last
        self.ending = 0
        self.first_ending = 0  # bar of the tune in which it began
        self.place = (-1, -1)
        self.part = 0
        self.n_read = 0  # tokens at this position before the last
        self.followed: dict[Place, int] = {}
        self.open: tuple[Place, Place] | None = None  # the places that the next token follows
        self.predictions: Sequence[int] = (0,) * len(NAMES)
        self.runs = [0] * len(NAMES)  # of right predictions, at most `_MOST`

    def advance(self, token: int, state: Sequence[int]) -> list[int]:
        position, bar, part = state
        self.runs = [
            min(run + 1, _MOST) if predicted and predicted == token else 0
            for run, predicted in zip(self.runs, self.predictions, strict=True)
        ]
        if self.open is not None:
            for place in self.open:
                self.followed[place] = token
        self._count(bar, part // 6, part % 3)
        bar_position = (self.bar, position)
        is_sign = part != self.part  # a sign only changes the part or the ending
        self.n_read = self.n_read + 1 if bar_position == self.place and not is_sign else 0
        self.place, self.part = bar_position, part
        number, n_read = part // 6 + 1, self.n_read
        in_tune, in_part = (0, self.bar, position, n_read), (number, bar, position, n_read)
        self.open = (in_tune, in_part) if (bar or position) and self.ending != 2 else None
        get = self.followed.get
        self.predictions = [
            *[get((0, self.bar - lag, position, n_read), 0) for lag in LAGS],
            get((number - 1, bar, position, n_read), 0) if number > 1 else 0,
        ]
        return [*[_BUCKETS[run] for run in self.runs], *self.predictions]

    def _count(self, bar: int, part: int, ending: int) -> None:
        if bar and (part, bar) != self.counted:
            self.bar += 1
            self.counted = (part, bar)
        if ending != self.ending:
            if ending == 1:
                self.first_ending = self.bar
            elif ending == 2:
                self.bar = self.first_ending
            self.ending = ending
