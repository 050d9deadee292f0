"""One tune as a sheet of music in PNG."""

from __future__ import annotations

from collections.abc import Sequence

from musicgen.errors import InvalidTuneError, SandboxError
from musicgen.formats.engraving.pages import single_page
from musicgen.formats.engraving.score import Sheet
from musicgen.music.tune import Tune
from musicgen.system.raster import rasterise


def render(
    tunes: Sequence[Tune],
    *,
    paper: str = "a4",
    size: int = 100,
    bars_per_line: int | None = None,
    transpose: str = "",
    dpi: int = 150,
) -> bytes:
    """A PNG image on white, `dpi` pixels an inch; other options as in `Sheet`.

    Raises:
        InvalidTuneError: several tunes, or one that cannot be engraved.
        ConfigError: an impossible option.
    """
    if len(tunes) != 1:
        raise InvalidTuneError(
            f"a PNG file holds one tune, not {len(tunes)}; write a PDF, or name a folder"
        )
    sheet = Sheet(paper=paper, size=size, bars_per_line=bars_per_line, transpose=transpose)
    svg, height = single_page(tunes[0], sheet, background="white")
    try:
        return rasterise(svg.encode(), (sheet.page[0], height), dpi=dpi)
    except SandboxError as error:
        raise InvalidTuneError(f"'{tunes[0].title}': {error}") from None
