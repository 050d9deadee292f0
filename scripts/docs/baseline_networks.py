"""Networks that fail where recurrence and attention do not, as rows of the table of networks.

After `KINDS.update(ROWS)`, as anyone may add their own, they are trained, scored, saved and loaded
as the others are:

    window          the last 8 tokens side by side, into a perceptron
    bag             how often each token has come so far, into a perceptron
    concatenation   all tokens so far, each place with weights of its own, into a perceptron
    sinusoidal, learned, no-positions   transformers whose positions are added, or that have none
    bidirectional   an LSTM that also reads the tune backwards from its end: no model of tunes, as
                    it sees what comes after the token that it predicts

Letters: B batch, T time, C channels (d_model).
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from musicgen.models import Kind, ModelConfig
from musicgen.models.networks.embedding import Embedding, Readout, drop_channels
from musicgen.models.networks.lstm import Layer
from musicgen.models.networks.transformer import Block, State, Transformer

WINDOW = 8  # tokens
PLACES = 512  # with weights of their own; later tokens share those of the last


class Perceptron(nn.Module):
    """Embedding, a summary of the past, one hidden layer, readout. A subclass says what the
    summary is."""

    def __init__(self, config: ModelConfig, n_inputs: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = Embedding(config)
        self.hidden = nn.Linear(n_inputs, config.d_model)
        self.readout = Readout(config, self.embedding)

    def forward(
        self,
        tokens: Tensor,
        features: Tensor | None = None,
        state: tuple[Tensor, ...] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `musicgen.models`."""
        past, state = self.past(self.embedding(tokens, features), state)
        x = drop_channels(F.relu(self.hidden(past)), self.config.dropout, self.training)
        return self.readout(x, features), state

    def past(
        self, x: Tensor, state: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """What the hidden layer gets at each time, (B, T, n_inputs), from x (B, T, C)."""
        raise NotImplementedError


class Window(Perceptron):
    """State: the last tokens but one, (B, WINDOW - 1, C)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, WINDOW * config.d_model)

    def past(
        self, x: Tensor, state: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The last tokens side by side, vectors of 0 before the first."""
        before = x.new_zeros(len(x), WINDOW - 1, x.shape[2]) if state is None else state[0]
        x = torch.cat([before, x], dim=1)
        return x.unfold(1, WINDOW, 1).flatten(2), (x[:, 1 - WINDOW :],)


class Bag(Perceptron):
    """State: the sum of all vectors so far (B, C), and their number."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, config.d_model)

    def past(
        self, x: Tensor, state: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The mean of all vectors so far, times the square root of their number."""
        total, n = (x.new_zeros(len(x), x.shape[2]), x.new_zeros(1)) if state is None else state
        sums = total[:, None] + x.cumsum(dim=1)
        counts = n + torch.arange(1, x.shape[1] + 1, device=x.device)
        return sums / counts.sqrt()[None, :, None], (sums[:, -1], counts[-1:])


class Concatenation(Perceptron):
    """State: the sum so far of each token times the weights of its place (B, C), and how many."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, config.d_model)
        shape = (PLACES, config.d_model, config.d_model)
        self.places = nn.Parameter(torch.randn(shape) * config.d_model**-0.5)
        self.bias = nn.Parameter(torch.zeros(PLACES, config.d_model))

    def past(
        self, x: Tensor, state: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """All tokens so far side by side, times one matrix: each place has its rows of it."""
        total, n = (x.new_zeros(len(x), x.shape[2]), x.new_zeros(1)) if state is None else state
        here = (int(n) + torch.arange(x.shape[1], device=x.device)).clamp(max=PLACES - 1)
        sums = total[:, None] + torch.einsum("btc,tcd->btd", x, self.places[here]).cumsum(dim=1)
        past = F.relu(sums / (here + 1.0).sqrt()[None, :, None] + self.bias[here])
        return past, (sums[:, -1], n + x.shape[1])


class Unrotated(Block):
    """A block whose queries and keys are not turned."""

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], cache: State | None, filled: int
    ) -> tuple[Tensor, State]:
        """As `Block`, with angles of 0."""
        cos, sin = rotation
        return super().forward(x, (torch.ones_like(cos), torch.zeros_like(sin)), cache, filled)


class Positioned(Unrotated):
    """A first block that adds a vector for each position to the stream."""

    def __init__(self, config: ModelConfig, *, learned: bool) -> None:
        super().__init__(config)
        table = sinusoids(4 * PLACES, config.d_model) * config.d_model**-0.5
        if learned:
            table = torch.randn(PLACES, config.d_model) * config.d_model**-0.5
        self.table = nn.Parameter(table, requires_grad=learned)

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], cache: State | None, filled: int
    ) -> tuple[Tensor, State]:
        """As `Block`; positions past the end of the table have its last vector."""
        here = torch.arange(filled, filled + x.shape[1], device=x.device)
        return super().forward(
            x + self.table[here.clamp(max=len(self.table) - 1)], rotation, cache, filled
        )


def sinusoids(n: int, width: int) -> Tensor:
    """Sines and cosines (n, width) of n positions: Vaswani and others, 2017, section 3.5."""
    angles = torch.arange(n)[:, None] * 10_000.0 ** -(torch.arange(0, width, 2) / width)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def without_rotation(config: ModelConfig, *, learned: bool | None) -> Transformer:
    """A transformer with learned or sinusoidal positions, or (None) without any."""
    network = Transformer(config)
    first = Unrotated(config) if learned is None else Positioned(config, learned=learned)
    network.blocks = nn.ModuleList([first, *(Unrotated(config) for _ in network.blocks[1:])])
    return network


class Bidirectional(nn.Module):
    """Token t + 1 from an LSTM over tokens up to t and another over those from the end to t + 2."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = Embedding(config)
        self.forth = Layer(config.d_model, config.weight_dropout)
        self.back = Layer(config.d_model, config.weight_dropout)
        self.merge = nn.Linear(2 * config.d_model, config.d_model)
        self.readout = Readout(config, self.embedding)

    def forward(
        self, tokens: Tensor, features: Tensor | None = None, state: None = None
    ) -> tuple[Tensor, None]:
        """See `musicgen.models`; all tokens at once only."""
        x = self.embedding(tokens, features)
        zero = x.new_zeros(len(x), x.shape[2])
        before, *_ = self.forth(x, zero, zero)
        after, *_ = self.back(x.flip(1), zero, zero)
        after = F.pad(after.flip(1)[:, 2:], (0, 0, 0, min(2, x.shape[1])))
        both = F.relu(self.merge(torch.cat([before, after], dim=2)))
        return self.readout(drop_channels(both, self.config.dropout, self.training), features), None


ROWS = {
    "window": Kind(title="A fixed window", network=Window),
    "bag": Kind(title="A bag of notes", network=Bag),
    "concatenation": Kind(title="A concatenation of all tokens", network=Concatenation),
    "bidirectional": Kind(title="A bidirectional LSTM", network=Bidirectional),
    **{
        name: Kind(
            title="A transformer",
            network=partial(without_rotation, learned=learned),
            head_multiple=2,
        )
        for name, learned in (("sinusoidal", False), ("learned", True), ("no-positions", None))
    },
}
