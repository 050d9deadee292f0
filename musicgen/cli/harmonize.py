"""The command that finds chords for a melody: harmonize."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musicgen.cli import options
from musicgen.cli.messages import counted, say
from musicgen.cli.options import app
from musicgen.cli.output import TuneSink, read_tune, require_free
from musicgen.errors import ControlError
from musicgen.system.charts import require_chart

if TYPE_CHECKING:
    from musicgen.composer import Take
    from musicgen.composer.harmony import Harmonized
    from musicgen.composer.sampling import SamplingConfig
    from musicgen.music.tune import Tune


@app.command()
def harmonize(
    file: Annotated[
        Path | None, typer.Argument(help="A melody: ABC, MIDI, MusicXML or kern.")
    ] = None,
    *,
    melody_for: Annotated[
        str | None,
        typer.Option(help='The reverse: a melody for these chords, "Am | G | F | E7", bar by bar.'),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Of that melody (default: what the chords say).")
    ] = None,
    meter: Annotated[
        str | None, typer.Option(help="Of that melody (default: the rhythm's, or 4/4).")
    ] = None,
    rhythm: Annotated[str | None, typer.Option(help="Of that melody, such as jig.")] = None,
    bars: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Of that melody (default: all chords, 8 bars at least)."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", help="A folder of scripts/fitting/harmonizer.py (default: the shipped one)."
        ),
    ] = None,
    tune: Annotated[int, typer.Option("--tune", min=1, help="Which tune of the file, from 1.")] = 1,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many ways.")] = 1,
    temperature: Annotated[
        float | None,
        typer.Option(
            help="0 is the likeliest harmony (default); above it chords are drawn. Of a melody for "
            "chords: as of `generate`."
        ),
    ] = None,
    beam: Annotated[int, typer.Option(help="How widely the likeliest is searched for.")] = 4,
    seed: options.Seed = None,
    attention: Annotated[
        Path | None,
        typer.Option(help="A picture of which notes each chord attended to (.png, .svg, .pdf)."),
    ] = None,
    output: options.Output = None,
    force: options.Force = False,
) -> None:
    """Find chords for a melody: ABC with chord symbols, a score, or sound with bass and chords.

    With --melody-for it is the other way round: chords are given, and a melody is found.
    """
    sink = TuneSink(output, number, force=force)
    if melody_for is not None:
        if file is not None or attention is not None:
            raise ControlError("--melody-for takes no file and no --attention; give chords alone")
        asked = {"key": key, "meter": meter, "rhythm": rhythm, "bars": bars}
        sampling = options.sampling_config(seed, temperature)
        sink.take(_melodies(melody_for, model, number, sampling, asked))
        say(f"seed {sampling.seed}")
        return
    if file is None:
        raise ControlError('name a melody, or give chords with --melody-for "Am | G | F | E7"')
    if key or meter or rhythm or bars:
        raise ControlError("--key, --meter, --rhythm and --bars are for --melody-for")
    if attention is not None:
        require_chart(attention)
        require_free(attention, force=force)
    heat = temperature or 0.0
    if number > 1 and heat == 0:
        raise ControlError("the likeliest harmony is one; for several add --temperature 1")
    given = read_tune(file, tune)
    first = secrets.randbelow(2**31) if seed is None else seed
    searches = [{"temperature": heat, "beam": beam, "seed": first + i} for i in range(number)]
    sink.take(list(_harmonies(given, model, searches, attention)))
    if heat > 0:
        say(f"seed {first}")


def _harmonies(
    given: Tune, model: Path | None, searches: Sequence[dict[str, Any]], attention: Path | None
) -> Iterator[Take]:
    """A melody with chords, once for each search; a picture of what the first attended to."""
    from musicgen.composer.harmony import harmonize as find
    from musicgen.composer.harmony import load
    from musicgen.composer.harmony.decoding import DecodingConfig

    harmonizer = load(model)
    for i, search in enumerate(searches):
        found = find(given, harmonizer, DecodingConfig(**search))
        if i == 0:
            _tell(found)
        if i == 0 and attention is not None:
            from musicgen.composer.harmony.attention_picture import draw

            draw(harmonizer.network, found, attention)
            say(f"wrote {attention}")
        yield _take(given, found, i, several=len(searches) > 1)


def _melodies(
    chords: str, model: Path | None, number: int, sampling: SamplingConfig, asked: dict[str, Any]
) -> Iterator[Take]:
    """Melodies for chords, to be written with them."""
    from musicgen.composer.engine import Engine
    from musicgen.composer.harmony import load
    from musicgen.composer.harmony.melody_for_chords import melodies
    from musicgen.composer.harmony.progression import Progression
    from musicgen.models import checkpoint

    progression = Progression.read(chords)
    if asked["key"] is None:
        say(f"key: {progression.key()}; --key asks for another")
    engine = Engine.of(checkpoint.load(checkpoint.locate("celtic")))
    found = melodies(engine, load(model).network, progression, number, sampling, **asked)
    return (replace(take, exact=_heard(take.tune)) for take in found)


def _heard(tune: Tune) -> dict[str, bytes]:
    """MIDI of a tune with its chords as a second voice; other formats play or show the symbols."""
    from musicgen.composer.harmony.symbols import backed
    from musicgen.formats import rendered

    return {suffix: rendered([backed(tune)], suffix) for suffix in (".mid", ".midi")}


def _take(given: Tune, found: Harmonized, index: int, *, several: bool) -> Take:
    """What goes to a file: the ABC that was given, with nothing but its chords changed."""
    from musicgen.composer import Take

    exact = found.abc(given)
    if exact is None and given.source is not None and given.source.text:
        say("note: the text could not be marked place by place; the tune is written anew")
    kept = {} if exact is None else {".abc": exact, ".txt": exact}
    kept |= _heard(found.tune)
    cost = -sum(math.log2(max(p, 1e-12)) for p in found.probabilities) / max(1, given.n_notes)
    name = f"{given.title} {index + 1}" if several else ""
    return Take(found.tune, index, cost, exact=kept, name=name)


def _tell(found: Harmonized) -> None:
    """What a person should know of the result."""
    if found.n_replaced:
        agreed = "" if found.agreement is None else f"; {found.agreement:.0%} of roots are the same"
        say(f"note: {found.n_replaced} chord symbols of its own are replaced{agreed}")
    sure = sum(found.probabilities) / len(found.probabilities)
    symbols, slots = counted(len(found.symbols), "chord symbol"), counted(len(found.slots), "place")
    say(f"{symbols} for {slots}; mean certainty {sure:.0%}")
