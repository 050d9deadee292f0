"""The Lightning data module of a TokenSet: training batches from the trainer's own step on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytorch_lightning as pl
from torch.utils.data import DataLoader, IterableDataset

from musicgen.corpus.tokenset import TokenSet
from musicgen.training.batches import Batch, BatchPlan
from musicgen.training.config import DataConfig


class _TrainBatches(IterableDataset[Batch]):
    """Batches without end, from a given step on, for one of `world` devices."""

    def __init__(self, plan: BatchPlan, *, first_step: int, rank: int, world: int) -> None:
        self.plan, self.first_step, self.rank, self.world = plan, first_step, rank, world

    def __iter__(self) -> Iterator[Batch]:
        parts = self.plan.config.accumulate
        for step in count(self.first_step):
            for part in range(parts):
                shard = (part * self.world + self.rank, parts * self.world)
                yield self.plan.batch(step, shard=shard)


class TokenDataModule(pl.LightningDataModule):
    """Feeds a TokenSet to a Lightning trainer, from the trainer's own step on."""

    def __init__(self, tokens: TokenSet, config: DataConfig, *, seed: int) -> None:
        super().__init__()
        self.tokens, self.config = tokens, config
        self.plan = BatchPlan(tokens.splits["train"], config, seed)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Endless; starts where the trainer stands, which after a resume is not 0."""
        trainer = self.trainer
        assert trainer is not None
        batches = _TrainBatches(
            self.plan,
            first_step=trainer.global_step,
            rank=trainer.global_rank,
            world=trainer.world_size,
        )
        return DataLoader(batches, batch_size=None)
