"""Files to tunes and back, by extension: `read`, `scan`, `write`.

Each format is a module with `parse(data, path) -> Reading` and `render(tunes, **options) -> bytes`;
either may be missing. Options are keyword-only arguments, or listed in `OPTIONS`.
`READERS` and `WRITERS` are the only lists of formats. Formats that hold many tunes in a file also
have `parse_each(data, path)`, which gives them one by one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from musicgen.errors import ConfigError, InvalidTuneError, ParseError, UnsupportedFormatError
from musicgen.formats.signatures import other_music, require_readable
from musicgen.music.tune import Reading, Rejected, Tune
from musicgen.system.files import read_bytes, write_bytes

READERS = {
    ".abc": "abc_notation",
    ".txt": "abc_notation",
    ".mid": "midi",
    ".midi": "midi",
    ".kar": "midi",
    ".musicxml": "musicxml",
    ".mxl": "musicxml.mxl",
    ".xml": "musicxml",
    ".krn": "kern",
}
WRITERS = {
    **{suffix: name for suffix, name in READERS.items() if suffix not in (".krn", ".kar")},
    ".svg": "engraving.svg",
    ".png": "engraving.png",
    ".pdf": "engraving.pdf",
    ".roll.svg": "pianoroll.svg",
    ".roll.png": "pianoroll.png",
    ".wav": "audio.wav",
    ".flac": "audio.flac",
    ".ogg": "audio.ogg",
    ".mp3": "audio.mp3",
}
AUDIO = frozenset({".wav", ".flac", ".ogg", ".mp3"})
# Formats that hold several tunes in one file.
BOOKS = frozenset({".abc", ".txt", ".pdf", ".roll.svg", ".roll.png"}) | AUDIO


def read(path: str | Path, *, all_voices: bool = False, **options: Any) -> list[Tune]:
    """All tunes of a file; `all_voices` of a format whose reader else gives the melody (MIDI).

    `options` are those of the format's `parse`, such as `voices="all"` for MIDI.

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
    """All tunes of a file, and what had to be left out with the reason; see `read`.

    Raises:
        ParseError: the file itself cannot be read.
        UnsupportedFormatError: no reader for this extension.
    """
    module = _module(path, READERS, "read")
    _require_known(path, options, reading_options(extension(path)))
    return _parse(module, read_bytes(path), path, all_voices=all_voices, **options)


def scan_each(
    path: str | Path, *, all_voices: bool = False, **options: Any
) -> Iterator[Tune | Rejected]:
    """What `scan` gives, one by one, so that a large tunebook need not be in memory as tunes.

    Raises:
        ParseError: the file itself cannot be read.
        UnsupportedFormatError: no reader for this extension.
    """
    _module(path, READERS, "read")
    return parsed_each(read_bytes(path), path, all_voices=all_voices, **options)


def parsed_each(
    data: bytes, path: str | Path, *, all_voices: bool = False, **options: Any
) -> Iterator[Tune | Rejected]:
    """What `scan_each` would give for a file of that name with this content; no file is touched.

    Raises:
        ParseError: it cannot be read.
        UnsupportedFormatError: no reader for this extension.
    """
    module = _module(path, READERS, "read")
    _require_known(path, options, reading_options(extension(path)))
    if hasattr(module, "parse_each"):
        require_readable(data, extension(path), str(path))
        return _each(module.parse_each(data, str(path)), data, path)
    reading = _parse(module, data, path, all_voices=all_voices, **options)
    return iter((*reading.tunes, *reading.rejected))


def _each(
    found: Iterator[Tune | Rejected], data: bytes, path: str | Path
) -> Iterator[Tune | Rejected]:
    """What was found, and if that is no tune, what the file is instead."""
    several = False
    for one in found:
        several = several or isinstance(one, Tune)
        yield one
    if not several and (other := other_music(data, extension(path))):
        raise ParseError(other, path=path)


def _parse(
    module: ModuleType, data: bytes, path: str | Path, *, all_voices: bool, **options: Any
) -> Reading:
    if all_voices and "voices" in _keywords(module.parse):
        options = {"voices": "all", **options}
    require_readable(data, extension(path), str(path))
    try:
        reading: Reading = module.parse(data, str(path), **options)
    except ParseError:
        if other := other_music(data, extension(path)):
            raise ParseError(other, path=path) from None
        raise
    if not reading.tunes and (other := other_music(data, extension(path))):
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
    several = [tunes] if isinstance(tunes, Tune) else list(tunes)
    if not several:
        raise InvalidTuneError(f"{path}: there is no tune to write")
    write_bytes(path, _render(several, path, options))


def rendered(tunes: Sequence[Tune], suffix: str, **options: Any) -> bytes:
    """The content of the file that `write` would write for an extension such as ".svg"."""
    return _render(tunes, f"tune{suffix}", options)


def _render(tunes: Sequence[Tune], path: str | Path, options: Mapping[str, Any]) -> bytes:
    module = _module(path, WRITERS, "write")
    _require_known(path, options, _options(module))
    content: bytes = module.render(tunes, **options)
    return content


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
    return _keywords(_module(f"tune{suffix}", READERS, "read").parse)


def options_for(path: str | Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some reading options that apply to a file; other formats say what MIDI may leave
    open. None where there is no reader for it, which `read` will say."""
    known = reading_options(extension(path)) if given and readable(path) else ()
    return {name: value for name, value in given.items() if name in known}


def writing_options(suffix: str) -> tuple[str, ...]:
    """Names of the options that `write` takes for an extension such as ".pdf".

    Raises:
        UnsupportedFormatError: no writer for this extension.
    """
    return _options(_module(f"tune{suffix}", WRITERS, "write"))


def readable(path: str | Path) -> bool:
    """Whether the extension is one that `read` knows."""
    return extension(path) in READERS


@lru_cache(maxsize=256)
def extension(path: str | Path) -> str:
    """The extension that says the format, in lower case: the last, or the last two together where
    they name one (".roll.svg"); "" for none."""
    named = path if isinstance(path, Path) else Path(path)
    suffixes = [suffix.lower() for suffix in named.suffixes]
    double = "".join(suffixes[-2:])
    return double if double in WRITERS else "".join(suffixes[-1:])


def _options(module: ModuleType) -> tuple[str, ...]:
    """What the module lists as OPTIONS, or else the keyword-only parameters of `render`."""
    if hasattr(module, "OPTIONS"):
        return tuple(module.OPTIONS)
    return _keywords(module.render)


@cache
def _keywords(function: Callable[..., Any]) -> tuple[str, ...]:
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


def _module(path: str | Path, table: dict[str, str], verb: str) -> ModuleType:
    suffix = extension(path)
    if suffix in table:
        return import_module(f"{__name__}.{table[suffix]}")
    known = ", ".join(table)
    raise UnsupportedFormatError(f"{path}: cannot {verb} '{suffix or 'no extension'}'; use {known}")
