"""Pages of headings, music and words, as SVG in millimetres."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from musicgen.formats.engraving.score import MARGIN, Drawing, PageLayout, engrave
from musicgen.music.tune import Tune
from musicgen.system.markup import element, text

FONTS = "STIXGeneral, 'STIX Two Text', 'Times New Roman', Times, serif"
TOP, BOTTOM = 16.0, 20.0  # margins, mm; the page number stands in the lower one
AFTER_TUNE = 11.0  # between two tunes on a page
WORDS_GAP, WORDS_LINE = 4.0, 4.6  # above the words, and each line of them
_POINT = 25.4 / 72


@dataclass(slots=True)
class Page:
    """The elements of one page; `y` grows downwards, in mm."""

    layout: PageLayout
    parts: list[str] = field(default_factory=list)
    defs: dict[str, str] = field(default_factory=dict)
    y: float = TOP

    @property
    def left(self) -> float:
        """Remaining height, mm."""
        return self.layout.page[1] - BOTTOM - self.y

    def write(self, content: str, x: float, *, points: float, **style: str) -> None:
        """A line of text whose baseline is at `y`."""
        if content:
            self.parts.append(
                element(
                    "text",
                    text(content),
                    x=f"{x:.2f}",
                    y=f"{self.y:.2f}",
                    font_size=f"{points * _POINT:.3f}",
                    **style,
                )
            )

    def place(self, drawing: Drawing, x: float) -> None:
        """Put music with its upper left corner at (x, y)."""
        self.defs |= drawing.defs
        self.parts.append(
            element(
                "g",
                drawing.body,
                transform=f"translate({x:.2f} {self.y:.2f}) scale({drawing.mm:.6f})",
                **{"class": "music"},
            )
        )

    def svg(self, *, height: float | None = None, background: str = "") -> str:
        """The page as an SVG document, as high as the paper unless told otherwise."""
        width, full = self.layout.page
        height = full if height is None else height
        glyphs = "".join(element("g", v, id=k) for k, v in sorted(self.defs.items()))
        body = element("g", *self.parts, font_family=FONTS, color="black", fill="currentColor")
        paper = element("rect", width="100%", height="100%", fill=background) if background else ""
        return element(
            "svg",
            element("defs", glyphs),
            paper,
            body.replace(' href="#', ' xlink:href="#'),
            xmlns="http://www.w3.org/2000/svg",
            **{"xmlns:xlink": "http://www.w3.org/1999/xlink"},
            width=f"{width:g}mm",
            height=f"{height:.2f}mm",
            viewBox=f"0 0 {width:g} {height:.2f}",
        )


@dataclass(frozen=True)
class TuneBlock:
    """A tune ready to be put on a page: its text, its music, its height in mm."""

    tune: Tune
    number: int | None
    drawings: tuple[Drawing, ...]
    words: tuple[str, ...]

    @property
    def height(self) -> float:
        """With the first drawing and, if that is the only one, the words."""
        words = (
            WORDS_LINE * len(self.words) + WORDS_GAP
            if self.words and len(self.drawings) == 1
            else 0
        )
        return heading_height(self.tune) + self.drawings[0].height + words


def heading_height(tune: Tune) -> float:
    """Millimetres from the top of a tune to its music."""
    return 7.5 + 5.0 * len(_subtitles(tune)) + (6.5 if tune.rhythm or tune.composer else 2.5)


def _subtitles(tune: Tune) -> list[str]:
    return [content for letter, content in tune.fields if letter == "T" and content][:3]


def set_tune(
    tune: Tune, layout: PageLayout, *, number: int | None = None, paged: bool, named: bool = False
) -> TuneBlock:
    """Engrave a tune; `paged` breaks music that is higher than a page, `named` as in `engrave`."""
    width = int(layout.body_width / 1.75)  # characters
    words = tuple(
        part for line in tune.words for part in (textwrap.wrap(line, width) if line else [""])
    )
    drawings = engrave(tune, layout, named=named)
    block = TuneBlock(tune, number, tuple(drawings), words)
    height = layout.page[1] - TOP - BOTTOM
    if paged and block.height > height:
        drawings = engrave(tune, layout, max_height=height - heading_height(tune))
        block = replace(block, drawings=tuple(drawings))
    return block


def put_heading(page: Page, block: TuneBlock) -> None:
    """Write the title in the middle, the rhythm at the left, the composer at the right."""
    tune, width = block.tune, page.layout.page[0]
    number = f"{block.number}.  " if block.number is not None else ""
    page.y += 5.5
    title = number + display_title(tune)
    page.write(
        title,
        width / 2,
        points=_fitting(title, page.layout),
        text_anchor="middle",
        font_weight="bold",
        **{"class": "title"},
    )
    page.y += 2.0
    for subtitle in _subtitles(tune):
        page.y += 3.5
        page.write(subtitle, width / 2, points=10.5, text_anchor="middle", font_style="italic")
        page.y += 1.5
    if tune.rhythm or tune.composer:
        page.y += 3.0
        page.write(_capital(tune.rhythm), MARGIN, points=10.5, font_style="italic")
        page.write(tune.composer, width - MARGIN, points=10.5, text_anchor="end")
        page.y += 3.5
    else:
        page.y += 2.5


def _fitting(title: str, layout: PageLayout) -> float:
    """Points at which a long title still fits on one line."""
    return max(8.0, min(16.0, layout.body_width / _POINT / max(1, len(title)) / 0.52))


def display_title(tune: Tune) -> str:
    """The title in print: its article first, a dash for two hyphens."""
    title = " ".join(tune.title.split()).replace(" -- ", " \u2013 ")
    match = re.fullmatch(r"(.+?)[.,]*, (The|A|An|Da|Le|La|Les)\.?", title)
    return f"{match[2]} {match[1]}" if match else title or "Untitled"


def _capital(content: str) -> str:
    content = content.lower() if content.isupper() else content
    return content[:1].upper() + content[1:]


def put_words(page: Page, lines: Sequence[str]) -> None:
    """Write lines of verses below the music."""
    for line in lines:
        page.y += WORDS_LINE
        page.write(line, MARGIN + 8, points=10.5)


def single_page(
    tune: Tune, layout: PageLayout, *, background: str = "", named: bool = False
) -> tuple[str, float]:
    """A tune on one page as high as it needs, as SVG, and its height in mm; `named` as in
    `engrave`."""
    block = set_tune(tune, layout, paged=False, named=named)
    page = Page(layout, y=8.0)
    put_heading(page, block)
    page.place(block.drawings[0], MARGIN)
    page.y += block.drawings[0].height
    page.y += WORDS_GAP if block.words else 0
    put_words(page, block.words)
    height = page.y + 10.0
    return page.svg(height=height, background=background), height
