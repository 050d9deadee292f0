"""Echo columns: the token at the same place 1, 2, 4 and 8 bars earlier and one part earlier.

Folk tunes answer a phrase four or eight bars later, and a part ends as the one before it ended. The
token that followed the same place of the bar some bars earlier, or of the same bar in the previous
part, predicts the next token; the number of predictions that were right in a row is its confidence.
Magenta's Lookback RNN (2016) has such inputs for 1 and 2 bars.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musicgen.tokens.lookback.places import TunePlaces

LAGS = (1, 2, 4, 8)  # bars
NAMES = (*(f"bar{lag}" for lag in LAGS), "part")
# At least RUNS[i] right predictions in a row are in bucket i + 1.
RUNS = np.array([1, 2, 3, 4, 6, 9, 14, 20])
_MOST = int(RUNS[-1])  # longer runs count as this
_BUCKETS: list[int] = np.searchsorted(RUNS, np.arange(_MOST + 1), side="right").tolist()


def echo_sizes(vocab_size: int) -> dict[str, int]:
    """Names and sizes of the columns, in order: every value is in [0, size)."""
    runs = {f"{name}_length": len(RUNS) + 1 for name in NAMES}
    return runs | {f"{name}_next": vocab_size for name in NAMES}


class EchoTracker:
    """The columns of one tune: the runs of right predictions, then the predictions, 0 where there
    is none."""

    def __init__(self) -> None:
        self._predictions: Sequence[int] = (0,) * len(NAMES)
        self._runs = [0] * len(NAMES)  # of right predictions, at most `_MOST`

    def advance(self, token: int, places: TunePlaces) -> list[int]:
        """The columns after one more token, which `places` has read."""
        self._runs = [
            min(run + 1, _MOST) if predicted and predicted == token else 0
            for run, predicted in zip(self._runs, self._predictions, strict=True)
        ]
        bar, position, token_at = places.bar, places.position, places.token_at
        self._predictions = [
            *[token_at(bar - lag, position) for lag in LAGS],
            places.token_of_part_before(),
        ]
        return [*[_BUCKETS[run] for run in self._runs], *self._predictions]
