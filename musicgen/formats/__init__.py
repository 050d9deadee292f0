"""Files and texts to tunes and back: `read`, `scan`, `parse`, `write`, `dumps`.

`registry` is the table of formats; `register` adds one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from musicgen.config import (
    OPTIONAL_TEXT,
    TEXT,
    TRUE_OR_FALSE,
    Accepted,
    arguments,
    require_options,
    require_types,
    suggestion,
)
from musicgen.errors import (
    InvalidTuneError,
    OptionError,
    ParseError,
    UnsupportedFormatError,
    printable,
)
from musicgen.formats.registry import READERS, WRITERS, Format, register, unregister
from musicgen.formats.signatures import extension_of, other_music, require_readable
from musicgen.music.tune import Reading, Rejected, Tune, require_tune
from musicgen.system.files import read_bytes, require_size, write_bytes

if TYPE_CHECKING:
    from _typeshed import SupportsRead, SupportsWrite

    File = str | Path | SupportsRead[str] | SupportsRead[bytes]
    Target = str | Path | SupportsWrite[str] | SupportsWrite[bytes]
TextFormat = Literal["abc", "musicxml", "svg", "html", "roll.svg"]
BinaryFormat = Literal["mid", "midi", "mxl", "png", "pdf", "wav", "flac", "ogg", "mp3", "roll.png"]

__all__ = [
    "READERS",
    "WRITERS",
    "Format",
    "dumps",
    "extension",
    "options_for",
    "parse",
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
_XML_ENCODING = re.compile(r"""^(\s*<\?xml[^>]{0,80}?)\s+encoding\s*=\s*["'][^"'>]*["']""")


TUNES = Accepted(
    "a Tune, or several",
    test=lambda value: (
        (isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping))
        or isinstance(value, Tune)
    ),
)


@arguments(format=TEXT, all_voices=TRUE_OR_FALSE)
def read(source: File, *, format: str = "", all_voices: bool = False, **options: Any) -> list[Tune]:
    """All tunes of a file, given by its path or open.

    `format` is an extension or name, for a file whose own says nothing or something else; an open
    file without either is recognised by its content. `options` are those of the format's `parse`,
    such as `voices="all"` for MIDI; `all_voices` sets that one where the format has it.

    Raises:
        ParseError: no tune in it can be read; the message names the first reason.
            `MissingFileError`, a FileNotFoundError, too: there is no such file.
        UnsupportedFormatError: no reader for this extension.
        OptionError: an option that the format does not have.
    """
    reading = scan(source, format=format, all_voices=all_voices, **options)
    return _tunes_of(reading, _name_of(source, "read"))


@arguments(format=TEXT, all_voices=TRUE_OR_FALSE)
def scan(source: File, *, format: str = "", all_voices: bool = False, **options: Any) -> Reading:
    """All tunes of a file, and those that cannot be read with the reason; see `read`.

    Raises:
        ParseError: the file itself cannot be read.
        UnsupportedFormatError: no reader for this extension.
        OptionError: an option that the format does not have.
    """
    path = _name_of(source, "read")
    if isinstance(source, str | Path):
        suffix = _suffix(path, READERS, "read", format)
        options = _reader_options(path, suffix, options, all_voices=all_voices)
        return _parse(read_bytes(source), path, suffix, options)
    data = _encoded(source.read(), path)
    known = format or readable(path)
    suffix = _suffix(path, READERS, "read", format) if known else extension_of(data)
    options = _reader_options(path, suffix, options, all_voices=all_voices)
    return _parse(data, path, suffix, options)


@arguments(format=OPTIONAL_TEXT)
def parse(content: str | bytes, format: str = "", **options: Any) -> list[Tune]:
    """All tunes of a text, or of the content of a file.

        tune = parse("X:1\\nK:G\\nGABc dedB|]")[0]

    `format` is an extension or name such as "abc", "midi", "musicxml" or "kern"; without it the
    content is recognised by how it begins, and other text is ABC. `options` are those of `read`.

    Raises:
        ParseError: no tune in it can be read; the message names the first reason.
        UnsupportedFormatError: no reader for this format.
        OptionError: an option that the format does not have.
    """
    data = _encoded(content)
    return read(BytesIO(data), format=format or extension_of(data), **options)


def _tunes_of(reading: Reading, path: str) -> list[Tune]:
    """The tunes that were read; an error where there is none."""
    if not reading.tunes:
        first = reading.rejected[0] if reading.rejected else None
        raise ParseError(
            first.reason if first else "holds no tune; is it the right file?",
            path=path,
            line=first.line if first else 0,
        )
    return list(reading.tunes)


def _name_of(source: File | Target, by: str) -> str:
    """The path of a file, or the name of an open one; "" where it has none."""
    if isinstance(source, str | Path):
        return str(source)
    if not hasattr(source, by):
        what = "source" if by == "read" else "target"
        raise OptionError(
            f"{what}: a file is wanted: its path, or an open one; not {_kind(source)}"
        )
    name = getattr(source, "name", "")
    return str(name) if isinstance(name, str | Path) else ""


def _kind(value: object) -> str:
    return type(value).__name__


def _encoded(content: object, path: str = "") -> bytes:
    """Content as bytes; text in UTF-8, which is no longer in the encoding that XML declares."""
    if isinstance(content, str):
        try:
            content = _XML_ENCODING.sub(r"\1", content, count=1).encode()
        except UnicodeEncodeError:
            raise ParseError("holds half a character; give valid Unicode", path=path) from None
    if not isinstance(content, bytes | bytearray | memoryview):
        raise OptionError(f"content: music is text or bytes, not {_kind(content)}")
    data = bytes(content)
    require_size(len(data), path=path)
    return data


def scan_each(
    path: str | Path, *, all_voices: bool = False, **options: Any
) -> Iterator[Tune | Rejected]:
    """The result of `scan` one by one, so that a large tunebook need not be in memory as tunes.

    Raises:
        ParseError: the file itself cannot be read.
        UnsupportedFormatError: no reader for this extension.
    """
    _suffix(path, READERS, "read")
    return parsed_each(read_bytes(path), path, all_voices=all_voices, **options)


def parsed_each(
    data: bytes, path: str | Path, *, all_voices: bool = False, **options: Any
) -> Iterator[Tune | Rejected]:
    """The result of `scan_each` for a file of this name and content; no file is opened.

    Raises:
        ParseError: it cannot be read.
        UnsupportedFormatError: no reader for this extension.
    """
    suffix = _suffix(path, READERS, "read")
    options = _reader_options(path, suffix, options, all_voices=all_voices)
    row = READERS[suffix]
    if row.each_reader is not None:
        require_readable(data, suffix, str(path))
        try:
            return _require_tunes(row.parse_each(data, str(path), **options), data, path)
        except ParseError as error:
            raise _named_error(error, data, path, suffix) from None
    reading = _parse(data, str(path), suffix, options)
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


def _named_error(error: ParseError, data: bytes, path: str | Path, suffix: str) -> ParseError:
    """The error, or one that names the file's real format."""
    other = other_music(data, suffix)
    return ParseError(other, path=path) if other else error


