"""The protocols between a sampler and a network: rows begin, read one token a step, and end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from musicgen.tokens.lookback.features import Lookback

Floats = NDArray[np.float32]
Ints = NDArray[np.integer]
Weights = Mapping[str, NDArray[np.float32]]
State = list[NDArray[Any]]  # recurrent state or cache of a network; first axis: the row


class Rows(Protocol):
    """Sequences that a network reads side by side. Letters: B rows, F feature columns, V
    vocabulary."""

    def read(self, ids: Ints, features: Ints) -> Floats:
        """One token a row, ids (B,) and features (B, F): logits of the next, (B, V)."""

    def keep(self, rows: Ints) -> None:
        """Continue with these rows only, in this order."""


class Stepper(Protocol):
    """A network that reads one token at a time. `n_features` is the F that it needs, 0 for none;
    `lookback` are the last of these columns, the others come from a constraint."""

    n_features: int
    lookback: Lookback | None

    def begin(self, indices: Sequence[int]) -> Rows:
        """A row for each index. A row's logits are the same to the last bit whatever other rows
        are in the batch."""


class Network(Protocol):
    """The numpy implementation of one kind of network."""

    def initial_state(self, n: int) -> State:
        """The state of n rows that have read nothing."""

    def step(self, state: State, time: int, ids: Ints, features: Ints) -> Floats:
        """Logits (B, V) after token number `time` of each row; updates the state in place."""
