"""One step of the recurrent network of `networks.rnn` in numpy, and the shapes of its layers."""

from __future__ import annotations

import numpy as np

from musicgen.models.config import ModelConfig, Shapes
from musicgen.models.inference.embedding import ArrayEmbedding, ArrayReadout
from musicgen.models.inference.interface import Floats, Ints, State, Weights
from musicgen.models.inference.quantization import QuantizedLinear, quantize


def layer_shapes(model: ModelConfig) -> Shapes:
    """Shapes of the parameters of all layers, by name."""
    width = model.d_model
    return {
        f"layers.{index}.{name}": shape
        for index in range(model.n_layers)
        for name, shape in {
            "w_in": (width, width if index else model.width_in),
            "w_hidden": (width, width),
            "bias": (width,),
        }.items()
    }


class RNNStepper:
    """State: h of each layer (B, C)."""

    def __init__(self, model: ModelConfig, weights: Weights) -> None:
        self.model = model
        w_in, w_hidden, self.biases = (
            [weights[f"layers.{index}.{name}"] for index in range(model.n_layers)]
            for name in ("w_in", "w_hidden", "bias")
        )
        self.embedding = ArrayEmbedding(model, weights, (w_in[0], self.biases[0]))
        self.inputs = [QuantizedLinear(weight) for weight in w_in[1:]]
        self.hidden = [QuantizedLinear(weight) for weight in w_hidden]
        self.readout = ArrayReadout(model, weights)

    def initial_state(self, n: int) -> State:
        """The state of n rows that have read nothing."""
        return [np.zeros((n, self.model.d_model), np.float32) for _ in range(self.model.n_layers)]

    def step(self, state: State, time: int, ids: Ints, features: Ints) -> Floats:
        """Logits (B, V) after one more token a row; updates the state."""
        u = self.embedding(ids, features)
        x: Floats | None = None
        for index, hidden in enumerate(self.hidden):
            if x is not None:
                u = self.inputs[index - 1](*quantize(x))
                u += self.biases[index]
            u += hidden(*quantize(state[index]))
            if self.model.activation == "tanh":
                np.tanh(u, out=u)
            else:
                np.maximum(u, 0, out=u)
            state[index] = u
            x = u if x is None else x + u
        assert x is not None
        counts, step = quantize(x)
        return self.readout(counts, features, step)
