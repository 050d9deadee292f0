"""One training run from settings and tokens to a model: checks, trainer, resuming, summary."""

from __future__ import annotations

import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.utilities import rank_zero_only

from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import TrainingError, TrainingInterrupted, printable
from musicgen.models import weight_shapes
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.similarity import NoveltyIndex
from musicgen.training.callback import RunCallback
from musicgen.training.config import TrainConfig
from musicgen.training.datamodule import TokenDataModule
from musicgen.training.description import describe_model
from musicgen.training.lightning_module import NextTokenModule
from musicgen.training.progress import Report
from musicgen.training.run_folder import RunFolder

Logger = Literal["csv", "tensorboard"]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """How a run ended. `model` is the checkpoint folder; `reason` is "budget" or "no better
    score"; bits are per `unit` of the token files."""

    model: str
    best_bits_per_note: float
    steps: int
    epochs: float
    elapsed_s: float
    reason: str
    unit: str = "note"


def train(
    config: TrainConfig,
    tokens: TokenSet,
    folder: str | Path,
    *,
    resume: bool = False,
    report: Report = lambda progress: None,
    about: str = "",
    novelty: NoveltyIndex | None = None,
    start: Checkpoint | None = None,
    clock: Callable[[], float] = time.monotonic,
    logger: Logger = "csv",
) -> Summary:
    """Train until the budget is used up or the score stops improving; the best model is kept.

    Args:
        config: its network need not be fitted to the tokens yet.
        tokens: the tunes; the validation split decides which model is best.
        folder: a new folder for the run, or with `resume` the one of an unfinished run.
        resume: continue from the last saved state.
        report: called with the progress every few steps.
        about: Markdown for the model's card, such as sources and licences.
        novelty: the index of the corpus, to be kept with the model.
        start: a model to fine-tune; the tokens must be prepared in its vocabulary. Its index of
            melodies is kept beside the new one.
        clock: seconds, for a budget of minutes; `time.process_time` gives every network the same
            CPU time, however busy the machine.
        logger: "tensorboard" writes event files beside history.csv, which every run has.

    Raises:
        TrainingError: the run cannot start or continue; everything saved so far is kept.
        TrainingInterrupted: SIGINT or SIGTERM came; the state is saved.
    """
    started = clock()
    config = config.fitted(tokens)
    _require_trainable(config, tokens, start, logger)
    if start is not None and start.novelty is not None:
        novelty = start.novelty if novelty is None else start.novelty + novelty
    run = RunFolder(Path(folder), active=getattr(rank_zero_only, "rank", 0) == 0)
    with run.claimed(make=not resume):
        state = run.reopen(config, tokens) if resume else None
        if state is None:
            run.begin(config, tokens)
        if logger == "tensorboard":
            run.write_events()
        torch.manual_seed(config.seed)
        module = NextTokenModule(config, start)
        data = TokenDataModule(tokens, config.data, seed=config.seed)
        callback = RunCallback(
            config=config,
            tokens=tokens,
            plan=data.plan,
            folder=run,
            describe=partial(describe_model, tokens=tokens, about=about, novelty=novelty),
            report=report,
            clock=clock,
            started=started,
        )
        return _finish(callback, run, _fit(module, data, callback, state))


def _require_trainable(
    config: TrainConfig, tokens: TokenSet, start: Checkpoint | None, logger: Logger
) -> None:
    """Check everything that can be checked before the run folder is touched.

    Raises:
        TrainingError: the first problem.
    """
    if start is not None:
        if (start.tokenizer, start.vocab) != (tokens.tokenizer, tokens.vocab):
            raise TrainingError(
                "the token files have another vocabulary than the model to start from; prepare "
                "them with --from, too"
            )
        if weight_shapes(start.model) != weight_shapes(config.model):
            raise TrainingError(
                "the model to start from is another network; leave model.* alone but for dropout"
            )
    if (config.minutes, config.epochs, config.steps).count(None) != 2:
        raise TrainingError("minutes, epochs, steps: set exactly one of them")
    if not len(tokens.splits["val"]):
        raise TrainingError(
            "there is no tune to validate with; give at least three tunes that differ "
            "(near-identical ones count as one)"
        )
    if logger == "tensorboard" and find_spec("tensorboard") is None:
        raise TrainingError(
            'tensorboard is not installed; run pip install "musicgen[tensorboard]" or use the '
            "csv logger"
        )
    _require_devices(config)


def _require_devices(config: TrainConfig) -> None:
    """Check that this machine has the accelerator, the devices and the strategy.

    Raises:
        TrainingError: it has not, or there are more processes than processors.
    """
    settings = {name: getattr(config, name) for name in ("accelerator", "devices", "strategy")}
    try:
        with quiet_lightning():
            trainer = pl.Trainer(**settings, barebones=True)
    except (ValueError, RuntimeError, ImportError, MisconfigurationException) as error:
        text = ", ".join(f"{name}={printable(str(v))[:40]}" for name, v in settings.items())
        reason = printable(re.split(r"[.:] |\n", str(error))[0])[:150]
        raise TrainingError(f"{text}: not available here ({reason})") from None
    cores = os.cpu_count() or 1
    if isinstance(trainer.accelerator, CPUAccelerator) and config.devices > cores:
        raise TrainingError(f"devices={config.devices}: this machine has {cores} processors")


def _fit(
    module: NextTokenModule, data: TokenDataModule, callback: RunCallback, state: Path | None
) -> int:
    """Run the trainer, from a saved state if there is one: the steps done."""
    with quiet_lightning():
        trainer = _build_trainer(callback)
        # Saturated gates have gradients so tiny that a CPU handles them ten times more slowly.
        torch.set_flush_denormal(True)
        callback.take_signals()
        try:
            trainer.fit(module, data, ckpt_path=state, weights_only=True)
        finally:
            torch.set_flush_denormal(False)
            callback.restore_signals()
    return int(trainer.global_step)


def _build_trainer(callback: RunCallback) -> pl.Trainer:
    """A Lightning trainer that leaves logs, files, bars and validation to the callback."""
    config = callback.config
    cuda = config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    bf16 = config.precision == "bf16" or (config.precision == "auto" and cuda)
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=config.devices,
        strategy=config.strategy,
        precision="bf16-mixed" if bf16 else "32-true",
        max_epochs=-1,
        accumulate_grad_batches=config.data.accumulate,
        gradient_clip_val=config.clip,
        callbacks=[callback],
        default_root_dir=callback.folder.path,
        barebones=True,  # no logger, bars, summary or checkpoints of Lightning's own
        use_distributed_sampler=False,
        limit_val_batches=0,
    )


def _finish(callback: RunCallback, run: RunFolder, step: int) -> Summary:
    """Close the run folder.

    Raises:
        TrainingInterrupted: a signal ended the run before its budget did.
    """
    if callback.signal is not None and not callback.finished:
        raise TrainingInterrupted(
            f"{run.path}: stopped at step {step}, state saved; go on with --resume",
            signal=callback.signal,
        )
    assert callback.best is not None  # the last step is always scored
    summary = Summary(
        model=str(run.path / "model"),
        best_bits_per_note=callback.best,
        steps=step,
        epochs=round(callback.plan.epochs_at(step), 2),
        elapsed_s=round(callback.elapsed_s, 1),
        reason=callback.reason,
        unit=callback.tokens.unit,
    )
    run.finish(asdict(summary))
    return summary


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's tips and notices; its errors still come as exceptions."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(pytorch_)?lightning(\..*)?")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
