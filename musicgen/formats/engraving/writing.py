"""Write scores: one tune as SVG or PNG, a tune or a book of tunes as PDF.

The options `paper`, `size`, `bars_per_line` and `transpose` are those of `PageLayout`.
"""

from __future__ import annotations

from collections.abc import Sequence

from musicgen.errors import InvalidTuneError, SandboxError
from musicgen.formats.engraving.book import BookLayout
from musicgen.formats.engraving.pages import single_page
from musicgen.formats.engraving.printing import to_pdf
from musicgen.formats.engraving.score import PageLayout
from musicgen.music.tune import Tune
from musicgen.system.raster import rasterise

MAX_TUNES = 3_000  # of a book


def render_svg(
    tunes: Sequence[Tune],
    *,
    paper: str = "a4",
    size: int = 100,
    bars_per_line: int | None = None,
    transpose: str = "",
    named: bool = False,
) -> bytes:
    """An SVG document as high as the tune needs; `named` as in `score.engrave`.

    Raises:
        InvalidTuneError: several tunes, or one that cannot be engraved.
        ConfigError: an option is out of its range.
    """
    layout = PageLayout(paper=paper, size=size, bars_per_line=bars_per_line, transpose=transpose)
    return single_page(_only(tunes, "an SVG"), layout, named=named)[0].encode()


def render_png(
    tunes: Sequence[Tune],
    *,
    paper: str = "a4",
    size: int = 100,
    bars_per_line: int | None = None,
    transpose: str = "",
    dpi: int = 150,
) -> bytes:
    """A PNG image on white, as high as the tune needs, of `dpi` pixels an inch.

    Raises:
        InvalidTuneError: several tunes, or one that cannot be engraved.
        ConfigError: an option is out of its range.
    """
    layout = PageLayout(paper=paper, size=size, bars_per_line=bars_per_line, transpose=transpose)
    svg, height = single_page(_only(tunes, "a PNG"), layout, background="white")
    try:
        return rasterise(svg.encode(), (layout.page[0], height), dpi=dpi)
    except SandboxError as error:
        raise InvalidTuneError(f"'{tunes[0].title}': {error}") from None


def _only(tunes: Sequence[Tune], kind: str) -> Tune:
    if len(tunes) != 1:
        raise InvalidTuneError(
            f"{kind} file holds one tune, not {len(tunes)}; write a PDF, or name a folder"
        )
    return tunes[0]


def render_pdf(
    tunes: Sequence[Tune],
    *,
    paper: str = "a4",
    size: int = 100,
    bars_per_line: int | None = None,
    transpose: str = "",
    title: str = "",
    index: bool | None = None,
) -> bytes:
    """A PDF file.

    Args:
        title: of the book.
        index: whether it has a title page and an index of incipits; None: if there are several
            tunes.

    Raises:
        InvalidTuneError: a tune cannot be engraved, or there are more than `MAX_TUNES`.
        ConfigError: an option is out of its range.
    """
    if len(tunes) > MAX_TUNES:
        raise InvalidTuneError(f"{len(tunes)} tunes, more than {MAX_TUNES}; make several books")
    layout = PageLayout(paper=paper, size=size, bars_per_line=bars_per_line, transpose=transpose)
    book = BookLayout(tunes, layout, title=title, index=len(tunes) > 1 if index is None else index)
    composers = {tune.composer for tune in tunes if tune.composer}
    return to_pdf(
        book.pages(),
        layout.page,
        title=book.title,
        author=composers.pop() if len(composers) == 1 else "",
        bookmarks=book.bookmarks,
    )
