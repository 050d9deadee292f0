"""NextTokenModule: any network as a LightningModule; scoring whole tunes in bits."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from musicgen.corpus.tokenset import TokenSplit
from musicgen.models import build_model
from musicgen.models.checkpoint import Checkpoint
from musicgen.models.cost import nats
from musicgen.training.config import TrainConfig
from musicgen.training.datamodule import Batch, collate, pack
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
            pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
            for mean, value in pairs:
                mean.lerp_(value, 1 - decay)


class ScoringStopped(Exception):  # noqa: N818 - nothing is wrong
    """Scoring was asked to stop before its end."""


@torch.inference_mode()
def score_tunes(
    network: nn.Module,
    split: TokenSplit,
    *,
    batch_tokens: int = 16384,
    shard: tuple[int, int] = (0, 1),
    stop: Callable[[], bool] = lambda: False,
) -> NDArray[np.float64]:
    """Bits of every whole tune, all tokens after bos: (n,). Divide by `split.notes` for the unit
    that tokenizers share.

    With `shard` (i, n) only each n-th batch from the i-th is scored, the rest are 0. `stop` is
    asked before each batch.

    Raises:
        ScoringStopped: `stop` said so.
    """
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    lengths = np.diff(split.offsets) - 1
    order = np.argsort(-lengths, kind="stable")
    bits = np.zeros(len(split))
    for run in pack(lengths[order], batch_tokens)[shard[0] :: shard[1]]:
        if stop():
            network.train(training)
            raise ScoringStopped
        own = order[run]
        batch = collate(split, split.offsets[own], lengths[own], total=0)
        logits, _ = network(batch.tokens.to(device), batch.features.to(device))
        cost = nats(logits, batch.targets.to(device)).cpu().double()  # (B, T)
        bits[own] = cost.sum(dim=1).numpy() / math.log(2)
    network.train(training)
    return bits
