"""The table of formats: extensions, reader, writer, and how their content begins.

    register(Format(name="LilyPond", extensions=(".ly",), writer="my_package.lilypond:render"))

A format is a row here and a module with `parse(data, path, **options) -> Reading` or
`render(tunes, **options) -> bytes`. All lists of formats (in Python, on the command line, in the
studio) follow from the rows. A module is imported when one of its functions is first used.
"""

from __future__ import annotations

import inspect
import re
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from musicgen.errors import ConfigError
from musicgen.music.tune import Reading, Rejected, Tune

Place = Callable[..., Any] | str | None  # a function, or "package.module:function"
# Python may call it a deadlock when one thread imports a package and another a module of it.
_IMPORTING = threading.RLock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A file format. `reader` or `writer` may be missing.

    `each_reader` is for a format whose reader can give the tunes of a large file one by one.
    `signature` matches the beginning of a file of this format, after blanks. With `is_zip` a zip
    archive may be a file of this format. `holds_many` says that one file may hold several tunes,
    `is_text` that its content is text in UTF-8. With `is_table` a file of this extension may hold
    anything, so in a folder it counts as music only where its content says so. The studio offers
    the formats that have a `media_type`.
    """

    name: str
    extensions: tuple[str, ...]
    reader: Place = None
    each_reader: Place = None
    writer: Place = None
    signature: re.Pattern[bytes] | None = None
    is_zip: bool = False
    holds_many: bool = False
    is_text: bool = False
    is_table: bool = False
    is_audio: bool = False
    media_type: str = ""

    @property
    def parse(self) -> Callable[..., Reading]:
        """The function from a file's content, its path and options to tunes."""
        return _function(self.reader)

    @property
    def parse_each(self) -> Callable[..., Iterator[Tune | Rejected]]:
        """The function from a file's content, its path and options to tunes one by one."""
        return _function(self.each_reader)

    @property
    def render(self) -> Callable[..., bytes]:
        """The function from a sequence of tunes and options to a file's content."""
        return _function(self.writer)

    @property
    def reading_options(self) -> tuple[str, ...]:
        """Names of the options of `parse`."""
        return _options(self.parse)

    @property
    def writing_options(self) -> tuple[str, ...]:
        """Names of the options of `render`."""
        return _options(self.render)


def _function(place: Place) -> Callable[..., Any]:
    assert place is not None
    if callable(place):
        return place
    module, _, name = place.partition(":")
    with _IMPORTING:
        return getattr(import_module(module), name)


@cache
def _options(function: Callable[..., Any]) -> tuple[str, ...]:
    """`OPTIONS` of the function's module, or else its keyword-only parameters."""
    listed: tuple[str, ...] | None = getattr(sys.modules[function.__module__], "OPTIONS", None)
    parameters = inspect.signature(function).parameters.values()
    return listed or tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


# By extension; `register` fills them.
READERS: dict[str, Format] = {}
WRITERS: dict[str, Format] = {}


def register(row: Format) -> None:
    """Add a format to every list of formats.

    Raises:
        ConfigError: an extension has no dot, has capitals, or has a reader or writer already.
    """
    tables = [table for place, table in ((row.reader, READERS), (row.writer, WRITERS)) if place]
    for extension in row.extensions:
        if not extension.startswith(".") or extension != extension.lower():
            raise ConfigError(f"'{extension}' is no extension; write it like '.abc'")
        for table in tables:
            if extension in table:
                raise ConfigError(f"'{extension}' is taken by {table[extension].name}")
    for table in tables:
        table.update(dict.fromkeys(row.extensions, row))


def unregister(row: Format) -> None:
    """Remove a format that `register` added."""
    for table in (READERS, WRITERS):
        for extension in row.extensions:
            if table.get(extension) is row:
                del table[extension]


_MIDI = re.compile(rb"MThd|RIFF.{4}RMID", re.DOTALL)
_MUSICXML = re.compile(rb"<\?xml[^>]*>\s*(?:<![^>]*>\s*)*<score-(?:partwise|timewise)|<score-")
for _row in (
    Format(
        name="ABC",
        extensions=(".abc", ".txt"),
        reader="musicgen.formats.abc_notation:parse",
        each_reader="musicgen.formats.abc_notation:parse_each",
        writer="musicgen.formats.abc_notation:render",
        signature=re.compile(rb"X:\s*\d+\s*$|%abc", re.MULTILINE),
        holds_many=True,
        is_text=True,
        media_type="text/vnd.abc; charset=utf-8",
    ),
    Format(
        name="a MIDI file",
        extensions=(".mid", ".midi"),
        reader="musicgen.formats.midi:parse",
        writer="musicgen.formats.midi:render",
        signature=_MIDI,
        media_type="audio/midi",
    ),
    Format(
        name="a MIDI file with lyrics",
        extensions=(".kar",),
        reader="musicgen.formats.midi:parse",
        signature=_MIDI,
    ),
    Format(
        name="MusicXML",
        extensions=(".musicxml", ".xml"),
        reader="musicgen.formats.musicxml:parse",
        writer="musicgen.formats.musicxml:render",
        signature=_MUSICXML,
        is_zip=True,
        is_text=True,
        media_type="application/vnd.recordare.musicxml+xml",
    ),
    Format(
        name="compressed MusicXML",
        extensions=(".mxl",),
        reader="musicgen.formats.musicxml:parse",
        writer="musicgen.formats.musicxml:render_compressed",
        signature=_MUSICXML,
        is_zip=True,
    ),
    Format(
        name="kern",
        extensions=(".krn",),
        reader="musicgen.formats.kern:parse",
        signature=re.compile(rb"(?:!!.*\n)*\*\*(?:kern|text|dyn|silbe)"),
    ),
    Format(
        name="a table with a column of ABC",
        extensions=(".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet"),
        reader="musicgen.formats.tables:parse",
        each_reader="musicgen.formats.tables:parse_each",
        is_table=True,
    ),
    Format(
        name="SVG",
        extensions=(".svg",),
        writer="musicgen.formats.engraving.writing:render_svg",
        is_text=True,
        media_type="image/svg+xml",
    ),
    Format(
        name="PNG",
        extensions=(".png",),
        writer="musicgen.formats.engraving.writing:render_png",
        media_type="image/png",
    ),
    Format(
        name="PDF",
        extensions=(".pdf",),
        writer="musicgen.formats.engraving.writing:render_pdf",
        holds_many=True,
        media_type="application/pdf",
    ),
    Format(
        name="piano roll in SVG",
        extensions=(".roll.svg",),
        writer="musicgen.formats.pianoroll:render_svg",
        holds_many=True,
        is_text=True,
    ),
    Format(
        name="piano roll in PNG",
        extensions=(".roll.png",),
        writer="musicgen.formats.pianoroll:render_png",
        holds_many=True,
    ),
    *(
        Format(
            name=name.upper(),
            extensions=(f".{name}",),
            writer=f"musicgen.formats.audio.recorder:render_{name}",
            holds_many=True,
            is_audio=True,
            media_type=media_type,
        )
        for name, media_type in (
            ("wav", "audio/wav"),
            ("ogg", "audio/ogg"),
            ("mp3", "audio/mpeg"),
            ("flac", "audio/flac"),
        )
    ),
    Format(
        name="web page",
        extensions=(".html",),
        writer="musicgen.formats.webpage:render",
        holds_many=True,
        is_text=True,
    ),
):
    register(_row)
