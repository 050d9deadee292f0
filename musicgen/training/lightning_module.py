"""NextTokenModule: any network as a LightningModule."""

from __future__ import annotations

import copy

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from musicgen.models import build_model
from musicgen.models.checkpoint import Checkpoint
from musicgen.models.cost import nats
from musicgen.training.batches import Batch
from musicgen.training.config import TrainConfig
from musicgen.training.optimizers import build_optimizer


class NextTokenModule(pl.LightningModule):
    """Learns to predict each next token. `config.model` must be fitted to the tokens; `start` is a
    model of the same shape to begin with, instead of random weights."""

    def __init__(self, config: TrainConfig, start: Checkpoint | None = None) -> None:
        super().__init__()
        self.config = config
        self.network = build_model(config.model)
        if start is not None:
            self.network.load_state_dict(start.network.state_dict())
        self.average: nn.Module | None = None
        if config.ema > 0:
            self.average = copy.deepcopy(self.network).requires_grad_(False).eval()

    @property
    def scored(self) -> nn.Module:
        """The network to score and keep: the running average where there is one."""
        return self.network if self.average is None else self.average

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Nats per token over the step's tokens in all its parts and on all devices: with
        gradients averaged over both, as Lightning does, they are those of one large batch."""
        logits, _ = self.network(batch.tokens, batch.features)
        total = nats(logits, batch.targets).sum()
        shares = self.trainer.world_size * self.config.data.accumulate
        return total * shares / batch.n_targets

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer of the network, not of its average."""
        return build_optimizer(self.network, self.config)

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the running average towards the network, faster at first."""
        if self.average is not None:
            decay = min(self.config.ema, (1 + self.global_step) / (10 + self.global_step))
            for mean, value in zip(
                self.average.parameters(), self.network.parameters(), strict=True
            ):
                mean.lerp_(value, 1 - decay)
