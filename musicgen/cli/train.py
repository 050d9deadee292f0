"""The commands that learn: prepare, train."""

from __future__ import annotations

import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from musicgen.cli import options
from musicgen.cli.messages import say
from musicgen.cli.options import app
from musicgen.cli.output import MOST_LISTED
from musicgen.errors import ConfigError, printable

if TYPE_CHECKING:
    from musicgen.corpus import Corpus
    from musicgen.corpus.preparation import Prepared
    from musicgen.corpus.tokenset import TokenSet
    from musicgen.models.checkpoint import Checkpoint
    from musicgen.music.similarity import NoveltyIndex
    from musicgen.training import TrainConfig

Tokenizer = Annotated[
    str | None,
    typer.Option(
        help="melody, remi (music in parts) or char (any text); default: melody or remi, as the "
        "tunes are."
    ),
]


class Logger(StrEnum):
    """Where the losses go, beside the terminal."""

    csv = "csv"
    tensorboard = "tensorboard"


_From = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="A trained model to go on from, by name or folder: its network, vocabulary, weights.",
    ),
]


@app.command()
def train(
    *,
    corpus: Annotated[
        list[str] | None,
        typer.Option("--corpus", help="A named corpus, file or folder; repeat it for several."),
    ] = None,
    tokens: Annotated[
        Path | None, typer.Option("--tokens", help="Prepared token files, instead of a corpus.")
    ] = None,
    tokenizer: Tokenizer = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset", "--network", help="lstm, transformer or rnn.", show_default="lstm"
        ),
    ] = None,
    from_: _From = None,
    out: Annotated[Path, typer.Option(help="The run folder; it must be new.")],
    minutes: Annotated[
        float | None, typer.Option(help="Stop after so many minutes of training.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Stop after so many passes.")] = None,
    accumulate: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Sum the gradients of so many batches before each step: large steps in little "
            "memory.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Such as model.d_model=512; repeatable.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of weights and order.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the unfinished run in --out.")
    ] = False,
    logger: Annotated[
        Logger,
        typer.Option(
            help="Log the losses to history.csv alone, or to TensorBoard event files too."
        ),
    ] = Logger.csv,
) -> None:
    """Train a model; the best one by validation is kept in the run folder."""
    if accumulate is not None:
        settings = [*(settings or []), f"data.accumulate={accumulate}"]
    start = _model(from_)
    if start is not None and preset is not None:
        raise ConfigError("--preset and --from: the model has its network; drop --preset")
    config = _configure(preset, start, settings or [], seed, minutes=minutes, epochs=epochs)
    if resume:
        if settings or seed is not None or minutes is not None or epochs is not None:
            raise ConfigError(
                "--resume: an unfinished run goes on with its own settings; drop them"
            )
        from musicgen.training import RunFolder

        config = RunFolder(out).settings()
    if tokens is not None and corpus:
        raise ConfigError("--corpus and --tokens: give one of them")
    if tokens is not None and tokenizer is not None:
        raise ConfigError("--tokenizer and --tokens: token files have theirs; drop --tokenizer")
    token_set, about, novelty = _load_tokens(corpus or ["celtic"], tokens, tokenizer, start)
    if start is not None:
        about = f"Trained on from the model {from_}, described below.\n{about}\n{start.card}"

    from musicgen.training import reporting
    from musicgen.training import train as run

    with reporting(sys.stderr) as report:
        summary = run(
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


def _model(name: str | None) -> Checkpoint | None:
    """A trained model to go on from."""
    if name is None:
        return None
    from musicgen.models import checkpoint as checkpoints

    return checkpoints.load(checkpoints.locate(name))


def _configure(
    preset: str | None,
    start: Checkpoint | None,
    settings: list[str],
    seed: int | None,
    *,
    minutes: float | None,
    epochs: int | None,
) -> TrainConfig:
    from musicgen.config import override
    from musicgen.training.presets import DEFAULT, onward
    from musicgen.training.presets import preset as find_preset

    config = find_preset(preset or DEFAULT) if start is None else onward(start)
    for setting in settings:
        config = override(config, setting)
    if seed is not None:
        config = replace(config, seed=seed)
    if minutes is not None or epochs is not None:
        config = config.with_budget(minutes=minutes, epochs=epochs)
    return config


def _load_tokens(
    corpus: list[str], tokens: Path | None, tokenizer: str | None, start: Checkpoint | None
) -> tuple[TokenSet, str, NoveltyIndex | None]:
    """Token files; for the model's card, where the music is from; the index of its melodies."""
    from musicgen.corpus.tokenset import TokenSet
    from musicgen.music.similarity import FILE_NAME, NoveltyIndex

    if tokens is not None:
        token_set, file = TokenSet.load(tokens), tokens / FILE_NAME
        index = NoveltyIndex.load(file) if file.exists() else None
        return token_set, f"Trained on the token files {tokens}.", index
    say(f"reading {', '.join(corpus)}")
    prepared = _prepare(corpus, None, tokenizer, start, workers=None)
    return prepared.tokens, _about(prepared.corpus), prepared.novelty


@app.command()
def prepare(
    *,
    corpus: Annotated[
        list[str],
        typer.Option("--corpus", help="A named corpus, file or folder; repeat it for several."),
    ],
    out: Annotated[Path, typer.Option(help="The folder of token files to write.")],
    tokenizer: Tokenizer = None,
    from_: _From = None,
    workers: options.Workers = None,
    force: options.Force = False,
) -> None:
    """Make a corpus ready for training: a folder of token files for `train --tokens`."""
    from musicgen.cli.output import require_free

    require_free(out, force=force)
    _prepare(corpus, out, tokenizer, _model(from_), workers=workers)
    say(f"next: musicgen train --tokens {out} --out runs/{out.name}")


def _prepare(
    corpus: list[str],
    folder: Path | None,
    tokenizer: str | None,
    start: Checkpoint | None,
    *,
    workers: int | None,
) -> Prepared:
    """Prepare a corpus, in the vocabulary of a model to start from, and say what came of it."""
    if start is not None:
        if tokenizer not in (None, start.tokenizer):
            raise ConfigError(f"--tokenizer and --from: the model speaks {start.tokenizer} tokens")
        tokenizer = start.tokenizer
    from musicgen.cli.progress import available_cores, progress_bar
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
    what = "tunes" if tokens.unit == "note" else "tunes or paragraphs"
    say(
        f"{len(loaded.entries)} {what}, {len(loaded.rejected)} unreadable, {len(prepared.omitted)} "
        f"that are no {prepared.language.what}, {len(loaded.duplicates)} duplicates; "
        f"{len(train_split)} to train on with {int(train_split.notes.sum()):,} {tokens.unit}s"
    )
    return prepared


def _about(corpus: Corpus) -> str:
    """Where the music is from, as lines of the model's card."""
    from musicgen.corpus import CORPORA

    named = [(name, CORPORA[name].about) for name in corpus.sources if name in CORPORA]
    lines = [f"- {name}: {about}" for name, about in named]
    lines += [f"- {name}" for name in corpus.sources if name not in CORPORA]
    return "\n".join([*lines, *(f"- {notice}" for notice in corpus.notices)])
