"""The commands that work on music that is there: continue, infill, vary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from musicgen.cli import options
from musicgen.cli.messages import said, say
from musicgen.cli.options import app
from musicgen.cli.output import TuneSink, read_tune
from musicgen.errors import ControlError

if TYPE_CHECKING:
    from musicgen.composer import Composer

_Which = Annotated[
    int, typer.Option("--tune", min=1, help="Which tune of the file, counted from 1.")
]
_File = Annotated[Path, typer.Argument(help="A single-line melody: ABC or MIDI.")]


@app.command(name="continue")
def continue_(
    file: Annotated[Path, typer.Argument(help="An unfinished melody: ABC or MIDI.")],
    *,
    checkpoint: options.Checkpoint = "celtic",
    tune: _Which = 1,
    bars: Annotated[
        int | None,
        typer.Option(min=1, help="Full bars of the whole tune (default: as its form asks)."),
    ] = None,
    number: options.Number = 1,
    seed: options.Seed = None,
    temperature: options.Temperature = None,
    top_k: options.TopK = 0,
    top_p: options.TopP = 1.0,
    min_p: options.MinP = 0.0,
    novelty: options.Novelty = True,
    output: options.Output = None,
    force: options.Force = False,
    voices: options.Voices = None,
    track: options.Track = None,
    channel: options.Channel = None,
    key: options.ReadKey = None,
    meter: options.ReadMeter = None,
    pickup: options.Pickup = None,
) -> None:
    """Finish an unfinished melody; every note that was given stays exactly as it was."""
    sink = TuneSink(output, number, force=force)
    from musicgen import load

    composer = load(checkpoint)
    asked = options.reading(
        voices=voices, track=track, channel=channel, key=key, meter=meter, pickup=pickup
    )
    given = read_tune(file, tune, asked, all_voices=composer.all_voices)
    sampling = options.sampling_config(seed, temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    takes = composer.continuations(given, number, sampling, bars=bars)
    sink.take(said(takes, novelty=novelty))
    say(f"seed {sampling.seed}")


@app.command()
def infill(
    file: _File,
    *,
    bars: Annotated[
        str, typer.Option(help="Such as 5-8 or 5, as printed: a pickup is bar 0, endings count.")
    ],
    checkpoint: options.Checkpoint = "celtic",
    tune: _Which = 1,
    number: options.Number = 1,
    seed: options.Seed = None,
    temperature: options.Temperature = None,
    top_k: options.TopK = 0,
    top_p: options.TopP = 1.0,
    min_p: options.MinP = 0.0,
    novelty: options.Novelty = True,
    output: options.Output = None,
    force: options.Force = False,
    voices: options.Voices = None,
    track: options.Track = None,
    channel: options.Channel = None,
    key: options.ReadKey = None,
    meter: options.ReadMeter = None,
    pickup: options.Pickup = None,
) -> None:
    """Write some bars anew, hearing what is before and after them; the rest stays as it was."""
    sink = TuneSink(output, number, force=force)
    asked = options.reading(
        voices=voices, track=track, channel=channel, key=key, meter=meter, pickup=pickup
    )
    given = read_tune(file, tune, asked)
    sampling = options.sampling_config(seed, temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    takes = melodist(checkpoint).infill(given, bars=bars, n=number, sampling=sampling)
    sink.take(said(takes, novelty=novelty))
    say(f"seed {sampling.seed}")


@app.command()
def vary(
    file: _File,
    *,
    similarity: Annotated[
        str, typer.Option(help="Melodic similarity to the tune, 0 to 1: a band, or one number.")
    ] = "0.6-0.8",
    checkpoint: options.Checkpoint = "celtic",
    tune: _Which = 1,
    number: options.Number = 1,
    seed: options.Seed = None,
    temperature: options.Temperature = None,
    top_k: options.TopK = 0,
    top_p: options.TopP = 1.0,
    min_p: options.MinP = 0.0,
    novelty: options.Novelty = True,
    output: options.Output = None,
    force: options.Force = False,
    voices: options.Voices = None,
    track: options.Track = None,
    channel: options.Channel = None,
    key: options.ReadKey = None,
    meter: options.ReadMeter = None,
    pickup: options.Pickup = None,
) -> None:
    """Write a new setting of a tune: its key, meter and form, as like it as is asked."""
    sink = TuneSink(output, number, force=force)
    asked = options.reading(
        voices=voices, track=track, channel=channel, key=key, meter=meter, pickup=pickup
    )
    given = read_tune(file, tune, asked)
    sampling = options.sampling_config(seed, temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    composer = melodist(checkpoint)
    takes = composer.vary(given, similarity=similarity, n=number, sampling=sampling)
    sink.take(said(takes, novelty=novelty))
    say(f"seed {sampling.seed}")


def melodist(checkpoint: str) -> Composer:
    """The composer of a model that writes single lines."""
    from musicgen import load
    from musicgen.composer import Composer

    composer = load(checkpoint)
    if not isinstance(composer, Composer):
        raise ControlError(f"{checkpoint}: this model writes in parts; name one of single lines")
    return composer
