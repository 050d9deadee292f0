"""Batches as torch datasets and loaders that several devices share and resumed runs go on with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from musicgen.corpus.tokenset import TokenSplit
from musicgen.models.batches import Batch, Plan, collate_tunes, whole_tunes


class TrainBatches(Dataset[Batch]):
    """The batches (or parts of batches) of one of `world` devices, by their number from the first
    epoch on; the length is that of an epoch."""

    def __init__(self, plan: Plan, rank: int, world: int) -> None:
        self.plan, self.rank, self.world = plan, rank, world

    def __len__(self) -> int:
        return self.plan.steps_per_epoch * self.plan.parts

    def __getitem__(self, number: int) -> Batch:
        step, part = divmod(number, self.plan.parts)
        return self.plan.batch(
            step, shard=(part * self.world + self.rank, self.plan.parts * self.world)
        )


class WholeTunes(Dataset[Batch]):
    """Whole tunes, longest first; past the end there are empty batches."""

    def __init__(self, split: TokenSplit, batch_tokens: int) -> None:
        self.split, self.tunes = split, whole_tunes(split, batch_tokens)

    def __len__(self) -> int:
        return len(self.tunes)

    def __getitem__(self, number: int) -> Batch:
        none = np.zeros(0, dtype=np.int64)
        return collate_tunes(self.split, self.tunes[number] if number < len(self) else none)


class ShareSampler(DistributedSampler[int]):
    """Every n-th batch for one of n devices; where others have one more, an empty one. (Lightning's
    own sampler would repeat some.)"""

    def __init__(self, dataset: WholeTunes, rank: int, world: int) -> None:
        super().__init__(dataset, num_replicas=world, rank=rank, shuffle=False)
        self._numbers = range(rank, -(-len(dataset) // world) * world, world)

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


class EpochSampler(DistributedSampler[int]):
    """The numbers of the batches of an epoch, from a given one on; the dataset knows the device."""

    first = 0

    def __iter__(self) -> Iterator[int]:
        start = self.epoch * len(self)
        return iter(range(start + self.first, start + len(self)))

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]


class EpochLoader(DataLoader[Batch]):
    """A loader that can go on in the middle of an epoch."""

    def __init__(self, dataset: Dataset[Batch], **options: Any) -> None:
        sampler = EpochSampler(dataset, num_replicas=1, rank=0, shuffle=False)
        super().__init__(dataset, **{"sampler": sampler, "batch_size": None, **options})
        self._taken = 0
        self._resumed: dict[str, int] = {}

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Batches; nothing is fetched before the first is asked for, and the epoch known."""
        epoch, taken = self._resumed.get("epoch"), self._resumed.get("taken", 0)
        self._resumed = {}
        self._taken = taken if epoch == getattr(self.sampler, "epoch", None) else 0
        self.sampler.first = self._taken  # type: ignore[attr-defined]
        for batch in super().__iter__():
            self._taken += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The epoch, and how many of its batches have been taken."""
        return {"epoch": getattr(self.sampler, "epoch", 0), "taken": self._taken}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on there."""
        self._resumed = dict(state_dict)
