"""An encoder-decoder with attention: hears the whole melody, then writes chord after chord.

The encoder reads every piece of melody with all others in view; the decoder reads the chords so far
and attends to the melody (Vaswani et al., "Attention is all you need", 2017). Positions are numbers
of slots on both sides, so attention knows which notes sound under a chord and how far off others
are. Blocks are those of `models.transformer`.

Letters: B batch, N pieces of melody, S slots, C channels, H heads, D channels of a head, V chords.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from musicgen.composer.harmony.chords import N_CHORDS
from musicgen.composer.harmony.features import MELODY_SIZES, SLOT_SIZES
from musicgen.errors import ConfigError
from musicgen.models import ModelConfig
from musicgen.models.inference.transformer import ROTARY_BASE
from musicgen.models.networks.transformer import Block, State, rotate

FURTHEST = 16  # distances in slots; greater ones are as this


@dataclass(frozen=True, kw_only=True)
class HarmonizerConfig:
    """The shape of a harmonizer; `history_dropout` is the share of earlier chords that are hidden
    in training, so that it does not lean on its own guesses."""

    d_model: int = 64
    n_layers: int = 2
    n_heads: int = 4
    dropout: float = 0.2
    history_dropout: float = 0.3

    def __post_init__(self) -> None:
        if not (1 <= self.d_model <= 1024 and 1 <= self.n_layers <= 16 and 1 <= self.n_heads <= 64):
            raise ConfigError("harmonizer: d_model, n_layers or n_heads is out of range")
        for name in ("dropout", "history_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"harmonizer.{name}: {getattr(self, name)} is not in [0, 1)")

    @property
    def block(self) -> ModelConfig:
        """What a block of `models.transformer` needs to know."""
        return ModelConfig(
            kind="transformer",
            d_model=self.d_model,
            n_layers=2 * self.n_layers,
            n_heads=self.n_heads,
            dropout=self.dropout,
        )


class Listener(Block):
    """A block whose queries come from one stream and whose keys and values from another, or from
    the whole of its own: attention that looks everywhere, not only back.

    Each head has a learned bias for every distance in slots, which starts out in favour of what is
    near, more so in some heads than in others (Press, Smith and Lewis, "Train short, test long:
    attention with linear biases", 2022). Without it a few hundred tunes do not teach a network
    which notes sound under a chord.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        slopes = 2.0 ** (1 - torch.arange(config.n_heads))  # 2, 1, 1/2, 1/4 ...
        distances = torch.arange(-FURTHEST, FURTHEST + 1).abs()
        self.bias = nn.Parameter(-slopes[:, None] * distances)  # (H, 2 * FURTHEST + 1)

    def listen(
        self, x: Tensor, heard: Tensor, at: tuple[Tensor, Tensor], present: Tensor
    ) -> Tensor:
        """x (B, T, C) attends to heard (B, N, C) where present (B, N) is True; `at` are the slots
        of both, (B, T) and (B, N)."""
        q, _, _ = self.project(x)
        _, k, v = self.project(heard)
        y = F.scaled_dot_product_attention(
            *self._turned(q, k, at),
            v,
            attn_mask=self._bias(at).masked_fill(~present[:, None, None, :], -torch.inf),
            dropout_p=self.dropout if self.training else 0.0,
        )
        y = self.merge(y.transpose(1, 2).flatten(2))
        return self.feed(x + F.dropout(y, self.dropout, self.training))

    def shares(self, x: Tensor, heard: Tensor, at: tuple[Tensor, Tensor]) -> Tensor:
        """How much each time of x attends to each of heard: (B, H, T, N), rows sum to 1."""
        q, _, _ = self.project(x)
        _, k, _ = self.project(heard)
        q, k = self._turned(q, k, at)
        scores: Tensor = q @ k.transpose(2, 3) * q.shape[3] ** -0.5 + self._bias(at)
        return scores.softmax(dim=3)

    def _turned(self, q: Tensor, k: Tensor, at: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        d_head = q.shape[3]
        return rotate(q, *rotation_of(at[0], d_head)), rotate(k, *rotation_of(at[1], d_head))

    def _bias(self, at: tuple[Tensor, Tensor]) -> Tensor:
        """(B, H, T, N)"""
        apart = (at[1][:, None, :] - at[0][:, :, None]).clamp(-FURTHEST, FURTHEST)
        return self.bias[:, apart + FURTHEST].transpose(0, 1)


Rotation = tuple[Tensor, Tensor]  # cosines and sines (B, 1, T, D / 2)


def rotation_of(numbers: Tensor, d_head: int) -> Rotation:
    """The rotary angles of positions that are given, (B, T)."""
    steps = torch.arange(0, d_head, 2, device=numbers.device, dtype=torch.float32) / d_head
    angles = numbers[:, None, :, None].float() * ROTARY_BASE**-steps
    return angles.cos(), angles.sin()


class _Table(nn.Module):
    """Small integers in columns to the sum of a vector for each."""

    def __init__(self, sizes: dict[str, int], width: int) -> None:
        super().__init__()
        self.rows = nn.Embedding(sum(sizes.values()), width)
        nn.init.normal_(self.rows.weight, std=width**-0.5)
        starts = torch.tensor([0, *sizes.values()]).cumsum(0)[:-1]
        self.register_buffer("starts", starts, persistent=False)

    starts: Tensor

    def forward(self, columns: Tensor) -> Tensor:
        vectors: Tensor = self.rows(columns + self.starts).sum(dim=2)
        return vectors


class Harmonizer(nn.Module):
    """melody (B, N, 5), the slot of each piece (B, N), slots (B, S, 6), chords before (B, S) ->
    logits (B, S, V)."""

    def __init__(self, config: HarmonizerConfig) -> None:
        super().__init__()
        self.config = config
        width, block = config.d_model, config.block
        self.melody = _Table(MELODY_SIZES, width)
        self.slots = _Table(SLOT_SIZES, width)
        self.chord = nn.Embedding(N_CHORDS, width)
        nn.init.normal_(self.chord.weight, std=width**-0.5)
        self.encoder = nn.ModuleList(Listener(block) for _ in range(config.n_layers))
        self.history = nn.ModuleList(Block(block) for _ in range(config.n_layers))
        self.crossing = nn.ModuleList(Listener(block) for _ in range(config.n_layers))
        self.heard_norm = nn.RMSNorm(width)
        self.norm = nn.RMSNorm(width)
        self.output = nn.Linear(width, N_CHORDS)

    @property
    def d_head(self) -> int:
        """Channels of a head."""
        return self.config.d_model // self.config.n_heads

    def encode(self, melody: Tensor, slot_of: Tensor, slots: Tensor, present: Tensor) -> Tensor:
        """What is heard of the melody: (B, N, C); `present` (B, N) is False at padding."""
        of_slot = self.slots(slots)  # (B, S, C)
        index = slot_of[:, :, None].expand(-1, -1, of_slot.shape[2])
        x = self.melody(melody) + of_slot.gather(1, index)  # (B, N, C)
        x = F.dropout(x, self.config.dropout, self.training)
        for layer in self.encoder:
            assert isinstance(layer, Listener)
            x = layer.listen(x, x, (slot_of, slot_of), present)
        heard: Tensor = self.heard_norm(x)
        return heard

    def forward(
        self, melody: Tensor, slot_of: Tensor, slots: Tensor, present: Tensor, before: Tensor
    ) -> Tensor:
        """All slots at once; `before` holds the chord before each slot."""
        heard = self.encode(melody, slot_of, slots, present)
        logits, _ = self.decode(heard, slot_of, slots, present, before)
        return logits

    def decode(
        self,
        heard: Tensor,
        slot_of: Tensor,
        slots: Tensor,
        present: Tensor,
        before: Tensor,
        state: tuple[int, list[State]] | None = None,
        shares: list[Tensor] | None = None,
    ) -> tuple[Tensor, tuple[int, list[State]]]:
        """Logits of the next T slots (B, T, V), and the state: how many slots were read, and what
        each layer remembers of them. To `shares` is added how much each slot attends to each piece
        of melody, (B, H, T, N), layer by layer."""
        done, caches = state if state is not None else (0, [None] * self.config.n_layers)
        time = before.shape[1]
        x = self.chord(before) + self.slots(slots)  # (B, T, C)
        x = F.dropout(x, self.config.dropout, self.training)
        numbers = torch.arange(done, done + time, device=x.device)[None]
        cos, sin = rotation_of(numbers, self.d_head)
        kept: list[State] = []
        for remember, attend, cache in zip(self.history, self.crossing, caches, strict=True):
            assert isinstance(attend, Listener)
            if cache is not None:
                cache = tuple(F.pad(each, (0, 0, 0, time)) for each in cache)
            x, cache = remember(x, (cos[0, 0], sin[0, 0]), cache, done)
            kept.append(cache)
            if shares is not None:
                shares.append(attend.shares(x, heard, (numbers, slot_of)))
            x = attend.listen(x, heard, (numbers, slot_of), present)
        return self.output(self.norm(x)), (done + time, kept)
