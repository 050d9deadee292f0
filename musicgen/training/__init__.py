"""Train a network on token files: `train(config, tokens, folder)`, resumable to the last bit.

    summary = train(PRESETS["lstm"].with_budget(minutes=5), TokenSet.load("celtic"), Path("run"))
    checkpoint.load(summary.model)

Lightning drives devices, precision and strategies; `RunKeeper` decides what happens when.
"""

from __future__ import annotations

import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.utilities import rank_zero_only

from musicgen.config import to_dict
from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import TrainingError, TrainingInterrupted, printable
from musicgen.models import weight_shapes, weights_of
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.similarity import NoveltyIndex
from musicgen.training.callback import RunKeeper
from musicgen.training.card import write_card
from musicgen.training.config import TrainConfig
from musicgen.training.datamodule import TokenDataModule
from musicgen.training.lightning_module import NextTokenModule, score_tunes
from musicgen.training.outlines import outlines_of
from musicgen.training.progress import Progress, Report, reporting
from musicgen.training.run_folder import RunFolder

__all__ = [
    "NextTokenModule",
    "Progress",
    "Report",
    "RunFolder",
    "Summary",
    "TrainConfig",
    "reporting",
    "score_tunes",
    "train",
]


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
) -> Summary:
    """Train until the budget is used up or scores get no better; the best model is kept.

    Args:
        config: its network need not be fitted to the tokens yet.
        tokens: the tunes; the validation split decides which model is best.
        folder: a new folder for the run, or with `resume` the one of an unfinished run.
        resume: go on from the last state saved there.
        report: called with the progress every few steps.
        about: Markdown for the model's card, such as sources and licences.
        novelty: the index of the corpus, to be kept with the model.
        start: a model to go on from; the tokens must be prepared in its vocabulary. Its index of
            melodies is kept beside the new one.
        clock: what a budget of minutes is measured by, in seconds; `time.process_time` gives every
            network the same CPU time, however busy the machine.

    Raises:
        TrainingError: it cannot start or go on; what was saved is kept.
        TrainingInterrupted: SIGINT or SIGTERM came; the state is saved.
    """
    started = clock()
    config = config.fitted(tokens)
    if start is not None:
        require_same_shape(start, config, tokens)
        novelty = _both(start.novelty, novelty)
    if (config.minutes, config.epochs, config.steps).count(None) != 2:
        raise TrainingError("minutes, epochs, steps: set exactly one of them")
    if not len(tokens.splits["val"]):
        raise TrainingError("the corpus has no tune to validate with; give more tunes")
    require_devices(config)
    run = RunFolder(Path(folder), active=getattr(rank_zero_only, "rank", 0) == 0)
    with run.claimed(make=not resume):
        state: Path | None = None
        if resume:
            state = run.reopen(config, tokens)
            run.rewind(int(state.name.partition("-")[0]))
        else:
            run.begin(config, tokens)
        torch.manual_seed(config.seed)
        module = NextTokenModule(config, start)
        data = TokenDataModule(tokens, config.data, seed=config.seed)

        def describe(module: NextTokenModule, bits_per_note: float, step: int) -> Checkpoint:
            model = describe_model(
                module, tokens, bits_per_note=bits_per_note, step=step, about=about
            )
            return replace(model, novelty=novelty)

        keeper = RunKeeper(
            config=config,
            tokens=tokens,
            plan=data.plan,
            folder=run,
            describe=describe,
            report=report,
            clock=clock,
            started=started,
        )
        with quiet_lightning():
            trainer = build_trainer(config, keeper, run.path)
        _fit(trainer, module, data, keeper, state)
        return _close(keeper, run, trainer.global_step)


def _fit(
    trainer: pl.Trainer,
    module: NextTokenModule,
    data: TokenDataModule,
    keeper: RunKeeper,
    state: Path | None,
) -> None:
    """Run the trainer, from a saved state if there is one."""
    with quiet_lightning():
        # Saturated gates have gradients so tiny that a CPU handles them ten times more slowly.
        torch.set_flush_denormal(True)
        keeper.take_signals()
        try:
            trainer.fit(module, data, ckpt_path=state, weights_only=True)
        finally:
            torch.set_flush_denormal(False)
            keeper.restore_signals()


