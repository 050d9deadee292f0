"""The commands that train models: prepare, train."""

from __future__ import annotations

import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from musicgen.cli import options
from musicgen.cli.command import TRAIN, command
from musicgen.cli.messages import say
from musicgen.cli.output import MOST_LISTED, require_free
from musicgen.cli.progress import available_cores, progress_bar
from musicgen.errors import ConfigError, printable

if TYPE_CHECKING:
    from musicgen.corpus import Corpus
    from musicgen.corpus.preparation import Prepared
    from musicgen.corpus.tokenset import TokenSet
    from musicgen.models.checkpoint import Checkpoint
    from musicgen.music.similarity import NoveltyIndex
    from musicgen.training import TrainConfig


class Logger(StrEnum):
    """Where the losses are logged, beside the terminal."""

    csv = "csv"
    tensorboard = "tensorboard"


_CORPUS, _TRAINING = "What to train on", "How to train"  # panels of the help
Tokenizer = Annotated[
    str | None,
    typer.Option(
        help="melody, remi (music in parts) or char (any text); default: melody or remi, "
        "whichever fits the tunes.",
        rich_help_panel=_CORPUS,
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="A trained model to start from, by name or folder: its network, vocabulary and "
        "weights.",
        rich_help_panel=_CORPUS,
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
            rich_help_panel=_CORPUS,
        ),
    ] = None,
    tokens: Annotated[
        Path | None,
        typer.Option(
            "--tokens",
            help="Prepared token files, instead of a corpus.",
            rich_help_panel=_CORPUS,
        ),
    ] = None,
    tokenizer: Tokenizer = None,
    from_: Start = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            "--network",
            help="lstm, transformer or rnn.",
            show_default="lstm",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Stop after this many minutes of training.", rich_help_panel=_TRAINING),
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
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Such as model.d_model=512; repeatable.", rich_help_panel=_TRAINING
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed of weights and order.", rich_help_panel=_TRAINING),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="The run folder; it must be new.", rich_help_panel="Output")
    ],
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Resume the unfinished run in --out.", rich_help_panel="Output"
        ),
    ] = False,
    logger: Annotated[
        Logger,
        typer.Option(
            help="Log the losses to history.csv alone, or to TensorBoard event files too.",
            rich_help_panel="Output",
        ),
    ] = Logger.csv,
) -> None:
    """Train a model; the best one by validation is kept in the run folder."""
    from musicgen.models.card import without_front_matter

    start = None if from_ is None else options.load_model(from_)
    if start is not None and preset is not None:
        raise ConfigError("--preset and --from: the model has its network; drop --preset")
    overrides = list(settings or ())
    if accumulate is not None:
        overrides.append(f"data.accumulate={accumulate}")
    config = _configure(start, preset, overrides, seed=seed, minutes=minutes, epochs=epochs)
    if resume:
        if overrides or any(value is not None for value in (seed, minutes, epochs)):
            raise ConfigError("--resume: an unfinished run keeps its own settings; drop them")
        from musicgen.training import RunFolder

        config = RunFolder(out).settings()
    if tokens is not None and corpus:
        raise ConfigError("--corpus and --tokens: give one of them")
    if tokens is not None and tokenizer is not None:
        raise ConfigError("--tokenizer and --tokens: token files have theirs; drop --tokenizer")
    token_set, about, novelty = _load_tokens(corpus or ["celtic"], tokens, tokenizer, start)
    if start is not None:
        card = without_front_matter(start.card)
        about = f"Trained on from the model {from_}, described below.\n{about}\n{card}"

    from musicgen import training

    with training.reporting(sys.stderr) as report:
        summary = training.train(
            config,
            token_set,
            out,
            resume=resume,
            report=report,
            about=about,
            novelty=novelty,
            start=start,
            logger=logger.value,
        )
    say(
        f"{summary.best_bits_per_note:.3f} bits per {summary.unit} on validation after "
        f"{summary.steps} steps ({summary.elapsed_s / 60:.1f} minutes, ended by "
        f"{summary.reason}); loss curve in {out}"
    )
    say(f"next: musicgen generate --checkpoint {out}")


