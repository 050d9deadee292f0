"""The commands that work on existing music: continue, infill, vary."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from musicgen.cli import options
from musicgen.cli.command import COMPOSE, command
from musicgen.cli.messages import reported, say
from musicgen.cli.options import OutputOptions, ReadingOptions, TakeOptions
from musicgen.cli.output import TuneSink, read_tune, require_place
from musicgen.cli.texts import write_texts
from musicgen.errors import ControlError

if TYPE_CHECKING:
    from musicgen.composer import Composer, Take

_File = Annotated[Path, typer.Argument(help="A single-line melody: ABC or MIDI.")]


@command(COMPOSE, name="continue")
def continue_(
    file: Annotated[
        Path,
        typer.Argument(help="An unfinished melody: ABC or MIDI; for models of text, any text."),
    ],
    *,
    tune: options.Tune = 1,
    bars: Annotated[
        int | None,
        typer.Option(min=1, help="Full bars of the whole tune (default: what its form needs)."),
    ] = None,
    take: TakeOptions,
    output: OutputOptions,
    reading: ReadingOptions,
) -> None:
    """Finish an unfinished melody; every given note stays exactly as it was."""
    from musicgen.composer import composer_of
    from musicgen.tokens.languages import text_code

    require_place(output)
    model = options.load_model(take.checkpoint)
    if text_code(model.tokenizer) is not None:
        from musicgen.corpus.texts import read_text

        if bars is not None:
            raise ControlError("--bars: this model writes plain text, which has no bars")
        text = read_text(file).removesuffix("\n")
        write_texts(model, take.number, take.sampling, output, to=None, prompt=text)
        return
    sink = TuneSink(output, take.number)
    composer = composer_of(model)
    melody = read_tune(file, tune, options.given(reading), all_voices=composer.all_voices)
    takes = composer.continuations(melody, take.number, take.sampling, bars=bars)
    _write(sink, takes, take)


@command(COMPOSE)
def infill(
    file: _File,
    *,
    tune: options.Tune = 1,
    bars: Annotated[
        str,
        typer.Option(help="Such as 5-8 or 5, as printed: a pickup is bar 0, endings count."),
    ],
    take: TakeOptions,
    output: OutputOptions,
    reading: ReadingOptions,
) -> None:
    """Rewrite some bars to fit the music before and after them; the rest stays as it was."""
    sink = TuneSink(output, take.number)
    melody = read_tune(file, tune, options.given(reading))
    composer = melodist(take.checkpoint)
    _write(sink, composer.infill(melody, bars=bars, n=take.number, sampling=take.sampling), take)


@command(COMPOSE)
def vary(
    file: _File,
    *,
    tune: options.Tune = 1,
    similarity: Annotated[
        str, typer.Option(help="Melodic similarity to the tune, 0 to 1: a band, or one number.")
    ] = "0.6-0.8",
    take: TakeOptions,
    output: OutputOptions,
    reading: ReadingOptions,
) -> None:
    """Write a variation of a tune: the same key, meter and form, as similar as you ask."""
    sink = TuneSink(output, take.number)
    melody = read_tune(file, tune, options.given(reading))
    composer = melodist(take.checkpoint)
    takes = composer.vary(melody, similarity=similarity, n=take.number, sampling=take.sampling)
    _write(sink, takes, take)


def _write(sink: TuneSink, takes: Iterable[Take], take: TakeOptions) -> None:
    sink.write(reported(takes, novelty=take.novelty))
    say(f"seed {take.sampling.seed}")


def melodist(checkpoint: str) -> Composer:
    """The composer of a model that writes single lines.

    Raises:
        ControlError: the model writes in parts.
    """
    from musicgen import load
    from musicgen.composer import Composer

    composer = load(options.model_folder(checkpoint))
    if not isinstance(composer, Composer):
        raise ControlError(f"{checkpoint}: this model writes in parts; name one of single lines")
    return composer
