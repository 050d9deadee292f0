"""Many files to many files: read and written on all cores, what fails listed at the end."""

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

from musicgen.cli.messages import say
from musicgen.cli.output import require_free
from musicgen.errors import MusicgenError, locate
from musicgen.system.workers import in_order

if TYPE_CHECKING:
    from rich.progress import Progress

    from musicgen.music.tune import Tune

FEWEST_FOR_PROCESSES = 32  # files or tunes; fewer are done sooner than processes start
LARGE_BOOK_BYTES = 64_000  # a book of more is cut up, so that all cores have some of it
TUNES_A_PIECE = 8
WAITING_PER_JOB = 6  # pieces of work ahead of the one whose turn it is
MANY_FILES = 20  # of more, each kind of warning is said once


@dataclass(frozen=True, slots=True)
class ConversionSource:
    """A file to convert, and the folder under -o that its outcome belongs to."""

    path: Path
    folder: Path = Path()


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some work: a file, or tunes that were read from it already."""

    source: ConversionSource
    tunes: tuple[Tune, ...] | None = None


@dataclass(slots=True)
class _Outcome:
    """What became of a piece: for each tune its place, its name and the files' contents."""

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
        if not name.is_dir():
            sources.append(ConversionSource(name))
            continue
        for file in find_files([str(name)]):
            sources.append(ConversionSource(file.path, file.path.parent.relative_to(name)))
    return sources


def convert_piece(
    piece: _Piece, applied: Mapping[str, Mapping[str, Any]], reading: Mapping[str, Any]
) -> _Outcome:
    """Read a file, unless that is done, and render its tunes in every format."""
    from musicgen import formats

    outcome, path = _Outcome(), piece.source.path
    tunes = piece.tunes
    if tunes is None:
        tunes = tuple(_read(path, reading, outcome))
    for tune in tunes:
        place = f"{path}:{tune.source.line if tune.source else 0}"
        outcome.warnings += [
            locate(f"warning: {w.what}", path=path, line=w.line, column=w.column)
            for w in tune.warnings
        ]
        try:
            files = {
                suffix: formats.rendered([tune], suffix, **given)
                for suffix, given in applied.items()
            }
        except MusicgenError as error:
            outcome.failures.append(f"{place}: {error}")
            continue
        alone = len(tunes) == 1 and piece.tunes is None
        outcome.written.append((place, path.stem if alone else tune.title, files))
    return outcome


def _read(path: Path, reading: Mapping[str, Any], outcome: _Outcome) -> Sequence[Tune]:
    from musicgen import formats

    try:
        found = formats.scan(path, **formats.options_for(path, reading))
    except MusicgenError as error:
        outcome.failures.append(str(error))
        return ()
    outcome.failures += [
        locate(f"left out: {r.reason}", path=path, line=r.line) for r in found.rejected
    ]
    if not found.tunes and not found.rejected:
        outcome.failures.append(f"{path}: holds no tune that can be read")
    return found.tunes


class Conversion:
    """A conversion of many files into a folder. `applied` has the options of each format."""

    def __init__(
        self,
        folder: Path,
        applied: Mapping[str, Mapping[str, Any]],
        reading: Mapping[str, Any],
        *,
        force: bool,
        say_all: bool = False,
    ) -> None:
        self.folder, self.applied, self.reading = folder, applied, reading
        self.force, self.say_all = force, say_all
        self.n_written = 0
        self.failures: list[str] = []
        self.warnings: list[str] = []
        self._taken: set[Path] = set()
        self._numbers: Counter[Path] = Counter()  # the last that a name was given

    def convert(self, names: Sequence[Path], jobs: int) -> None:
        """Do it all, say what was done and what failed.

        Raises:
            MusicgenError: something failed; all else has been written.
        """
        from musicgen.system.files import make_folder

        make_folder(self.folder)
        sources = find_sources(names)
        with _progress() as progress:
            bar = progress.add_task("Converting", total=len(sources))
            before: Path | None = None
            for piece, outcome in self._outcomes(sources, jobs):
                self._take(piece, outcome)
                if piece.source.path != before:
                    progress.advance(bar)
                before = piece.source.path
        self._say(len(sources))

    def _outcomes(
        self, sources: Sequence[ConversionSource], jobs: int
    ) -> Iterator[tuple[_Piece, _Outcome]]:
        """Every piece with its outcome, in order; only some are waiting at any time."""
        pieces = self._pieces(sources)
        first = list(islice(pieces, FEWEST_FOR_PROCESSES))
        work = partial(convert_piece, applied=self.applied, reading=dict(self.reading))
        if jobs > 1 and len(first) < FEWEST_FOR_PROCESSES:
            with ThreadPoolExecutor(jobs) as pool:  # most of the work is a child's
                yield from zip(first, pool.map(work, first), strict=True)
            return
        taken: deque[_Piece] = deque()  # those whose outcome is still to come

        def noted() -> Iterator[_Piece]:
            for piece in chain(first, pieces):
                taken.append(piece)
                yield piece

        outcomes = in_order(
            work, noted(), workers=jobs, advice="use --jobs 1", ahead=WAITING_PER_JOB
        )
        for outcome in outcomes:
            yield taken.popleft(), outcome

    def _pieces(self, sources: Sequence[ConversionSource]) -> Iterator[_Piece]:
        from musicgen import formats

        for source in sources:
            row = formats.READERS.get(formats.extension(source.path))
            is_book = row is not None and row.holds_many and source.path.is_file()
            if not is_book or source.path.stat().st_size < LARGE_BOOK_BYTES:
                yield _Piece(source)
                continue
            outcome = _Outcome()
            tunes = _read(source.path, self.reading, outcome)
            self.failures += outcome.failures
            for start in range(0, len(tunes), TUNES_A_PIECE):
                yield _Piece(source, tuple(tunes[start : start + TUNES_A_PIECE]))

    def _take(self, piece: _Piece, outcome: _Outcome) -> None:
        """Write what a piece has become."""
        from musicgen.system.files import make_folder, write_bytes

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
                    self.failures.append(f"{place}: {error}")
                    break
                self.n_written += 1

    def _unique(self, folder: Path, name: str) -> Path:
        """A file name that no tune before had, numbered where names are the same."""
        from musicgen.system.files import slug

        base = folder / slug(name)
        path, number = base, max(1, self._numbers[base])
        while path in self._taken:
            number += 1
            path = base.with_name(f"{base.name}-{number}")
        self._taken.add(path)
        self._numbers[base] = number
        return path

    def _say(self, n_sources: int) -> None:
        if self.say_all or n_sources <= MANY_FILES:
            for warning in self.warnings:
                say(warning)
        else:
            self._say_kinds()
        say(f"wrote {self.n_written} files to {self.folder}")
        if self.failures:
            for failure in sorted(self.failures):
                say(f"failed: {failure}")
            raise MusicgenError(f"{len(self.failures)} could not be written")

    def _say_kinds(self) -> None:
        """Each kind of warning once, with how often it came; all of them with --warnings."""
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
