"""Convert many files into many files on all cores; failures are listed at the end."""

from __future__ import annotations

import re
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicgen import formats
from musicgen.cli.messages import say
from musicgen.cli.results import kept, require_free, require_output
from musicgen.errors import MusicgenError, locate
from musicgen.music.tune import Reading, Tune
from musicgen.system import sandbox
from musicgen.system.files import make_folder, slug, write_bytes
from musicgen.system.temporary import only_writer
from musicgen.system.workers import in_order

if TYPE_CHECKING:
    from rich.progress import Progress

FEWEST_FOR_PROCESSES = 32  # files or tunes; fewer are done before processes have started
LARGE_BOOK_BYTES = 64_000  # a larger book is divided, so that all cores have a part of it
TUNES_A_PIECE = 8
WAITING_PER_JOB = 6  # pieces of work ahead of the one that is written next
MANY_FILES = 20  # for more files, each kind of warning is printed once


@dataclass(frozen=True, slots=True)
class ConversionSource:
    """A file to convert, and the folder under -o that its results go to."""

    path: Path
    folder: Path = Path()


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some work: a file, or tunes that were read from it already."""

    source: ConversionSource
    tunes: tuple[Tune, ...] | None = None


@dataclass(slots=True)
class _Outcome:
    """The result of a piece: for each tune its place, its name and the files' contents."""

    written: list[tuple[str, str, dict[str, bytes]]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def find_sources(names: Sequence[Path]) -> list[ConversionSource]:
    """The files that are named, and those with music in the folders that are, in order.

    Raises:
        CorpusError: a folder without music.
    """
    from musicgen.corpus import find_files

    sources = []
    for name in names:
        if name.is_dir():
            sources += [
                ConversionSource(file.path, file.path.parent.relative_to(name))
                for file in find_files([str(name)])
            ]
        else:
            sources.append(ConversionSource(name))
    return sources


def scan_file(path: Path, reading: Mapping[str, Any], failures: list[str]) -> Reading:
    """The tunes of a file and those that cannot be read. Why the whole file cannot be read is added
    to `failures`."""
    try:
        result = formats.scan(path, **formats.options_for(path, reading))
    except MusicgenError as error:
        failures.append(str(error))
        return Reading()
    if not result.tunes and not result.rejected:
        failures.append(f"{path}: holds no tune that can be read")
    return result


def convert_piece(
    piece: _Piece, applied: Mapping[str, Mapping[str, Any]], reading: Mapping[str, Any]
) -> _Outcome:
    """Read a file, unless that is done, and render its tunes in every format."""
    outcome, path = _Outcome(), piece.source.path
    tunes = _read(path, reading, outcome.failures) if piece.tunes is None else piece.tunes
    for tune in tunes:
        place = f"{path}:{tune.source.line if tune.source else 0}"
        outcome.warnings += [
            locate(f"warning: {w.what}", path=path, line=w.line, column=w.column)
            for w in tune.warnings
        ]
        try:
            files = {
                suffix: formats.rendered([tune], suffix, **options)
                for suffix, options in applied.items()
            }
        except MusicgenError as error:
            outcome.failures.append(f"{place}: {error}")
            continue
        alone = len(tunes) == 1 and piece.tunes is None
        outcome.written.append((place, path.stem if alone else tune.title, files))
    return outcome


def _read(path: Path, reading: Mapping[str, Any], failures: list[str]) -> tuple[Tune, ...]:
    result = scan_file(path, reading, failures)
    failures += [locate(f"left out: {r.reason}", path=path, line=r.line) for r in result.rejected]
    return result.tunes


class Conversion:
    """A conversion of many files into a folder. `applied` has the options of each format."""

    def __init__(
        self,
        folder: Path,
        applied: Mapping[str, Mapping[str, Any]],
        reading: Mapping[str, Any],
        *,
        force: bool,
        all_warnings: bool = False,
    ) -> None:
        self.folder, self.applied, self.reading = folder, applied, reading
        self.force, self.all_warnings = force, all_warnings
        self.n_written = 0
        self.failures: list[str] = []
        self.warnings: list[str] = []
        self._taken: set[Path] = set()
        self._numbers: Counter[Path] = Counter()  # the last one of each name

    def convert(self, names: Sequence[Path], jobs: int) -> None:
        """Convert everything, print what was written and what failed.

        Raises:
            MusicgenError: something failed; everything else has been written.
        """
        require_output(self.folder, force=self.force, is_folder=True)
        sources = find_sources(names)
        make_folder(self.folder)
        with only_writer(self.folder), _progress() as progress:
            bar = progress.add_task("Converting", total=len(sources))
            before: Path | None = None
            for piece, outcome in self._outcomes(sources, jobs):
                self._write(piece, outcome)
                if piece.source.path != before:
                    progress.advance(bar)
                before = piece.source.path
        self._report(len(sources))

    def _outcomes(
        self, sources: Sequence[ConversionSource], jobs: int
    ) -> Iterator[tuple[_Piece, _Outcome]]:
        """Every piece with its outcome, in order; the number that wait is bounded."""
        pieces = self._pieces(sources)
        first = list(islice(pieces, FEWEST_FOR_PROCESSES))
        work = partial(convert_piece, applied=self.applied, reading=dict(self.reading))
        if jobs > 1 and len(first) < FEWEST_FOR_PROCESSES:
            with ThreadPoolExecutor(jobs) as pool:  # child processes do most of the work
                try:
                    yield from zip(first, pool.map(work, first), strict=True)
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    sandbox.stop()  # what the threads wait for
                    raise
            return
        taken: deque[_Piece] = deque()  # pieces whose outcome is not known yet

        def recorded() -> Iterator[_Piece]:
            for piece in chain(first, pieces):
                taken.append(piece)
                yield piece

        for outcome in in_order(
            work, recorded(), workers=jobs, advice="use --jobs 1", ahead=WAITING_PER_JOB
        ):
            yield taken.popleft(), outcome

    def _pieces(self, sources: Sequence[ConversionSource]) -> Iterator[_Piece]:
        for source in sources:
            row = formats.READERS.get(formats.extension(source.path))
            is_book = row is not None and row.holds_many and source.path.is_file()
            if not is_book or source.path.stat().st_size < LARGE_BOOK_BYTES:
                yield _Piece(source)
                continue
            tunes = _read(source.path, self.reading, self.failures)
            for start in range(0, len(tunes), TUNES_A_PIECE):
                yield _Piece(source, tuple(tunes[start : start + TUNES_A_PIECE]))

    def _write(self, piece: _Piece, outcome: _Outcome) -> None:
        """Write the files of a piece."""
        self.failures += outcome.failures
        self.warnings += outcome.warnings
        folder = self.folder / piece.source.folder
        if outcome.written and not folder.is_dir():
            make_folder(folder)
        for place, name, files in outcome.written:
            path = self._unique(folder, name)
            for suffix, content in files.items():
                target = path.with_name(path.name + suffix)
                try:
                    require_free(target, force=self.force)
                    write_bytes(target, content)
                except MusicgenError as error:
                    self.failures.append(f"{place}: {kept(error)}")
                    break
                self.n_written += 1

    def _unique(self, folder: Path, name: str) -> Path:
        """A file name that no earlier tune has, numbered where names are the same."""
        base = folder / slug(name)
        path, number = base, max(1, self._numbers[base])
        while path in self._taken:
            number += 1
            path = base.with_name(f"{base.name}-{number}")
        self._taken.add(path)
        self._numbers[base] = number
        return path

    def _report(self, n_sources: int) -> None:
        if self.all_warnings or n_sources <= MANY_FILES:
            for warning in self.warnings:
                say(warning)
        else:
            self._report_kinds()
        say(f"wrote {self.n_written} files to {self.folder}")
        if self.failures:
            for failure in sorted(self.failures):
                say(f"failed: {failure}")
            raise MusicgenError(f"{len(self.failures)} could not be written")

    def _report_kinds(self) -> None:
        """Each kind of warning once, with its number; --warnings prints all of them."""
        kinds: Counter[str] = Counter()
        examples: dict[str, str] = {}
        for warning in self.warnings:
            place, _, what = warning.partition(": warning: ")
            kind = re.sub(r"'[^']*'|\d+(?:[./]\d+)*", "...", re.split(r"[;:,]", what)[0])
            kinds[kind] += 1
            examples.setdefault(kind, f"{place}: {what}")
        for kind, number in kinds.most_common():
            say(f"{number} warnings such as {examples[kind]}")


def _progress() -> Progress:
    """A bar on a terminal, nothing otherwise."""
    from rich.console import Console
    from rich.progress import Progress

    return Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
