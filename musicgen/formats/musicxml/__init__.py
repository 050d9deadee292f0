"""MusicXML files, from and for other music programs."""

from __future__ import annotations

from collections.abc import Sequence

from musicgen.errors import InvalidTuneError
from musicgen.formats.musicxml.archive import pack
from musicgen.formats.musicxml.reading import from_musicxml
from musicgen.formats.musicxml.writing import to_musicxml
from musicgen.music.tune import Reading, Tune


def parse(data: bytes, path: str = "") -> Reading:
    """The score, as one tune.

    Raises:
        ParseError: it is not MusicXML, or damaged, or larger than any score.
    """
    return Reading((from_musicxml(data, path),))


def render(tunes: Sequence[Tune]) -> bytes:
    """A MusicXML 4.0 document.

    Raises:
        InvalidTuneError: several tunes, or one that MusicXML cannot hold.
    """
    if len(tunes) != 1:
        raise InvalidTuneError(f"a MusicXML file holds one tune, not {len(tunes)}; name a folder")
    return to_musicxml(tunes[0]).encode()


def render_compressed(tunes: Sequence[Tune]) -> bytes:
    """A zip archive (.mxl) with one MusicXML 4.0 document.

    Raises:
        InvalidTuneError: several tunes, or one that MusicXML cannot hold.
    """
    return pack(render(tunes))
