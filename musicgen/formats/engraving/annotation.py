"""A score with coloured notes, words above them and arcs between them.

    AnnotatedScore(tune, colors={(0, 2): "#d62728"}, arcs=[Arc((1, 0), (0, 2), 0.8)]).svg()

The place of a note is the number of its bar and its number among the timed events of the bar, both
from 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from musicgen.formats.engraving.pages import Page, TuneBlock, put_heading
from musicgen.formats.engraving.printing import to_pdf
from musicgen.formats.engraving.score import MARGIN, Drawing, PageLayout, engrave
from musicgen.music.tune import Tune
from musicgen.system.markup import element
from musicgen.system.raster import rasterise

Place = tuple[int, int]

# The top line of a staff, or a note or rest of the first voice.
_EVENT = re.compile(
    r'<g class="staff"><path d="M-?[\d.]+ (?P<line>-?[\d.]+) |'
    r'<g class="(?:note|rest|mRest)" data-event="0\.(?P<bar>\d+)\.(?P<event>\d+)"'
)
_HEAD = re.compile(r"translate\(\s*(-?[\d.]+)[ ,]+(-?[\d.]+)\s*\)")
_WORD_POINTS = 6.0
_STEM_MM = 5.5
_LEGEND_MM = 7.0


@dataclass(frozen=True, slots=True)
class Arc:
    """An arc from one note back to an earlier one; `weight`, 0 to 1, sets its width and opacity."""

    source: Place
    target: Place
    weight: float
    color: str = "#1f77b4"


@dataclass(frozen=True, slots=True)
class HeadPosition:
    """The upper left corner of a note head or rest, and the top line of its staff, in mm from the
    upper left corner of the drawing."""

    x: float
    y: float
    staff: float


@dataclass(frozen=True, kw_only=True)
class AnnotatedScore:
    """A tune of one voice with annotations. `legend` holds pairs of a colour and its meaning,
    printed below the heading."""

    tune: Tune
    colors: Mapping[Place, str] = field(default_factory=dict)
    words: Mapping[Place, str] = field(default_factory=dict)
    arcs: Sequence[Arc] = ()
    legend: Sequence[tuple[str, str]] = ()
    layout: PageLayout = field(default_factory=PageLayout)

    def svg(self) -> tuple[str, float]:
        """A page as high as it needs, as SVG, and its height in mm."""
        tune = replace(self.tune, words=())
        drawing = engrave(tune, self.layout, named=True)[0]
        page = Page(self.layout, y=8.0)
        put_heading(page, TuneBlock(tune, None, (drawing,), ()))
        self._put_legend(page)
        places = heads(drawing)
        baselines = _baselines(places)
        if self.words and baselines:  # above the highest notes, but below the legend
            page.y += max(0.0, 2.5 - min(baselines.values()))
        page.place(replace(drawing, body=self._colored(drawing.body)), MARGIN)
        top = page.y
        page.parts += [
            self._arc(arc, places, top)
            for arc in self.arcs
            if arc.source in places and arc.target in places
        ]
        for place, word in self.words.items():
            if place in places:
                page.y = top + baselines[places[place].staff]
                page.write(word, MARGIN + places[place].x, points=_WORD_POINTS, fill="#333")
        height = top + drawing.height + 10.0
        return page.svg(height=height, background="white"), height

    def render(self, suffix: str, *, dpi: int = 150) -> bytes:
        """The content of a file with the extension .svg, .png or .pdf."""
        svg, height = self.svg()
        size = (self.layout.page[0], height)
        if suffix == ".png":
            return rasterise(svg.encode(), size, dpi=dpi)
        return to_pdf([svg], size, title=self.tune.title) if suffix == ".pdf" else svg.encode()

    def _put_legend(self, page: Page) -> None:
        x = MARGIN
        page.y += _LEGEND_MM / 2
        for color, meaning in self.legend:
            page.parts.append(
                element("rect", x=f"{x:.2f}", y=f"{page.y - 2.4:.2f}", width="4", height="2.6",
                        fill=color)
            )  # fmt: skip
            page.write(meaning, x + 5.5, points=8.0)
            x += 12.0 + 1.6 * len(meaning)
        page.y += _LEGEND_MM / 2

    def _colored(self, body: str) -> str:
        def color(match: re.Match[str]) -> str:
            if match["line"]:
                return match[0]
            shade = self.colors.get((int(match["bar"]), int(match["event"])))
            return match[0] if shade is None else f'{match[0]} fill="{shade}" color="{shade}"'

        return _EVENT.sub(color, body)

    def _arc(self, arc: Arc, places: Mapping[Place, HeadPosition], top: float) -> str:
        source, target = places[arc.source], places[arc.target]
        x1, x2 = source.x + MARGIN + 0.9, target.x + MARGIN + 0.9
        y1, y2 = source.y + top - 1.5, target.y + top - 1.5
        lift = min(12.0, 2.5 + abs(x1 - x2) * 0.12 + abs(y1 - y2) * 0.1)
        weight = min(1.0, max(0.0, arc.weight))
        high = min(y1, y2) - lift
        return element(
            "path",
            d=f"M{x1:.2f} {y1:.2f}C{x1:.2f} {high:.2f} {x2:.2f} {high:.2f} {x2:.2f} {y2:.2f}",
            fill="none",
            stroke=arc.color,
            stroke_width=f"{0.15 + 0.75 * weight:.3f}",
            stroke_opacity=f"{0.25 + 0.7 * weight:.2f}",
        )


def heads(drawing: Drawing) -> dict[Place, HeadPosition]:
    """The position of each note's first head, or of its rest."""
    positions: dict[Place, HeadPosition] = {}
    mm, staff = drawing.mm, 0.0
    for match in _EVENT.finditer(drawing.body):
        if match["line"]:
            staff = float(match["line"]) * mm
        elif head := _HEAD.search(drawing.body, match.end()):
            position = HeadPosition(float(head[1]) * mm, float(head[2]) * mm, staff)
            positions.setdefault((int(match["bar"]), int(match["event"])), position)
    return positions


def _baselines(places: Mapping[Place, HeadPosition]) -> dict[float, float]:
    """Baseline of the words of each system, by its top line: above its highest note and stem."""
    highest: dict[float, float] = {}
    for head in places.values():
        highest[head.staff] = min(highest.get(head.staff, head.staff), head.y - _STEM_MM)
    return {staff: y - 1.0 for staff, y in highest.items()}
