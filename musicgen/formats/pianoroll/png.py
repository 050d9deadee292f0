"""Piano rolls in PNG."""

from __future__ import annotations

from collections.abc import Sequence

from musicgen.errors import InvalidTuneError, SandboxError
from musicgen.formats.pianoroll import draw
from musicgen.music.tune import Tune
from musicgen.system.raster import rasterise


def render(
    tunes: Sequence[Tune], *, given: int | None = None, columns: int = 1, dpi: int = 150
) -> bytes:
    """A PNG picture of one or several tunes, `dpi` pixels an inch; options as in `draw`."""
    svg, size = draw(tunes, given=given, columns=columns)
    try:
        return rasterise(svg.encode(), size, dpi=dpi)
    except SandboxError as error:
        raise InvalidTuneError(f"piano roll: {error}") from None
