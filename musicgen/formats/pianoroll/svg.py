"""Piano rolls in SVG."""

from __future__ import annotations

from collections.abc import Sequence

from musicgen.formats.pianoroll import draw
from musicgen.music.tune import Tune


def render(tunes: Sequence[Tune], *, given: int | None = None, columns: int = 1) -> bytes:
    """An SVG picture of one or several tunes; options as in `draw`."""
    return draw(tunes, given=given, columns=columns)[0].encode()
