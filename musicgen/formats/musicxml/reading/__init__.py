"""MusicXML, plain or compressed, to Tunes: our own reader, all parts and voices."""

from __future__ import annotations

from musicgen.errors import ParseError
from musicgen.formats.musicxml.archive import is_archive, unpack
from musicgen.formats.musicxml.document import read_document
from musicgen.formats.musicxml.reading.score import read_score
from musicgen.music.tune import Tune

__all__ = ["from_musicxml"]


def from_musicxml(data: bytes, path: str = "") -> Tune:
    """The Tune of a MusicXML file, partwise or timewise, in any encoding, or of a .mxl archive.

    Each voice of a staff that plays in half of its bars is a `Voice`; what plays in fewer becomes
    overlays of the staff's main voice. Pitches are those that sound, transposing instruments
    included. Everything that a Tune has no place for is counted in its warnings.

    Raises:
        ParseError: it is not MusicXML, or damaged, or larger than any score.
    """
    try:
        return read_score(read_document(unpack(data) if is_archive(data) else data), path)
    except ParseError as error:
        raise ParseError(
            error.what, path=path or None, line=error.line, column=error.column
        ) from None
