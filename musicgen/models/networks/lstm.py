"""A long short-term memory network with the regularisation that matters on small data.

Dropout with one mask per sequence on inputs, between layers and before the output, optional
dropout of recurrent weights, and an output tied to the input table: Merity, Keskar and Socher,
"Regularizing and optimizing LSTM language models", 2017.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from musicgen.models.config import ModelConfig
from musicgen.models.networks.stack import RecurrentStack, input_widths


class Layer(nn.Module):
    """One LSTM layer: inputs (B, T, E), h and c (B, C) -> (B, T, C), h, c."""

    def __init__(self, d_model: int, weight_dropout: float, width_in: int = 0) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width_in or d_model, d_model, batch_first=True)
        self.weight_dropout = weight_dropout
        w_in, w_hidden, b_in, b_hidden = self.lstm.all_weights[0]
        nn.init.xavier_uniform_(w_in)
        for gate in w_hidden.data.chunk(4):
            nn.init.orthogonal_(gate)
        nn.init.zeros_(b_in)
        nn.init.zeros_(b_hidden)
        nn.init.ones_(b_hidden.data[d_model : 2 * d_model])  # remember at first

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run over all times in order."""
        if x.shape[1] == 1 and not torch.is_grad_enabled():
            h, c = self.step(x[:, 0], h, c)
            return h[:, None], h, c
        if self.training and self.weight_dropout > 0:
            weights = {"weight_hh_l0": F.dropout(self.lstm.all_weights[0][1], self.weight_dropout)}
            y, (h, c) = torch.func.functional_call(self.lstm, weights, (x, (h[None], c[None])))
        else:
            y, (h, c) = self.lstm(x, (h[None], c[None]))
        return y, h[0], c[0]

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """One time step (B, C) as plain matrix products; nn.LSTM takes ten times as long."""
        w_in, w_hidden, b_in, b_hidden = self.lstm.all_weights[0]
        gates = F.linear(x, w_in, b_in) + F.linear(h, w_hidden, b_hidden)  # (B, 4 C)
        i, f, g, o = gates.chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class LSTM(RecurrentStack):
    """Stacked LSTM layers. State: h and c, each (n_layers, B, C)."""

    n_states = 2

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(
            config,
            (Layer(config.d_model, config.weight_dropout, width) for width in input_widths(config)),
        )
