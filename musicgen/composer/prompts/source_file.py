"""The file that a tune was read from, so that a changed tune can be written into its own file."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace

from musicgen.formats import midi
from musicgen.formats.abc_notation.places import TuneText
from musicgen.formats.abc_notation.text import decode_bytes
from musicgen.formats.midi.splicing import TickedNote
from musicgen.music.playback import PlayedNote
from musicgen.music.tune import FileContent, Source, Tune

_LINE_END = re.compile(r"\r\n|\r|\n")
_BLANK_END = re.compile(r"(?:\r\n|\r|\n)[ \t]+")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The file of a tune: the `tune_text` of an ABC tune, or the bytes of a MIDI file.

    `before` and `after` are the rest of an ABC file of one tune; a tune of a book stands alone,
    with the fields of the book's heading that it needs. `encoding` and `mark` are the file's
    character encoding and byte order mark.
    """

    tune_text: TuneText | None = None
    midi: bytes = b""
    before: str = ""
    after: str = "\n"
    encoding: str = "utf-8"
    mark: bytes = b""

    @staticmethod
    def of(tune: Tune) -> SourceFile:
        """The file that the reader has kept, if the tune is still as it was read; else the text
        that the tune remembers, if it is still the tune's."""
        source = tune.source
        if source is None:
            return SourceFile()
        if source.file is not None and not source.text and _has_ticks(source.file.data):
            return SourceFile(midi=source.file.data) if _is_as_read(tune, source) else SourceFile()
        if source.file is not None and source.read == tune:
            in_file = _in_file(tune, source, source.file)
            if in_file is not None:
                return in_file
        tune_text = TuneText(source.text)
        return SourceFile(tune_text if source.text and tune_text.read() == tune else None)

    def file_of(self, text: str) -> bytes:
        """The ABC file with another text in place of the tune's."""
        return self.mark + (self.before + text + self.after).encode(self.encoding)

    def continued(self, text: str) -> bytes:
        """The ABC file with a continued tune: the rest of the file, but for the line end that the
        new music begins after, follows the new music."""
        after = self.after
        if self.tune_text is not None and self.tune_text.is_ended:
            after = _LINE_END.sub("", after, count=1)
        if not after.startswith(("\r", "\n")):
            after = (self.tune_text.line_end if self.tune_text is not None else "\n") + after
        return replace(self, after=after).file_of(text)


@dataclass(frozen=True, slots=True)
class CompletedTune:
    """A continued or rewritten tune; `exact` holds, by extension, the content of files in which
    everything given is unchanged."""

    tune: Tune
    exact: dict[str, bytes]


def at_path_of(given: Tune, tune: Tune) -> Tune:
    """A tune that was read from a new text, with the path of the tune given."""
    assert tune.source is not None
    path = given.source.path if given.source is not None else ""
    return replace(tune, source=replace(tune.source, path=path))


def ticked_note(note: PlayedNote, ticks: int) -> TickedNote:
    """The note in ticks of a MIDI file, `ticks` a quarter, at least one tick long."""
    onset, end = round(note.onset * ticks), round((note.onset + note.duration) * ticks)
    return TickedNote(onset, max(end - onset, 1), note.midi)


def _has_ticks(data: bytes) -> bool:
    """Whether it is a MIDI file of one piece, in ticks a quarter."""
    return data[:4] == b"MThd" and data[8:10] in (b"\0\0", b"\0\1") and data[12] < 0x80


def _is_as_read(tune: Tune, source: Source) -> bool:
    """Whether reading the MIDI file without options gives the tune. It is read again only if it
    was read with options, which may have had no effect."""
    if source.read is None and source.file is not None:
        voices = "all" if len(tune.voices) > 1 else "melody"
        return midi.parse(source.file.data, source.path, voices=voices).tunes == (tune,)
    return source.read == tune


def _in_file(tune: Tune, source: Source, file: FileContent) -> SourceFile | None:
    """The place of an ABC tune in its file; None if its text alone does not give the tune."""
    text = decode_bytes(file.data)
    starts = [0, *(m.end() for m in _LINE_END.finditer(text))]
    start = starts[source.line - 1]
    end = start + len(source.text)
    if _BLANK_END.fullmatch(text, end):  # blanks of a last line that has only begun
        end = len(text)
    before, after = text[:start], text[end:]
    tune_text = TuneText(text[start:end], is_ended=after.startswith(("\r", "\n")))
    heading = text[: starts[min(file.lines) - 1]]
    # Without lines before the first tune the text was parsed as it stands when the file was read.
    if heading.strip() and tune_text.read() != tune:
        tune_text = replace(tune_text, heading=heading)
        if tune_text.read() != tune:
            return None
    mark, encoding = next(
        ((mark, name) for mark, name in _MARKS if file.data.startswith(mark)),
        (b"", _encoding(file.data)),
    )
    if len(file.lines) > 1:
        before, after = tune_text.heading, tune_text.line_end
    return SourceFile(tune_text, b"", before, after, encoding, mark)


def _encoding(data: bytes) -> str:
    for name in ("utf-8", "cp1252"):
        try:
            data.decode(name)
            return name
        except UnicodeDecodeError:
            pass
    return "latin-1"
