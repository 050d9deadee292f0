"""Over a run: how much of it is over, the factor of the learning rate, the smoothed loss."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, Timer

from musicgen.training.config import TrainConfig

SMOOTHING, WINDOW = 0.999, 25


def fraction_done(trainer: pl.Trainer, step: int) -> float | None:
    """How much of a run is over after `step` steps, by the trainer's own limits; None: it has no
    end."""
    callbacks: list[Callback] = getattr(trainer, "callbacks", [])
    timer = next((each for each in callbacks if isinstance(each, Timer)), None)
    if timer is not None and (left := timer.time_remaining()) is not None:
        return timer.time_elapsed() / (timer.time_elapsed() + left)
    if math.isfinite(total := trainer.estimated_stepping_batches):
        return step / total
    return None


def rate_factor(config: TrainConfig, fraction: float) -> float:
    """A linear rise, then half a cosine down to 0, or with the schedule "constant" nothing more."""
    warmup = config.warmup
    if fraction < warmup:
        return max(fraction / warmup, 0.01)
    if config.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (fraction - warmup) / (1 - warmup)))


def smoothed(
    before: float | None, losses: Iterable[float], targets: Iterable[float], n_outcomes: int
) -> float:
    """The running average, in bits, of losses in nats of steps with so many targets.

    It is log2 of the number of outcomes at first; for each `WINDOW` targets, in however many rows
    and steps, it becomes `SMOOTHING` of itself and the rest of the loss (Karpathy, "min-char-rnn",
    2015, where a step is one window).
    """
    bits = math.log2(max(1, n_outcomes)) if before is None else before
    for loss, n in zip(losses, targets, strict=True):
        kept = SMOOTHING ** (n / WINDOW)
        bits = kept * bits + (1 - kept) * loss / math.log(2)
    return bits
