"""A recurrent network written from scratch: weights, hidden state, recurrence.

    h_t = tanh(W_in x_t + W_hidden h_{t-1} + b)

Training unrolls it: back-propagation through time multiplies by the hidden weights once a step,
so gradients over many steps fade or explode. With ReLU the hidden weights start as the identity,
so that at first the state only adds up (Le, Jaitly and Hinton, "A simple way to initialize
recurrent networks of rectified linear units", 2015); with tanh they start orthogonal.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from musicgen.models.config import ModelConfig
from musicgen.models.networks.stack import RecurrentStack, input_widths


class Recurrence(nn.Module):
    """One layer: inputs (B, T, E) and h (B, C) -> outputs (B, T, C) and the last h."""

    def __init__(
        self,
        d_model: int,
        activation: str,
        *,
        hidden_init: str = "auto",
        hidden_gain: float = 1.0,
        width_in: int = 0,
    ) -> None:
        super().__init__()
        self.activation = torch.tanh if activation == "tanh" else torch.relu
        self.w_in = nn.Parameter(torch.empty(d_model, width_in or d_model))
        self.w_hidden = nn.Parameter(torch.empty(d_model, d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))
        nn.init.xavier_uniform_(self.w_in)
        if hidden_init == "auto":
            hidden_init = "identity" if activation == "relu" else "orthogonal"
        if hidden_init == "identity":
            nn.init.eye_(self.w_hidden)
        elif hidden_init == "orthogonal":
            nn.init.orthogonal_(self.w_hidden)
        else:
            nn.init.normal_(self.w_hidden, std=d_model**-0.5)
        self.w_hidden.data.mul_(hidden_gain)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Run over all times in order."""
        inputs = x @ self.w_in.T + self.bias  # (B, T, C), every time at once
        hidden = self.w_hidden.T
        outputs = []
        for u in inputs.unbind(dim=1):
            h = self.activation(torch.addmm(u, h, hidden))  # (B, C)
            outputs.append(h)
        return torch.stack(outputs, dim=1), h


class RNN(RecurrentStack):
    """Stacked recurrences. State: one h (n_layers, B, C)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(
            config,
            (
                Recurrence(
                    config.d_model,
                    config.activation,
                    hidden_init=config.hidden_init,
                    hidden_gain=config.hidden_gain,
                    width_in=width,
                )
                for width in input_widths(config)
            ),
        )
