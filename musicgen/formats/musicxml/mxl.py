"""Compressed MusicXML files (.mxl)."""

from __future__ import annotations

from collections.abc import Sequence

from musicgen.formats.musicxml import parse
from musicgen.formats.musicxml import render as render_document
from musicgen.formats.musicxml.archive import pack
from musicgen.music.tune import Tune

__all__ = ["parse", "render"]


def render(tunes: Sequence[Tune]) -> bytes:
    """A zip file with one MusicXML 4.0 document.

    Raises:
        InvalidTuneError: several tunes, or one that MusicXML cannot hold.
    """
    return pack(render_document(tunes))
