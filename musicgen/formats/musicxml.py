"""MusicXML files, for other music programs."""

from __future__ import annotations

from collections.abc import Sequence

from musicgen.errors import InvalidTuneError
from musicgen.musicxml import to_musicxml
from musicgen.tune import Tune


def render(tunes: Sequence[Tune]) -> bytes:
    """A MusicXML 4.0 document.

    Raises:
        InvalidTuneError: several tunes, or one that MusicXML cannot hold.
    """
    if len(tunes) != 1:
        raise InvalidTuneError(f"a MusicXML file holds one tune, not {len(tunes)}; name a folder")
    return to_musicxml(tunes[0]).encode()
