"""Samples while training: what the network writes after every so many steps, shown and kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger

from musicgen import formats
from musicgen.composer.excerpts import excerpt
from musicgen.errors import MusicgenError
from musicgen.system.files import make_folder, write_bytes
from musicgen.training.datamodule import TuneDataModule
from musicgen.training.lightning_module import NextTokenModule


class SampleWhileTraining(pl.Callback):
    """Writes a sample into `folder` before the first step and after each `every` steps, as
    `step-000100.txt` or `.abc`, with `midi` where it is a tune a MIDI file beside it, and shows it
    with the loss to `notify`; TensorBoard's logger gets it, too.

    A sample depends on the weights and `seed` alone: a run learns the same with and without, and
    a resumed one writes the same.

    Raises:
        MusicgenError: a file cannot be written.
    """

    def __init__(
        self,
        every: int,
        folder: str | Path = "samples",
        *,
        seed: int = 0,
        midi: bool = False,
        notify: Callable[[str], None] = print,
    ) -> None:
        self.every, self.folder, self.seed, self.midi = every, Path(folder), seed, midi
        self._notify = notify

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A sample of random weights, at the beginning of a run."""
        if trainer.global_step == 0:
            self._sample(trainer, cast(NextTokenModule, pl_module), {})

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any,
        batch_idx: int,
    ) -> None:  # fmt: skip
        """A sample where it is time for one."""
        if trainer.global_step % self.every or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        module = cast(NextTokenModule, pl_module)
        metrics: dict[str, Any] = dict(trainer.callback_metrics)
        if module.is_log_step(batch_idx):  # Lightning logs them after this
            metrics |= module.train_metrics()
        self._sample(trainer, module, metrics)

    def _sample(
        self, trainer: pl.Trainer, module: NextTokenModule, metrics: dict[str, Any]
    ) -> None:
        if not trainer.is_global_zero:
            return
        step, loss = trainer.global_step, metrics.get("smooth_bits_per_token")
        heading = f"step {step}" if loss is None else f"step {step}, {loss:.3f} bits per token"
        data = cast(TuneDataModule, cast(Any, trainer).datamodule)
        try:
            with torch.random.fork_rng(devices=[]):
                written = excerpt(module.to_checkpoint(data), seed=self.seed)
        except MusicgenError as error:
            self._notify(f"{heading}: no sample ({error})")
            return
        make_folder(self.folder)
        file = self.folder / f"step-{step:06d}{written.extension}"
        write_bytes(file, f"{written.text}\n".encode())
        if self.midi and written.tune is not None:
            formats.write(written.tune, file.with_suffix(".mid"))
        for line in (f"{heading}:", *written.text.splitlines()):
            self._notify(line)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_text("sample", f"```\n{written.text}\n```", step)
