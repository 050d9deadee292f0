"""The commands that write music: generate, continue."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from musicgen.cli import options
from musicgen.cli.options import app
from musicgen.cli.output import TuneSink, say, warn_of
from musicgen.errors import ControlError

if TYPE_CHECKING:
    from musicgen.sampling import SamplingConfig


@app.command()
def generate(
    *,
    checkpoint: options.Checkpoint = "celtic",
    key: Annotated[str | None, typer.Option(help="Such as D, Ador, 'E minor'.")] = None,
    meter: Annotated[str | None, typer.Option(help="Such as 6/8, C|.")] = None,
    rhythm: Annotated[str | None, typer.Option(help="Such as jig, reel, 'slip jig'.")] = None,
    number: options.Number = 1,
    seed: options.Seed = None,
    temperature: options.Temperature = 1.0,
    top_k: options.TopK = 0,
    top_p: options.TopP = 1.0,
    min_p: options.MinP = 0.0,
    output: options.Output = None,
    force: options.Force = False,
) -> None:
    """Compose new tunes. What is not asked for is chosen as the model's corpus has it."""
    sink = TuneSink(output, number, force=force)
    from musicgen import load
    from musicgen.controls import Controls

    sampling = _sampling(seed, temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    controls = Controls(key=key, meter=meter, rhythm=rhythm)
    sink.take(load(checkpoint).takes(number, controls, sampling))
    say(f"seed {sampling.seed}")


@app.command(name="continue")
def continue_(
    file: Annotated[Path, typer.Argument(help="An unfinished melody: ABC or MIDI.")],
    *,
    checkpoint: options.Checkpoint = "celtic",
    tune: Annotated[
        int, typer.Option("--tune", min=1, help="Which tune of the file, counted from 1.")
    ] = 1,
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

    sampling = _sampling(seed, temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    sink.take(load(checkpoint).continuations(given, number, sampling))
    say(f"seed {sampling.seed}")


def _sampling(
    seed: int | None, temperature: float, *, top_k: int, top_p: float, min_p: float
) -> SamplingConfig:
    """The options as one; a seed that was not given is drawn."""
    from musicgen.sampling import SamplingConfig

    return SamplingConfig(
        seed=secrets.randbelow(2**31) if seed is None else seed,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
    )
