"""Fit a harmonizer with Lightning: batches of whole tunes, the best epoch by validation kept."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from musicgen.errors import ConfigError, CorpusError
from musicgen.models.harmony.network import (
    Harmonizer,
    HarmonizerConfig,
    HarmonyBatch,
    collate,
    nats_per_slot,
)
from musicgen.tokens.harmony.chords import BEGIN, NOT_KNOWN
from musicgen.tokens.harmony.features import HarmonyExample
from musicgen.training.run import quiet_lightning

# Called with the number of the epoch, from 1, and its nats per slot on the validation examples.
Report = Callable[[int, float], None]


@dataclass(frozen=True, kw_only=True)
class HarmonizerFitConfig:
    """One run: `epochs` over the examples in batches of `batch_slots` slots; the learning rate
    rises over the first twentieth and falls to 0 along a cosine."""

    model: HarmonizerConfig = field(default_factory=HarmonizerConfig)
    epochs: int = 14
    batch_slots: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    clip: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_slots", "learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name}: {getattr(self, name)} is not positive")


class _EpochBatches(IterableDataset[HarmonyBatch]):
    """Each epoch once through all examples, similar lengths together, in a seeded order."""

    def __init__(self, examples: Sequence[HarmonyExample], config: HarmonizerFitConfig) -> None:
        self.examples, self.config = examples, config
        self.epoch = 0

    def __iter__(self) -> Iterator[HarmonyBatch]:
        rng = np.random.default_rng([self.config.seed, self.epoch])
        self.epoch += 1
        lengths = np.array([len(example) for example in self.examples]) * rng.uniform(
            0.9, 1.1, len(self.examples)
        )
        batches: list[list[HarmonyExample]] = [[]]
        for i in np.argsort(-lengths, kind="stable").tolist():
            longest = len(batches[-1][0]) if batches[-1] else 0
            if batches[-1] and (len(batches[-1]) + 1) * longest > self.config.batch_slots:
                batches.append([])
            batches[-1].append(self.examples[i])
        for i in rng.permutation(len(batches)).tolist():
            yield collate(batches[i])

    @property
    def steps_per_epoch(self) -> int:
        """About how many batches an epoch has."""
        return max(1, -(-sum(map(len, self.examples)) // self.config.batch_slots))


class HarmonizerModule(pl.LightningModule):
    """Learns the chord of each slot from the melody and the chords before."""

    def __init__(
        self,
        config: HarmonizerFitConfig,
        val: Sequence[HarmonyExample],
        total_steps: int,
        report: Report,
    ) -> None:
        super().__init__()
        self.config = config
        self.network = Harmonizer(config.model)
        self.val, self.total_steps, self.report = val, total_steps, report
        self.best: tuple[float, dict[str, Tensor]] = (math.inf, {})

    def training_step(self, batch: HarmonyBatch, _index: int) -> Tensor:
        """Nats per slot, with some of the earlier chords hidden."""
        before = batch.before
        hidden = torch.rand(before.shape, device=before.device) < self.config.model.history_dropout
        before = before.masked_fill(hidden, BEGIN)
        logits = self.network(*batch.given[:4], before)
        return F.cross_entropy(logits.flatten(0, 1), batch.chords.flatten(), ignore_index=NOT_KNOWN)

    def on_train_epoch_end(self) -> None:
        """Keep the weights if no earlier epoch did better on the validation examples."""
        score = nats_per_slot(self.network, self.val)
        self.report(self.current_epoch + 1, score)
        if score < self.best[0]:
            self.best = (score, copy.deepcopy(self.network.state_dict()))

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and a cosine."""
        config = self.config
        optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            betas=(0.9, 0.98),
        )
        warm = max(1, self.total_steps // 20)

        def rate(step: int) -> float:
            done = min(1.0, (step - warm) / max(1, self.total_steps - warm))
            return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * done))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def fit(
    train: Sequence[HarmonyExample],
    val: Sequence[HarmonyExample],
    config: HarmonizerFitConfig,
    *,
    report: Report = lambda epoch, nats: None,
) -> tuple[Harmonizer, float]:
    """The network of the epoch that does best on `val`, and its nats per slot there.

    Raises:
        CorpusError: no training or no validation example has a chord.
    """
    useful = [example for example in train if (example.chords != NOT_KNOWN).any()]
    validation = [example for example in val if (example.chords != NOT_KNOWN).any()]
    if not useful or not validation:
        raise CorpusError("no chords to learn from; give tunes with chord symbols")
    torch.manual_seed(config.seed)
    batches = _EpochBatches(useful, config)
    n_steps = config.epochs * batches.steps_per_epoch
    module = HarmonizerModule(config, validation, n_steps, report)
    with quiet_lightning():
        trainer = pl.Trainer(
            max_epochs=config.epochs,
            gradient_clip_val=config.clip,
            accelerator="auto",
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, DataLoader(batches, batch_size=None))
    module.network.load_state_dict(module.best[1])
    return module.network.cpu().eval(), module.best[0]
