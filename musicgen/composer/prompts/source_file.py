"""The file that a tune was read from, so that what is done to the tune is done to the file."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace

from musicgen import formats
from musicgen.errors import MusicgenError
from musicgen.formats.abc_notation.places import TuneText
from musicgen.formats.abc_notation.text import decode_bytes
from musicgen.music.tune import Tune
from musicgen.system.files import read_bytes

_LINE_END = re.compile(r"\r\n|\r|\n")
_BLANK_END = re.compile(r"(?:\r\n|\r|\n)[ \t]+")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """What a tune was read from: the `tune_text` of an ABC tune, or the bytes of a MIDI file.

    `before` and `after` are the rest of an ABC file of one tune; a tune of a book stands alone,
    with the fields of the book's heading that it needs. `encoding` and `mark` are how the file
    writes characters.
    """

    tune_text: TuneText | None = None
    midi: bytes = b""
    before: str = ""
    after: str = "\n"
    encoding: str = "utf-8"
    mark: bytes = b""

    @staticmethod
    def of(tune: Tune) -> SourceFile:
        """Of the file that the tune names as its source, if it still holds this very tune; else of
        the text that the tune remembers."""
        source = tune.source
        if source is None:
            return SourceFile()
        if source.path:
            try:
                data = read_bytes(source.path)
                reading = formats.scan(source.path)
            except MusicgenError:
                data, reading = b"", None
            if reading is not None and source.text:
                found = _of_text(tune, data, [t.source.line for t in reading.tunes if t.source])
                if found is not None:
                    return found
            elif reading is not None and _has_ticks(data):
                if len(tune.voices) > 1:
                    reading = formats.scan(source.path, all_voices=True)
                if reading.tunes == (tune,):
                    return SourceFile(midi=data)
        page = TuneText(source.text)
        return SourceFile(page if source.text and page.read() == tune else None)

    def file_of(self, text: str) -> bytes:
        """The ABC file with another text in place of the tune's."""
        return self.mark + (self.before + text + self.after).encode(self.encoding)

    def continued(self, text: str) -> bytes:
        """The ABC file with a tune that goes on: what followed it, but for the line end that the
        new music begins after, follows the new music."""
        after = self.after
        if self.tune_text is not None and self.tune_text.is_ended:
            after = _LINE_END.sub("", after, count=1)
        if not after.startswith(("\r", "\n")):
            after = (self.tune_text.line_end if self.tune_text is not None else "\n") + after
        return replace(self, after=after).file_of(text)


def _has_ticks(data: bytes) -> bool:
    """Whether it is a MIDI file of one piece, in ticks a quarter."""
    return data[:4] == b"MThd" and data[8:10] in (b"\0\0", b"\0\1") and data[12] < 0x80


def _of_text(tune: Tune, data: bytes, lines: list[int]) -> SourceFile | None:
    assert tune.source is not None
    text = decode_bytes(data)
    starts = [0, *(m.end() for m in _LINE_END.finditer(text))]
    if tune.source.line > len(starts):
        return None
    start = starts[tune.source.line - 1]
    end = start + len(tune.source.text)
    if _BLANK_END.fullmatch(text, end):  # blanks of a last line that has only begun
        end = len(text)
    before, after = text[:start], text[end:]
    page = TuneText(text[start:end], is_ended=after.startswith(("\r", "\n")))
    if page.read() != tune:
        page = TuneText(page.text, text[: starts[min(lines) - 1]], page.is_ended)
        if page.read() != tune:
            return None
    mark, encoding = next(
        ((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", _encoding(data))
    )
    if len(lines) > 1:
        before, after = page.heading, page.line_end
    return SourceFile(page, b"", before, after, encoding, mark)


def _encoding(data: bytes) -> str:
    for name in ("utf-8", "cp1252"):
        try:
            data.decode(name)
        except UnicodeDecodeError:
            continue
        return name
    return "latin-1"
