"""Where results go: messages to standard error, tunes to the screen, a file or a folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicgen.cli.messages import say, warn_of
from musicgen.errors import (
    ControlError,
    InvalidTuneError,
    MusicgenError,
    UnsupportedFormatError,
)

if TYPE_CHECKING:
    from musicgen.cli.tunebook import Tunebook
    from musicgen.composer import Take
    from musicgen.formats.webpage import PageEntry
    from musicgen.music.tune import Tune

# What a folder gets for each tune.
FOLDER_FORMATS = (".abc", ".mid", ".wav", ".svg")
MOST_LISTED = 500  # files and tunes that could not be read, a line each
# A folder for so many tunes has a page that shows and plays them; for more it is a book.
PAGE_TUNES = 24


def pick(tunes: Sequence[Tune], number: int, path: Path) -> Tune:
    """Tune `number`, from 1, of those of a file.

    Raises:
        ControlError: there are not so many.
    """
    if number > len(tunes):
        raise ControlError(f"{path}: has no tune {number}; it holds {len(tunes)}")
    return tunes[number - 1]


def read_tune(
    path: Path, number: int, asked: Mapping[str, Any] | None = None, *, all_voices: bool = False
) -> Tune:
    """Tune `number`, from 1, of a file, read as `asked` (see `options.reading`), with what its
    reader had to put up with said.

    Raises:
        MusicgenError: the file cannot be read, or there are not so many.
    """
    from musicgen.formats import read

    tunes = read(path, all_voices=all_voices, **(asked or {}))
    chosen = pick(tunes, number, path)
    if len(tunes) > 1:
        say(f"{path}: tune {number} of {len(tunes)}; --tune chooses another")
    warn_of(chosen, path)
    return chosen


class TuneSink:
    """Takes composed tunes as they come and puts them where -o says.

    Raises:
        UnsupportedFormatError: no writer for an extension.
        InvalidTuneError: several tunes for a format that holds one.
        MusicgenError: a file that is there, without `force`.
    """

    def __init__(
        self,
        output: Path | None,
        number: int,
        *,
        force: bool,
        to: str | None = None,
        resume: bool = False,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.output = output
        self.force = force
        self.book: Tunebook | None = None
        self.number = number
        self.start = 0  # the first take that is wanted
        self.to_folder = output is not None and (output.is_dir() or not output.suffix)
        from musicgen.cli.tunebook import Tunebook

        is_book = self.to_folder and settings is not None and number > PAGE_TUNES
        if (to is not None and not self.to_folder) or (resume and not is_book):
            raise MusicgenError("--to is for a folder, --resume for a book of many tunes in one")
        self.formats = folder_formats(to) if to else (".abc",) if is_book else FOLDER_FORMATS
        if output is not None and is_book:
            self.book = Tunebook.open(output, settings or {}, resume=resume, force=force)
            self.start = self.book.done
        if output is None or self.to_folder:
            return
        from musicgen.formats import WRITERS, extension

        suffix = extension(output)
        if suffix not in WRITERS:
            known = ", ".join(WRITERS)
            raise UnsupportedFormatError(
                f"{output}: cannot write '{suffix}'; use {known} or name a folder"
            )
        if number > 1 and not WRITERS[suffix].holds_many:
            raise InvalidTuneError(f"{output}: holds one tune; name a folder instead")
        require_free(output, force=force)

    def take(self, takes: Iterable[Take]) -> None:
        """Write every take as soon as it is there; a single file when all are."""
        if self.output is None:
            from musicgen.formats.abc_notation.text import decode_bytes

            for take in takes:
                print(decode_bytes(content_of(take, ".abc")), flush=True)
        elif self.book is not None:
            self.book.fill(takes, self.number, self.formats)
        elif self.to_folder:
            self._write_folder(takes, self.output)
        else:
            _write_book(list(takes), self.output)
            say(f"wrote {self.output}")

    def _write_folder(self, takes: Iterable[Take], folder: Path) -> None:
        from musicgen.formats.webpage import page
        from musicgen.system.files import make_folder, write_bytes

        make_folder(folder)
        index = folder / "index.html"
        require_free(index, force=self.force)
        entries = [self._write_formats(take, folder) for take in takes]
        write_bytes(index, page(entries, title="New tunes").encode())
        say(f"wrote {index}: open it in a browser")

    def _write_formats(self, take: Take, folder: Path) -> PageEntry:
        from musicgen.formats.webpage import PageEntry
        from musicgen.system.files import slug

        name = slug(take.name or take.tune.title)
        files = [folder / (name + suffix) for suffix in self.formats]
        for file in files:
            require_free(file, force=self.force)
        for file in files:
            take.write(file)
        say(f"wrote {', '.join([str(files[0]), *self.formats[1:]])}")
        return PageEntry(take.tune, {file.suffix[1:].upper(): file.name for file in files})


def content_of(take: Take, suffix: str) -> bytes:
    """The file of one take: as it must be kept to the byte, or as its format is written."""
    from musicgen.formats import rendered

    return take.exact.get(suffix) or rendered([take.tune], suffix)


def _write_book(takes: list[Take], path: Path) -> None:
    """One file of all the takes."""
    from musicgen import formats
    from musicgen.system.files import write_bytes

    suffix = formats.extension(path)
    if any(suffix in take.exact for take in takes):
        write_bytes(path, b"\n".join(content_of(take, suffix) for take in takes))
    else:
        formats.write([take.tune for take in takes], path)


def require_free(path: Path, *, force: bool) -> None:
    """Refuse to replace a file without `force`."""
    if path.exists() and not force:
        raise MusicgenError(f"{path}: is there already; add --force to replace it")


def folder_formats(to: str) -> tuple[str, ...]:
    """The extensions that a list such as "abc,mid" names; every tune has its ABC.

    Raises:
        UnsupportedFormatError: no writer for one of them.
    """
    from musicgen.formats import WRITERS

    names = [f".{name.strip().lstrip('.').lower()}" for name in to.split(",") if name.strip()]
    for name in names:
        if name not in WRITERS:
            raise UnsupportedFormatError(
                f"--to {to}: cannot write '{name}'; use {', '.join(WRITERS)}"
            )
    return tuple(dict.fromkeys([".abc", *names]))
