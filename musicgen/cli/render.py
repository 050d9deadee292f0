"""The command that writes music for eyes and ears: render."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musicgen.cli import options
from musicgen.cli.messages import say, warn_of
from musicgen.cli.options import app
from musicgen.cli.output import require_free
from musicgen.errors import ConfigError, InvalidTuneError, MusicgenError, UnsupportedFormatError

if TYPE_CHECKING:
    from musicgen.music.tune import Tune

Text = Annotated[str | None, typer.Option()]


@app.command()
def render(
    files: Annotated[list[Path], typer.Argument(help="Files and folders to convert.")],
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="A file for all tunes, or a folder for one each."),
    ],
    to: Annotated[
        str, typer.Option(help="Formats in a folder: svg,png,pdf,wav,mp3,roll.png ...")
    ] = "svg",
    force: options.Force = False,
    voices: options.Voices = None,
    track: options.Track = None,
    channel: options.Channel = None,
    key: options.ReadKey = None,
    meter: options.ReadMeter = None,
    pickup: options.Pickup = None,
    warnings: Annotated[
        bool, typer.Option("--warnings", help="Many files: all warnings, not each kind once.")
    ] = False,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=0, help="Tunes at the same time; 0: one a core.")
    ] = 0,
    paper: Annotated[str | None, typer.Option(help="Scores: a4 or letter.")] = None,
    size: Annotated[int | None, typer.Option(help="Scores: size of the music in percent.")] = None,
    bars_per_line: Annotated[
        int | None, typer.Option(help="Scores: bars to a line (default: as they fit).")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Tunebook: its title.")] = None,
    dpi: Annotated[int | None, typer.Option(help="PNG: pixels an inch.")] = None,
    transpose: Annotated[
        str | None, typer.Option(help="To a key such as G, or by semitones such as +2.")
    ] = None,
    instrument: Annotated[
        str | None,
        typer.Option(help="Sound, MIDI: a name such as flute, or a General MIDI number."),
    ] = None,
    tempo: Annotated[str | None, typer.Option(help="Sound, MIDI: such as 70% or 96 beats.")] = None,
    swing: Annotated[
        float | None, typer.Option(help="Sound, MIDI: long to short, 1 is none.")
    ] = None,
    backing: Annotated[
        bool | None, typer.Option("--backing/--no-backing", help="Sound: play chord symbols.")
    ] = None,
    drone: Annotated[bool | None, typer.Option("--drone", help="Sound: tonic and fifth.")] = None,
    count_in: Annotated[int | None, typer.Option(help="Sound: bars of clicks before.")] = None,
    loops: Annotated[int | None, typer.Option(help="Sound: times the tune is played.")] = None,
    soundfont: Annotated[str | None, typer.Option(help="Sound: a soundfont of your own.")] = None,
    repeats: Annotated[
        bool | None, typer.Option("--repeats/--no-repeats", help="MIDI: play repeats, or once.")
    ] = None,
    humanize: Annotated[
        float | None, typer.Option(help="MIDI: milliseconds that notes are off, 0 is none.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="MIDI: of the humanising.")] = None,
    ticks_per_quarter: Annotated[
        int | None, typer.Option(help="MIDI: resolution (default: the source's, or 480).")
    ] = None,
) -> None:
    """Convert files and folders by extension: scores, books, recordings, piano rolls, MIDI, ABC.

    A batch goes on past files that cannot be read; they are listed at the end, and the exit code is
    1. Folders keep their shape under -o.
    """
    asked = {
        "paper": paper,
        "size": size,
        "bars_per_line": bars_per_line,
        "title": title,
        "dpi": dpi,
        "transpose": transpose,
        "instrument": instrument,
        "tempo": tempo,
        "swing": swing,
        "backing": backing,
        "drone": drone,
        "count_in": count_in,
        "loops": loops,
        "soundfont": soundfont,
        "repeats": repeats,
        "humanize": humanize,
        "seed": seed,
        "ticks_per_quarter": ticks_per_quarter,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    from musicgen import formats

    reading = options.reading(
        voices=voices, track=track, channel=channel, key=key, meter=meter, pickup=pickup
    )
    if formats.extension(output) and not output.is_dir():
        _render_file(files, output, given, reading, force=force)
        return
    from musicgen.cli.batch import Conversion

    applied = _applicable(given, _suffixes(to))
    Conversion(output, applied, reading, force=force, say_all=warnings).convert(
        files, jobs or os.cpu_count() or 1
    )


def _suffixes(to: str) -> tuple[str, ...]:
    from musicgen.formats import WRITERS

    suffixes = tuple(f".{name.strip().lower().lstrip('.')}" for name in to.split(",") if name)
    for suffix in suffixes:
        if suffix not in WRITERS:
            known = ", ".join(name[1:] for name in WRITERS)
            raise UnsupportedFormatError(f"--to: cannot write '{suffix[1:]}'; use {known}")
    if not suffixes:
        raise ConfigError("--to: names no format")
    return suffixes


def _applicable(given: Mapping[str, Any], suffixes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """For each extension the options that are for it; every option has to be for one of them."""
    from musicgen.formats import writing_options

    known = {suffix: writing_options(suffix) for suffix in suffixes}
    for name in given:
        if not any(name in names for names in known.values()):
            option = "--" + name.replace("_", "-")
            raise ConfigError(f"{option}: is no option of {', '.join(suffixes)}")
    return {s: {n: v for n, v in given.items() if n in names} for s, names in known.items()}


def _render_file(
    files: Sequence[Path],
    output: Path,
    given: Mapping[str, Any],
    reading: Mapping[str, Any],
    *,
    force: bool,
) -> None:
    from musicgen import formats
    from musicgen.cli.batch import find_sources

    suffix = formats.extension(output)
    require_free(output, force=force)
    applied = _applicable(given, [suffix])[suffix]
    failures: list[str] = []
    sources = find_sources(files)
    tunes = [tune for source in sources for tune in _read(source.path, reading, failures)]
    if failures and (not tunes or len(sources) == 1):
        raise MusicgenError(failures[0])
    if len(tunes) > 1 and not formats.WRITERS[suffix].holds_many:
        raise InvalidTuneError(
            f"{output}: holds one tune, not {len(tunes)}; name a folder, or a PDF for a book"
        )
    formats.write(tunes, output, **applied)
    say(f"wrote {output}")
    if failures:
        for failure in failures:
            say(f"failed: {failure}")
        raise MusicgenError(f"{len(failures)} could not be read")


def _read(file: Path, reading: Mapping[str, Any], failures: list[str]) -> list[Tune]:
    """The tunes of a file; warnings and what was left out are said."""
    from musicgen import formats

    try:
        found = formats.scan(file, **formats.options_for(file, reading))
    except MusicgenError as error:
        failures.append(str(error))
        return []
    for tune in found.tunes:
        warn_of(tune, file)
    for rejected in found.rejected:
        say(f"{file}:{rejected.line}: left out: {rejected.reason}")
    if not found.tunes:
        failures.append(f"{file}: holds no tune that can be read")
    return list(found.tunes)