def _configure(
    start: Checkpoint | None,
    preset: str | None,
    overrides: list[str],
    *,
    seed: int | None,
    minutes: float | None,
    epochs: int | None,
) -> TrainConfig:
    """The configuration of a run that starts from a model, or from random weights.

    Raises:
        ConfigError: an unknown preset or setting.
    """
    from musicgen.config import override
    from musicgen.training import presets

    config = presets.preset(preset or presets.DEFAULT) if start is None else presets.onward(start)
    for setting in overrides:
        config = override(config, setting)
    if seed is not None:
        config = replace(config, seed=seed)
    if minutes is not None or epochs is not None:
        config = config.with_budget(minutes=minutes, epochs=epochs)
    return config


def _load_tokens(
    corpus: list[str], tokens: Path | None, tokenizer: str | None, start: Checkpoint | None
) -> tuple[TokenSet, str, NoveltyIndex | None]:
    """Tokens, where their music is from (for the model's card), and the index of its melodies."""
    from musicgen.corpus.tokenset import TokenSet
    from musicgen.music.similarity import FILE_NAME, NoveltyIndex

    if tokens is not None:
        token_set, file = TokenSet.load(tokens), tokens / FILE_NAME
        index = NoveltyIndex.load(file) if file.exists() else None
        return token_set, f"Trained on the token files {tokens}.", index
    say(f"reading {', '.join(corpus)}")
    prepared = _prepare(corpus, None, tokenizer, start, workers=None)
    return prepared.tokens, _about(prepared.corpus), prepared.novelty


@command(TRAIN)
def prepare(
    *,
    corpus: Annotated[
        list[str],
        typer.Option(
            "--corpus",
            help="A named corpus, file or folder; repeatable.",
            rich_help_panel=_CORPUS,
        ),
    ],
    tokenizer: Tokenizer = None,
    from_: Start = None,
    workers: options.Workers = None,
    out: Annotated[
        Path, typer.Option(help="The folder of token files to write.", rich_help_panel="Output")
    ],
    force: options.Force = False,
) -> None:
    """Prepare a corpus for training: a folder of token files for `train --tokens`."""
    require_free(out, force=force)
    start = None if from_ is None else options.load_model(from_)
    _prepare(corpus, out, tokenizer, start, workers=workers)
    say(f"next: musicgen train --tokens {out} --out runs/{out.name}")


def _prepare(
    corpus: list[str],
    folder: Path | None,
    tokenizer: str | None,
    start: Checkpoint | None,
    *,
    workers: int | None,
) -> Prepared:
    """Prepare a corpus, in the vocabulary of a model to start from, and print its counts."""
    if start is not None:
        if tokenizer not in (None, start.tokenizer):
            raise ConfigError(f"--tokenizer and --from: the model uses {start.tokenizer} tokens")
        tokenizer = start.tokenizer
    from musicgen.corpus.preparation import prepare as run
    from musicgen.tokens.vocabulary import Vocabulary

    with progress_bar() as progress:
        prepared = run(
            corpus,
            folder=folder,
            workers=workers or available_cores(),
            progress=progress,
            tokenizer=tokenizer,
            vocabulary=None if start is None else Vocabulary(start.vocab),
        )
    loaded = prepared.corpus
    say(f"{prepared.choice.name} tokens: {prepared.choice.reason}")
    for notice in loaded.notices:
        say(f"note: {notice}")
    for omitted in loaded.rejected[:MOST_LISTED]:
        say(f"left out: {printable(omitted.id)}: {omitted.reason}")
    if len(loaded.rejected) > MOST_LISTED:
        more = len(loaded.rejected) - MOST_LISTED
        say(f"left out: {more} more; musicgen corpus --rejected lists them")
    tokens, train_split = prepared.tokens, prepared.tokens.splits["train"]
    items = "tunes" if tokens.unit == "note" else "tunes or paragraphs"
    say(
        f"{len(loaded.entries)} {items}, {len(loaded.rejected)} unreadable, "
        f"{len(prepared.omitted)} that are no {prepared.language.what}, "
        f"{len(loaded.duplicates)} duplicates; {len(train_split)} to train on with "
        f"{int(train_split.notes.sum()):,} {tokens.unit}s"
    )
    return prepared


def _about(corpus: Corpus) -> str:
    """Where the music is from, as lines of the model's card."""
    from musicgen.corpus import CORPORA

    lines = [f"- {name}: {CORPORA[name].about}" for name in corpus.sources if name in CORPORA]
    lines += [f"- {name}" for name in corpus.sources if name not in CORPORA]
    return "\n".join([*lines, *(f"- {notice}" for notice in corpus.notices)])
