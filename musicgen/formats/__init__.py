"""Files to tunes and back, by extension: `read`, `scan`, `write`.

`registry` is the table of formats; `register` adds one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from musicgen.errors import ConfigError, InvalidTuneError, ParseError, UnsupportedFormatError
from musicgen.formats.registry import READERS, WRITERS, Format, register, unregister
from musicgen.formats.signatures import other_music, require_readable
from musicgen.music.tune import Reading, Rejected, Tune
from musicgen.system.files import read_bytes, write_bytes

__all__ = [
    "READERS",
    "WRITERS",
    "Format",
    "extension",
    "options_for",
    "parsed_each",
    "read",
    "readable",
    "reading_options",
    "register",
    "rendered",
    "scan",
    "scan_each",
    "unregister",
    "write",
    "writing_options",
]


def read(path: str | Path, *, all_voices: bool = False, **options: Any) -> list[Tune]:
    """All tunes of a file.

    `options` are those of the format's `parse`, such as `voices="all"` for MIDI; `all_voices` sets
    that one where the format has it.

    Raises:
        ParseError: no tune in it can be read; the message names the first reason.
        UnsupportedFormatError: no reader for this extension.
    """
    reading = scan(path, all_voices=all_voices, **options)
    if not reading.tunes:
        first = reading.rejected[0] if reading.rejected else None
        raise ParseError(
            first.reason if first else "holds no tune; is it the right file?",
            path=path,
            line=first.line if first else 0,
        )
    return list(reading.tunes)


def scan(path: str | Path, *, all_voices: bool = False, **options: Any) -> Reading:
    """All tunes of a file, and those that cannot be read with the reason; see `read`.

    Raises:
        ParseError: the file itself cannot be read.
        UnsupportedFormatError: no reader for this extension.
    """
    options = _reader_options(path, options, all_voices=all_voices)
    return _parse(read_bytes(path), path, options)


def scan_each(
    path: str | Path, *, all_voices: bool = False, **options: Any
) -> Iterator[Tune | Rejected]:
    """The result of `scan` one by one, so that a large tunebook need not be in memory as tunes.

    Raises:
        ParseError: the file itself cannot be read.
        UnsupportedFormatError: no reader for this extension.
    """
    _format(path, READERS, "read")
    return parsed_each(read_bytes(path), path, all_voices=all_voices, **options)


def parsed_each(
    data: bytes, path: str | Path, *, all_voices: bool = False, **options: Any
) -> Iterator[Tune | Rejected]:
    """The result of `scan_each` for a file of this name and content; no file is opened.

    Raises:
        ParseError: it cannot be read.
        UnsupportedFormatError: no reader for this extension.
    """
    options = _reader_options(path, options, all_voices=all_voices)
    row = READERS[extension(path)]
    if row.each_reader is not None:
        require_readable(data, extension(path), str(path))
        return _require_tunes(row.parse_each(data, str(path)), data, path)
    reading = _parse(data, path, options)
    return iter((*reading.tunes, *reading.rejected))


def _require_tunes(
    items: Iterator[Tune | Rejected], data: bytes, path: str | Path
) -> Iterator[Tune | Rejected]:
    """The same items; where no tune is among them, an error that names the file's real format."""
    any_tune = False
    for item in items:
        any_tune = any_tune or isinstance(item, Tune)
        yield item
    if not any_tune and (other := other_music(data, extension(path))):
        raise ParseError(other, path=path)


def _parse(data: bytes, path: str | Path, options: Mapping[str, Any]) -> Reading:
    suffix = extension(path)
    require_readable(data, suffix, str(path))
    try:
        reading = READERS[suffix].parse(data, str(path), **options)
    except ParseError:
        if other := other_music(data, suffix):
            raise ParseError(other, path=path) from None
        raise
    if not reading.tunes and (other := other_music(data, suffix)):
        raise ParseError(other, path=path)
    return reading


def write(tunes: Tune | Sequence[Tune], path: str | Path, **options: Any) -> None:
    """Write one tune, or several where the format can hold them, replacing the file as a whole.

    `options` are those of the format's `render`, such as `paper="letter"` for a PDF.

    Raises:
        InvalidTuneError: the format cannot hold these tunes.
        ConfigError: an option that the format does not have.
        UnsupportedFormatError: no writer for this extension.
        MusicgenError: the file cannot be written.
    """
    tunes = [tunes] if isinstance(tunes, Tune) else list(tunes)
    if not tunes:
        raise InvalidTuneError(f"{path}: there is no tune to write")
    write_bytes(path, _render(tunes, path, options))


def rendered(tunes: Sequence[Tune], suffix: str, **options: Any) -> bytes:
    """The content of the file that `write` would write for an extension such as ".svg"."""
    return _render(tunes, f"tune{suffix}", options)


def _render(tunes: Sequence[Tune], path: str | Path, options: Mapping[str, Any]) -> bytes:
    row = _format(path, WRITERS, "write")
    _require_known(path, options, row.writing_options)
    return row.render(tunes, **options)


def _reader_options(
    path: str | Path, options: dict[str, Any], *, all_voices: bool
) -> dict[str, Any]:
    """Options for the reader of a file's format, checked."""
    known = _format(path, READERS, "read").reading_options
    _require_known(path, options, known)
    return {"voices": "all", **options} if all_voices and "voices" in known else options


def _require_known(path: str | Path, options: Iterable[str], known: Sequence[str]) -> None:
    for name in options:
        if name not in known:
            listed = f"it has {', '.join(known)}" if known else "it has none"
            raise ConfigError(f"{path}: '{name}' is no option of {extension(path)}; {listed}")


def reading_options(suffix: str) -> tuple[str, ...]:
    """Names of the options that `read` takes for an extension such as ".mid".

    Raises:
        UnsupportedFormatError: no reader for this extension.
    """
    return _format(f"tune{suffix}", READERS, "read").reading_options


def options_for(path: str | Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some reading options that the format of a file has; none for an unknown format."""
    known = reading_options(extension(path)) if options and readable(path) else ()
    return {name: value for name, value in options.items() if name in known}


def writing_options(suffix: str) -> tuple[str, ...]:
    """Names of the options that `write` takes for an extension such as ".pdf".

    Raises:
        UnsupportedFormatError: no writer for this extension.
    """
    return _format(f"tune{suffix}", WRITERS, "write").writing_options


def readable(path: str | Path) -> bool:
    """Whether the extension is one that `read` knows."""
    return extension(path) in READERS


def extension(path: str | Path) -> str:
    """The extension that names the format, in lower case: the last, or the last two together where
    they name one (".roll.svg"); "" for none."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    double = "".join(suffixes[-2:])
    return double if double in WRITERS or double in READERS else "".join(suffixes[-1:])


def _format(path: str | Path, table: Mapping[str, Format], verb: str) -> Format:
    suffix = extension(path)
    if suffix in table:
        return table[suffix]
    known = ", ".join(table)
    raise UnsupportedFormatError(f"{path}: cannot {verb} '{suffix or 'no extension'}'; use {known}")
