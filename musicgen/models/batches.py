"""Token files to batches of whole tunes, little padding, every batch a function of (seed, step).

A tune is one sequence; tunes of like length share a batch, which holds at most `batch_tokens`
places, padding included. Because batch s depends on the seed and s alone, a run that is resumed
at step s sees what it would have seen. Letters: B rows, T time, F feature columns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musicgen.corpus.tokenset import PAD_ID, TokenSplit

_LENGTH_NOISE = 0.03  # tunes whose lengths differ by less than about twice this may share a batch


class Batch(NamedTuple):
    """Rows of one step: `targets` (B, T) are `tokens` one place on, `PAD_ID` where there is
    nothing to learn. `n_targets` () is the number of targets of the whole step divided by the
    number of its shards (parts and devices), so that the mean over shards of `cost / n_targets`
    is the cost per target of the step. `notes` (B,) are the units of whole tunes, for scores."""

    tokens: Tensor  # (B, T) int64
    features: Tensor  # (B, T, F) int64
    targets: Tensor  # (B, T) int64
    n_targets: Tensor  # () float32
    notes: Tensor  # (B,) int64; 0 for pieces of tunes

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The arguments of the network."""
        return self.tokens, self.features


class Plan(ABC):
    """Which places of which tunes make up each training batch, epoch after epoch."""

    split: TokenSplit
    seed: int
    parts: int

    @property
    @abstractmethod
    def steps_per_epoch(self) -> int:
        """Steps in which every training token is seen once."""

    @abstractmethod
    def batch(self, step: int, *, shard: tuple[int, int] = (0, 1)) -> Batch:
        """The batch of one step, or with `shard` (i, n) each n-th row of it from the i-th on: for
        one of several devices, or one part after another."""

    def epochs_at(self, step: int) -> float:
        """How many times the training tunes have been seen before `step`."""
        return step / self.steps_per_epoch


