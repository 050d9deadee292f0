"""What a grammar gives a sampler: it reads tokens, masks what may follow, and adds features."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]


class Constraint(Protocol):
    """What may come next in each of B sequences, and what the network should know about them.

    It is told every token, prompts included. One that has a method `keep(rows)` is told which
    rows go on, by their places in the batch, and the others leave it; one without is told
    `PAD_ID` for rows that are done.
    """

    def advance(self, ids: Ints) -> None:
        """Read one token a row: (B,)."""

    def mask(self) -> Bools:
        """(B, V): True where a token may come next; at least one in every row not done."""

    def features(self) -> Ints:
        """(B, F): the feature columns before the match columns, after the last `advance`."""
