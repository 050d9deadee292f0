"""The command that trains models: train."""

from __future__ import annotations

import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musicgen.cli import options, tasks
from musicgen.cli.command import TRAIN, command
from musicgen.cli.messages import say
from musicgen.cli.progress import available_cores, progress_bar, reporting
from musicgen.cli.tasks import TaskOptions
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


CORPUS, _TRAINING = "What to train on", "How to train"  # panels of the help
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


@command(TRAIN)
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

    overrides = _assignments(settings, accumulate, carry, sample_every, sample_midi)
    budgets = (("minutes", minutes), ("cpu_minutes", cpu_minutes), ("epochs", epochs))
    budget = {name: value for name, value in budgets if value is not None}
    origin: dict[str, Any] = {}
    if resume:
        if overrides or budget or seed is not None:
            raise ConfigError("--resume: an unfinished run keeps its own settings; drop them")
        from musicgen.training import RunFolder

        if finished := RunFolder(out).result():
            say(f"{out}: the run is finished ({finished}); train into another folder")
            return
        config, origin = RunFolder(out).settings()
    if not (tokens or resume or tokenizer) and task.task == tasks.TaskName.next:
        tokenizer = TOKENIZERS.get(preset or "")
    given = _origin(corpus, column, tokens, tokenizer, from_, min_count, most_tokens)
    head = tasks.origin_of(task, origin, given, column)
    if head is not None:
        if not resume:
            _require_unused(out)
            config = tasks.configured(head["task"], preset, overrides, seed, budget)
        chosen = resume or budget or tasks.sets_pace(overrides)
        tasks.train_head(config, head, out, resume=resume, logger=logger.value, suit=not chosen)
        return
    if any(given.values()) or not origin:
        origin = given if given["tokens"] else {**given, "corpus": given["corpus"] or ["celtic"]}
    start = None if origin["from"] is None else options.load_model(origin["from"])
    if start is not None and preset is not None:
        raise ConfigError("--preset and --from: the model has its network; drop --preset")
    if not resume:
        config = _configure(start, preset, overrides, seed=seed, budget=budget)
        _require_unused(out)
    data = _load_tokens(origin, start)
    if not resume:
        n_tokens = len(data.tokens.splits["train"].ids)
        config = _configure(start, preset, overrides, seed=seed, budget=budget, n_tokens=n_tokens)
    from musicgen import training

    with reporting(sys.stderr) as report:
        summary = training.train(
            config,
            data.tokens,
            out,
            resume=resume,
            report=report,
            notify=say,
            about=data.about if start is None else _descent(data.about, start, origin["from"]),
            novelty=data.novelty,
            start=start,
            logger=logger.value,
            origin=origin,
        )
    say(f"{summary}; loss curve in {out}")
    say(f"next: musicgen generate --checkpoint {out}")


def _origin(
    corpus: list[str] | None,
    column: str,
    tokens: Path | None,
    tokenizer: str | None,
    start: str | None,
    min_count: int | None,
    most_tokens: int | None,
) -> dict[str, Any]:
    """What a run is asked to train on; None where nothing is said.

    Raises:
        ConfigError: token files, and what only a corpus has.
    """
    from musicgen.corpus.sources import with_column

    if tokens is not None and corpus:
        raise ConfigError("--corpus and --tokens: give one of them")
    encoding = {"tokenizer": tokenizer, "min_count": min_count, "most_tokens": most_tokens}
    for name, value in encoding.items():
        if tokens is not None and value is not None:
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{option} and --tokens: token files have theirs; drop {option}")
    return {
        "corpus": with_column(map(_lasting, corpus), column) if corpus else None,
        "tokens": tokens and str(tokens.resolve()),
        "from": start and _lasting(start),
        **encoding,
    }


def _require_unused(out: Path) -> None:
    """See that a run can begin in the folder, before its corpus is read."""
    from musicgen.training import RunFolder
    from musicgen.training.run import is_first_process

    RunFolder(out, active=is_first_process()).require_unused()


def _assignments(
    settings: list[str] | None,
    accumulate: int | None,
    carry: bool,
    sample_every: int | None,
    sample_midi: bool,
) -> list[str]:
    """The values of --set, and of the options that are settings, where they are given."""
    values = {
        "data.accumulate": accumulate,
        "data.carry": carry or None,
        "sample_every": sample_every,
        "sample_midi": sample_midi or None,
    }
    named = [f"{name}={value}".lower() for name, value in values.items() if value is not None]
    return [*(settings or ()), *named]


def _descent(about: str, start: Checkpoint, name: str) -> str:
    """The sources of a model that was trained on from another."""
    from musicgen.models.card import without_front_matter

    card = without_front_matter(start.card)
    return f"Trained on from the model {name}, described below.\n{about}\n{card}"


def _lasting(name: str) -> str:
    """A name that means the same from every working folder."""
    return str(Path(name).resolve()) if Path(name).exists() else name


def _configure(
    start: Checkpoint | None,
    preset: str | None,
    overrides: list[str],
    *,
    seed: int | None,
    budget: dict[str, float],
    n_tokens: int | None = None,
) -> TrainConfig:
    """The configuration of a run that starts from a model, or from random weights; if nothing about
    the network or the batches is asked for, as it suits so many tokens.

    Raises:
        ConfigError: an unknown preset or setting.
    """
    from musicgen.training import presets
    from musicgen.training.config import with_settings

    config = presets.preset(preset or presets.DEFAULT) if start is None else presets.onward(start)
    chosen = preset or start or any(name.startswith(("model.", "data.")) for name in overrides)
    if n_tokens is not None and not chosen:
        plain, config = config, presets.suited(config, n_tokens)
        if config != plain:
            say(
                f"a small corpus ({n_tokens:,} tokens): a network of {config.model.d_model} "
                f"channels, batches of {config.data.batch_tokens} tokens"
            )
    config = with_settings(config, overrides)
    if seed is not None:
        config = replace(config, seed=seed)
    return config.with_budget(**budget) if budget else config


def _load_tokens(origin: dict[str, Any], start: Checkpoint | None) -> CachedCorpus:
    """The token files of a run: given, or prepared from a corpus, once."""
    from musicgen.corpus.cache import CachedCorpus, prepared

    if origin["tokens"] is not None:
        return CachedCorpus.of_tokens(Path(origin["tokens"]))
    say(f"reading {', '.join(origin['corpus'])}")
    with progress_bar() as progress:
        data = prepared(
            origin["corpus"],
            tokenizer=tokenizer_of(origin["tokenizer"], start),
            vocabulary=None if start is None else start.vocab,
            min_count=origin.get("min_count"),
            most_tokens=origin.get("most_tokens"),
            workers=available_cores(),
            progress=progress,
        )
    for line in data.summary:
        say(line)
    return data


def tokenizer_of(name: str | None, start: Checkpoint | None) -> str | None:
    """The token language asked for, or that of the model to start from.

    Raises:
        ConfigError: they differ.
    """
    if start is None:
        return name
    if name not in (None, start.tokenizer):
        raise ConfigError(f"--tokenizer and --from: the model uses {start.tokenizer} tokens")
    return start.tokenizer