def _parse(data: bytes, path: str, suffix: str, options: Mapping[str, Any]) -> Reading:
    require_readable(data, suffix, path)
    try:
        reading = READERS[suffix].parse(data, path, **options)
    except ParseError as error:
        raise _named_error(error, data, path, suffix) from None
    if not reading.tunes and (other := other_music(data, suffix)):
        raise ParseError(other, path=path)
    return reading


@arguments(tunes=TUNES, format=TEXT)
def write(
    tunes: Tune | Iterable[Tune], target: Target, *, format: str = "", **options: Any
) -> None:
    """Write one tune, or several where the format can hold them: to a file given by its path, which
    is replaced as a whole, or to one that is open.

    `format` is an extension or name, for a file whose own does not say it. `options` are those of
    the format's `render`, such as `paper="letter"` for a PDF.

    Raises:
        InvalidTuneError: the format cannot hold these tunes.
        OptionError: an option that the format does not have, or something that is no tune.
        UnsupportedFormatError: no writer for this extension.
        MusicgenError: the file cannot be written.
    """
    path = _name_of(target, "write")
    suffix = _suffix(path, WRITERS, "write", format)
    data = _render(tunes, path, suffix, options)
    if isinstance(target, str | Path):
        write_bytes(target, data)
        return
    file: Any = target
    try:
        file.write(data)
    except TypeError:  # a file opened as text
        if not WRITERS[suffix].is_text:
            what = f"{WRITERS[suffix].name} is not text; open the file with mode 'wb'"
            raise OptionError(f"{path}{path and ': '}{what}") from None
        file.write(data.decode())


