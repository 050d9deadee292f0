"""The command between melodies and chords: harmonize."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musicgen.cli import options
from musicgen.cli.command import COMPOSE, command
from musicgen.cli.messages import counted, say
from musicgen.cli.options import OutputOptions, SamplingOptions
from musicgen.cli.output import TuneSink, read_tune
from musicgen.cli.results import all_of, require_output
from musicgen.errors import ControlError
from musicgen.formats import rendered
from musicgen.system.charts import require_chart

if TYPE_CHECKING:
    from musicgen.composer import Take
    from musicgen.composer.harmony import Harmonized
    from musicgen.composer.sampling import SamplingConfig
    from musicgen.models.harmony.network import Harmonizer
    from musicgen.music.tune import Tune


_REVERSE = "A melody for chords"  # a panel of the help


@command(COMPOSE)
def harmonize(
    file: Annotated[
        Path | None, typer.Argument(help="A melody: ABC, MIDI, MusicXML or kern.")
    ] = None,
    *,
    tune: options.Tune = 1,
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, help="Number of harmonizations or melodies.")
    ] = 1,
    temperature: Annotated[
        float | None,
        typer.Option(
            help="0 is the most likely harmony (default); above it chords are sampled. For a "
            "melody for chords: as in `generate`."
        ),
    ] = None,
    beam: Annotated[int, typer.Option(help="Width of the search for the most likely.")] = 4,
    seed: options.Seed = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            "-c",
            "--model",
            help="A run of `train --task harmonize` (default: the shipped model).",
        ),
    ] = None,
    melody_for: Annotated[
        str | None,
        typer.Option(
            help='The reverse: a melody for these chords, "Am | G | F | E7", bar by bar.',
            rich_help_panel=_REVERSE,
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            help="Its key (default: estimated from the chords).", rich_help_panel=_REVERSE
        ),
    ] = None,
    meter: Annotated[
        str | None,
        typer.Option(help="Its meter (default: the rhythm's, or 4/4).", rich_help_panel=_REVERSE),
    ] = None,
    rhythm: Annotated[
        str | None, typer.Option(help="Its rhythm, such as jig.", rich_help_panel=_REVERSE)
    ] = None,
    bars: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=64,
            help="Its bars (default: all chords, at least 8 bars).",
            rich_help_panel=_REVERSE,
        ),
    ] = None,
    attention: Annotated[
        Path | None,
        typer.Option(
            help="A picture of the notes that each chord attended to (.png, .svg, .pdf).",
            rich_help_panel="Output",
        ),
    ] = None,
    output: OutputOptions,
) -> None:
    """Find chords for a melody: ABC with chord symbols, a score, or sound with bass and chords.

    With --melody-for it is the other way round: chords are given, and a melody is found.
    """
    sink = TuneSink(output, number)
    controls = {"key": key, "meter": meter, "rhythm": rhythm, "bars": bars}
    if melody_for is not None:
        if file is not None or attention is not None:
            raise ControlError("--melody-for takes no file and no --attention; give chords alone")
        sampling = SamplingOptions(temperature=temperature).with_seed(seed)
        sink.write(_melodies(melody_for, model, number, sampling, controls))
        say(f"seed {sampling.seed}")
        return
    if file is None:
        raise ControlError('name a melody, or give chords with --melody-for "Am | G | F | E7"')
    if any(controls.values()):
        raise ControlError("--key, --meter, --rhythm and --bars are for --melody-for")
    if attention is not None:
        require_chart(attention)
        require_output(attention, force=output.force)
    heat = temperature or 0.0
    if number > 1 and heat == 0:
        raise ControlError("there is one most likely harmony; for several add --temperature 1")
    source = read_tune(file, tune)
    first = secrets.randbelow(2**31) if seed is None else seed
    searches = [{"temperature": heat, "beam": beam, "seed": first + i} for i in range(number)]
    with all_of() as attempt:
        sink.write(list(_harmonies(source, model, searches, attention, attempt)))
    if heat > 0:
        say(f"seed {first}")


def _harmonies(
    melody: Tune,
    model: Path | None,
    searches: Sequence[dict[str, Any]],
    attention: Path | None,
    attempt: Callable[[Callable[[], object]], None],
) -> Iterator[Take]:
    """A melody with chords, once for each search; a picture of the attention of the first."""
    from musicgen.composer.harmony import harmonize as find
    from musicgen.composer.harmony import load
    from musicgen.composer.harmony.decoding import DecodingConfig

    harmonizer = load(model)
    for i, search in enumerate(searches):
        harmonized = find(melody, harmonizer, DecodingConfig(**search))
        if i == 0:
            _report(harmonized)
        if i == 0 and attention is not None:
            attempt(partial(_draw, harmonizer.network, harmonized, attention))
        yield _take(melody, harmonized, i, several=len(searches) > 1)


def _draw(network: Harmonizer, harmonized: Harmonized, picture: Path) -> None:
    from musicgen.composer.harmony.attention_picture import draw

    draw(network, harmonized, picture)
    say(f"wrote {picture}")


def _melodies(
    chords: str,
    model: Path | None,
    number: int,
    sampling: SamplingConfig,
    controls: dict[str, Any],
) -> Iterator[Take]:
    """Melodies for chords, to be written with them."""
    from musicgen.composer.engine import Engine
    from musicgen.composer.harmony import load
    from musicgen.composer.harmony.melody_for_chords import melodies
    from musicgen.composer.harmony.progression import Progression

    progression = Progression.read(chords)
    if controls["key"] is None:
        say(f"key: {progression.key()}; --key states another")
    engine = Engine.of(options.load_model("celtic"))
    takes = melodies(engine, load(model).network, progression, number, sampling, **controls)
    return (replace(take, exact=_with_backing(take.tune)) for take in takes)


def _with_backing(tune: Tune) -> dict[str, bytes]:
    """MIDI of a tune with its chords as a second voice; other formats play or show the symbols."""
    from musicgen.composer.harmony.symbols import backed

    return {suffix: rendered([backed(tune)], suffix) for suffix in (".mid", ".midi")}


def _take(melody: Tune, harmonized: Harmonized, index: int, *, several: bool) -> Take:
    """The take to be written: the source's own ABC with nothing but its chords changed."""
    from musicgen.composer import Take

    exact = harmonized.abc(melody)
    if exact is None and melody.source is not None and melody.source.text:
        say("note: the text could not be marked place by place; the tune is written anew")
    files = {} if exact is None else {".abc": exact, ".txt": exact}
    total = -sum(math.log2(max(p, 1e-12)) for p in harmonized.probabilities)  # bits
    name = f"{melody.title} {index + 1}" if several else ""
    return Take(
        harmonized.tune,
        index,
        total / max(1, melody.n_notes),
        exact=files | _with_backing(harmonized.tune),
        name=name,
    )


def _report(harmonized: Harmonized) -> None:
    """Print how many chords were found, how certain they are, and what they replace."""
    if harmonized.n_replaced:
        agreement = harmonized.agreement
        agreed = "" if agreement is None else f"; {agreement:.0%} of roots are the same"
        say(f"note: {harmonized.n_replaced} chord symbols of its own are replaced{agreed}")
    certainty = sum(harmonized.probabilities) / len(harmonized.probabilities)
    symbols = counted(len(harmonized.symbols), "chord symbol")
    say(f"{symbols} for {counted(len(harmonized.slots), 'place')}; mean certainty {certainty:.0%}")
