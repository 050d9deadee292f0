"""Where results go: messages to standard error, tunes to the screen, a file or a folder."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from musicgen.errors import InvalidTuneError, MusicgenError, UnsupportedFormatError, printable

if TYPE_CHECKING:
    from musicgen.composer import Take
    from musicgen.tune import Tune


def say(text: str) -> None:
    """One line for the person at the terminal."""
    print(printable(text), file=sys.stderr, flush=True)


def warn_of(tune: Tune, path: Path) -> None:
    """The reader's warnings of a tune, a line each."""
    for warning in tune.warnings:
        place = f"{path}:{warning.line}:{warning.column}" if warning.line else f"{path}"
        say(f"{place}: warning: {warning.what}")


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
        from musicgen.formats import FORMATS

        suffix = output.suffix.lower()
        if suffix not in FORMATS:
            known = ", ".join(FORMATS)
            raise UnsupportedFormatError(
                f"{output}: cannot write '{suffix}'; use {known} or name a folder"
            )
        if number > 1 and FORMATS[suffix] == "midi":
            raise InvalidTuneError(f"{output}: a MIDI file holds one tune; name a folder instead")
        require_free(output, force=force)

    def take(self, takes: Iterable[Take]) -> None:
        """Write every take as soon as it is there; a single file when all are."""
        from musicgen import formats

        if self.output is None:
            from musicgen.formats.abc_notation import to_abc

            for take in takes:
                print(to_abc(take.tune), flush=True)
        elif self.to_folder:
            for take in takes:
                self._write_pair(take.tune, self.output)
        else:
            formats.write([take.tune for take in takes], self.output)
            say(f"wrote {self.output}")

    def _write_pair(self, tune: Tune, folder: Path) -> None:
        from musicgen import formats
        from musicgen.files import make_folder, slug

        make_folder(folder)
        paths = [folder / (slug(tune.title) + suffix) for suffix in (".abc", ".mid")]
        for path in paths:
            require_free(path, force=self.force)
        for path in paths:
            formats.write(tune, path)
        say(f"wrote {paths[0]} and {paths[1].name}")


def require_free(path: Path, *, force: bool) -> None:
    """Refuse to replace a file without `force`."""
    if path.exists() and not force:
        raise MusicgenError(f"{path}: is there already; add --force to replace it")
