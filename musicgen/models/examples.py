"""Training examples with targets of their own, such as the label of a tune or the chords over it:
batches of like length, every one a function of (seed, step), as `batches` has them for next tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from musicgen.models.batches import BatchPlan, pack


class Examples(ABC):
    """The examples of one split: `lengths` (n,) are the places that each takes in a batch, and
    `n_targets` (n,) how many known targets it has."""

    lengths: NDArray[np.int64]
    n_targets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)

    @abstractmethod
    def collate(self, rows: NDArray[np.int64], *, n_targets: float = 1.0) -> Any:
        """Examples side by side, as `models.batches.Batch` or with the same `inputs`, `targets`,
        `n_targets` and `notes` (here the number of targets of each)."""


class ExamplePlan(BatchPlan):
    """Which examples make up each training batch, whole and without their order."""

    def __init__(self, examples: Examples, *, batch_tokens: int, seed: int, parts: int = 1) -> None:
        self.examples, self.seed, self.parts = examples, seed, parts
        self.lengths = examples.lengths
        self._fix_rows(batch_tokens)

    def batch(self, step: int, *, shard: tuple[int, int] = (0, 1)) -> Any:
        """The batch of one step, or a shard of it; see `BatchPlan.batch`."""
        epoch, place = divmod(step, self.steps_per_epoch)
        rows = self._steps(epoch)[place]
        total = max(1, int(self.examples.n_targets[rows].sum())) / shard[1]
        return self.examples.collate(rows[shard[0] :: shard[1]], n_targets=total)


class WholeExamples(Dataset[Any]):
    """All examples of a split once, longest first; past the end there are empty batches."""

    def __init__(self, examples: Examples, batch_tokens: int) -> None:
        self.examples = examples
        order = np.argsort(-examples.lengths, kind="stable")
        self.rows = [order[run] for run in pack(examples.lengths[order], batch_tokens)]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> Any:
        none = np.zeros(0, dtype=np.int64)
        return self.examples.collate(self.rows[number] if number < len(self) else none)