@overload
def dumps(tunes: Tune | Iterable[Tune], format: TextFormat = "abc", **options: Any) -> str: ...
@overload
def dumps(tunes: Tune | Iterable[Tune], format: BinaryFormat, **options: Any) -> bytes: ...
@overload
def dumps(tunes: Tune | Iterable[Tune], format: str, **options: Any) -> str | bytes: ...
@arguments(tunes=TUNES, format=TEXT)
def dumps(tunes: Tune | Iterable[Tune], format: str = "abc", **options: Any) -> str | bytes:
    """The content of the file that `write` would write: text for ABC, MusicXML, SVG and HTML, bytes
    for other formats. See `write`."""
    suffix = _suffix("", WRITERS, "write", format)
    data = _render(tunes, "", suffix, options)
    return data.decode() if WRITERS[suffix].is_text else data


def rendered(tunes: Sequence[Tune], suffix: str, **options: Any) -> bytes:
    """The content of the file that `write` would write for an extension such as ".svg"."""
    return _render(tunes, f"tune{suffix}", _suffix(f"tune{suffix}", WRITERS, "write"), options)


def _render(
    tunes: Tune | Iterable[Tune], path: str, suffix: str, options: Mapping[str, Any]
) -> bytes:
    listed = [tunes] if isinstance(tunes, Tune) else [require_tune(tune) for tune in tunes]
    if not listed:
        raise InvalidTuneError(f"{path}{path and ': '}there is no tune to write")
    row = WRITERS[suffix]
    _require_options(path, suffix, options, row.writing_options, row.render)
    return WRITERS[suffix].render(listed, **options)


def _reader_options(
    path: str | Path, suffix: str, options: dict[str, Any], *, all_voices: bool
) -> dict[str, Any]:
    """Options for the reader of a file's format, checked."""
    row = READERS[suffix]
    known = row.reading_options
    _require_options(path, suffix, options, known, row.parse)
    return {"voices": "all", **options} if all_voices and "voices" in known else options


def _require_options(
    path: str | Path,
    suffix: str,
    options: Mapping[str, Any],
    known: Sequence[str],
    function: Callable[..., Any],
) -> None:
    """Check the names and values of options of the function that reads or writes a format."""
    require_options(options, known, of=suffix, where=str(path))
    require_types(function, options)


def reading_options(suffix: str) -> tuple[str, ...]:
    """Names of the options that `read` takes for an extension such as ".mid".

    Raises:
        UnsupportedFormatError: no reader for this extension.
    """
    return READERS[_suffix(f"tune{suffix}", READERS, "read")].reading_options


def options_for(path: str | Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some reading options that the format of a file has; none for an unknown format."""
    known = reading_options(extension(path)) if options and readable(path) else ()
    return {name: value for name, value in options.items() if name in known}


def writing_options(suffix: str) -> tuple[str, ...]:
    """Names of the options that `write` takes for an extension such as ".pdf".

    Raises:
        UnsupportedFormatError: no writer for this extension.
    """
    return WRITERS[_suffix(f"tune{suffix}", WRITERS, "write")].writing_options


def readable(path: str | Path, *, tables: bool = True) -> bool:
    """Whether the extension is one that `read` knows; without `tables` those apart."""
    row = READERS.get(extension(path))
    return row is not None and (tables or not row.is_table)


def extension(path: str | Path) -> str:
    """The extension that names the format, in lower case: the last, or the last two together where
    they name one (".roll.svg"); "" for none."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    double = "".join(suffixes[-2:])
    return double if double in WRITERS or double in READERS else "".join(suffixes[-1:])


def _suffix(path: str | Path, table: Mapping[str, Format], verb: str, format: str = "") -> str:
    """The extension of a file, or that of a format by its own name or extension, in a table."""
    suffix = extension(path)
    if not format and suffix in table:
        return suffix
    wanted = format.lower().removeprefix(".")
    for known, row in table.items():
        if wanted and wanted in (known[1:], row.name.lower()):
            return known
    if format:
        advice = suggestion(wanted, (known[1:] for known in table)) or f"use {', '.join(table)}"
        raise UnsupportedFormatError(f"cannot {verb} '{printable(format[:40])}'; {advice}")
    where = f"{path}: " if str(path) else "an open file without a name: "
    raise UnsupportedFormatError(
        f"{where}cannot {verb} '{suffix or 'no extension'}'; use {', '.join(table)}"
    )
