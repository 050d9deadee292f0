"""The command that trains models: train."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from musicgen.cli import options, tasks
from musicgen.cli.command import TRAIN, command
from musicgen.cli.messages import muted, say
from musicgen.cli.progress import reporting
from musicgen.cli.tasks import TaskOptions
from musicgen.cli.training_run import (
    assignments,
    configured,
    descent,
    load_tokens,
    origin_of_run,
    reopened,
    require_unused,
)
from musicgen.errors import ConfigError

if TYPE_CHECKING:
    from musicgen.corpus.cache import CachedCorpus
    from musicgen.models.checkpoint import Checkpoint
    from musicgen.training import TrainConfig


class Logger(StrEnum):
    """Where the losses are logged, beside the terminal and history.csv."""

    csv = "csv"
    tensorboard = "tensorboard"
    wandb = "wandb"
    mlflow = "mlflow"


CORPUS, _TRAINING, _DEVICES = "What to train on", "How to train", "Several devices"  # panels
Tokenizer = Annotated[
    str | None,
    typer.Option(
        help="melody, remi (music in parts), char or word (any text); default: melody or remi, "
        "whichever fits the tunes.",
        rich_help_panel=CORPUS,
    ),
]
MinCount = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Read tokens with fewer occurrences as unknown (default: 3, words 2, in small corpora "
        "1).",
        rich_help_panel=CORPUS,
    ),
]
MostTokens = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Know only this many tokens, the most frequent ones (default: all; words 20000).",
        rich_help_panel=CORPUS,
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="A trained model to start from, by name or folder: its network, vocabulary and "
        "weights.",
        rich_help_panel=CORPUS,
    ),
]


@contextmanager
def _one_of_several() -> Iterator[None]:
    """Of processes that torchrun, srun or Lightning have started for one run, one speaks."""
    from musicgen.training.cluster import launch, one_voice

    with one_voice(), muted(not launch().is_first):
        yield


@command(TRAIN)
@_one_of_several()
def train(
    *,
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            "--corpus",
            help="A named corpus, file or folder; repeatable (default: celtic).",
            rich_help_panel=CORPUS,
        ),
    ] = None,
    column: options.Column = "",
    tokens: Annotated[
        Path | None,
        typer.Option(
            "--tokens",
            help="Prepared token files, instead of a corpus.",
            rich_help_panel=CORPUS,
        ),
    ] = None,
    tokenizer: Tokenizer = None,
    min_count: MinCount = None,
    most_tokens: MostTokens = None,
    from_: Start = None,
    task: TaskOptions,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            "--network",
            help="lstm, transformer or rnn; lecture (a recurrent network of 100 units) and lab (an "
            "LSTM of 1024) learn characters, with samples on the way.",
            show_default="lstm",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Stop after this many minutes of training.", rich_help_panel=_TRAINING),
    ] = None,
    cpu_minutes: Annotated[
        float | None,
        typer.Option(
            help="Stop after this many minutes of processor time.", rich_help_panel=_TRAINING
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Stop after this many passes over the corpus.", rich_help_panel=_TRAINING
        ),
    ] = None,
    accumulate: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Sum the gradients of this many batches before each step: large steps in little "
            "memory.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    carry: Annotated[
        bool,
        typer.Option(
            "--carry",
            help="Carry the state of an rnn or lstm on from window to window (of "
            "data.max_len tokens) of contiguous text.",
            rich_help_panel=_TRAINING,
        ),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Such as model.d_model=512, or trainer.NAME=VALUE for Lightning's Trainer; "
            "repeatable.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed of weights and order.", rich_help_panel=_TRAINING),
    ] = None,
    devices: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="GPUs, or processes, of each machine (default: as many as torchrun or srun start, "
            "else 1).",
            rich_help_panel=_DEVICES,
        ),
    ] = None,
    num_nodes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Machines that the command is started on (default: those of torchrun or srun, "
            "else 1).",
            rich_help_panel=_DEVICES,
        ),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="ddp|fsdp",
            help="Each device has the whole network (ddp, the default), or on GPUs a part of it "
            "(fsdp).",
            rich_help_panel=_DEVICES,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="The run folder; it must be new.", rich_help_panel="Output")
    ],
    sample_every: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Write a sample after each so many steps, into samples/ of the run folder.",
            rich_help_panel="Output",
        ),
    ] = None,
    sample_midi: Annotated[
        bool,
        typer.Option(
            "--sample-midi", help="Samples that are tunes as MIDI, too.", rich_help_panel="Output"
        ),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Resume the unfinished run in --out.", rich_help_panel="Output"
        ),
    ] = False,
    auto_resume: Annotated[
        bool,
        typer.Option(
            "--auto-resume",
            help="Begin the run, or resume it where --out holds it: one command for jobs that are "
            "started again.",
            rich_help_panel="Output",
        ),
    ] = False,
    logger: Annotated[
        Logger,
        typer.Option(
            help="Log the losses to history.csv alone, or to one of Lightning's loggers too.",
            rich_help_panel="Output",
        ),
    ] = Logger.csv,
) -> None:
    """Train a model; the best one by validation is kept in the run folder.

    With --task classify it learns the labels of tunes or texts, with --task harmonize chords.
    """
    from musicgen.training.presets import TOKENIZERS

    given_options = {
        "data.accumulate": accumulate,
        "data.carry": carry or None,
        "sample_every": sample_every,
        "sample_midi": sample_midi or None,
        "devices": devices,
        "num_nodes": num_nodes,
        "strategy": strategy,
    }
    overrides = assignments(settings, given_options)
    budgets = (("minutes", minutes), ("cpu_minutes", cpu_minutes), ("epochs", epochs))
    budget = {name: value for name, value in budgets if value is not None}
    mode: bool | Literal["auto"] = "auto" if auto_resume else resume
    origin: dict[str, Any] = {}
    if resume and auto_resume:
        raise ConfigError("--resume and --auto-resume: give one of them")
    if mode and _says_finished(out):
        return
    if resume:
        if budget or seed is not None:
            raise ConfigError("--resume: an unfinished run keeps its own settings; drop them")
        config, origin = reopened(out, overrides)
    if not (tokens or resume or tokenizer) and task.task == tasks.TaskName.next:
        tokenizer = TOKENIZERS.get(preset or "")
    given = origin_of_run(corpus, column, tokens, tokenizer, from_, min_count, most_tokens)
    head = tasks.origin_of(task, origin, given, column)
    if head is not None:
        if not resume:
            require_unused(out, auto_resume)
            config = tasks.configured(head["task"], preset, overrides, seed, budget)
        chosen = resume or budget or tasks.sets_pace(overrides)
        tasks.train_head(config, head, out, resume=mode, logger=logger.value, suit=not chosen)
        return
    if any(given.values()) or not origin:
        origin = given if given["tokens"] else {**given, "corpus": given["corpus"] or ["celtic"]}
    start = None if origin["from"] is None else options.load_model(origin["from"])
    if start is not None and preset is not None:
        raise ConfigError("--preset and --from: the model has its network; drop --preset")
    if not resume:
        config = configured(start, preset, overrides, seed=seed, budget=budget)
        require_unused(out, auto_resume)
    data = load_tokens(origin, start)
    if not resume:
        n_tokens = len(data.tokens.splits["train"].ids)
        config = configured(start, preset, overrides, seed=seed, budget=budget, n_tokens=n_tokens)
    _train_next(config, data, start, out, resume=mode, logger=logger.value, origin=origin)


def _train_next(
    config: TrainConfig,
    data: CachedCorpus,
    start: Checkpoint | None,
    out: Path,
    *,
    origin: dict[str, Any],
    **options: Any,
) -> None:
    """Train a model of the next token; `options` are `resume` and `logger` of `training.train`."""
    from musicgen import training

    with reporting(sys.stderr) as report:
        summary = training.train(
            config,
            data.tokens,
            out,
            report=report,
            notify=say,
            about=data.about if start is None else descent(data.about, start, origin["from"]),
            novelty=data.novelty,
            start=start,
            origin=origin,
            **options,
        )
    say(f"{summary}; loss curve in {out}")
    say(f"next: musicgen generate --checkpoint {out}")


def _says_finished(out: Path) -> bool:
    """Whether the run in a folder is over, which is said."""
    from musicgen.training import RunFolder

    if finished := RunFolder(out).result():
        say(f"{out}: the run is finished ({finished}); train into another folder")
    return finished is not None
