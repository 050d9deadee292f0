"""Stacked recurrent layers with residual connections: what the LSTM and the RNN share."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from musicgen.models.config import ModelConfig
from musicgen.models.networks.embedding import Embedding, Readout, drop_channels


class RecurrentStack(nn.Module):
    """Embedding, layers, readout. A layer maps (B, T, C) and its `n_states` vectors (B, C) to the
    same; the state is their stack over the layers, each (n_layers, B, C)."""

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
        x = self.embedding(tokens, features)  # (B, T, C)
        if state is None:
            state = (x.new_zeros(len(self.layers), x.shape[0], x.shape[2]),) * self.n_states
        last = []
        for index, layer in enumerate(self.layers):
            y, *states = layer(x, *(each[index].to(x.dtype) for each in state))
            last.append(states)
            y = drop_channels(y, self.config.dropout, self.training)
            x = y if index == 0 else x + y
        return self.readout(x, features), tuple(map(torch.stack, zip(*last, strict=True)))
