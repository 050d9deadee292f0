"""SVG pages of ours to a PDF file: glyphs drawn once, text that can be searched and copied.

It knows the elements that our pages have (g, use, path, rect, ellipse, polygon, polyline, line,
text, svg), no style sheets, no arcs: a fifth of the time that svglib takes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any
from xml.etree import ElementTree as ET

from musicgen.formats.engraving.outlines import outline
from musicgen.system.raster import FACES, FALLBACK, font_file

_MM = 72 / 25.4
_TRANSFORM = re.compile(r"(translate|scale)\(([^)]*)\)")


@dataclass(frozen=True)
class Bookmark:
    """An entry of the outline: a title and the page it leads to, from 0."""

    title: str
    page: int


@dataclass(frozen=True)
class _Style:
    """What is inherited from the groups around."""

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
        for mark in (m for m in bookmarks if m.page == number):
            key = f"{number}-{mark.title}"
            canvas.bookmarkPage(key)
            canvas.addOutlineEntry(mark.title, key)
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
        """One element and what is in it."""
        tag = node.tag.rpartition("}")[2]
        if tag == "defs":
            for glyph in node:
                self.glyphs[glyph.get("id", "")] = glyph
            return
        style = _inherit(style, node.attrib)
        transform = node.get("transform", "")
        if transform:
            self.canvas.saveState()
            self._transform(transform)
        if tag in ("svg", "g"):
            for child in node:
                self.draw(child, style)
        else:
            _DRAWERS[tag](self, node, style)
        if transform:
            self.canvas.restoreState()

    def _transform(self, text: str) -> None:
        for kind, arguments in _TRANSFORM.findall(text):
            numbers = [float(n) for n in re.split(r"[\s,]+", arguments.strip())]
            if kind == "translate":
                self.canvas.translate(numbers[0], numbers[1] if len(numbers) > 1 else 0.0)
            else:
                self.canvas.scale(numbers[0], numbers[-1])

    def use(self, node: ET.Element, style: _Style) -> None:
        """A glyph: described to the file once, as a form, then only placed."""
        href = next(v for k, v in node.attrib.items() if k.rpartition("}")[2] == "href")
        name = href.removeprefix("#")
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
        """Curves, filled unless they are no surface, stroked where they have a width."""
        shape = self.canvas.beginPath()
        for kind, numbers in outline(node.get("d", "")):
            {"M": shape.moveTo, "L": shape.lineTo, "C": shape.curveTo, "Z": shape.close}[kind](
                *numbers
            )
        self._paint(node, style, shape, even_odd=node.get("fill-rule") == "evenodd")

    def rect(self, node: ET.Element, style: _Style) -> None:
        """A rectangle."""
        if node.get("width", "").endswith("%"):
            return  # the white ground of a PNG
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
        """A closed polygon, or the line of a polyline."""
        numbers = [float(n) for n in re.split(r"[\s,]+", node.get("points", "").strip())]
        shape = self.canvas.beginPath()
        shape.moveTo(*numbers[:2])
        for i in range(2, len(numbers), 2):
            shape.lineTo(*numbers[i : i + 2])
        if node.tag.endswith("polygon"):
            shape.close()
        self._paint(node, style, shape)

    def line(self, node: ET.Element, style: _Style) -> None:
        """A straight line."""
        shape = self.canvas.beginPath()
        shape.moveTo(float(node.get("x1", 0)), float(node.get("y1", 0)))
        shape.lineTo(float(node.get("x2", 0)), float(node.get("y2", 0)))
        self._paint(node, style, shape)

    def _paint(
        self, node: ET.Element, style: _Style, shape: Any, *, even_odd: bool = False
    ) -> None:
        from reportlab.lib.colors import toColor

        fill = node.get("fill", "currentColor")
        stroke = node.get("stroke", "none")
        color = style.color
        if stroke != "none":
            self.canvas.setStrokeColor(toColor(color if stroke == "currentColor" else stroke))
            self.canvas.setLineWidth(float(node.get("stroke-width", 1)))
            dashes = node.get("stroke-dasharray", "")
            numbers = [float(n) for n in re.split(r"[\s,]+", dashes) if n]
            self.canvas.setDash(numbers, 0)
            self.canvas.setLineJoin(1)
        if fill != "none":
            self.canvas.setFillColor(toColor(color if fill == "currentColor" else fill))
        self.canvas.drawPath(
            shape, stroke=int(stroke != "none"), fill=int(fill != "none"), fillMode=not even_odd
        )

    def text(self, node: ET.Element, style: _Style) -> None:
        """A line of text; the letters stand upright although y grows downwards."""
        from reportlab.lib.colors import toColor

        runs = self.faces.runs(node.text or "", style)
        width = sum(self.faces.width(content, face, style.size) for content, face in runs)
        x = float(node.get("x", 0)) - {"start": 0, "middle": width / 2, "end": width}[style.anchor]
        self.canvas.saveState()
        self.canvas.translate(x, float(node.get("y", 0)))
        self.canvas.scale(1, -1)
        self.canvas.setFillColor(toColor(style.color))
        at = 0.0
        for content, face in runs:
            self.canvas.setFont(face, style.size)
            self.canvas.drawString(at, 0, content)
            at += self.faces.width(content, face, style.size)
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


class _Faces:
    """The text faces, embedded; each run of letters in the first face that has them."""

    def __init__(self) -> None:
        from reportlab.pdfbase import pdfmetrics
        from reportlab.pdfbase.ttfonts import TTFont

        registered = pdfmetrics.getRegisteredFontNames()
        for name in (*FACES.values(), FALLBACK):
            if name not in registered:
                pdfmetrics.registerFont(TTFont(name, str(font_file(name))))
        self._width = pdfmetrics.stringWidth
        self._letters = {
            name: pdfmetrics.getFont(name).face.charToGlyph for name in (*FACES.values(), FALLBACK)
        }

    def runs(self, content: str, style: _Style) -> list[tuple[str, str]]:
        """Pieces of text, each with the name of its face."""
        own = FACES[style.weight, style.slant]
        pieces: list[tuple[str, str]] = []
        for character in content:
            face = own if ord(character) in self._letters[own] else FALLBACK
            if pieces and pieces[-1][1] == face:
                pieces[-1] = (pieces[-1][0] + character, face)
            else:
                pieces.append((character, face))
        return pieces

    def width(self, content: str, face: str, size: float) -> float:
        return float(self._width(content, face, size))


def _inherit(style: _Style, given: Mapping[str, str]) -> _Style:
    color = given.get("color", style.color)
    fill = given.get("fill", "currentColor") if "font-size" in given else "currentColor"
    return replace(
        style,
        color=color if fill == "currentColor" else fill,
        weight=given.get("font-weight", style.weight),
        slant=given.get("font-style", style.slant),
        size=float(given.get("font-size", style.size)),
        anchor=given.get("text-anchor", "start"),
    )
