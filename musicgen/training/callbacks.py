"""The callbacks of a run: budget, history, the best model, resumable states and signals."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint as CheckpointCallback

from musicgen.errors import TrainingError, TrainingInterrupted
from musicgen.training.cluster import REQUEUE, EarlyWarning, launch, requeue
from musicgen.training.config import TrainConfig
from musicgen.training.datamodule import TuneDataModule
from musicgen.training.lightning_module import NextTokenModule
from musicgen.training.progress import Progress, Report
from musicgen.training.run_folder import Row, RunFolder, parse_rows, render_rows
from musicgen.training.sharding import whole_network

# The folder of the model to keep, its files by name: of a network, `score` and `step`.
Describe = Callable[..., dict[str, bytes]]
_SIGNALS = tuple(filter(None, (signal.SIGINT, signal.SIGTERM, REQUEUE)))
_WARMING_UP_S = 3.0  # before the speed of a run is known
_CLOSING_S = 3.0  # the last save, the picture


def _any_device(trainer: pl.Trainer, mine: bool) -> bool:
    """Whether any device says so, so that all act alike."""
    if trainer.world_size == 1:
        return mine
    return bool(trainer.strategy.reduce_boolean_decision(mine, all=False))


def _highest(trainer: pl.Trainer, mine: int) -> int:
    """The highest number of all devices, so that all act alike."""
    if trainer.world_size == 1:
        return mine
    number = torch.tensor(mine, device=trainer.strategy.root_device)
    return int(trainer.strategy.reduce(number, reduce_op="max"))


def _is_foreign(handler: Any) -> bool:
    """Whether a program that uses this package handles a signal by a function of its own."""
    return callable(handler) and not _module_of(handler).startswith(("_signal", "musicgen."))


def _module_of(function: Any) -> str:
    return str(getattr(function, "__module__", ""))


class Budget(pl.Callback):
    """Ends a run after its steps, minutes or CPU-minutes, with a last validation, and drives the
    module's learning rate by the fraction that is used up. Interruptions do not count."""

    def __init__(self, config: TrainConfig, notify: Callable[[str], None], enough: int) -> None:
        self._config, self._notify, self._enough = config, notify, enough
        self._minutes = config.minutes if config.cpu_minutes is None else config.cpu_minutes
        self._clock = time.monotonic if config.cpu_minutes is None else time.process_time
        self.total_steps = config.steps
        self._started = self._clock()
        self._score_s: float | None = None  # how long the last validation took
        self._score_begun = 0.0

    @property
    def elapsed_s(self) -> float:
        """Time spent in this run."""
        return self._clock() - self._started

    def fraction(self, step: int) -> float:
        """How much of the budget is used up once `step` steps are done, in [0, 1]. Time for a last
        validation and for saving is kept back."""
        if self.total_steps is not None:
            return min(1.0, step / self.total_steps)
        assert self._minutes is not None
        budget = self._minutes * 60
        score_s = self._score_s if self._score_s is not None else 0.02 * budget
        closing = min(1.3 * score_s + _CLOSING_S, 0.3 * budget)
        return min(1.0, self.elapsed_s / (budget - closing))

    def is_over(self, trainer: pl.Trainer) -> bool:
        """Whether nothing is left, on any device."""
        return _any_device(trainer, self.fraction(trainer.global_step) >= 1)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give the module the fraction, for its schedule."""
        self.plan = cast(TuneDataModule, cast(Any, trainer).datamodule).plan
        if self._config.epochs is not None:
            self.total_steps = self._config.epochs * self.plan.steps_per_epoch
        cast(NextTokenModule, pl_module).budget = self.fraction

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any,
        batch_idx: int,
    ) -> None:  # fmt: skip
        """Stop at the end; Lightning validates then."""
        if self._enough and (self.total_steps or self.elapsed_s > _WARMING_UP_S):
            self._warn_of_few_steps(trainer)
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0 and self.is_over(trainer):
            trainer.should_stop = True

    def _warn_of_few_steps(self, trainer: pl.Trainer) -> None:
        """Say once if the whole budget, at the speed so far, is too little to learn much."""
        step, enough, self._enough = trainer.global_step, self._enough, 0
        expected = self.total_steps or int(step / max(1e-9, self.fraction(step)))
        if expected >= enough or not trainer.is_global_zero:
            return
        advice = f"give --set steps={enough}"
        if not self.total_steps:
            minutes = enough / max(1, step) * self.elapsed_s / 60
            option = "--cpu-minutes" if self._config.cpu_minutes else "--minutes"
            advice = (
                f"{enough} take about {minutes:.1f} minutes here; give {option} "
                f"{math.ceil(minutes)}, or a smaller network (--set model.d_model=64)"
            )
        self._notify(
            f"about {expected} steps fit into the budget, and fewer than {enough} teach little; "
            f"{advice}"
        )

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the time of a validation."""
        self._score_begun = self._clock()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note how long it took, the export of a model included."""
        self._score_s = self._clock() - self._score_begun

    def state_dict(self) -> dict[str, Any]:
        """Time spent so far."""
        return {"elapsed_s": self.elapsed_s, "score_s": self._score_s}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._started -= state_dict["elapsed_s"]
        self._score_s = state_dict["score_s"]


class ExportModel(pl.Callback):
    """Keeps the model with the best validation score in the run folder."""

    def __init__(self, folder: RunFolder, describe: Describe) -> None:
        self._folder, self._describe = folder, describe
        self.best: float | None = None
        self.last: float | None = None  # score

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Replace the model if it has become better."""
        module = cast(NextTokenModule, pl_module)
        self.last = float(trainer.callback_metrics[f"val_bits_per_{module.unit}"])
        if self.best is None or self.last < self.best:
            self.best = self.last
            network = whole_network(trainer, module)
            if self._folder.active and network is not None:
                best = self._describe(network, score=self.last, step=trainer.global_step)
                self._folder.keep_model(best)

    def state_dict(self) -> dict[str, Any]:
        """The best score."""
        return {"best": self.best, "last": self.last}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.best, self.last = state_dict["best"], state_dict["last"]


