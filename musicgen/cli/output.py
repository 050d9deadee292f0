"""Where results go: messages to standard error, tunes to the screen, a file or a folder."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from musicgen.errors import InvalidTuneError, MusicgenError, UnsupportedFormatError, printable

if TYPE_CHECKING:
    from musicgen.composer import Take
    from musicgen.gallery import Entry
    from musicgen.tune import Tune

# What a folder gets for each tune.
FOLDER_FORMATS = (".abc", ".mid", ".wav", ".svg")


def say(text: str) -> None:
    """One line for the person at the terminal."""
    print(printable(text), file=sys.stderr, flush=True)


def warn_of(tune: Tune, path: Path) -> None:
    """The reader's warnings of a tune, a line each."""
    for warning in tune.warnings:
        place = f"{path}:{warning.line}:{warning.column}" if warning.line else f"{path}"
        say(f"{place}: warning: {warning.what}")


def said(takes: Iterable[Take], *, novelty: bool) -> Iterator[Take]:
    """The takes, each with its warning and, if asked for, a line on how new it is."""
    for take in takes:
        if take.warning:
            say(f"warning: {take.warning}")
        if novelty and take.novelty is not None:
            say(f"{take.tune.title}: {take.novelty.line()}")
        yield take


class TuneSink:
    """Takes composed tunes as they come and puts them where -o says.

    Raises:
        UnsupportedFormatError: no writer for the extension.
        InvalidTuneError: several tunes for a format that holds one.
        MusicgenError: a file that is there, without `force`.
    """

    def __init__(self, output: Path | None, number: int, *, force: bool) -> None:
        self.output = output
        self.force = force
        self.to_folder = output is not None and (output.is_dir() or not output.suffix)
        if output is None or self.to_folder:
            return
        from musicgen.formats import BOOKS, WRITERS, extension

        suffix = extension(output)
        if suffix not in WRITERS:
            known = ", ".join(WRITERS)
            raise UnsupportedFormatError(
                f"{output}: cannot write '{suffix}'; use {known} or name a folder"
            )
        if number > 1 and suffix not in BOOKS:
            raise InvalidTuneError(f"{output}: holds one tune; name a folder instead")
        require_free(output, force=force)

    def take(self, takes: Iterable[Take]) -> None:
        """Write every take as soon as it is there; a single file when all are."""
        if self.output is None:
            from musicgen.formats.abc_notation.text import decode_bytes

            for take in takes:
                print(decode_bytes(content_of(take, ".abc")), flush=True)
        elif self.to_folder:
            self._write_folder(takes, self.output)
        else:
            _write_book(list(takes), self.output)
            say(f"wrote {self.output}")

    def _write_folder(self, takes: Iterable[Take], folder: Path) -> None:
        from musicgen.files import make_folder, write_bytes
        from musicgen.gallery import page

        make_folder(folder)
        index = folder / "index.html"
        require_free(index, force=self.force)
        entries = [self._write_formats(take, folder) for take in takes]
        write_bytes(index, page(entries, title="New tunes").encode())
        say(f"wrote {index}: open it in a browser")

    def _write_formats(self, take: Take, folder: Path) -> Entry:
        from musicgen.files import slug
        from musicgen.gallery import Entry

        name = slug(take.name or take.tune.title)
        files = [folder / (name + suffix) for suffix in FOLDER_FORMATS]
        for file in files:
            require_free(file, force=self.force)
        for file in files:
            take.write(file)
        say(f"wrote {files[0]}, {', '.join(FOLDER_FORMATS[1:])}")
        return Entry(take.tune, {file.suffix[1:].upper(): file.name for file in files})


def content_of(take: Take, suffix: str) -> bytes:
    """The file of one take: as it must be kept to the byte, or as its format is written."""
    from musicgen.formats import rendered

    return take.exact.get(suffix) or rendered([take.tune], suffix)


def _write_book(takes: list[Take], path: Path) -> None:
    """One file of all the takes."""
    from musicgen import formats
    from musicgen.files import write_bytes

    suffix = formats.extension(path)
    if any(suffix in take.exact for take in takes):
        write_bytes(path, b"\n".join(content_of(take, suffix) for take in takes))
    else:
        formats.write([take.tune for take in takes], path)


def require_free(path: Path, *, force: bool) -> None:
    """Refuse to replace a file without `force`."""
    if path.exists() and not force:
        raise MusicgenError(f"{path}: is there already; add --force to replace it")
