"""Token files to batches of whole tunes, little padding, every batch a function of (seed, step).

A tune is one sequence; tunes of like length share a batch, which holds at most `batch_tokens`
places, padding included. Because batch s depends on the seed and s alone, a run that is resumed
at step s sees what it would have seen. Letters: B rows, T time, F feature columns.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musicgen.corpus.tokenset import PAD_ID, TokenSplit
from musicgen.training.config import DataConfig

_LENGTH_NOISE = 0.05  # tunes whose lengths differ by less may meet in a batch


class Batch(NamedTuple):
    """Rows of one step: `targets` (B, T) are `tokens` one place on, `PAD_ID` where there is
    nothing to learn. `n_targets` () counts those of the whole step, over all parts and devices."""

    tokens: Tensor  # (B, T) int64
    features: Tensor  # (B, T, F) int64
    targets: Tensor  # (B, T) int64
    n_targets: Tensor  # () float32


class BatchPlan:
    """Which pieces of which tunes make up each training batch, epoch after epoch."""

    def __init__(self, split: TokenSplit, config: DataConfig, seed: int) -> None:
        self.split, self.config, self.seed = split, config, seed
        firsts, lasts = split.offsets[:-1], split.offsets[1:] - 1  # the last id is only a target
        counts = -(-(lasts - firsts) // config.max_len)
        tune = np.repeat(np.arange(len(counts)), counts)
        piece = np.arange(len(tune)) - np.repeat(np.cumsum(counts) - counts, counts)
        self.starts = firsts[tune] + piece * config.max_len
        self.lengths = np.minimum(config.max_len, lasts[tune] - self.starts)
        self._first_step = [0]  # of every epoch seen so far and the next
        self._epoch: tuple[int, list[NDArray[np.int64]]] = (-1, [])

    def epoch(self, epoch: int) -> list[NDArray[np.int64]]:
        """The batches of one epoch, each as indices of pieces."""
        if self._epoch[0] != epoch:
            random = np.random.default_rng([self.seed, epoch])
            noise = random.uniform(1 - _LENGTH_NOISE, 1 + _LENGTH_NOISE, len(self.lengths))
            order = np.argsort(-self.lengths * noise, kind="stable")
            batches = pack(self.lengths[order], self.config.batch_tokens * self.config.accumulate)
            self._epoch = (epoch, [order[batches[i]] for i in random.permutation(len(batches))])
        return self._epoch[1]

    def first_step(self, epoch: int) -> int:
        """The step at which an epoch begins."""
        while len(self._first_step) <= epoch:
            self._add_epoch()
        return self._first_step[epoch]

    def pieces(self, step: int) -> NDArray[np.int64]:
        """Indices of the pieces of the batch of one step."""
        epoch = self._epoch_of(step)
        return self.epoch(epoch)[step - self.first_step(epoch)]

    def _epoch_of(self, step: int) -> int:
        while self._first_step[-1] <= step:
            self._add_epoch()
        return bisect_right(self._first_step, step) - 1

    def _add_epoch(self) -> None:
        last = len(self._first_step) - 1
        self._first_step.append(self._first_step[last] + len(self.epoch(last)))

    def epochs_at(self, step: int) -> float:
        """How many times the training tunes have been seen before `step`."""
        epoch = self._epoch_of(step)
        return epoch + (step - self.first_step(epoch)) / len(self.epoch(epoch))

    def batch(self, step: int, *, shard: tuple[int, int] = (0, 1)) -> Batch:
        """The batch of one step, or with `shard` (i, n) each n-th row of it from the i-th on: for
        one of several devices, or one part after another."""
        pieces = self.pieces(step)
        own = pieces[shard[0] :: shard[1]]
        return collate(
            self.split, self.starts[own], self.lengths[own], total=int(self.lengths[pieces].sum())
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


def collate(
    split: TokenSplit, starts: NDArray[np.int64], lengths: NDArray[np.int64], *, total: int
) -> Batch:
    """Pieces of a split side by side, padded on the right; `total` becomes `n_targets`. Without
    any there is a row of padding, as not every network takes an empty batch."""
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
        n_targets=torch.tensor(float(total)),
    )
