"""Tunes as a PDF file: one tune as a sheet, several as a book with title page and incipits."""

from __future__ import annotations

from collections.abc import Sequence

from musicgen.errors import InvalidTuneError
from musicgen.formats.engraving.book import BookLayout
from musicgen.formats.engraving.printing import to_pdf
from musicgen.formats.engraving.score import Sheet
from musicgen.music.tune import Tune

MAX_TUNES = 3_000


def render(
    tunes: Sequence[Tune],
    *,
    paper: str = "a4",
    size: int = 100,
    bars_per_line: int | None = None,
    transpose: str = "",
    title: str = "",
    index: bool | None = None,
) -> bytes:
    """A PDF file. `title` is the book's; `index` asks for the title page and the index of
    incipits (None: where there are several tunes). Other options as in `Sheet`.

    Raises:
        InvalidTuneError: a tune cannot be engraved.
    """
    if len(tunes) > MAX_TUNES:
        raise InvalidTuneError(f"{len(tunes)} tunes, more than {MAX_TUNES}; make several books")
    sheet = Sheet(paper=paper, size=size, bars_per_line=bars_per_line, transpose=transpose)
    book = BookLayout(tunes, sheet, title=title, index=len(tunes) > 1 if index is None else index)
    composers = {tune.composer for tune in tunes if tune.composer}
    return to_pdf(
        book.pages(),
        sheet.page,
        title=book.title,
        author=composers.pop() if len(composers) == 1 else "",
        bookmarks=book.bookmarks,
    )
