"""Stacked recurrent layers with residual connections: what the LSTM and the RNN share."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from musicgen.models.config import ModelConfig
from musicgen.models.networks.embedding import Embedding, Readout, drop_channels


def input_widths(config: ModelConfig) -> list[int]:
    """Channels of the input of each layer."""
    return [config.width_in, *[config.d_model] * (config.n_layers - 1)]


class RecurrentStack(nn.Module):
    """Embedding, layers, readout. A layer maps (B, T, C), the first one (B, T, E), and its
    `n_states` vectors (B, C) to (B, T, C) and as many vectors; the state is their stack over the
    layers, each (n_layers, B, C)."""

    n_states = 1

    def __init__(self, config: ModelConfig, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.config = config
        self.embedding = Embedding(config)
        self.layers = nn.ModuleList(layers)  # an iterator: it draws weights after the embedding
        self.readout = Readout(config, self.embedding)

    def forward(
        self,
        tokens: Tensor,
        features: Tensor | None = None,
        state: tuple[Tensor, ...] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `musicgen.models`."""
        x = self.embedding(tokens, features)  # (B, T, E)
        if state is None:
            state = (
                x.new_zeros(len(self.layers), x.shape[0], self.config.d_model),
            ) * self.n_states
        last = []
        for index, layer in enumerate(self.layers):
            y, *states = layer(x, *(each[index].to(x.dtype) for each in state))
            last.append(states)
            y = drop_channels(y, self.config.dropout, self.training)
            x = y if index == 0 else x + y
        return self.readout(x, features), tuple(map(torch.stack, zip(*last, strict=True)))
