"""One tune as a sheet of music in SVG, as high as it needs to be."""

from __future__ import annotations

from collections.abc import Sequence

from musicgen.errors import InvalidTuneError
from musicgen.formats.engraving.pages import single_page
from musicgen.formats.engraving.score import Sheet
from musicgen.music.tune import Tune


def render(
    tunes: Sequence[Tune],
    *,
    paper: str = "a4",
    size: int = 100,
    bars_per_line: int | None = None,
    transpose: str = "",
    named: bool = False,
) -> bytes:
    """An SVG document; options as in `Sheet`, `named` as in `score.engrave`.

    Raises:
        InvalidTuneError: several tunes, or one that cannot be engraved.
    """
    if len(tunes) != 1:
        raise InvalidTuneError(
            f"an SVG file holds one tune, not {len(tunes)}; write a PDF, or name a folder"
        )
    sheet = Sheet(paper=paper, size=size, bars_per_line=bars_per_line, transpose=transpose)
    return single_page(tunes[0], sheet, named=named)[0].encode()
