"""Where results go: tunes to the screen, a file or a folder; tables, texts and numbers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicgen.cli.messages import say, warn_of
from musicgen.cli.results import require_free, require_output, require_screen
from musicgen.cli.tunebook import Tunebook
from musicgen.errors import (
    ControlError,
    InvalidTuneError,
    MusicgenError,
    UnsupportedFormatError,
)
from musicgen.formats import WRITERS, extension, read, rendered, write
from musicgen.system.files import make_folder, slug, write_bytes
from musicgen.system.temporary import only_writer

if TYPE_CHECKING:
    from musicgen.cli.options import OutputOptions
    from musicgen.composer import Take
    from musicgen.formats.webpage import PageEntry
    from musicgen.music.tune import Tune

FOLDER_FORMATS = (".abc", ".mid", ".wav", ".svg")  # of each tune in a folder
MOST_LISTED = 500  # lines about files and tunes that could not be read
PAGE_TUNES = 24  # most tunes of a folder with a page; more make a tunebook


def read_tune(
    path: Path, number: int, reading: Mapping[str, Any] | None = None, *, all_voices: bool = False
) -> Tune:
    """Tune `number`, from 1, of a file, read with the options `reading`; its warnings are printed.

    Raises:
        MusicgenError: the file cannot be read, or has fewer tunes.
    """
    tunes = read(path, all_voices=all_voices, **(reading or {}))
    if number > len(tunes):
        raise ControlError(f"{path}: has no tune {number}; it holds {len(tunes)}")
    if len(tunes) > 1:
        say(f"{path}: tune {number} of {len(tunes)}; --tune chooses another")
    warn_of(tunes[number - 1], path)
    return tunes[number - 1]


def require_place(options: OutputOptions) -> None:
    """See that tunes can be written where the options say, before they are composed.

    Raises:
        MusicgenError: a file exists and is not to be overwritten, or it cannot be written.
    """
    if options.output is None:
        require_screen()
    else:
        is_folder = _is_folder(options.output)
        require_output(options.output, force=options.force, is_folder=is_folder)


def _is_folder(output: Path) -> bool:
    return os.path.isdir(output) or not output.suffix  # of a name that is too long not either


class TuneSink:
    """Writes composed tunes where the options say, as they come. Iterating over the takes may wait
    until they are to be written: then `start` is the first take that is missing.

    Raises:
        UnsupportedFormatError: no writer for an extension.
        InvalidTuneError: several tunes for a format that holds one.
        MusicgenError: the file exists and `force` is False, or it cannot be written.
    """

    def __init__(
        self,
        options: OutputOptions,
        number: int,
        *,
        to: str | None = None,
        resume: bool = False,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        output = self.output = options.output
        self.force = options.force
        self.book: Tunebook | None = None
        self.number = number
        self.to_folder = output is not None and _is_folder(output)
        is_book = self.to_folder and settings is not None and number > PAGE_TUNES
        if (to is not None and not self.to_folder) or (resume and not is_book):
            raise MusicgenError("--to is for a folder, --resume for a book of many tunes in one")
        self.formats: tuple[str, ...] = (".abc",) if is_book else FOLDER_FORMATS
        if to:  # every tune has its ABC
            self.formats = tuple(dict.fromkeys([".abc", *suffixes(to)]))
        if output is not None and is_book:
            self.book = Tunebook(output, settings or {}, resume=resume, force=self.force)
        elif output is not None and not self.to_folder:
            self._check_file(output)
        require_place(options)

    @property
    def start(self) -> int:
        """The first take that is missing: of a book that is resumed not the first."""
        return 0 if self.book is None else self.book.done

    def _check_file(self, path: Path) -> None:
        suffix = extension(path)
        if suffix not in WRITERS:
            raise UnsupportedFormatError(
                f"{path}: cannot write '{suffix}'; use {', '.join(WRITERS)} or name a folder"
            )
        if self.number > 1 and not WRITERS[suffix].holds_many:
            raise InvalidTuneError(f"{path}: holds one tune; name a folder instead")

    def write(self, takes: Iterable[Take]) -> None:
        """Write every take as soon as it is composed; a single file when all are."""
        if self.output is None:
            from musicgen.formats.abc_notation.text import decode_bytes

            for take in takes:
                print(decode_bytes(content_of(take, ".abc")), flush=True)
        elif self.book is not None:
            self.book.fill(takes, self.number, self.formats)
        elif self.to_folder:
            self._write_folder(takes, self.output)
        else:
            _write_file(list(takes), self.output)
            say(f"wrote {self.output}")

    def _write_folder(self, takes: Iterable[Take], folder: Path) -> None:
        from musicgen.formats.webpage import page

        make_folder(folder)
        index = folder / "index.html"
        with only_writer(folder):
            require_free(index, force=self.force)
            entries = [self._write_formats(take, folder) for take in takes]
            write_bytes(index, page(entries, title="New tunes").encode())
        say(f"wrote {index}: open it in a browser")

    def _write_formats(self, take: Take, folder: Path) -> PageEntry:
        from musicgen.formats.webpage import PageEntry

        name = slug(take.name or take.tune.title)
        files = [folder / (name + suffix) for suffix in self.formats]
        for file in files:
            require_free(file, force=self.force)
        for file in files:
            take.write(file)
        say(f"wrote {', '.join([str(files[0]), *self.formats[1:]])}")
        return PageEntry(take.tune, {file.suffix[1:].upper(): file.name for file in files})


def content_of(take: Take, suffix: str) -> bytes:
    """The file of one take: the bytes that must be kept, or the tune as its format is written."""
    return take.exact.get(suffix) or rendered([take.tune], suffix)


def _write_file(takes: list[Take], path: Path) -> None:
    """One file of all the takes."""
    suffix = extension(path)
    if any(suffix in take.exact for take in takes):
        write_bytes(path, b"\n".join(content_of(take, suffix) for take in takes))
    else:
        write([take.tune for take in takes], path)


def suffixes(to: str) -> tuple[str, ...]:
    """The extensions that a list such as "svg, mid" names.

    Raises:
        UnsupportedFormatError: no writer for one of them, or none is named.
    """
    names = tuple(f".{name.strip().lstrip('.').lower()}" for name in to.split(",") if name.strip())
    known = ", ".join(name[1:] for name in WRITERS)
    for name in names:
        if name not in WRITERS:
            raise UnsupportedFormatError(f"--to {to}: cannot write '{name[1:]}'; use {known}")
    if not names:
        raise UnsupportedFormatError(f"--to: names no format; use {known}")
    return names


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8 and say so; letters that UTF-8 lacks are escaped."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))
    say(f"wrote {path}")


def write_json(facts: Any, path: Path = Path("-")) -> None:
    """Write numbers as JSON to a file; - is standard output."""
    text = json.dumps(facts, indent=1, ensure_ascii=False)
    if str(path) == "-":
        print(text)
    else:
        write_text(path, text)


def print_table(
    names: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str | None = None,
    width: int | None = None,
    numbers: bool = False,
) -> None:
    """A table on standard output, without a head where `names` are empty. `width` is its width in
    columns where output is a file or pipe; with `numbers` all columns but the first are aligned to
    the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False)
    if width is not None and not console.is_terminal:
        console.width = width
    table = Table(
        title=title,
        title_justify="left",
        show_header=bool(names),
        box=box.SIMPLE,
        pad_edge=not numbers,
    )
    for column, name in enumerate(names):
        table.add_column(name, justify="right" if numbers and column else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)