class History(pl.Callback):
    """Writes history.csv and reports progress, after every `log_every` steps and validation. A
    resumed run has its rows from the state, whose digest is known; the file is only for readers."""

    def __init__(
        self, folder: RunFolder, report: Report, budget: Budget, export: ExportModel
    ) -> None:
        self._folder, self._report, self._budget, self._export = folder, report, budget, export
        self._train_bits: float | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any,
        batch_idx: int,
    ) -> None:  # fmt: skip
        """Add a row where it is time to."""
        module = cast(NextTokenModule, pl_module)
        if module.is_log_step(batch_idx):
            self._add(trainer, module, score=None)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add a row, or complete that of the same step."""
        self._add(trainer, cast(NextTokenModule, pl_module), score=self._export.last)

    def _add(self, trainer: pl.Trainer, module: NextTokenModule, *, score: float | None) -> None:
        step, metrics = trainer.global_step, module.train_metrics()
        row = Row(
            step=step,
            epoch=round(self._budget.plan.epochs_at(step), 4),
            elapsed_s=round(self._budget.elapsed_s, 1),
            learning_rate=metrics.get("learning_rate"),
            train_bits_per_token=metrics.get("train_bits_per_token"),
            val_bits_per_note=score,
            tokens_per_s=round(metrics.get("tokens_per_s", 0.0)),
            smooth_bits_per_token=metrics.get("smooth_bits_per_token"),
        )
        row = self._folder.add(row)
        if not trainer.is_global_zero:
            return
        if row.train_bits_per_token is not None:
            self._train_bits = row.train_bits_per_token
        self._report(
            Progress(
                fraction=self._budget.fraction(step),
                step=step,
                epoch=row.epoch,
                elapsed_s=row.elapsed_s,
                tokens_per_s=row.tokens_per_s,
                train_bits_per_token=self._train_bits,
                val_bits_per_note=self._export.last,
                best_bits_per_note=self._export.best,
                scored=score is not None,
                unit=module.unit,
            )
        )

    def state_dict(self) -> dict[str, Any]:
        """The rows so far, as CSV."""
        return {"rows": render_rows(self._folder.rows, self._folder.unit)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._folder.rows = parse_rows(state_dict["rows"], self._folder.unit)


class ResumableStates(CheckpointCallback):
    """Saves states from which a run goes on to the last bit: every few minutes, before each
    validation (which a resumed run then does first), and when SIGINT, SIGTERM or SIGUSR1 ends the
    run. After SIGUSR1 a job of SLURM is started again.

    Everything that decides the losses is a function of the step or part of the state. With a
    budget of time the clock is, too: there a resumed run is only nearly the same.
    """

    def __init__(
        self, folder: RunFolder, save_minutes: float, budget: Budget, export: ExportModel
    ) -> None:
        self._folder, self._save_s = folder, save_minutes * 60
        self._budget, self._export = budget, export
        self._signal: int | None = None
        self._saved = time.monotonic()
        self._unscored = False  # the validation of the step of the state is still to come
        handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        self._handlers = {n: handler for n, handler in handlers.items() if not _is_foreign(handler)}
        self._has_signals = False

    def take_signals(self) -> None:
        """Let signals end the run after the step they come in, unless the program that
        calls us handles them itself."""
        try:
            for number, handler in self._handlers.items():
                signal.signal(number, self._note_signal)
                self._has_signals = True
                if isinstance(handler, EarlyWarning) and handler.received:
                    self._signal = self._signal or number
        except ValueError:
            pass  # not the main thread: signals are the caller's business

    def restore_signals(self) -> None:
        """Give signals back to whoever had them."""
        if self._has_signals:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def _note_signal(self, number: int, _frame: object) -> None:
        if number == self._signal == signal.SIGINT and not launch().is_external:
            raise KeyboardInterrupt  # the second time at once; torchrun and srun send it twice
        self._signal = self._signal or number

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Note how many devices there are."""
        self._world_size = trainer.world_size

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate if that was still to come, and see whether the run is over."""
        self.take_signals()  # Lightning has set its own by now, which leave nothing saved
        if self._unscored:
            trainer.validating = True
            loop = trainer.fit_loop.epoch_loop.val_loop
            loop.restarting = False
            loop.run()
            trainer.training = True
        # A run without any model yet takes one step, and its score.
        if self._budget.is_over(trainer) and self._export.best is not None:
            trainer.should_stop = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any,
        batch_idx: int,
    ) -> None:  # fmt: skip
        """Save where it is time to; stop on a signal."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        loop: Any = trainer.fit_loop
        module = cast(NextTokenModule, pl_module)
        self._unscored = loop.epoch_loop._should_check_val_fx(loop._data_fetcher)
        number = _highest(trainer, self._signal or 0)  # a signal may come to one process alone
        interrupted = number > 0
        due = _any_device(trainer, time.monotonic() - self._saved >= self._save_s)
        if self._unscored or interrupted or due:
            self._save(trainer, module)
        if interrupted:
            if module.is_log_step(batch_idx):  # Lightning would log after this
                for logger in trainer.loggers:
                    logger.log_metrics(module.train_metrics(), step=trainer.global_step - 1)
            again = self._requeue(trainer) if number == REQUEUE else "go on with --resume"
            raise self._interruption(trainer.global_step, number, again)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        """Stop on a signal here, too; the state was saved before. (Of several devices none may
        leave the others waiting.)"""
        number = self._signal
        if number is not None and trainer.world_size == 1:
            again = self._requeue(trainer) if number == REQUEUE else "go on with --resume"
            raise self._interruption(trainer.global_step, number, again)

    def _interruption(self, step: int, number: int, again: str) -> TrainingInterrupted:
        return TrainingInterrupted(
            f"{self._folder.path}: stopped at step {step}, state saved; {again}", signal=number
        )

    def _requeue(self, trainer: pl.Trainer) -> str:
        """Have the job started again by the first process, for which the others wait: SLURM may end
        all of them as soon as one has ended."""
        again = requeue(self._folder.notify) if trainer.is_global_zero else ""
        trainer.strategy.barrier()
        return again

    def _save(self, trainer: pl.Trainer, module: NextTokenModule) -> None:
        """Write a resumable state; an earlier one stays until the new one is safe on disk.

        Raises:
            TrainingError: the disk is full or worse.
        """
        if _any_device(trainer, not module.losses_are_finite()):
            return  # the next row will say so; a broken state must not replace a good one
        written = self._folder.path / "resume" / "writing.ckpt"
        try:
            if self._folder.active:
                written.parent.mkdir(exist_ok=True)
            trainer.save_checkpoint(written, weights_only=False)
            self._folder.keep_state(written, trainer.global_step)
        except OSError as error:
            written.unlink(missing_ok=True)
            raise TrainingError(
                f"{written.parent}: cannot save ({error.strerror or error}); make room and go on "
                "with --resume"
            ) from None
        self._saved = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Whether a validation is still to come, and on how many devices the run is."""
        return {"unscored": self._unscored, "world_size": self._world_size}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._unscored = state_dict["unscored"]
        before = state_dict.get("world_size", self._world_size)
        if before != self._world_size and self._folder.active:
            self._folder.notify(
                f"{self._folder.path}: goes on with {self._world_size} processes instead of "
                f"{before}: batches are the same, but dropout is drawn anew and sums are rounded "
                "differently"
            )
