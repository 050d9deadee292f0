"""The command that writes music for eyes and ears: render."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from musicgen import formats
from musicgen.cli import options
from musicgen.cli.batch import Conversion, find_sources, scan_file
from musicgen.cli.command import CONVERT, command
from musicgen.cli.messages import say, warn_of
from musicgen.cli.options import ReadingOptions
from musicgen.cli.output import suffixes
from musicgen.cli.results import require_output
from musicgen.errors import ConfigError, InvalidTuneError, MusicgenError

if TYPE_CHECKING:
    from musicgen.music.tune import Tune


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """Options of the formats with a score."""

    panel: ClassVar[str] = "Scores"
    paper: Annotated[str | None, typer.Option(help="a4 or letter.")] = None
    size: Annotated[int | None, typer.Option(help="Size of the music in percent.")] = None
    bars_per_line: Annotated[
        int | None, typer.Option(help="Bars in a line (default: as many as fit).")
    ] = None
    title: Annotated[str | None, typer.Option(help="Title of a tunebook.")] = None
    dpi: Annotated[int | None, typer.Option(help="PNG: pixels per inch.")] = None


@dataclass(frozen=True, kw_only=True)
class SoundOptions:
    """Options of sound and MIDI."""

    panel: ClassVar[str] = "Sound and MIDI"
    transpose: Annotated[
        str | None,
        typer.Option(help="To a key such as G, or by semitones such as +2; for scores, too."),
    ] = None
    instrument: Annotated[
        str | None, typer.Option(help="A name such as flute, or a General MIDI number.")
    ] = None
    tempo: Annotated[str | None, typer.Option(help="Such as 70%, or 96 beats a minute.")] = None
    swing: Annotated[
        float | None, typer.Option(help="Length of long to short notes; 1 is no swing.")
    ] = None
    backing: Annotated[
        bool | None, typer.Option("--backing/--no-backing", help="Sound: play the chord symbols.")
    ] = None
    drone: Annotated[
        bool | None, typer.Option("--drone", help="Sound: tonic and fifth throughout.")
    ] = None
    count_in: Annotated[
        int | None, typer.Option(help="Sound: bars of clicks before the music.")
    ] = None
    loops: Annotated[int | None, typer.Option(help="Sound: times the tune is played.")] = None
    soundfont: Annotated[str | None, typer.Option(help="Sound: your own .sf2 file.")] = None
    repeats: Annotated[
        bool | None,
        typer.Option("--repeats/--no-repeats", help="MIDI: play repeats, or each part once."),
    ] = None
    humanize: Annotated[
        float | None, typer.Option(help="MIDI: random shift of notes in milliseconds; 0 is none.")
    ] = None
    seed: Annotated[int | None, typer.Option(help="MIDI: seed of --humanize.")] = None
    ticks_per_quarter: Annotated[
        int | None, typer.Option(help="MIDI: resolution (default: the source's, or 480).")
    ] = None


@command(CONVERT)
def render(
    files: Annotated[list[Path], typer.Argument(help="Files and folders to convert.")],
    *,
    warnings: Annotated[
        bool, typer.Option("--warnings", help="Many files: all warnings, not each kind once.")
    ] = False,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=0, help="Parallel jobs; 0 is one for each core.")
    ] = 0,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="A file for all tunes, or a folder for one each.",
            rich_help_panel="Output",
        ),
    ],
    to: Annotated[
        str,
        typer.Option(
            help="Formats in a folder: svg,png,pdf,wav,mp3,roll.png ...", rich_help_panel="Output"
        ),
    ] = "svg",
    force: options.Force = False,
    score: ScoreOptions,
    sound: SoundOptions,
    reading: ReadingOptions,
) -> None:
    """Convert files and folders by extension: scores, books, recordings, piano rolls, MIDI, ABC.

    A batch skips files that cannot be read; they are listed at the end, and the exit code is 1.
    Folders keep their structure under -o.
    """
    writing = options.given(score) | options.given(sound)
    if formats.extension(output) and not os.path.isdir(output):
        _render_file(files, output, writing, options.given(reading), force=force)
        return
    applied = _applicable(writing, suffixes(to))
    conversion = Conversion(
        output, applied, options.given(reading), force=force, all_warnings=warnings
    )
    conversion.convert(files, jobs or os.cpu_count() or 1)


def _applicable(writing: Mapping[str, Any], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """For each extension the options that it has; every option must be one of some extension."""
    known = {suffix: formats.writing_options(suffix) for suffix in names}
    for name in writing:
        if not any(name in options for options in known.values()):
            raise ConfigError(f"--{name.replace('_', '-')}: is no option of {', '.join(names)}")
    return {s: {n: v for n, v in writing.items() if n in options} for s, options in known.items()}


def _render_file(
    files: Sequence[Path],
    output: Path,
    writing: Mapping[str, Any],
    reading: Mapping[str, Any],
    *,
    force: bool,
) -> None:
    suffix = formats.extension(output)
    require_output(output, force=force)
    applied = _applicable(writing, [suffix])[suffix]
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


def _read(file: Path, reading: Mapping[str, Any], failures: list[str]) -> Sequence[Tune]:
    """The tunes of a file; warnings and tunes that are left out are printed."""
    result = scan_file(file, reading, failures)
    for tune in result.tunes:
        warn_of(tune, file)
    for rejected in result.rejected:
        say(f"{file}:{rejected.line}: left out: {rejected.reason}")
    if result.rejected and not result.tunes:
        failures.append(f"{file}: holds no tune that can be read")
    return result.tunes
