"""An encoder-decoder with attention: encodes the whole melody, then predicts chord after chord.

The encoder attends from every piece of the melody to all others; the decoder reads the chords so
far and attends to the melody (Vaswani et al., "Attention is all you need", 2017). Positions are
numbers of slots on both sides, so attention knows which notes sound under a chord and how far off
others are. Blocks are those of `models.networks.transformer`.

Letters: B batch, N pieces of melody, S slots, C channels, H heads, D channels of a head, V chords.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from musicgen.errors import ConfigError
from musicgen.models import ModelConfig
from musicgen.models.inference.transformer import ROTARY_BASE
from musicgen.models.networks.transformer import Block, State, rotate
from musicgen.tokens.harmony.chords import BEGIN, N_CHORDS
from musicgen.tokens.harmony.features import MELODY_SIZES, SLOT_SIZES, HarmonyExample

FURTHEST = 16  # distances in slots; greater ones are as this


@dataclass(frozen=True, kw_only=True)
class HarmonizerConfig:
    """The shape of a harmonizer; `history_dropout` is the share of earlier chords that are hidden
    in training, so that the network relies less on its own predictions."""

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
        """The configuration of a transformer block."""
        return ModelConfig(
            kind="transformer",
            d_model=self.d_model,
            n_layers=2 * self.n_layers,
            n_heads=self.n_heads,
            dropout=self.dropout,
        )


class AttentionBlock(Block):
    """A block with unmasked attention: queries come from one sequence, keys and values from another
    or from the same.

    Each head has a learned bias for every distance in slots, which starts out in favour of what is
    near, in some heads more than in others (Press, Smith and Lewis, "Train short, test long:
    attention with linear biases", 2022). Without it a few hundred tunes do not teach a network
    which notes sound under a chord.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        slopes = 2.0 ** (1 - torch.arange(config.n_heads))  # 2, 1, 1/2, 1/4 ...
        distances = torch.arange(-FURTHEST, FURTHEST + 1).abs()
        self.bias = nn.Parameter(-slopes[:, None] * distances)  # (H, 2 * FURTHEST + 1)

    def attend(
        self, x: Tensor, encoded: Tensor, at: tuple[Tensor, Tensor], present: Tensor
    ) -> Tensor:
        """x (B, T, C) attends to encoded (B, N, C) where present (B, N) is True; `at` are the slots
        of both, (B, T) and (B, N)."""
        q, _, _ = self.project(x)
        _, k, v = self.project(encoded)
        y = F.scaled_dot_product_attention(
            *self._rotated(q, k, at),
            v,
            attn_mask=self._bias(at).masked_fill(~present[:, None, None, :], -torch.inf),
            dropout_p=self.dropout if self.training else 0.0,
        )
        y = self.merge(y.transpose(1, 2).flatten(2))
        return self.feed(x + F.dropout(y, self.dropout, self.training))

    def attention_to(self, x: Tensor, encoded: Tensor, at: tuple[Tensor, Tensor]) -> Tensor:
        """How much each time of x attends to each of encoded: (B, H, T, N), rows sum to 1."""
        q, _, _ = self.project(x)
        _, k, _ = self.project(encoded)
        q, k = self._rotated(q, k, at)
        return (q @ k.transpose(2, 3) * q.shape[3] ** -0.5 + self._bias(at)).softmax(dim=3)

    def _rotated(self, q: Tensor, k: Tensor, at: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
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


class _EmbeddingSum(nn.Module):
    """Columns of small integers -> the sum of one vector for each column."""

    def __init__(self, sizes: dict[str, int], width: int) -> None:
        super().__init__()
        self.rows = nn.Embedding(sum(sizes.values()), width)
        nn.init.normal_(self.rows.weight, std=width**-0.5)
        starts = torch.tensor([0, *sizes.values()]).cumsum(0)[:-1]
        self.register_buffer("starts", starts, persistent=False)

    starts: Tensor

    def forward(self, columns: Tensor) -> Tensor:
        return self.rows(columns + self.starts).sum(dim=2)


class Harmonizer(nn.Module):
    """melody (B, N, 5), the slot of each piece (B, N), slots (B, S, 6), chords before (B, S) ->
    logits (B, S, V)."""

    def __init__(self, config: HarmonizerConfig) -> None:
        super().__init__()
        self.config = config
        width, block = config.d_model, config.block
        self.melody = _EmbeddingSum(MELODY_SIZES, width)
        self.slots = _EmbeddingSum(SLOT_SIZES, width)
        self.chord = nn.Embedding(N_CHORDS, width)
        nn.init.normal_(self.chord.weight, std=width**-0.5)
        self.encoder = nn.ModuleList(AttentionBlock(block) for _ in range(config.n_layers))
        self.history = nn.ModuleList(Block(block) for _ in range(config.n_layers))
        self.crossing = nn.ModuleList(AttentionBlock(block) for _ in range(config.n_layers))
        self.heard_norm = nn.RMSNorm(width)
        self.norm = nn.RMSNorm(width)
        self.output = nn.Linear(width, N_CHORDS)

    def encode(self, melody: Tensor, slot_of: Tensor, slots: Tensor, present: Tensor) -> Tensor:
        """The encoded melody: (B, N, C); `present` (B, N) is False at padding."""
        of_slot = self.slots(slots)  # (B, S, C)
        index = slot_of[:, :, None].expand(-1, -1, of_slot.shape[2])
        x = self.melody(melody) + of_slot.gather(1, index)  # (B, N, C)
        x = F.dropout(x, self.config.dropout, self.training)
        for layer in self.encoder:
            assert isinstance(layer, AttentionBlock)
            x = layer.attend(x, x, (slot_of, slot_of), present)
        return self.heard_norm(x)

    def forward(
        self, melody: Tensor, slot_of: Tensor, slots: Tensor, present: Tensor, before: Tensor
    ) -> tuple[Tensor, tuple[int, list[State]]]:
        """All slots at once, see `decode`; `before` holds the chord before each slot, some of which
        are hidden in training."""
        if self.training:
            hidden = torch.rand(before.shape, device=before.device) < self.config.history_dropout
            before = before.masked_fill(hidden, BEGIN)
        encoded = self.encode(melody, slot_of, slots, present)
        return self.decode(encoded, slot_of, slots, present, before)

    def decode(
        self,
        encoded: Tensor,
        slot_of: Tensor,
        slots: Tensor,
        present: Tensor,
        before: Tensor,
        state: tuple[int, list[State]] | None = None,
        attention: list[Tensor] | None = None,
    ) -> tuple[Tensor, tuple[int, list[State]]]:
        """Logits of the next T slots (B, T, V), and the state: how many slots were read, and what
        each layer has cached of them. The attention of each slot to each piece of melody,
        (B, H, T, N), is appended to `attention`, layer by layer."""
        done, caches = state if state is not None else (0, [None] * self.config.n_layers)
        time = before.shape[1]
        x = self.chord(before) + self.slots(slots)  # (B, T, C)
        x = F.dropout(x, self.config.dropout, self.training)
        numbers = torch.arange(done, done + time, device=x.device)[None]
        cos, sin = rotation_of(numbers, self.config.d_model // self.config.n_heads)
        kept: list[State] = []
        for remember, attend, cache in zip(self.history, self.crossing, caches, strict=True):
            assert isinstance(attend, AttentionBlock)
            if cache is not None:
                cache = tuple(F.pad(each, (0, 0, 0, time)) for each in cache)
            x, cache = remember(x, (cos[0, 0], sin[0, 0]), cache, done)
            kept.append(cache)
            if attention is not None:
                attention.append(attend.attention_to(x, encoded, (numbers, slot_of)))
            x = attend.attend(x, encoded, (numbers, slot_of), present)
        return self.output(self.norm(x)), (done + time, kept)


class HarmonyBatch(NamedTuple):
    """Examples side by side, padded on the right: melody (B, N, 5), slot_of (B, N), slots
    (B, S, 6), present (B, N) False at padding, before (B, S), targets (B, S) the chords, 0 where
    none is written. `n_targets` () and `notes` (B,), the chords of each row, are as in
    `models.batches.Batch`."""

    melody: Tensor
    slot_of: Tensor
    slots: Tensor
    present: Tensor
    before: Tensor
    targets: Tensor
    n_targets: Tensor
    notes: Tensor

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The arguments of the network."""
        return self.melody, self.slot_of, self.slots, self.present, self.before


def collate(examples: Sequence[HarmonyExample], *, n_targets: float = 1.0) -> HarmonyBatch:
    """Put examples side by side; without any there is a row of padding."""
    n_pieces = max((len(example.melody) for example in examples), default=1)
    n_slots = max((len(example) for example in examples), default=1)
    rows = max(1, len(examples))
    melody = np.zeros((rows, n_pieces, len(MELODY_SIZES)), np.int64)
    slot_of = np.zeros((rows, n_pieces), np.int64)
    slots = np.zeros((rows, n_slots, len(SLOT_SIZES)), np.int64)
    present = np.zeros((rows, n_pieces), np.bool_)
    before = np.full((rows, n_slots), BEGIN, np.int64)
    chords = np.full((rows, n_slots), BEGIN, np.int64)
    for row, example in enumerate(examples):
        n, s = len(example.melody), len(example)
        melody[row, :n], slot_of[row, :n] = example.melody, example.slot_of
        present[row, :n] = True
        slots[row, :s], chords[row, :s] = example.slots, np.maximum(example.chords, BEGIN)
        before[row, 1:s] = chords[row, : s - 1]
    present[len(examples) :, 0] = True  # attention to nothing has no value
    return HarmonyBatch(
        melody=torch.from_numpy(melody),
        slot_of=torch.from_numpy(slot_of),
        slots=torch.from_numpy(slots),
        present=torch.from_numpy(present),
        before=torch.from_numpy(before),
        targets=torch.from_numpy(chords),
        n_targets=torch.tensor(n_targets, dtype=torch.float32),
        notes=torch.from_numpy((chords != BEGIN).sum(axis=1)),
    )


@torch.inference_mode()
def nats_per_slot(network: Harmonizer, examples: Sequence[HarmonyExample]) -> float:
    """Mean cross-entropy of a written chord, given the chords before it."""
    training = network.training
    network.eval()
    cost, n = 0.0, 0
    ordered = sorted(examples, key=len)
    for start in range(0, len(ordered), 16):
        batch = collate(ordered[start : start + 16])
        logits, _ = network(*batch.inputs)
        flat = batch.targets.flatten()
        cost += float(
            F.cross_entropy(logits.flatten(0, 1), flat, ignore_index=BEGIN, reduction="sum")
        )
        n += int(batch.notes.sum())
    network.train(training)
    return cost / max(1, n)
