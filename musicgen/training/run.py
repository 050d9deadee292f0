"""One training run from settings and tokens to a model: checks, trainer, resuming, summary."""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch import nn

from musicgen.config import to_dict, unknown
from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import TrainingError
from musicgen.models import weight_shapes
from musicgen.models.checkpoint import Checkpoint, files_of
from musicgen.models.description import describe_model
from musicgen.music.similarity import NoveltyIndex
from musicgen.training.callbacks import Budget, Describe, ExportModel, History, ResumableStates
from musicgen.training.cluster import Peers, losing_processes
from musicgen.training.config import BUDGETS, TrainConfig
from musicgen.training.datamodule import TuneDataModule, require_validation
from musicgen.training.devices import device_arguments, require_devices
from musicgen.training.lightning_module import NextTokenModule
from musicgen.training.presets import ENOUGH_STEPS
from musicgen.training.process_state import own_random_numbers, quiet_lightning
from musicgen.training.progress import Report
from musicgen.training.run_folder import Origin, RunFolder, Summary
from musicgen.training.sharding import require_shardable, sharded_arguments

if TYPE_CHECKING:
    from musicgen.training.tasks import Task

Logger = Literal["csv", "tensorboard", "wandb", "mlflow"]

# The package of each logger. Every run has history.csv; "csv" is that alone.
_PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}
# Arguments of a Trainer that a run fills in, and the setting or option to use instead.
_OWN_ARGUMENTS = {
    "max_steps": "steps", "max_epochs": "epochs", "max_time": "minutes",
    "callbacks": "the Python API", "logger": "--logger", "default_root_dir": "--out",
    "accelerator": "accelerator", "devices": "--devices", "num_nodes": "--num-nodes",
    "strategy": "--strategy", "gradient_clip_val": "clip",
    "accumulate_grad_batches": "data.accumulate", "val_check_interval": "val_every",
    "check_val_every_n_epoch": "val_every", "log_every_n_steps": "log_every",
    "fast_dev_run": "steps", "enable_checkpointing": "save_minutes", "barebones": "the Python API",
}  # fmt: skip


@own_random_numbers()
def train(
    config: TrainConfig,
    tokens: TokenSet | Task,
    folder: str | Path,
    *,
    resume: bool | Literal["auto"] = False,
    report: Report = lambda progress: None,
    notify: Callable[[str], None] = lambda line: None,
    about: str = "",
    novelty: NoveltyIndex | None = None,
    start: Checkpoint | None = None,
    logger: Logger = "csv",
    origin: Origin | None = None,
) -> Summary:
    """Train until the budget is used up or the score stops improving; the best model is kept.

    Args:
        config: its network need not be fitted to the tokens yet.
        tokens: the tunes, or the examples of another task; the validation split decides which
            model is best.
        folder: a new folder for the run, or with `resume` the one of an unfinished run; on several
            machines one that all of them see.
        resume: continue from the last saved state, or with "auto" where there is one: the run that
            is named begins, goes on or is finished already.
        report: called with the progress every few steps.
        notify: called with lines that a person should read.
        about: Markdown for the model's card, such as sources and licences.
        novelty: the index of the corpus, to be kept with the model.
        start: a model to fine-tune, to be given again with `resume`; the tokens must be prepared
            in its vocabulary. The run uses its columns of features. Its index of melodies is kept
            beside the new one.
        logger: one of Lightning's, beside history.csv, which every run has; event files of
            TensorBoard lie in the folder, too.
        origin: where the tokens are from; kept in run.json, and no more.

    Raises:
        TrainingError: the run cannot start or continue; everything saved so far is kept.
        TrainingInterrupted: SIGINT, SIGTERM or SIGUSR1 came; the state is saved.
        EndedElsewhere: of several processes another one cannot start or continue.
    """
    _require_trainable(config, tokens, start, logger)
    config, tokens = _sized(config, tokens, start)
    if start is not None and start.novelty is not None:
        novelty = start.novelty if novelty is None else start.novelty + novelty
    peers = Peers()
    run = RunFolder(Path(folder), active=peers.mine.is_first, notify=notify)
    if resume == "auto" and (finished := run.result()) is not None:
        return finished
    with run.claimed(make=resume is not True):
        state = _begin(peers, run, config, tokens, resume, origin or {})
        torch.manual_seed(config.seed)
        module, data, describe = _parts(config, tokens, start, novelty, about)
        enough = ENOUGH_STEPS if isinstance(tokens, TokenSet) else 0
        enough = enough if start is None else enough // 10
        with quiet_lightning():
            summary = _fit(module, data, run, state, report, describe, logger, enough)
        run.finish(summary)
        return summary


