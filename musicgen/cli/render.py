"""The command that writes music for eyes and ears: render."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from musicgen.cli import options
from musicgen.cli.options import app
from musicgen.cli.output import require_free, say, warn_of
from musicgen.errors import ConfigError, InvalidTuneError, MusicgenError, UnsupportedFormatError

if TYPE_CHECKING:
    from rich.progress import Progress

    from musicgen.tune import Tune

Text = Annotated[str | None, typer.Option()]


@app.command()
def render(
    files: Annotated[list[Path], typer.Argument(help="The files to convert.")],
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="A file for all tunes, or a folder for one each."),
    ],
    to: Annotated[
        str, typer.Option(help="Formats in a folder: svg,png,pdf,wav,mp3,roll.png ...")
    ] = "svg",
    force: options.Force = False,
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
        str | None, typer.Option(help="Sound: a name such as flute, or a General MIDI number.")
    ] = None,
    tempo: Annotated[str | None, typer.Option(help="Sound: such as 70% or 96 beats.")] = None,
    swing: Annotated[float | None, typer.Option(help="Sound: long to short, 1 is none.")] = None,
    backing: Annotated[
        bool | None, typer.Option("--backing/--no-backing", help="Sound: play chord symbols.")
    ] = None,
    drone: Annotated[bool | None, typer.Option("--drone", help="Sound: tonic and fifth.")] = None,
    count_in: Annotated[int | None, typer.Option(help="Sound: bars of clicks before.")] = None,
    loops: Annotated[int | None, typer.Option(help="Sound: times the tune is played.")] = None,
    soundfont: Annotated[str | None, typer.Option(help="Sound: a soundfont of your own.")] = None,
) -> None:
    """Convert files by extension: scores, tunebooks, recordings, piano rolls, MIDI, ABC."""
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
    }
    given = {name: value for name, value in asked.items() if value is not None}
    from musicgen import formats

    if formats.extension(output) and not output.is_dir():
        _render_file(files, output, given, force=force)
        return
    suffixes = _suffixes(to)
    _render_folder(_Work(output, suffixes, given, force), files, jobs or os.cpu_count() or 1)


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
    files: Sequence[Path], output: Path, given: Mapping[str, Any], *, force: bool
) -> None:
    from musicgen import formats

    suffix = formats.extension(output)
    require_free(output, force=force)
    applied = _applicable(given, [suffix])[suffix]
    tunes = [tune for file in files for tune in _read(file)]
    if len(tunes) > 1 and suffix not in formats.BOOKS:
        raise InvalidTuneError(
            f"{output}: holds one tune, not {len(tunes)}; name a folder, or a PDF for a book"
        )
    formats.write(tunes, output, **applied)
    say(f"wrote {output}")


def _read(file: Path) -> list[Tune]:
    """The tunes of a file; warnings and what was left out are said."""
    from musicgen import formats

    reading = formats.scan(file)
    for tune in reading.tunes:
        warn_of(tune, file)
    for rejected in reading.rejected:
        say(f"{file}:{rejected.line}: left out: {rejected.reason}")
    if not reading.tunes:
        raise MusicgenError(f"{file}: holds no tune that can be read")
    return list(reading.tunes)


@dataclass(frozen=True)
class _Work:
    """What is to be made of every tune."""

    folder: Path
    suffixes: tuple[str, ...]
    given: Mapping[str, Any]
    force: bool


def _render_folder(work: _Work, files: Sequence[Path], jobs: int) -> None:
    from musicgen.files import make_folder

    applied = _applicable(work.given, work.suffixes)
    make_folder(work.folder)
    failures: list[str] = []
    names = _Names()
    with _progress() as progress, ThreadPoolExecutor(jobs) as pool:
        bar = progress.add_task("Rendering", total=None)
        pending: dict[Future[int], str] = {}
        for place, tune in _all_tunes(files, failures):
            path = work.folder / names.unique(tune)
            pending[pool.submit(_write_all, tune, path, applied, force=work.force)] = place
        progress.update(bar, total=len(pending))
        written = 0
        for future in as_completed(pending):
            try:
                written += future.result()
            except MusicgenError as error:
                failures.append(f"{pending[future]}: {error}")
            progress.advance(bar)
    say(f"wrote {written} files to {work.folder}")
    if failures:
        for failure in sorted(failures):
            say(f"failed: {failure}")
        raise MusicgenError(f"{len(failures)} could not be written")


def _all_tunes(files: Sequence[Path], failures: list[str]) -> Iterator[tuple[str, Tune]]:
    """Every tune with the place it comes from; a file that cannot be read becomes a failure."""
    for file in files:
        try:
            tunes = _read(file)
        except MusicgenError as error:
            failures.append(str(error))
            continue
        for tune in tunes:
            yield f"{file}:{tune.source.line if tune.source else 0}", tune


def _write_all(
    tune: Tune, path: Path, applied: Mapping[str, Mapping[str, Any]], *, force: bool
) -> int:
    from musicgen import formats

    for suffix, given in applied.items():
        target = path.with_name(path.name + suffix)
        require_free(target, force=force)
        formats.write(tune, target, **given)
    return len(applied)


class _Names:
    """File names from titles, numbered where titles are the same."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def unique(self, tune: Tune) -> str:
        """A name that no tune before had."""
        from musicgen.files import slug

        base = name = slug(tune.title)
        number = 1
        while name in self._taken:
            number += 1
            name = f"{base}-{number}"
        self._taken.add(name)
        return name


def _progress() -> Progress:
    """A bar on a terminal, nothing otherwise."""
    from rich.console import Console
    from rich.progress import Progress

    return Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