def _close(keeper: RunKeeper, run: RunFolder, step: int) -> Summary:
    if keeper.signal is not None and not keeper.finished:
        raise TrainingInterrupted(
            f"{run.path}: stopped at step {step}, state saved; go on with --resume",
            signal=keeper.signal,
        )
    assert keeper.best is not None  # the last step is always scored
    summary = Summary(
        model=str(run.path / "model"),
        best_bits_per_note=keeper.best,
        steps=step,
        epochs=round(keeper.plan.epochs_at(step), 2),
        elapsed_s=round(keeper.elapsed_s, 1),
        reason=keeper.reason,
        unit=keeper.tokens.unit,
    )
    run.finish(asdict(summary))
    return summary


def require_devices(config: TrainConfig) -> None:
    """Find out before anything is written whether this machine has what is asked for.

    Raises:
        TrainingError: it has not; more processes than processors count as that.
    """
    asked = {name: getattr(config, name) for name in ("accelerator", "devices", "strategy")}
    try:
        with quiet_lightning():
            trainer = pl.Trainer(**asked, barebones=True)
    except (ValueError, RuntimeError, ImportError, MisconfigurationException) as error:
        what = ", ".join(f"{name}={printable(str(value))[:40]}" for name, value in asked.items())
        reason = printable(re.split(r"[.:] |\n", str(error))[0])[:150]
        raise TrainingError(f"{what}: cannot be had here ({reason})") from None
    cores = os.cpu_count() or 1
    if isinstance(trainer.accelerator, CPUAccelerator) and config.devices > cores:
        raise TrainingError(f"devices={config.devices}: this machine has {cores} processors")


def require_same_shape(start: Checkpoint, config: TrainConfig, tokens: TokenSet) -> None:
    """Refuse to go on from a model that does not fit.

    Raises:
        TrainingError: it speaks another vocabulary, hears other features or is another network.
    """
    if (start.tokenizer, start.vocab) != (tokens.tokenizer, tokens.vocab):
        raise TrainingError(
            "the token files have another vocabulary than the model to start from; prepare them "
            "with --from, too"
        )
    if weight_shapes(start.model) != weight_shapes(config.model):
        raise TrainingError(
            "the model to start from is another network; leave model.* alone but for dropout"
        )


def _both(first: NoveltyIndex | None, second: NoveltyIndex | None) -> NoveltyIndex | None:
    if first is None or second is None:
        return second if first is None else first
    return first + second


def build_trainer(config: TrainConfig, keeper: RunKeeper, folder: Path) -> pl.Trainer:
    """A Lightning trainer that leaves logs, files, bars and validation to the keeper."""
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
        callbacks=[keeper],
        default_root_dir=folder,
        barebones=True,  # no logger, bars, summary or checkpoints of Lightning's own
        use_distributed_sampler=False,
        limit_val_batches=0,
    )


def describe_model(
    module: NextTokenModule, tokens: TokenSet, *, bits_per_note: float, step: int, about: str
) -> Checkpoint:
    """The network with everything that is needed to use it."""
    val = tokens.splits["val"]
    per_token = bits_per_note * float(val.notes.sum()) / (len(val.ids) - len(val))
    metrics = {
        f"val_bits_per_{tokens.unit}": bits_per_note,
        "val_bits_per_token": per_token,
        "steps": float(step),
        "parameters": float(sum(p.numel() for p in module.network.parameters())),
    }
    openings = tokens.openings()
    return Checkpoint(
        weights=weights_of(module.scored),
        model=module.config.model,
        vocab=tokens.vocab,
        feature_sizes=tokens.feature_sizes,
        tokenizer=tokens.tokenizer,
        fingerprint=tokens.fingerprint,
        openings=openings,
        outlines=outlines_of(tokens, openings),
        training=to_dict(module.config),
        metrics=metrics,
        card=write_card(module.config, tokens, metrics, about),
    )


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep Lightning's tips and notices out of the way; its errors still come as exceptions."""
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
