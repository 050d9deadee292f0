"""A step of the recurrent network of `models.rnn`, in numpy."""

from __future__ import annotations

import numpy as np

from musicgen.models.config import ModelConfig
from musicgen.models.inference.ends import ArrayReadout, Entrance
from musicgen.models.inference.exact import Product, on_grid
from musicgen.models.inference.interface import Floats, Ints, State, Weights


class RNNStepper:
    """State: h of each layer (B, C)."""

    def __init__(self, model: ModelConfig, weights: Weights) -> None:
        self.model = model
        layers = [f"layers.{index}." for index in range(model.n_layers)]
        first, *others = layers
        self.entrance = Entrance(model, weights, (weights[f"{first}w_in"], weights[f"{first}bias"]))
        self.inputs = [Product(weights[f"{layer}w_in"]) for layer in others]
        self.biases = [weights[f"{layer}bias"] for layer in others]
        self.hidden = [Product(weights[f"{layer}w_hidden"]) for layer in layers]
        self.readout = ArrayReadout(model, weights)

    def fresh(self, n: int) -> State:
        """The state of n rows that have read nothing."""
        shape = (n, self.model.d_model)
        return [np.zeros(shape, np.float32) for _ in range(self.model.n_layers)]

    def step(self, state: State, time: int, ids: Ints, features: Ints) -> Floats:
        """Logits (B, V) after one more token a row; the state moves on."""
        u = self.entrance(ids, features)
        x: Floats | None = None
        for index, hidden in enumerate(self.hidden):
            if x is not None:
                u = self.inputs[index - 1].of(x)
                u += self.biases[index - 1]
            u += hidden.of(state[index])
            if self.model.activation == "tanh":
                np.tanh(u, out=u)
            else:
                np.maximum(u, 0, out=u)
            state[index] = u
            x = u if x is None else x + u
        assert x is not None
        counts, step = on_grid(x)
        return self.readout(counts, features, step)
