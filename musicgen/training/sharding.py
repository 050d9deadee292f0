"""Fully sharded data parallel training (FSDP): each device holds a part of every weight.

The units that are gathered one after another are the layers of a network, and what is left of it.
States that a run is resumed from, and the model, are whole: the first process writes them, and any
number of devices can go on from them. (Zhao et al., "PyTorch FSDP", 2023.)
"""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import FSDPPrecision
from pytorch_lightning.strategies import FSDPStrategy
from torch import nn

from musicgen.errors import TrainingError
from musicgen.models.optimizers import WHOLE_NDIM
from musicgen.training.config import TrainConfig
from musicgen.training.lightning_module import NextTokenModule


class ShardedStrategy(FSDPStrategy):
    """Lightning's, for a module whose network (and its average) is sharded in layers."""

    def __init__(self, module: NextTokenModule, **options: Any) -> None:
        lists = [each for each in module.network.modules() if isinstance(each, nn.ModuleList)]
        layers = {type(layer) for each in lists for layer in each}
        for weight in module.network.parameters():
            setattr(weight, WHOLE_NDIM, weight.ndim)  # a part has one
        super().__init__(auto_wrap_policy={type(module.network), *layers}, **options)

    def setup(self, trainer: pl.Trainer) -> None:
        """Shard the module."""
        super().setup(trainer)
        precision = self.precision_plugin
        assert isinstance(precision, ShardedPrecision)
        precision.sharded = self.model

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> Any:
        """Load a state that holds nothing but tensors and plain values."""
        self.checkpoint_io.load_checkpoint(checkpoint_path, "meta", weights_only=True)
        return super().load_checkpoint(checkpoint_path, weights_only)


class ShardedPrecision(FSDPPrecision):
    """Lightning's, which clips by the norm of all shards."""

    sharded: Any = None

    def clip_grad_by_norm(self, _optimizer: Any, clip_val: int | float) -> None:
        """Clip the gradients of all devices by their norm."""
        self.sharded.clip_grad_norm_(clip_val)


def require_shardable(config: TrainConfig) -> None:
    """Check that no setting needs whole weights on each device.

    Raises:
        TrainingError: one does.
    """
    for name, conflicts in (("optimizer=muon", config.optimizer == "muon"),
                            ("sample_every", config.sample_every > 0)):  # fmt: skip
        if config.strategy == "fsdp" and conflicts:
            raise TrainingError(f"{name}: needs whole weights; drop it, or use strategy=ddp")


def sharded_arguments(
    config: TrainConfig, module: NextTokenModule, precision: Any
) -> dict[str, Any]:
    """The arguments of a Trainer that shards a module; none where the strategy is another one."""
    if config.strategy != "fsdp":
        return {}
    plugin = ShardedPrecision(precision)
    return {"strategy": ShardedStrategy(module), "plugins": [plugin], "precision": None}


def whole_network(trainer: pl.Trainer, module: NextTokenModule) -> nn.Module | None:
    """The network to score and keep with whole weights; None where the first process has it. All
    processes must ask."""
    if not isinstance(trainer.strategy, FSDPStrategy):
        return module.scored
    weights = trainer.strategy.lightning_module_state_dict()
    if not trainer.is_global_zero:
        return None
    prefix = "network." if module.average is None else "average."
    with torch.random.fork_rng(devices=[]):
        network = module.build(module.config.model)
    network.load_state_dict(
        {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}
    )
    return network.eval()
