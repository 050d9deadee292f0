"""Networks one token at a time, in numpy: the logits of `models` in a fraction of the time.

    stepper = ArrayStepper(model, weights, lookback)
    rows = stepper.begin(range(2))
    logits = rows.read(ids, features)        # (2,), (2, F) -> (2, V)

A small step costs little arithmetic; most of its time is overhead. So there is no torch here, the
first matrix of a recurrent network is multiplied into the embedding tables, and all sums are exact
(`quantization`), which makes a row's logits the same bits whatever else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musicgen.errors import ConfigError
from musicgen.models.config import KINDS, ModelConfig
from musicgen.models.inference.interface import Floats, Ints, Network, Rows, State, Stepper, Weights
from musicgen.models.inference.threads import single_threaded
from musicgen.tokens.lookback.features import Lookback

__all__ = ["ArrayStepper", "Rows", "Stepper"]


class ArrayStepper:
    """A network whose kind has a step in numpy, from its weights (see `models.weight_shapes`) and
    the lookback columns that it needs.

    Raises:
        ConfigError: its kind has none (use `TorchStepper`), or it is too wide for exact sums.
    """

    def __init__(
        self, model: ModelConfig, weights: Weights, lookback: Lookback | None = None
    ) -> None:
        self.n_features, self.lookback = len(model.feature_sizes), lookback
        make = KINDS[model.kind].stepper
        if make is None:
            raise ConfigError(f"model.kind: '{model.kind}' has no step in numpy; use torch")
        with single_threaded(), np.errstate(over="ignore", invalid="ignore"):
            self.network = make(model, weights)

    def begin(self, indices: Sequence[int]) -> Rows:
        """One row for each index, none of which has read anything."""
        return _ArrayRows(self.network, self.network.initial_state(len(indices)))


class _ArrayRows:
    def __init__(self, network: Network, state: State) -> None:
        self._network, self._state = network, state
        self._time = 0

    def read(self, ids: Ints, features: Ints) -> Floats:
        # What grows past float32 ends as logits that are not finite, which the reader refuses.
        with np.errstate(over="ignore", invalid="ignore"):
            logits = self._network.step(self._state, self._time, ids, features)
        self._time += 1
        return logits

    def keep(self, rows: Ints) -> None:
        self._state = [np.ascontiguousarray(array[rows]) for array in self._state]
