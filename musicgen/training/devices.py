"""The devices of a run: the arguments of a Trainer, and whether they are there."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.accelerators import CPUAccelerator

from musicgen.errors import TrainingError, printable
from musicgen.training.cluster import Launch, launch
from musicgen.training.config import TrainConfig
from musicgen.training.process_state import quiet_lightning


def device_arguments(config: TrainConfig) -> dict[str, Any]:
    """Arguments of a Trainer: as many devices as torchrun or srun have started the run for, else
    one, unless the settings say how many."""
    started = launch() if launch().is_external else Launch()
    devices, num_nodes = config.devices or started.devices, config.num_nodes or started.n_nodes
    strategy = config.strategy
    if devices * num_nodes > 1 and strategy in ("auto", "ddp") and not hasattr(sys, "ps1"):
        # Else DDP arranges gradients anew after the first step, and sums of more than two of them
        # are rounded differently after each start: a resumed run would not be the same.
        strategy = "ddp_find_unused_parameters_true"
    return {
        "accelerator": config.accelerator,
        "devices": devices,
        "strategy": strategy,
        "num_nodes": num_nodes,
    }


def require_devices(config: TrainConfig) -> None:
    """Check that this machine has the accelerator, the devices and the strategy.

    Raises:
        TrainingError: it has not, or there are more processes than processors, or another number
            than torchrun or srun have started.
    """
    settings = device_arguments(config) | config.trainer
    devices, num_nodes, started = settings["devices"], settings["num_nodes"], launch()
    if started.is_external and devices * num_nodes != started.world_size:
        raise TrainingError(
            f"devices={devices}, num_nodes={num_nodes}: {started.by} has started "
            f"{started.world_size} processes; leave both out, or start {devices * num_nodes}"
        )
    try:
        with quiet_lightning():
            trainer = pl.Trainer(**settings, logger=False, enable_checkpointing=False)
    except (ValueError, RuntimeError, ImportError, TypeError, MisconfigurationException) as error:
        shown = {name: v for name, v in settings.items() if (name, v) != ("num_nodes", 1)}
        text = ", ".join(f"{name}={printable(str(v))[:40]}" for name, v in shown.items())
        reason = printable(re.split(r"[.:] |\n", str(error))[0])[:150]
        raise TrainingError(f"{text}: not available here ({reason})") from None
    cores = os.cpu_count() or 1
    if isinstance(trainer.accelerator, CPUAccelerator) and devices > cores:
        raise TrainingError(f"devices={devices}: this machine has {cores} processors")
