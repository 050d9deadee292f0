"""Files to tunes and back, by extension: `read`, `scan`, `write`.

Each format is a module with `parse(data, path) -> Reading` and `render(tunes) -> bytes`; either
may be missing. `FORMATS` is the only list of them. Formats that hold many tunes in a file also
have `parse_each(data, path)`, which gives them one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

from musicgen.errors import InvalidTuneError, ParseError, UnsupportedFormatError
from musicgen.files import read_bytes, write_bytes
from musicgen.tune import Reading, Rejected, Tune

FORMATS = {
    ".abc": "abc_notation",
    ".txt": "abc_notation",
    ".mid": "midi",
    ".midi": "midi",
}


def read(path: str | Path) -> list[Tune]:
    """All tunes of a file.

    Raises:
        ParseError: no tune in it can be read; the message names the first reason.
        UnsupportedFormatError: no reader for this extension.
    """
    reading = scan(path)
    if not reading.tunes:
        first = reading.rejected[0] if reading.rejected else None
        raise ParseError(
            first.reason if first else "holds no tune; is it the right file?",
            path=path,
            line=first.line if first else 0,
        )
    return list(reading.tunes)


def scan(path: str | Path) -> Reading:
    """All tunes of a file, and what had to be left out with the reason.

    Raises:
        ParseError: the file itself cannot be read.
        UnsupportedFormatError: no reader for this extension.
    """
    module = _module(path, "parse", "read")
    reading: Reading = module.parse(read_bytes(path), str(path))
    return reading


def scan_each(path: str | Path) -> Iterator[Tune | Rejected]:
    """What `scan` gives, one by one, so that a large tunebook need not be in memory as tunes.

    Raises:
        ParseError: the file itself cannot be read.
        UnsupportedFormatError: no reader for this extension.
    """
    module = _module(path, "parse", "read")
    data = read_bytes(path)
    if hasattr(module, "parse_each"):
        each: Iterator[Tune | Rejected] = module.parse_each(data, str(path))
        return each
    reading: Reading = module.parse(data, str(path))
    return iter((*reading.tunes, *reading.rejected))


def write(tunes: Tune | Sequence[Tune], path: str | Path) -> None:
    """Write one tune, or several where the format can hold them, replacing the file as a whole.

    Raises:
        InvalidTuneError: the format cannot hold these tunes.
        UnsupportedFormatError: no writer for this extension.
        MusicgenError: the file cannot be written.
    """
    several = [tunes] if isinstance(tunes, Tune) else list(tunes)
    if not several:
        raise InvalidTuneError(f"{path}: there is no tune to write")
    module = _module(path, "render", "write")
    write_bytes(path, module.render(several))


def readable(path: str | Path) -> bool:
    """Whether the extension is one that `read` knows."""
    return Path(path).suffix.lower() in FORMATS


def _module(path: str | Path, function: str, verb: str) -> ModuleType:
    suffix = Path(path).suffix.lower()
    if suffix in FORMATS:
        module = import_module(f"musicgen.formats.{FORMATS[suffix]}")
        if hasattr(module, function):
            return module
    known = ", ".join(FORMATS)
    raise UnsupportedFormatError(f"{path}: cannot {verb} '{suffix or 'no extension'}'; use {known}")
