"""One step of the LSTM of `networks.lstm` in numpy, and the shapes of its layers."""

from __future__ import annotations

import numpy as np

from musicgen.models.config import ModelConfig, Shapes
from musicgen.models.inference.embedding import ArrayEmbedding, ArrayReadout
from musicgen.models.inference.interface import Floats, Ints, State, Weights
from musicgen.models.inference.quantization import LEVELS, QuantizedLinear


def layer_shapes(model: ModelConfig) -> Shapes:
    """Shapes of the parameters of all layers, by name."""
    gates = 4 * model.d_model
    of_layer: Shapes = {
        "weight_hh_l0": (gates, model.d_model),
        "bias_ih_l0": (gates,),
        "bias_hh_l0": (gates,),
    }
    return {
        f"layers.{index}.lstm.{name}": shape
        for index in range(model.n_layers)
        for name, shape in {
            "weight_ih_l0": (gates, model.d_model if index else model.width_in),
            **of_layer,
        }.items()
    }


class LSTMStepper:
    """State: for each layer h as counts and c, each (B, C)."""

    def __init__(self, model: ModelConfig, weights: Weights) -> None:
        self.model = model
        width = model.d_model
        # sigmoid(x) = (tanh(x / 2) + 1) / 2, so one tanh serves all gates: input, forget, output
        # come first, their weights halved, then the candidate.
        i, f, g, o = np.arange(4 * width).reshape(4, width)
        order = np.concatenate([i, f, o, g])
        half = np.repeat(np.array([0.5, 0.5, 0.5, 1], np.float32), width)
        self.inputs: list[QuantizedLinear] = []
        self.biases: list[Floats] = []
        self.hidden: list[QuantizedLinear] = []
        for index in range(model.n_layers):
            layer = f"layers.{index}.lstm."
            w_in, w_hidden = (
                weights[f"{layer}weight_{name}_l0"][order] * half[:, None] for name in ("ih", "hh")
            )
            bias = (weights[f"{layer}bias_ih_l0"] + weights[f"{layer}bias_hh_l0"])[order] * half
            if index == 0:
                self.embedding = ArrayEmbedding(model, weights, (w_in, bias))
            else:  # its input is the sum of the layers below
                self.inputs.append(QuantizedLinear(w_in, levels=index * LEVELS, step=1 / LEVELS))
                self.biases.append(bias)
            self.hidden.append(QuantizedLinear(w_hidden, step=1 / LEVELS))
        self.readout = ArrayReadout(model, weights, levels=model.n_layers * LEVELS, step=1 / LEVELS)

    def initial_state(self, n: int) -> State:
        """The state of n rows that have read nothing."""
        arrays = 2 * self.model.n_layers
        return [np.zeros((n, self.model.d_model), np.float32) for _ in range(arrays)]

    def step(self, state: State, time: int, ids: Ints, features: Ints) -> Floats:
        """Logits (B, V) after one more token a row; updates the state."""
        width = self.model.d_model
        gates = self.embedding(ids, features)
        total: Floats | None = None
        for index, hidden in enumerate(self.hidden):
            if total is not None:
                gates = self.inputs[index - 1](total)
                gates += self.biases[index - 1]
            counts, c = state[2 * index : 2 * index + 2]
            gates += hidden(counts)
            np.tanh(gates, out=gates)
            open_ = gates[:, : 3 * width]
            open_ += 1
            open_ *= np.float32(0.5)
            c *= gates[:, width : 2 * width]
            c += gates[:, :width] * gates[:, 3 * width :]
            counts = np.tanh(c)
            counts *= gates[:, 2 * width : 3 * width]
            counts *= np.float32(LEVELS)
            state[2 * index] = np.rint(counts, out=counts)
            total = counts if total is None else total + counts
        assert total is not None
        return self.readout(total, features)