def _begin(
    peers: Peers,
    run: RunFolder,
    config: TrainConfig,
    tokens: TokenSet | Task,
    resume: bool | Literal["auto"],
    origin: Origin,
) -> Path | None:
    """Begin a run, or reopen it, once all processes are ready: the state to go on from."""
    going_on = resume is True or (resume == "auto" and run.has_begun)
    if not going_on:
        run.require_unused()
    state = run.reopen(config, tokens, anew=resume == "auto") if going_on else None
    state = _agreed(peers, run, config, tokens, state)
    if not going_on:
        run.begin(config, tokens, origin)
    return state


def _agreed(
    peers: Peers,
    run: RunFolder,
    config: TrainConfig,
    tokens: TokenSet | Task,
    state: Path | None,
) -> Path | None:
    """The state that the first process goes on from, once all are ready with the same settings.

    Raises:
        TrainingError: this one has other settings or tokens, or does not see the state.
    """
    facts = {name: json.dumps(value) for name, value in to_dict(config).items()}
    facts |= {"tokens": tokens.fingerprint, "state": state.name if state else ""}

    def check(agreed: dict[str, str]) -> None:
        for name, value in agreed.items():
            if value != facts[name] and name != "state":
                raise TrainingError(f"{name}: is not that of the first process; start all alike")
        seen = run.path / "resume" / agreed["state"]
        if agreed["state"] and not seen.exists():
            raise TrainingError(f"{seen}: is not there; --out must be a folder of all machines")

    agreed = peers.agree(facts, check, run.notify)
    if not agreed["state"]:
        return None
    state = run.path / "resume" / agreed["state"]
    run.resumed_step = int(state.name.partition("-")[0])
    return state


def _sized(
    config: TrainConfig, tokens: TokenSet | Task, start: Checkpoint | None
) -> tuple[TrainConfig, TokenSet | Task]:
    """The configuration with a network for these data, and the data with its columns."""
    if not isinstance(tokens, TokenSet):
        return tokens.fitted(config), tokens
    if start is not None:
        tokens = tokens.with_features(start.feature_sizes)
    elif not config.data.features:
        tokens = tokens.with_features(())
    return config.fitted(tokens, start), tokens


def _parts(
    config: TrainConfig,
    tokens: TokenSet | Task,
    start: Checkpoint | None,
    novelty: NoveltyIndex | None,
    about: str,
) -> tuple[NextTokenModule, TuneDataModule, Describe]:
    """The module of a run, its data, and how its model is kept."""
    facts: dict[str, Any] = {"training": to_dict(config), "about": about}
    if not isinstance(tokens, TokenSet):
        from musicgen.training.tasks import TaskDataModule, TaskModule  # with readers of music

        module = TaskModule.of(config, tokens)
        return module, TaskDataModule.of(tokens, config), partial(tokens.describe, **facts)
    return (
        NextTokenModule.from_config(config, tokens, start=start),
        TuneDataModule.from_tokens(tokens, config.data, seed=config.seed),
        partial(_describe, tokens=tokens, novelty=novelty, **facts),
    )


def _describe(network: nn.Module, **facts: Any) -> dict[str, bytes]:
    return files_of(describe_model(network, **facts))


def _fit(
    module: NextTokenModule,
    data: TuneDataModule,
    run: RunFolder,
    state: Path | None,
    report: Report,
    describe: Describe,
    logger: Logger,
    enough: int,
) -> Summary:
    """Run a trainer, from a saved state if there is one.

    Raises:
        TrainingError: a loss is not finite, or a file cannot be written.
        TrainingInterrupted: a signal came.
    """
    config = module.config
    budget = Budget(config, run.notify, enough)
    export = ExportModel(run, describe)
    history = History(run, report, budget, export)
    early = EarlyStopping(
        f"val_bits_per_{module.unit}",
        patience=config.patience or sys.maxsize,
        check_on_train_epoch_end=False,
    )
    states = ResumableStates(run, config.save_minutes, budget, export)
    callbacks = [budget, export, history, early, *_samples(config, run), states]
    arguments = _trainer_arguments(config)
    arguments |= sharded_arguments(config, module, arguments["precision"])
    trainer = pl.Trainer(
        **arguments,
        callbacks=callbacks,
        logger=[] if logger == "csv" else [_lightning_logger(logger, run)],
        default_root_dir=run.path,
    )
    states.take_signals()
    try:
        with losing_processes(run.path):
            trainer.fit(module, data, ckpt_path=state, weights_only=True)
    except OSError as error:
        raise TrainingError(
            f"{run.path}: cannot be written ({error.strerror or error}); make room and go on with "
            "--resume"
        ) from None
    finally:
        states.restore_signals()
    assert export.best is not None  # the last step is always scored
    return Summary(
        model=str(run.path / "model"),
        best_bits_per_note=export.best,
        steps=trainer.global_step,
        epochs=round(data.plan.epochs_at(trainer.global_step), 2),
        elapsed_s=round(budget.elapsed_s, 1),
        reason="no better score" if early.wait_count >= early.patience else "budget",
        unit=module.unit,
    )


