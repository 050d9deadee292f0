"""One tune as a sheet of music in PNG, drawn from the SVG by resvg."""

from __future__ import annotations

from collections.abc import Sequence

from musicgen.errors import ConfigError, InvalidTuneError, IsolationError
from musicgen.formats.engraving.pages import single_page
from musicgen.formats.engraving.score import Sheet
from musicgen.isolation import Limits, run
from musicgen.tune import Tune

MAX_PIXELS = 60_000_000
_LIMITS = Limits(memory_mib=2048, cpu_s=40, wall_s=60.0)


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
        ConfigError: more than `MAX_PIXELS` pixels are asked for.
    """
    if len(tunes) != 1:
        raise InvalidTuneError(
            f"a PNG file holds one tune, not {len(tunes)}; write a PDF, or name a folder"
        )
    sheet = Sheet(paper=paper, size=size, bars_per_line=bars_per_line, transpose=transpose)
    svg, height = single_page(tunes[0], sheet, background="white")
    return rasterise(svg.encode(), sheet.page[0], height, dpi=dpi, title=tunes[0].title)


def rasterise(svg: bytes, width: float, height: float, *, dpi: int, title: str) -> bytes:
    """An SVG of so many mm as PNG, drawn in a child process."""
    pixels = round(width / 25.4 * dpi)
    if not 30 <= dpi <= 1200 or pixels * height / width * pixels > MAX_PIXELS:
        raise ConfigError(f"{dpi} dots an inch: use 30 to 1200, fewer for a long tune")
    try:
        return run(
            "musicgen.formats.engraving.raster:to_png",
            svg,
            what="the drawing of the PNG",
            limits=_LIMITS,
            width=pixels,
        )
    except IsolationError as error:
        raise InvalidTuneError(f"'{title}': {error}") from None
