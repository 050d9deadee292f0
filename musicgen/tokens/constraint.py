"""The constraint on a sampler: it reads tokens, masks the next ones, and adds features."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]


class Constraint(Protocol):
    """The tokens that may come next in each of B sequences, and their feature columns.

    It reads every token, prompts included. With a method `keep(rows)` it gets the indices of the
    rows that continue, and the other rows leave it; without one it reads `PAD_ID` in rows that
    are done.
    """

    def advance(self, ids: Ints) -> None:
        """Read one token a row: (B,)."""

    def mask(self) -> Bools:
        """(B, V): True where a token may come next; at least one in every row not done."""

    def features(self) -> Ints:
        """(B, F): the feature columns before the match columns, after the last `advance`."""
