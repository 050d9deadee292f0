"""What came at the same place some bars earlier, or in the part before, as integers.

Folk tunes answer a phrase four or eight bars later, and a part ends as the one before it ended. So
at every place of a tune the same place of the bar 1, 2, 4 and 8 bars earlier is looked up, and of
the same bar in the part before: the token that followed there is what an echo would bring next,
and how many such guesses have come true in a row says how far to trust it.

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
# At least RUNS[i] true guesses in a row are in bucket i + 1.
RUNS = np.array([1, 2, 3, 4, 6, 9, 14, 20])
N_COLUMNS = 2 * len(NAMES)
_MOST = int(RUNS[-1])  # longer runs are as this
_BUCKETS: list[int] = np.searchsorted(RUNS, np.arange(_MOST + 1), side="right").tolist()

Ids = NDArray[np.integer]
# Part (0: by bars of the tune), bar, position, tokens at that position.
Place = tuple[int, int, int, int]


def echo_sizes(vocab_size: int) -> dict[str, int]:
    """Names and sizes of the columns, in order: every value is in [0, size)."""
    runs = {f"{name}_length": len(RUNS) + 1 for name in NAMES}
    return runs | {f"{name}_next": vocab_size for name in NAMES}


def echo_features(ids: Ids, grammar: Ids) -> NDArray[np.uint16]:
    """Features of a whole tune: ids (T,) and the grammar's features (T, 4) -> (T, 10), row t from
    what is known after ids[t]: the runs of true guesses, then the guesses, 0 where there is none.
    """
    tracker = _Tune()
    rows = [
        tracker.advance(*row) for row in zip(ids.tolist(), grammar[:, :3].tolist(), strict=True)
    ]
    return np.array(rows, np.uint16).reshape(len(ids), N_COLUMNS)


class EchoTracker:
    """The same features for `batch` tunes that grow by one token a step."""

    def __init__(self, batch: int) -> None:
        self._tunes = [_Tune() for _ in range(batch)]

    def advance(self, ids: Ids, grammar: Ids) -> NDArray[np.uint16]:
        """Append one token to each tune: (B,), (B, 4) -> (B, 10)."""
        rows = zip(self._tunes, ids.tolist(), grammar[:, :3].tolist(), strict=True)
        return np.array([tune.advance(token, state) for tune, token, state in rows], np.uint16)

    def keep(self, rows: Ids) -> None:
        """Go on with these tunes only, in this order."""
        self._tunes = [self._tunes[row] for row in rows.tolist()]


class _Tune:
    """One tune: where it stands, what followed each place, and how good the guesses were."""

    def __init__(self) -> None:
        self.bar = 0  # of the tune
        self.counted = (0, 0)  # part and bar of the part that were counted last
        self.ending = 0
        self.first_ending = 0  # bar of the tune in which it began
        self.place = (-1, -1)
        self.part = 0
        self.read_here = 0  # tokens at this position before the last
        self.followed: dict[Place, int] = {}
        self.open: tuple[Place, Place] | None = None  # what the next token follows
        self.guesses: Sequence[int] = (0,) * len(NAMES)
        self.runs = [0] * len(NAMES)  # of true guesses, `_MOST` at most

    def advance(self, token: int, state: Sequence[int]) -> list[int]:
        position, bar, part = state
        self.runs = [
            min(run + 1, _MOST) if guess and guess == token else 0
            for run, guess in zip(self.runs, self.guesses, strict=True)
        ]
        if self.open is not None:
            for place in self.open:
                self.followed[place] = token
        self._count(bar, part // 6, part % 3)
        here = (self.bar, position)
        is_sign = part != self.part  # it changes nothing but what part or ending this is
        self.read_here = self.read_here + 1 if here == self.place and not is_sign else 0
        self.place, self.part = here, part
        number, at = part // 6 + 1, self.read_here
        in_tune, in_part = (0, self.bar, position, at), (number, bar, position, at)
        in_music = bool(bar or position)
        self.open = (in_tune, in_part) if in_music and self.ending != 2 else None
        get = self.followed.get
        self.guesses = [
            *[get((0, self.bar - lag, position, at), 0) for lag in LAGS],
            get((number - 1, bar, position, at), 0) if number > 1 else 0,
        ]
        return [*[_BUCKETS[run] for run in self.runs], *self.guesses]

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
