"""A tunebook: title page, tunes in order, an index of incipits with page numbers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from musicgen.formats.engraving.pages import (
    AFTER_TUNE,
    BOTTOM,
    TOP,
    WORDS_GAP,
    WORDS_LINE,
    Page,
    TuneBlock,
    display_title,
    put_heading,
    put_words,
    set_tune,
)
from musicgen.formats.engraving.printing import Bookmark
from musicgen.formats.engraving.score import MARGIN, Drawing, PageLayout, incipit
from musicgen.music.theory import canonical_rhythm
from musicgen.music.tune import Tune

MOST_AFTER_TUNE = 30.0
_COLUMN_GAP = 9.0
_INCIPIT_HEAD = 4.6  # mm for the title of an incipit
_INCIPIT_GAP = 3.4


class BookLayout:
    """Tunes on pages. After `pages`, `bookmarks` hold the first page of each tune."""

    def __init__(
        self, tunes: Sequence[Tune], layout: PageLayout, *, title: str, index: bool
    ) -> None:
        self.tunes = tunes
        self.layout = layout
        self.index = index
        usual = display_title(tunes[0]) if len(tunes) == 1 else f"{len(tunes)} Tunes"
        self.title = title or usual
        self.bookmarks: list[Bookmark] = []

    def pages(self) -> list[str]:
        """All pages as SVG, in order."""
        numbers = [n if self.index else None for n in range(1, len(self.tunes) + 1)]
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # the children do the work
            blocks = list(
                pool.map(
                    lambda tune, n: set_tune(tune, self.layout, number=n, paged=True),
                    self.tunes,
                    numbers,
                )
            )
            first = 1 if self.index else 0  # number of pages before the music
            pages = self._tune_pages(blocks, first)
            if self.index:
                begin = partial(
                    incipit, layout=self.layout, width=(self.layout.body_width - _COLUMN_GAP) / 2
                )
                pages += self._index_pages(list(pool.map(begin, self.tunes)), first + len(pages))
                pages.insert(0, self._title_page())
        for number, page in enumerate(pages):
            if number >= first and len(pages) > 1:
                page.y = self.layout.page[1] - 10.0
                middle = self.layout.page[0] / 2
                page.write(f"\u2013 {number + 1} \u2013", middle, points=9.5, text_anchor="middle")
        return [page.svg() for page in pages]

    def _tune_pages(self, blocks: Sequence[TuneBlock], first: int) -> list[Page]:
        pages: list[Page] = []
        for together in self._shared_pages(blocks):
            pages.append(Page(self.layout))
            gap = self._gap(together)
            for block in together:
                self.bookmarks.append(Bookmark(display_title(block.tune), first + len(pages) - 1))
                put_heading(pages[-1], block)
                for i, drawing in enumerate(block.drawings):
                    if i:
                        pages.append(Page(self.layout))
                    pages[-1].place(drawing, MARGIN)
                    pages[-1].y += drawing.height
                pages[-1].y += WORDS_GAP if block.words else 0
                for line in block.words:
                    if pages[-1].left < WORDS_LINE:
                        pages.append(Page(self.layout))
                    put_words(pages[-1], [line])
                pages[-1].y += gap
        return pages

    def _shared_pages(self, blocks: Sequence[TuneBlock]) -> Iterator[list[TuneBlock]]:
        """The tunes of each page, in order; a tune longer than a page is alone."""
        together: list[TuneBlock] = []
        taken = 0.0
        for block in blocks:
            if together and (taken + block.height > self._height or len(together[-1].drawings) > 1):
                yield together
                together, taken = [], 0.0
            together.append(block)
            taken += block.height + AFTER_TUNE
        if together:
            yield together

    @property
    def _height(self) -> float:
        """Of a page without its margins, mm."""
        return self.layout.page[1] - TOP - BOTTOM

    def _gap(self, together: Sequence[TuneBlock]) -> float:
        """Space between the tunes of a page: equal shares of the remaining height, in limits."""
        left = self._height - sum(block.height for block in together)
        return max(AFTER_TUNE, min(MOST_AFTER_TUNE, left / len(together)))

    def _title_page(self) -> Page:
        page = Page(self.layout)
        width, height = self.layout.page
        page.y = height * 0.36
        points = max(14.0, min(34.0, 900 / max(1, len(self.title))))
        page.write(self.title, width / 2, points=points, text_anchor="middle", font_weight="bold")
        page.y += 9.0
        _rule(page, width / 2 - 22, width / 2 + 22)
        page.y += 10.0
        kinds = Counter(canonical_rhythm(tune.rhythm) for tune in self.tunes if tune.rhythm)
        listed = ", ".join(_plural(name, n) for name, n in kinds.most_common(6))
        page.write(_plural("tune", len(self.tunes)), width / 2, points=13, text_anchor="middle")
        page.y += 6.5
        page.write(listed, width / 2, points=11, text_anchor="middle", font_style="italic")
        page.y = height - BOTTOM - 6
        page.write(
            "with an index of incipits",
            width / 2,
            points=10,
            text_anchor="middle",
            font_style="italic",
        )
        return page

    def _index_pages(self, drawings: Sequence[Drawing], first: int) -> list[Page]:
        """Titles in alphabetical order with the beginning of each tune, in two columns."""
        order = sorted(
            range(len(self.tunes)), key=lambda i: _sort_key(display_title(self.tunes[i]))
        )
        column_width = (self.layout.body_width - _COLUMN_GAP) / 2
        pages: list[Page] = []
        column = 2
        top = y = TOP
        for i in order:
            need = _INCIPIT_HEAD + drawings[i].height + _INCIPIT_GAP
            if column == 2 or y + need > self.layout.page[1] - BOTTOM:
                column += 1
                if column > 1:
                    pages.append(self._index_page(continued=bool(pages)))
                    column, top = 0, pages[-1].y
                y = top
            page, x = pages[-1], MARGIN + column * (column_width + _COLUMN_GAP)
            page.y = y + 3.2
            page.write(
                f"{i + 1}.  {_shortened(display_title(self.tunes[i]))}",
                x,
                points=9.5,
                font_weight="bold",
            )
            page.write(
                str(self.bookmarks[i].page + 1), x + column_width, points=9.5, text_anchor="end"
            )
            page.y = y + _INCIPIT_HEAD
            page.place(drawings[i], x)
            y += need
        self.bookmarks.append(Bookmark("Index of incipits", first))
        return pages

    def _index_page(self, *, continued: bool) -> Page:
        page = Page(self.layout)
        page.y += 5.0
        title = "Index of Incipits" + (" (continued)" if continued else "")
        middle = self.layout.page[0] / 2
        page.write(title, middle, points=14, text_anchor="middle", font_weight="bold")
        page.y += 7.0
        return page


def _rule(page: Page, x1: float, x2: float) -> None:
    page.parts.append(
        f'<path d="M{x1:.2f} {page.y:.2f} L{x2:.2f} {page.y:.2f}" stroke="currentColor" '
        'stroke-width="0.25" fill="none"/>'
    )


def _plural(name: str, n: int) -> str:
    if n == 1 or name.endswith("s"):
        return f"{n} {name}"
    return f"{n} {name}{'es' if name.endswith(('z', 'ch', 'sh', 'x')) else 's'}"


def _sort_key(title: str) -> str:
    """A title without its article."""
    bare = title.casefold().strip()
    for article in ("the ", "a ", "an "):
        bare = bare.removeprefix(article)
    return bare.lstrip("\"'([.")


def _shortened(title: str, most: int = 38) -> str:
    return title if len(title) <= most else title[: most - 1].rstrip() + "…"
