"""SVG pages of this package to a PDF file: glyphs stored once, text searchable.

It reads the elements that our pages have (g, use, path, rect, ellipse, polygon, polyline, line,
text, svg), no style sheets, no arcs or quadratic curves: a fifth of the time that svglib takes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import chain, groupby
from operator import itemgetter
from typing import Any
from xml.etree import ElementTree as ET

from musicgen.system.raster import FACES, FALLBACK, font_file

_MM = 72 / 25.4
_HREF = "{http://www.w3.org/1999/xlink}href"
_TRANSFORM = re.compile(r"(translate|scale)\(([^)]*)\)")


@dataclass(frozen=True)
class Bookmark:
    """An entry of the outline: a title and the page it leads to, from 0."""

    title: str
    page: int


@dataclass(frozen=True)
class _Style:
    """Properties inherited from the groups around an element."""

    color: str = "black"
    weight: str = "normal"
    slant: str = "normal"
    size: float = 4.0
    anchor: str = "start"


def to_pdf(
    pages: Sequence[str],
    size: tuple[float, float],
    *,
    title: str = "",
    author: str = "",
    bookmarks: Sequence[Bookmark] = (),
) -> bytes:
    """A PDF file of SVG pages, all of `size` mm; the same bytes for the same pages."""
    from reportlab.pdfgen.canvas import Canvas

    buffer = BytesIO()
    width, height = (n * _MM for n in size)
    canvas = Canvas(buffer, pagesize=(width, height), invariant=1, pageCompression=1)
    canvas.setTitle(title)
    canvas.setAuthor(author)
    canvas.setCreator("musicgen")
    printer = _Printer(canvas)
    for number, page in enumerate(pages):
        for bookmark in bookmarks:
            if bookmark.page == number:
                key = f"{number}-{bookmark.title}"
                canvas.bookmarkPage(key)
                canvas.addOutlineEntry(bookmark.title, key)
        canvas.saveState()
        canvas.transform(_MM, 0, 0, -_MM, 0, height)  # mm, y downwards
        printer.draw(ET.fromstring(page), _Style())  # noqa: S314 - our own page
        canvas.restoreState()
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


class _Printer:
    """Draws SVG elements on a canvas whose unit is mm and whose y grows downwards."""

    def __init__(self, canvas: Any) -> None:
        self.canvas = canvas
        self.glyphs: dict[str, ET.Element] = {}
        self.forms: set[str] = set()
        self.faces = _Faces()

    def draw(self, node: ET.Element, style: _Style) -> None:
        """An element and its children."""
        tag = node.tag.rpartition("}")[2]
        if tag == "defs":
            self.glyphs.update((glyph.get("id", ""), glyph) for glyph in node)
            return
        style = _inherit(style, node.attrib)
        self.canvas.saveState()
        for kind, arguments in _TRANSFORM.findall(node.get("transform", "")):
            x, *y = _numbers(arguments)
            if kind == "translate":
                self.canvas.translate(x, *(y or (0.0,)))
            else:
                self.canvas.scale(x, *(y or (x,)))
        if tag in ("svg", "g"):
            for child in node:
                self.draw(child, style)
        else:
            _DRAWERS[tag](self, node, style)
        self.canvas.restoreState()

    def use(self, node: ET.Element, style: _Style) -> None:
        """A glyph: stored in the file once, as a form, and then only placed."""
        name = node.get(_HREF, "").removeprefix("#")
        if name not in self.glyphs:
            return
        if name not in self.forms:
            self.forms.add(name)
            self.canvas.beginForm(name, lowerx=-4000, lowery=-4000, upperx=8000, uppery=4000)
            for child in self.glyphs[name]:
                self.draw(child, _Style())
            self.canvas.endForm()
        self.canvas.doForm(name)

    def path(self, node: ET.Element, style: _Style) -> None:
        """Lines and cubic curves."""
        from fontTools.pens.recordingPen import RecordingPen
        from fontTools.svgLib.path import parse_path

        shape = self.canvas.beginPath()
        draw = {
            "moveTo": shape.moveTo,
            "lineTo": shape.lineTo,
            "curveTo": shape.curveTo,
            "closePath": shape.close,
        }
        outline = RecordingPen()
        parse_path(node.get("d", ""), outline)
        for command, points in outline.value:
            if command != "endPath":
                draw[command](*chain(*points))
        self._paint(node, style, shape, even_odd=node.get("fill-rule") == "evenodd")

    def rect(self, node: ET.Element, style: _Style) -> None:
        """A rectangle."""
        if node.get("width", "").endswith("%"):
            return  # the white background of a PNG
        shape = self.canvas.beginPath()
        shape.rect(*(float(node.get(k, 0)) for k in ("x", "y", "width", "height")))
        self._paint(node, style, shape)

    def ellipse(self, node: ET.Element, style: _Style) -> None:
        """An ellipse, such as the dot of a repeat."""
        cx, cy, rx, ry = (float(node.get(k, 0)) for k in ("cx", "cy", "rx", "ry"))
        shape = self.canvas.beginPath()
        shape.ellipse(cx - rx, cy - ry, 2 * rx, 2 * ry)
        self._paint(node, style, shape)

    def polygon(self, node: ET.Element, style: _Style) -> None:
        """A closed polygon, or a polyline."""
        numbers = _numbers(node.get("points", ""))
        shape = self.canvas.beginPath()
        shape.moveTo(*numbers[:2])
        for i in range(2, len(numbers), 2):
            shape.lineTo(*numbers[i : i + 2])
        if node.tag.endswith("polygon"):
            shape.close()
        self._paint(node, style, shape)

    def line(self, node: ET.Element, style: _Style) -> None:
        """A straight line."""
        x1, y1, x2, y2 = (float(node.get(k, 0)) for k in ("x1", "y1", "x2", "y2"))
        shape = self.canvas.beginPath()
        shape.moveTo(x1, y1)
        shape.lineTo(x2, y2)
        self._paint(node, style, shape)

    def _paint(
        self, node: ET.Element, style: _Style, shape: Any, *, even_odd: bool = False
    ) -> None:
        from reportlab.lib.colors import toColor

        fill = node.get("fill", "currentColor")
        stroke = node.get("stroke", "none")
        if stroke != "none":
            self.canvas.setStrokeColor(toColor(style.color if stroke == "currentColor" else stroke))
            self.canvas.setLineWidth(float(node.get("stroke-width", 1)))
            self.canvas.setDash(_numbers(node.get("stroke-dasharray", "")), 0)
            self.canvas.setLineJoin(1)
        if fill != "none":
            self.canvas.setFillColor(toColor(style.color if fill == "currentColor" else fill))
        self.canvas.drawPath(
            shape, stroke=int(stroke != "none"), fill=int(fill != "none"), fillMode=not even_odd
        )

    def text(self, node: ET.Element, style: _Style) -> None:
        """A line of text, upright although y grows downwards."""
        from reportlab.lib.colors import toColor

        runs = self.faces.runs(node.text or "", style)
        width = sum(self.faces.width(content, face, style.size) for content, face in runs)
        x = float(node.get("x", 0)) - {"start": 0, "middle": width / 2, "end": width}[style.anchor]
        self.canvas.saveState()
        self.canvas.translate(x, float(node.get("y", 0)))
        self.canvas.scale(1, -1)
        self.canvas.setFillColor(toColor(style.color))
        x = 0.0
        for content, face in runs:
            self.canvas.setFont(face, style.size)
            self.canvas.drawString(x, 0, content)
            x += self.faces.width(content, face, style.size)
        self.canvas.restoreState()


_DRAWERS = {
    "use": _Printer.use,
    "path": _Printer.path,
    "rect": _Printer.rect,
    "ellipse": _Printer.ellipse,
    "polygon": _Printer.polygon,
    "polyline": _Printer.polygon,
    "line": _Printer.line,
    "text": _Printer.text,
}


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.split(r"[\s,]+", text) if number]


class _Faces:
    """The embedded text faces; each run of characters uses the first face that has them."""

    def __init__(self) -> None:
        from reportlab.pdfbase import pdfmetrics
        from reportlab.pdfbase.ttfonts import TTFont

        registered = pdfmetrics.getRegisteredFontNames()
        for name in (*FACES.values(), FALLBACK):
            if name not in registered:
                pdfmetrics.registerFont(TTFont(name, str(font_file(name))))
        self._width = pdfmetrics.stringWidth
        self._glyphs = {
            name: pdfmetrics.getFont(name).face.charToGlyph for name in (*FACES.values(), FALLBACK)
        }

    def runs(self, content: str, style: _Style) -> list[tuple[str, str]]:
        """Pieces of text, each with the name of its face."""
        styled = FACES[style.weight, style.slant]
        faces = (styled if ord(c) in self._glyphs[styled] else FALLBACK for c in content)
        runs = groupby(zip(content, faces, strict=True), key=itemgetter(1))
        return [("".join(c for c, _ in run), face) for face, run in runs]

    def width(self, content: str, face: str, size: float) -> float:
        return float(self._width(content, face, size))


def _inherit(style: _Style, attributes: Mapping[str, str]) -> _Style:
    fill = attributes.get("fill", "currentColor") if "font-size" in attributes else "currentColor"
    return _Style(
        color=attributes.get("color", style.color) if fill == "currentColor" else fill,
        weight=attributes.get("font-weight", style.weight),
        slant=attributes.get("font-style", style.slant),
        size=float(attributes.get("font-size", style.size)),
        anchor=attributes.get("text-anchor", "start"),
    )
