"""The command that finds chords for a melody: harmonize."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from musicgen.cli import options
from musicgen.cli.options import app
from musicgen.cli.output import TuneSink, read_tune, say
from musicgen.errors import ControlError

if TYPE_CHECKING:
    from musicgen.harmonization import Harmonized


@app.command()
def harmonize(
    file: Annotated[Path, typer.Argument(help="A melody: ABC, MIDI, MusicXML or kern.")],
    *,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", help="A folder of scripts/train_harmonizer.py (default: the shipped one)."
        ),
    ] = None,
    tune: Annotated[int, typer.Option("--tune", min=1, help="Which tune of the file, from 1.")] = 1,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many ways.")] = 1,
    temperature: Annotated[
        float, typer.Option(help="0 is the likeliest harmony; above it chords are drawn.")
    ] = 0.0,
    beam: Annotated[int, typer.Option(help="How widely the likeliest is searched for.")] = 4,
    seed: options.Seed = None,
    output: options.Output = None,
    force: options.Force = False,
) -> None:
    """Find chords for a melody: ABC with chord symbols, a score, or sound with bass and chords."""
    sink = TuneSink(output, number, force=force)
    if number > 1 and temperature == 0:
        raise ControlError("the likeliest harmony is one; for several add --temperature 1")
    given = read_tune(file, tune)
    import secrets

    from musicgen.composer import Take
    from musicgen.harmonization import harmonize as find
    from musicgen.harmonization import load
    from musicgen.harmonization.decoding import DecodingConfig

    harmonizer = load(model)
    first = secrets.randbelow(2**31) if seed is None else seed
    takes = []
    for index in range(number):
        config = DecodingConfig(temperature=temperature, beam=beam, seed=first + index)
        found = find(given, harmonizer, config)
        exact = found.abc(given)
        name = f"{given.title} {index + 1}" if number > 1 else ""
        kept = {} if exact is None else {".abc": exact, ".txt": exact}
        takes.append(Take(found.tune, index, 0.0, exact=kept, name=name))
        if exact is None and file.suffix.lower() == ".abc":
            say("note: the text could not be marked place by place; the tune is written anew")
        if not index:
            _tell(found)
    sink.take(takes)
    if temperature > 0:
        say(f"seed {first}")


def _tell(found: Harmonized) -> None:
    """What a person should know of the result."""
    if found.n_replaced:
        agreed = "" if found.agreement is None else f"; {found.agreement:.0%} of roots are the same"
        say(f"note: {found.n_replaced} chord symbols of its own are replaced{agreed}")
    sure = sum(found.probabilities) / len(found.probabilities)
    n = len(found.slots)
    say(f"{len(found.symbols)} chord symbols for {n} places; mean certainty {sure:.0%}")
