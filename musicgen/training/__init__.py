"""Train a network on token files: `train(config, tokens, folder)`, resumable bit for bit.

    summary = train(PRESETS["lstm"].with_budget(minutes=5), TokenSet.load("celtic"), Path("run"))
    checkpoint.load(summary.model)

PyTorch Lightning drives devices, precision and strategies; a few callbacks do the rest. Names are
imported when they are first used: settings and presets need no Lightning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from musicgen.system.lazy import lazy

if TYPE_CHECKING:
    from musicgen.training.config import DataConfig, TrainConfig
    from musicgen.training.datamodule import TuneDataModule
    from musicgen.training.lightning_module import NextTokenModule
    from musicgen.training.progress import Progress, Report
    from musicgen.training.run import train
    from musicgen.training.run_folder import RunFolder, Summary
    from musicgen.training.samples import SampleWhileTraining

__all__ = [
    "DataConfig",
    "NextTokenModule",
    "Progress",
    "Report",
    "RunFolder",
    "SampleWhileTraining",
    "Summary",
    "TrainConfig",
    "TuneDataModule",
    "train",
]

__getattr__ = lazy(
    __name__,
    {
        "DataConfig": "config",
        "NextTokenModule": "lightning_module",
        "Progress": "progress",
        "Report": "progress",
        "RunFolder": "run_folder",
        "SampleWhileTraining": "samples",
        "Summary": "run_folder",
        "TrainConfig": "config",
        "TuneDataModule": "datamodule",
        "train": "run",
    },
)