def _samples(config: TrainConfig, run: RunFolder) -> list[pl.Callback]:
    """The callback that writes samples, if they are asked for; only then composers are imported."""
    if not config.sample_every:
        return []
    from musicgen.training.samples import SampleWhileTraining

    folder = run.path / "samples"
    return [
        SampleWhileTraining(
            config.sample_every,
            folder,
            seed=config.seed,
            midi=config.sample_midi,
            notify=run.notify,
        )
    ]


def _require_trainable(
    config: TrainConfig, tokens: TokenSet | Task, start: Checkpoint | None, logger: Logger
) -> None:
    """Check everything that can be checked before the run folder is touched.

    Raises:
        TrainingError: the first problem.
    """
    if start is not None and isinstance(tokens, TokenSet):
        if (start.tokenizer, start.vocab) != (tokens.tokenizer, tokens.vocab):
            raise TrainingError(
                "the token files have another vocabulary than the model to start from; prepare "
                "them with --from, too"
            )
        if weight_shapes(start.model) != weight_shapes(config.fitted(tokens, start).model):
            raise TrainingError(
                "the model to start from is another network; leave model.* alone but for dropout"
            )
    if not isinstance(tokens, TokenSet) and (config.data.carry or config.sample_every):
        raise TrainingError("data.carry, sample_every: are for models of the next token; drop them")
    if config.n_budgets != 1:
        raise TrainingError(f"{', '.join(BUDGETS)}: set exactly one of them")
    require_validation(tokens)
    package = _PACKAGES.get(logger)
    if package is not None and find_spec(package) is None:
        raise TrainingError(
            f'{package} is not installed; run pip install "musicgen[{package}]" or use the csv '
            "logger"
        )
    known = inspect.signature(pl.Trainer.__init__).parameters
    for name in config.trainer:
        if name in _OWN_ARGUMENTS:
            raise TrainingError(f"trainer.{name}: is the run's own; use {_OWN_ARGUMENTS[name]}")
        if name not in known or name == "self":
            names = [n for n in known if n != "self" and n not in _OWN_ARGUMENTS]
            raise TrainingError(unknown(f"trainer.{name}", name, names, kind="Trainer argument"))
    require_shardable(config)
    require_devices(config)


def _trainer_arguments(config: TrainConfig) -> dict[str, Any]:
    """The arguments of a Trainer that follow from the settings."""
    cuda = config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    bf16 = config.precision == "bf16" or (config.precision == "auto" and cuda)
    parts = config.data.accumulate
    return {
        **device_arguments(config),
        "precision": "bf16-mixed" if bf16 else "32-true",
        "max_epochs": -1,  # the budget ends a run
        "accumulate_grad_batches": parts,
        "gradient_clip_val": config.clip,
        "log_every_n_steps": config.log_every,
        "val_check_interval": config.val_every * parts or None,
        "check_val_every_n_epoch": None if config.val_every else 1,
        "num_sanity_val_steps": 0,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        **config.trainer,
    }


def _lightning_logger(name: Logger, run: RunFolder) -> pl.loggers.Logger:
    """A logger of Lightning, whose package is installed."""
    from pytorch_lightning import loggers

    match name:
        case "wandb":
            return loggers.WandbLogger(project="musicgen", name=run.path.name, save_dir=run.path)
        case "mlflow":
            where = (
                os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{run.path.resolve()}/mlflow.db"
            )
            return loggers.MLFlowLogger("musicgen", run.path.name, tracking_uri=where)
        case _:  # events of earlier sessions are void after the step that the run is resumed at
            return loggers.TensorBoardLogger(
                run.path, name="", version="", purge_step=run.resumed_step or None
            )