class BatchPlan(Plan):
    """Batches of tunes, or pieces of them, of like length.

    Every epoch has `steps_per_epoch` steps of at most `parts` times `batch_tokens` places. Row
    counts are fixed by the sorted lengths, with enough margin that pieces may change places with
    others of like length.
    """

    def __init__(
        self, split: TokenSplit, *, batch_tokens: int, max_len: int, seed: int, parts: int = 1
    ) -> None:
        self.split, self.seed, self.parts = split, seed, parts
        firsts, lasts = split.offsets[:-1], split.offsets[1:] - 1  # the last id is only a target
        counts = -(-(lasts - firsts) // max_len)
        tune = np.repeat(np.arange(len(counts)), counts)
        piece = np.arange(len(tune)) - np.repeat(np.cumsum(counts) - counts, counts)
        self.starts = firsts[tune] + piece * max_len
        self.lengths = np.minimum(max_len, lasts[tune] - self.starts)
        self._fix_rows(batch_tokens)

    def _fix_rows(self, batch_tokens: int) -> None:
        """Fix how many sequences each step has, by `self.lengths`."""
        margin = (1 + _LENGTH_NOISE) / (1 - _LENGTH_NOISE)
        longest = np.minimum(np.ceil(np.sort(self.lengths)[::-1] * margin), self.lengths.max())
        self._runs = pack(longest.astype(np.int64), batch_tokens * self.parts)
        self._epoch: tuple[int, list[NDArray[np.int64]]] = (-1, [])

    @property
    def steps_per_epoch(self) -> int:
        """See `Plan`."""
        return len(self._runs)

    def _steps(self, epoch: int) -> list[NDArray[np.int64]]:
        """The batches of one epoch, each as indices of pieces."""
        if self._epoch[0] != epoch:
            random = np.random.default_rng([self.seed, epoch])
            noise = random.uniform(1 - _LENGTH_NOISE, 1 + _LENGTH_NOISE, len(self.lengths))
            order = np.argsort(-self.lengths * noise, kind="stable")
            runs = random.permutation(len(self._runs))
            self._epoch = (epoch, [order[self._runs[i]] for i in runs])
        return self._epoch[1]

    def batch(self, step: int, *, shard: tuple[int, int] = (0, 1)) -> Batch:
        """See `Plan`."""
        epoch, place = divmod(step, self.steps_per_epoch)
        pieces = self._steps(epoch)[place]
        own = pieces[shard[0] :: shard[1]]
        total = int(self.lengths[pieces].sum()) / shard[1]
        return collate(self.split, self.starts[own], self.lengths[own], n_targets=total)


class ContiguousPlan(Plan):
    """Windows of a text that goes on from step to step, for a network whose state is carried.

    Each epoch lays the tunes end to end in an order of its own and cuts the whole into `rows` of
    equal length, `batch_tokens` over `max_len` of them in each of `parts`. A step takes the next
    `max_len` tokens of every row; the last step of an epoch may be shorter, and its last row still
    shorter, padded. No token is trained to be followed by the start of the next tune.
    """

    def __init__(
        self, split: TokenSplit, *, batch_tokens: int, max_len: int, seed: int, parts: int = 1
    ) -> None:
        self.split, self.seed, self.parts, self.window = split, seed, parts, max_len
        self._lengths = np.diff(split.offsets) - 1  # the last id of a tune is only a target
        self._total = int(self._lengths.sum())
        self.rows = min(max(1, batch_tokens // max_len) * parts, self._total)
        self._row_length = -(-self._total // self.rows)
        self._epoch = -1

    @property
    def steps_per_epoch(self) -> int:
        """See `Plan`."""
        return -(-self._row_length // self.window)

    def _lay_out(self, epoch: int) -> None:
        """Fix the order of an epoch: where each tune ends in the whole, and where the ids of what
        stands there are, as a distance."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self._lengths))
        self._ends = np.cumsum(self._lengths[order])
        self._shifts = self.split.offsets[:-1][order] - (self._ends - self._lengths[order])
        self._epoch = epoch

    def batch(self, step: int, *, shard: tuple[int, int] = (0, 1)) -> Batch:
        """See `Plan`; the rows of a shard are the same in every step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._lay_out(epoch)
        first = place * self.window
        within = np.arange(first, min(first + self.window, self._row_length))  # (T,)
        starts = np.arange(self.rows) * self._row_length  # (R,)
        total = (np.minimum(starts + within[-1] + 1, self._total) - starts - first).clip(0).sum()
        places = starts[shard[0] :: shard[1], None] + within  # (B, T)
        there = places < self._total
        places = np.minimum(places, self._total - 1)
        places += self._shifts[np.searchsorted(self._ends, places, side="right")]
        tokens, targets = (
            np.where(there, self.split.ids[places + i], PAD_ID).astype(np.int64) for i in (0, 1)
        )
        features = self.split.features[places].astype(np.int64)
        features[~there] = 0
        return Batch(
            tokens=torch.from_numpy(tokens),
            features=torch.from_numpy(features),
            targets=torch.from_numpy(targets),
            n_targets=torch.tensor(total / shard[1], dtype=torch.float32),
            notes=torch.zeros(len(places), dtype=torch.int64),
        )


def pack(lengths: NDArray[np.int64], batch_tokens: int) -> list[slice]:
    """Cut a nearly sorted sequence of lengths into runs with (rows times longest) in bounds."""
    longest_so_far = np.maximum.accumulate(lengths[::-1])[::-1]  # from here on
    runs, start = [], 0
    while start < len(lengths):
        rows = max(1, batch_tokens // int(longest_so_far[start]))
        runs.append(slice(start, min(start + rows, len(lengths))))
        start += rows
    return runs


def whole_tunes(split: TokenSplit, batch_tokens: int) -> list[NDArray[np.int64]]:
    """The tunes of a split as indices, longest first, in batches of at most so many places."""
    lengths = np.diff(split.offsets) - 1
    order = np.argsort(-lengths, kind="stable")
    return [order[run] for run in pack(lengths[order], batch_tokens)]


def collate_tunes(split: TokenSplit, tunes: NDArray[np.int64]) -> Batch:
    """Whole tunes of a split side by side."""
    lengths = np.diff(split.offsets)[tunes] - 1
    notes = split.notes[tunes].astype(np.int64)
    return collate(split, split.offsets[tunes], lengths, notes=notes)


def collate(
    split: TokenSplit,
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    *,
    n_targets: float = 1.0,
    notes: NDArray[np.integer] | None = None,
) -> Batch:
    """Pieces of a split side by side, padded on the right. Without any there is a row of padding,
    as not every network takes an empty batch."""
    rows, time = max(1, len(starts)), int(lengths.max(initial=1))
    tokens = np.full((rows, time), PAD_ID, dtype=np.int64)
    targets = np.full((rows, time), PAD_ID, dtype=np.int64)
    features = np.zeros((rows, time, split.features.shape[1]), dtype=np.int64)
    for row, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
        tokens[row, :length] = split.ids[start : start + length]
        targets[row, :length] = split.ids[start + 1 : start + length + 1]
        features[row, :length] = split.features[start : start + length]
    return Batch(
        tokens=torch.from_numpy(tokens),
        features=torch.from_numpy(features),
        targets=torch.from_numpy(targets),
        n_targets=torch.tensor(n_targets, dtype=torch.float32),
        notes=torch.zeros(rows, dtype=torch.int64)
        if notes is None or not len(notes)
        else torch.tensor(notes),
    )
