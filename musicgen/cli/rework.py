"""The command that works on music that is there: continue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from musicgen.cli import options
from musicgen.cli.options import app
from musicgen.cli.output import TuneSink, say, warn_of
from musicgen.errors import ControlError


@app.command(name="continue")
def continue_(
    file: Annotated[Path, typer.Argument(help="An unfinished melody: ABC or MIDI.")],
    *,
    checkpoint: options.Checkpoint = "celtic",
    tune: Annotated[
        int, typer.Option("--tune", min=1, help="Which tune of the file, counted from 1.")
    ] = 1,
    bars: Annotated[
        int | None,
        typer.Option(min=1, help="Full bars of the whole tune (default: as its form asks)."),
    ] = None,
    number: options.Number = 1,
    seed: options.Seed = None,
    temperature: options.Temperature = 1.0,
    top_k: options.TopK = 0,
    top_p: options.TopP = 1.0,
    min_p: options.MinP = 0.0,
    output: options.Output = None,
    force: options.Force = False,
) -> None:
    """Finish an unfinished melody; every note that was given stays exactly as it was."""
    sink = TuneSink(output, number, force=force)
    from musicgen.formats import read

    tunes = read(file)
    if tune > len(tunes):
        raise ControlError(f"{file}: has no tune {tune}; it holds {len(tunes)}")
    if len(tunes) > 1:
        say(f"{file}: tune {tune} of {len(tunes)}; --tune chooses another")
    given = tunes[tune - 1]
    warn_of(given, file)
    from musicgen import load

    sampling = options.sampling_config(seed, temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    sink.take(load(checkpoint).continuations(given, number, sampling, bars=bars))
    say(f"seed {sampling.seed}")
