"""Networks a token at a time, in numpy: the logits of `models` in a fraction of the time.

    stepper = ArrayStepper(model, weights)
    rows = stepper.begin(range(2))
    logits = rows.read(ids, features)        # (2,), (2, F) -> (2, V)

A small step costs little arithmetic; what costs is everything around it. So there is no torch
here, the first matrix of a recurrent network is multiplied into the embedding tables, and all
sums are exact (`exact`), which makes a row's logits the same bits whatever is beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musicgen.models import ModelConfig
from musicgen.models.inference.interface import Floats, Ints, Network, Rows, State, Stepper, Weights
from musicgen.models.inference.lstm import LSTMStepper
from musicgen.models.inference.rnn import RNNStepper
from musicgen.models.inference.threads import single_threaded
from musicgen.models.inference.transformer import TransformerStepper

__all__ = ["ArrayStepper", "Rows", "Stepper"]

_KINDS: dict[str, type[LSTMStepper] | type[RNNStepper] | type[TransformerStepper]] = {
    "lstm": LSTMStepper,
    "rnn": RNNStepper,
    "transformer": TransformerStepper,
}


class ArrayStepper:
    """A network of any kind from its weights (named as in `models.weight_shapes`).

    Raises:
        ConfigError: a network too wide for exact sums.
    """

    def __init__(self, model: ModelConfig, weights: Weights) -> None:
        self.n_features = len(model.feature_sizes)
        with single_threaded():
            self.network: Network = _KINDS[model.kind](model, weights)

    def begin(self, indices: Sequence[int]) -> Rows:
        """One row for each of the numbers, none of which has read anything."""
        return _ArrayRows(self.network, self.network.fresh(len(indices)))


class _ArrayRows:
    def __init__(self, network: Network, state: State) -> None:
        self._network, self._state = network, state
        self._time = 0

    def read(self, ids: Ints, features: Ints) -> Floats:
        logits = self._network.step(self._state, self._time, ids, features)
        self._time += 1
        return logits

    def keep(self, rows: Ints) -> None:
        self._state = [np.ascontiguousarray(array[rows]) for array in self._state]
