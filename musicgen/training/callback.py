"""The callback that runs a run: learning rate, budget, scores, saves, signals, early stop."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import TrainingError
from musicgen.models.checkpoint import Checkpoint
from musicgen.training.batches import Batch, BatchPlan
from musicgen.training.config import TrainConfig
from musicgen.training.lightning_module import NextTokenModule
from musicgen.training.progress import Progress, Report
from musicgen.training.run_folder import Row, RunFolder
from musicgen.training.scoring import ScoringStopped, score_tunes

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_CLOSING_S = 3.0  # the last save, the picture


class RunCallback(pl.Callback):
    """Everything that decides the losses is a function of the step, or part of the state saved
    (with a `minutes` budget the clock is: there a resumed run is only nearly the same)."""

    def __init__(
        self,
        *,
        config: TrainConfig,
        tokens: TokenSet,
        plan: BatchPlan,
        folder: RunFolder,
        describe: Callable[[NextTokenModule, float, int], Checkpoint],
        report: Report,
        clock: Callable[[], float],
        started: float,
    ) -> None:
        self.config, self.tokens, self.plan, self.folder = config, tokens, plan, folder
        self.describe, self.report, self._clock = describe, report, clock
        self.total_steps = config.steps if config.epochs is None else plan.first_step(config.epochs)
        self.signal: int | None = None
        self.finished = False
        self.reason = "budget"
        self.best: float | None = None
        self.last_score: float | None = None
        self.scored_step = -1
        self._since_best = 0
        self._losses: list[float | Tensor] = []  # nats per token of the steps since the last row
        self._started = started
        self._score_s: float | None = None  # how long the last scoring took
        self._saved = self._rate_since = self._clock()
        self._rate_tokens = self._rate = 0.0
        self._train_bits: float | None = None
        self._unscored = False  # the last step is still to be scored: a signal came first
        self._handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        self._has_signals = False

    @property
    def elapsed_s(self) -> float:
        """Time spent in this run, interruptions not counted."""
        return self._clock() - self._started

    def state_dict(self) -> dict[str, Any]:
        """The state that a resumed run needs; plain numbers only."""
        return {
            "elapsed_s": self.elapsed_s,
            "best": self.best,
            "last_score": self.last_score,
            "scored_step": self.scored_step,
            "since_best": self._since_best,
            "losses": [float(loss) for loss in self._losses],
            "score_s": self._score_s,
            "unscored": self._unscored,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self._started -= state_dict["elapsed_s"]
        self.best, self.last_score = state_dict["best"], state_dict["last_score"]
        self.scored_step, self._since_best = state_dict["scored_step"], state_dict["since_best"]
        self._losses, self._score_s = list(state_dict["losses"]), state_dict["score_s"]
        self._unscored = state_dict.get("unscored", False)  # states of before have none

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take over signals: Lightning has set its own by now, which leave nothing saved."""
        self.take_signals()
        if self._unscored:
            assert isinstance(pl_module, NextTokenModule)
            self._score_and_decide(trainer, pl_module)
        over = self._agreed(trainer, self.fraction(trainer.global_step) >= 1)
        if self.finished or (over and self.best is not None):  # else one step, and its score
            trainer.should_stop = True

    def take_signals(self) -> None:
        """Let SIGINT and SIGTERM end the run after the step they come in."""
        try:
            for number in _SIGNALS:
                signal.signal(number, self._stop_on_signal)
                self._has_signals = True
        except ValueError:
            pass  # not the main thread: signals are the caller's business

    def restore_signals(self) -> None:
        """Give signals back to whoever had them."""
        if self._has_signals:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def _stop_on_signal(self, number: int, _frame: object) -> None:
        if self.signal is not None:  # the second time at once
            raise KeyboardInterrupt
        self.signal = number

    def fraction(self, step: int) -> float:
        """How much of the budget is used up once `step` steps are done, in [0, 1]."""
        if self.total_steps is not None:
            return min(1.0, step / self.total_steps)
        assert self.config.minutes is not None
        budget = self.config.minutes * 60
        score_s = self._score_s if self._score_s is not None else 0.02 * budget
        closing = min(1.3 * score_s + _CLOSING_S, 0.3 * budget)
        return min(1.0, self.elapsed_s / (budget - closing))

    def learning_rate(self, fraction: float) -> float:
        """A linear rise, then half a cosine down to 0."""
        warmup = self.config.warmup
        if fraction < warmup:
            return self.config.learning_rate * max(fraction / warmup, 0.01)
        down = (fraction - warmup) / (1 - warmup)
        return self.config.learning_rate * 0.5 * (1 + math.cos(math.pi * down))

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Set learning rate and randomness for this step, or this part of it."""
        step = trainer.global_step
        share = self._part(batch_idx) * trainer.world_size + trainer.global_rank
        rate = self.learning_rate(self.fraction(step))
        if self.total_steps is None and trainer.world_size > 1:  # clocks differ, weights must not
            mine = torch.tensor(rate, device=pl_module.device, dtype=torch.float64)
            rate = float(trainer.strategy.reduce(mine, reduce_op="mean"))
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = rate
        number = int(np.random.SeedSequence([self.config.seed, step, share]).generate_state(1)[0])
        # torch.manual_seed would note a stack trace for every kind of device that is not there.
        torch.default_generator.manual_seed(number)
        if pl_module.device.type == "cuda":
            torch.cuda.manual_seed(number)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Note the loss; at the end of a step score, log, save, stop where it is time to."""
        assert isinstance(pl_module, NextTokenModule)
        part, loss = self._part(batch_idx), outputs["loss"].detach()
        self._rate_tokens += batch.tokens.numel() * trainer.world_size
        if part == 0:
            self._losses.append(loss)
        else:
            self._losses[-1] = self._losses[-1] + loss
        if part + 1 < self.config.data.accumulate:
            return
        pl_module.update_average()
        step = trainer.global_step
        if self._agreed(trainer, self.fraction(step) >= 1) or self._score_due(step):
            self._score_and_decide(trainer, pl_module)
        elif step % self.config.log_every == 0:
            self._log(trainer, pl_module, score=False)
        interrupted = self._agreed(trainer, self.signal is not None)
        due = self._clock() - self._saved >= self.config.save_minutes * 60
        if not self.finished and (interrupted or self._agreed(trainer, due)):
            self._save(trainer)
        if self.finished or interrupted:
            trainer.should_stop = True

    def _score_and_decide(self, trainer: pl.Trainer, module: NextTokenModule) -> None:
        """Score, log, and see whether that was the end; where a signal comes first, a resumed run
        begins by doing it."""
        losses = list(self._losses)
        try:
            self._log(trainer, module, score=True)
        except ScoringStopped:
            self._losses, self._unscored = losses, True
            return
        self._unscored = False
        self.finished = self._agreed(trainer, self.fraction(trainer.global_step) >= 1)
        if self.config.patience and self._since_best >= self.config.patience:
            self.reason, self.finished = "no better score", True

    def _part(self, batch_idx: int) -> int:
        """Which part of its step a batch is, from 0."""
        return batch_idx % self.config.data.accumulate

    def _score_due(self, step: int) -> bool:
        every = self.config.val_every
        return step % every == 0 if every else self.plan.epochs_at(step).is_integer()

    @staticmethod
    def _agreed(trainer: pl.Trainer, mine: bool) -> bool:
        """Whether any device says so, so that all act alike."""
        if trainer.world_size == 1:
            return mine
        return bool(trainer.strategy.reduce_boolean_decision(mine, all=False))

    def _log(self, trainer: pl.Trainer, module: NextTokenModule, *, score: bool) -> None:
        step = trainer.global_step
        losses = self._finite_losses(trainer)
        if losses:
            self._train_bits = math.fsum(losses) / len(losses) / math.log(2)
        if self._rate_tokens:
            self._rate = self._rate_tokens / (self._clock() - self._rate_since)
        if score:
            self._score(trainer, module)
        self._rate_since, self._rate_tokens = self._clock(), 0.0
        row = Row(
            step=step,
            epoch=round(self.plan.epochs_at(step), 4),
            elapsed_s=round(self.elapsed_s, 1),
            learning_rate=trainer.optimizers[0].param_groups[0]["lr"],
            train_bits_per_token=self._train_bits if losses else None,
            val_bits_per_note=self.last_score if score else None,
            tokens_per_s=round(self._rate),
        )
        self.folder.add(row)
        if trainer.is_global_zero:
            progress = Progress(
                fraction=self.fraction(step),
                step=step,
                epoch=row.epoch,
                elapsed_s=row.elapsed_s,
                tokens_per_s=row.tokens_per_s,
                train_bits_per_token=self._train_bits,
                val_bits_per_note=self.last_score,
                best_bits_per_note=self.best,
                scored=score,
                unit=self.tokens.unit,
            )
            self.report(progress)

    def _finite_losses(self, trainer: pl.Trainer) -> list[float]:
        """The losses since the last row, over all devices; they are then forgotten.

        Raises:
            TrainingError: one of them is not a finite number.
        """
        losses = [float(loss) for loss in self._losses]
        if trainer.world_size > 1:
            mine = torch.tensor(losses, device=trainer.strategy.root_device)
            losses = trainer.strategy.reduce(mine, reduce_op="mean").tolist()
        for of_step, loss in enumerate(losses, trainer.global_step - len(losses) + 1):
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss at step {of_step} is {loss}; the best model so far is kept; "
                    f"try again with a learning_rate below {self.config.learning_rate:g}"
                )
        self._losses.clear()
        return losses

    def _score(self, trainer: pl.Trainer, module: NextTokenModule) -> None:
        """Bits per note of the validation tunes; keep the model if it is the best yet."""
        begun = self._clock()
        split = self.tokens.splits["val"]
        bits = score_tunes(
            module.scored,
            split,
            batch_tokens=self.config.data.eval_batch_tokens,
            shard=(trainer.global_rank, trainer.world_size),
            # Of several devices none may leave the others waiting.
            stop=lambda: self.signal is not None and trainer.world_size == 1,
        ).sum()
        if trainer.world_size > 1:
            total = torch.tensor(bits, device=module.device)
            bits = float(trainer.strategy.reduce(total, reduce_op="sum"))
        self.last_score = float(bits) / max(1, int(split.notes.sum()))
        self.scored_step = trainer.global_step
        if not math.isfinite(self.last_score):
            raise TrainingError(
                f"the score at step {trainer.global_step} is {self.last_score}; the best model so "
                f"far is kept; try again with a learning_rate below {self.config.learning_rate:g}"
            )
        self._since_best += 1
        if self.best is None or self.last_score < self.best:
            self.best, self._since_best = self.last_score, 0
            self.folder.keep_model(self.describe(module, self.best, trainer.global_step))
        self._score_s = self._clock() - begun

    def _save(self, trainer: pl.Trainer) -> None:
        """Write a resumable state; an earlier one stays until the new one is safe on disk."""
        if not all(math.isfinite(loss) for loss in self._losses):
            return  # the next row will say so; a broken state must not replace a good one
        written = self.folder.path / "resume" / "writing.ckpt"
        try:
            written.parent.mkdir(exist_ok=True)
            trainer.save_checkpoint(written)
            self.folder.keep_state(written, trainer.global_step)
        except OSError as error:
            written.unlink(missing_ok=True)
            raise TrainingError(
                f"{written.parent}: cannot save ({error.strerror or error}); make room and go on "
                "with --resume"
            ) from None
        self._saved = self._clock()
