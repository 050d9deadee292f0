"""The command that finds chords for a melody: harmonize."""

from __future__ import annotations

import math
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from musicgen.charts import require_chart
from musicgen.cli import options
from musicgen.cli.options import app
from musicgen.cli.output import TuneSink, read_tune, require_free, say
from musicgen.errors import ControlError

if TYPE_CHECKING:
    from musicgen.composer import Take
    from musicgen.harmonization import Harmonized
    from musicgen.tune import Tune


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
    attention: Annotated[
        Path | None,
        typer.Option(help="A picture of which notes each chord attended to (.png, .svg, .pdf)."),
    ] = None,
    output: options.Output = None,
    force: options.Force = False,
) -> None:
    """Find chords for a melody: ABC with chord symbols, a score, or sound with bass and chords."""
    sink = TuneSink(output, number, force=force)
    if attention is not None:
        require_chart(attention)
        require_free(attention, force=force)
    if number > 1 and temperature == 0:
        raise ControlError("the likeliest harmony is one; for several add --temperature 1")
    given = read_tune(file, tune)
    from musicgen.harmonization import harmonize as find
    from musicgen.harmonization import load
    from musicgen.harmonization.decoding import DecodingConfig

    harmonizer = load(model)
    first = secrets.randbelow(2**31) if seed is None else seed
    ways = [
        find(given, harmonizer, DecodingConfig(temperature=temperature, beam=beam, seed=first + i))
        for i in range(number)
    ]
    _tell(ways[0])
    if attention is not None:
        from musicgen.harmonization.attending import draw

        draw(harmonizer.network, ways[0], attention)
        say(f"wrote {attention}")
    sink.take(_take(given, way, i, several=number > 1) for i, way in enumerate(ways))
    if temperature > 0:
        say(f"seed {first}")


def _take(given: Tune, found: Harmonized, index: int, *, several: bool) -> Take:
    """What goes to a file: the ABC that was given, with nothing but its chords changed."""
    from musicgen.composer import Take
    from musicgen.formats import rendered
    from musicgen.harmonization.backing import backed

    exact = found.abc(given)
    if exact is None and given.source is not None and given.source.text:
        say("note: the text could not be marked place by place; the tune is written anew")
    kept = {} if exact is None else {".abc": exact, ".txt": exact}
    kept |= {suffix: rendered([backed(found.tune)], suffix) for suffix in (".mid", ".midi")}
    cost = -sum(math.log2(max(p, 1e-12)) for p in found.probabilities) / max(1, given.n_notes)
    name = f"{given.title} {index + 1}" if several else ""
    return Take(found.tune, index, cost, exact=kept, name=name)


def _tell(found: Harmonized) -> None:
    """What a person should know of the result."""
    if found.n_replaced:
        agreed = "" if found.agreement is None else f"; {found.agreement:.0%} of roots are the same"
        say(f"note: {found.n_replaced} chord symbols of its own are replaced{agreed}")
    sure = sum(found.probabilities) / len(found.probabilities)
    n = len(found.slots)
    say(f"{len(found.symbols)} chord symbols for {n} places; mean certainty {sure:.0%}")
