"""The command that trains: train."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from musicgen.cli.options import app
from musicgen.cli.output import say
from musicgen.errors import ConfigError

if TYPE_CHECKING:
    from musicgen.tokenset import TokenSet
    from musicgen.training import TrainConfig


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
    preset: Annotated[str, typer.Option(help="lstm, transformer or rnn.")] = "lstm",
    out: Annotated[Path, typer.Option(help="The run folder; it must be new.")],
    minutes: Annotated[float | None, typer.Option(help="Stop after so many minutes.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Stop after so many passes.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Such as model.d_model=512; repeatable.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of weights and order.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the unfinished run in --out.")
    ] = False,
) -> None:
    """Train a model; the best one by validation is kept in the run folder."""
    config = _configure(preset, settings or [], seed, minutes=minutes, epochs=epochs)
    if resume:
        if settings or seed is not None or minutes is not None or epochs is not None:
            raise ConfigError(
                "--resume: an unfinished run goes on with its own settings; drop them"
            )
        from musicgen.training import RunFolder

        config = RunFolder(out).settings()
    if tokens is not None and corpus:
        raise ConfigError("--corpus and --tokens: give one of them")
    token_set, about = _load_tokens(corpus or ["celtic"], tokens)

    from musicgen.training import reporting
    from musicgen.training import train as run

    with reporting(sys.stderr) as report:
        summary = run(config, token_set, out, resume=resume, report=report, about=about)
    say(
        f"{summary.best_bits_per_note:.3f} bits per note on validation after {summary.steps} steps "
        f"({summary.elapsed_s / 60:.1f} minutes, ended by {summary.reason}); loss curve in {out}"
    )
    say(f"next: musicgen generate --checkpoint {out}")


def _configure(
    preset: str,
    settings: list[str],
    seed: int | None,
    *,
    minutes: float | None,
    epochs: int | None,
) -> TrainConfig:
    from musicgen.config import override
    from musicgen.presets import preset as find_preset

    config = find_preset(preset)
    for setting in settings:
        config = override(config, setting)
    if seed is not None:
        config = replace(config, seed=seed)
    if minutes is not None or epochs is not None:
        config = config.with_budget(minutes=minutes, epochs=epochs)
    return config


def _load_tokens(corpus: list[str], tokens: Path | None) -> tuple[TokenSet, str]:
    """Token files and, for the model's card, where the music is from."""
    from musicgen.tokenset import TokenSet

    if tokens is not None:
        return TokenSet.load(tokens), f"Trained on the token files {tokens}."
    from musicgen import corpus as corpora
    from musicgen.preparation import prepare

    say(f"reading {', '.join(corpus)}")
    loaded = corpora.load(corpus)
    for notice in loaded.notices:
        say(f"note: {notice}")
    prepared = prepare(loaded)
    train_split = prepared.tokens.splits["train"]
    say(
        f"{len(loaded.entries)} tunes, {len(loaded.rejected)} unreadable, {len(prepared.omitted)} "
        f"that are no single-line melody, {len(loaded.duplicates)} duplicates; training on "
        f"{len(train_split)} with {int(train_split.notes.sum()):,} notes"
    )
    named = [(name, corpora.CORPORA[name].about) for name in corpus if name in corpora.CORPORA]
    lines = [f"- {name}: {about}" for name, about in named]
    lines += [f"- {name}" for name in corpus if name not in corpora.CORPORA]
    return prepared.tokens, "\n".join([*lines, *(f"- {notice}" for notice in loaded.notices)])
