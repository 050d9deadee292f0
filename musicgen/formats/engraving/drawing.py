"""The child's side of engraving: MusicXML of this package in, plain drawing instructions out.

Both functions are called through `sandbox.run` and return JSON. Only the child loads verovio.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from musicgen.errors import InvalidTuneError

# verovio's page units are tenths of a millimetre for a staff 7.2 mm high; inside a page it draws
# ten times finer.
FINE = 10
_ENDLESS = {"pageHeight": 60000, "pageWidth": 100000}
_OPTIONS = {
    "header": "none",
    "footer": "none",
    "adjustPageHeight": True,
    "pageMarginTop": 0,
    "pageMarginBottom": 0,
    "pageMarginLeft": 0,
    "pageMarginRight": 0,
    "smuflTextFont": "none",
    "svgViewBox": True,
    "svgFormatRaw": True,
    "xmlIdSeed": 1,
    "spacingSystem": 5,
    "minLastJustification": 0.42,
}
_STYLED = {
    "ending": {"font-weight": "bold"},
    "fing": {"font-size-factor": "0.9"},
    "reh": {"font-weight": "bold"},
    "tempo": {"font-weight": "bold", "font-size-factor": "0.92", "lift": "70"},
    "dir": {"font-style": "italic"},
    "dynam": {"font-style": "italic"},
}
_DROPPED = ("mNum", "placeholder", "labelAbbr")
_SHAPES = ("path", "rect", "ellipse", "polygon", "polyline", "line", "use")
# Accidentals of chord symbols: verovio's private characters -> Unicode.
_CHARACTERS = {0xEA64: "♭", 0xEA65: "♮", 0xEA66: "♯", 0xE260: "♭", 0xE262: "♯"}
# The id that `to_musicxml(named=True)` gives a note: its voice, bar and event.
_NAMED = re.compile(r"e(\d+\.\d+\.\d+)\.")
_PRIVATE = re.compile("([\ue000-\uf8ff])")


def measure_widths(data: bytes, **options: Any) -> bytes:
    """Natural width of each measure on one endless line, in staff spaces."""
    root = _svg(_load(data, {**options, **_ENDLESS, "breaks": "none", "adjustPageWidth": True}), 1)
    widths = []
    for group in root.iter():
        if group.get("class") == "measure":
            staff = next(g for g in group.iter() if g.get("class") == "staff")
            lines = [g.get("d", "") for g in staff if g.tag == "path"]
            numbers = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", lines[0])] if lines else []
            widths.append((numbers[2] - numbers[0]) / (18 * FINE) if len(numbers) == 4 else 0.0)
    return json.dumps(widths).encode()


def engrave(data: bytes, **options: Any) -> bytes:
    """Pages as {"defs": glyphs by name, "body": SVG text, "width", "height"}, in fine units."""
    toolkit = _load(data, {**options, "breaks": "line"})
    return json.dumps([_page(toolkit, n) for n in range(1, toolkit.getPageCount() + 1)]).encode()


def _load(data: bytes, options: dict[str, Any]) -> Any:
    import verovio

    verovio.enableLog(verovio.LOG_OFF)
    toolkit = verovio.toolkit()
    toolkit.setOptions({**_OPTIONS, **options})
    if not toolkit.loadData(data.decode()):
        raise InvalidTuneError("the engraver cannot read it")
    return toolkit


def _svg(toolkit: Any, page: int) -> ET.Element:
    text = re.sub(r' xmlns="[^"]*"', "", toolkit.renderToSVG(page)).replace("xlink:href", "href")
    return ET.fromstring(text)  # noqa: S314


def _page(toolkit: Any, number: int) -> dict[str, Any]:
    root = _svg(toolkit, number)
    glyphs = {
        glyph.get("id", "").split("-")[0]: "".join(ET.tostring(child, "unicode") for child in glyph)
        for glyph in root.findall("./defs/g")
    }
    canvas = root.find("./svg")
    assert canvas is not None
    _, _, width, height = (float(n) for n in canvas.get("viewBox", "").split())
    parts: list[str] = []
    for child in canvas:
        _write(child, parts, glyphs, {})
    return {"defs": glyphs, "body": "".join(parts), "width": width, "height": height}


def _write(
    node: ET.Element, parts: list[str], glyphs: dict[str, str], style: dict[str, str]
) -> None:
    """Append a node without ids, style sheets, empty groups and the classes in `_DROPPED`."""
    if node.tag == "text" or node.tag in _SHAPES:
        parts.append(_text(node, glyphs, style) if node.tag == "text" else _shape(node))
        return
    names = node.get("class", "").split()
    if node.tag != "g" or any(name in _DROPPED for name in names):
        return
    for name in names:
        style = {**style, **_STYLED.get(name, {})}
    inner: list[str] = []
    for child in node:
        _write(child, inner, glyphs, style)
    shown = [n for n in names if n not in ("systemMilestone", "pageMilestone")]
    if any(inner) or "rest" in shown:
        kept = {k: v for k, v in node.attrib.items() if k in ("transform", "fill", "stroke")}
        named = _NAMED.match(node.get("id", ""))
        if named and shown[0] in ("note", "rest", "mRest"):
            kept["data-event"] = named[1]
        attributes = "".join(f' {k}="{v}"' for k, v in kept.items())
        parts.append(f'<g class="{" ".join(shown)}"{attributes}>{"".join(inner)}</g>')


def _shape(node: ET.Element) -> str:
    node.attrib.pop("id", None)
    node.attrib.pop("class", None)
    node.tail = None
    if "href" in node.attrib:
        node.set("href", "#" + node.attrib["href"][1:].split("-")[0])
    elif "stroke-width" in node.attrib:
        node.set("stroke", "currentColor")
    return ET.tostring(node, "unicode")


def _text(node: ET.Element, glyphs: dict[str, str], style: dict[str, str]) -> str:
    """A <text> of plain runs; music characters in it are drawn as glyphs."""
    runs = _runs(node, 0.0)
    if not "".join(r[0] for r in runs).strip():
        return ""
    factor = float(style.get("font-size-factor", 1))
    x, y = float(node.get("x", 0)), float(node.get("y", 0)) - float(style.get("lift", 0))
    anchor = node.get("text-anchor", "start")
    font = "".join(f' {k}="{style[k]}"' for k in ("font-weight", "font-style") if k in style)
    drawn, plain = [], ""
    size = next((s for c, s in runs if not _PRIVATE.search(c)), runs[0][1]) * factor
    for content, run_size in runs:
        for piece in _PRIVATE.split(content):
            if not _PRIVATE.fullmatch(piece):
                plain += piece
                continue
            width = _width(plain, size, bold="font-weight" in style)
            if plain.strip():
                drawn.append(_plain(plain, (x, y), size, anchor, font))
                width += size / 3
            x, plain = x + width, ""
            x += _draw_glyph(piece, (x, y), run_size, glyphs, drawn)
    if plain.strip():
        drawn.append(_plain(plain, (x, y), size, anchor, font))
    return "".join(drawn)


def _runs(node: ET.Element, size: float) -> list[tuple[str, float]]:
    """Pieces of text with their font sizes, in order."""
    size = float(node.get("font-size", f"{size}").removesuffix("px"))
    runs = [((node.text or "").translate(_CHARACTERS), size)]
    for child in node:
        runs += _runs(child, size)
        runs.append(((child.tail or "").translate(_CHARACTERS), size))
    return [run for run in runs if run[0] and run[1]]


def _plain(content: str, place: tuple[float, float], size: float, anchor: str, font: str) -> str:
    n_blanks = len(content) - len(content.lstrip())
    x = place[0] + n_blanks * size / 4 * (anchor == "start")
    element = ET.Element("text", x=f"{x:g}", y=f"{place[1]:g}")
    element.set("font-size", f"{size:g}")
    if anchor != "start":
        element.set("text-anchor", anchor)
    element.text = content.strip()
    return ET.tostring(element, "unicode").replace("<text", f"<text{font}", 1)


def _draw_glyph(
    character: str,
    place: tuple[float, float],
    size: float,
    glyphs: dict[str, str],
    drawn: list[str],
) -> float:
    """Draw one music character; returns its advance."""
    name = f"{ord(character):04X}"
    glyphs[name], advance = _glyph(name)
    scale = size / 1000  # Leipzig has 1000 units in an em; text is set a little smaller
    x, y = place
    drawn.append(f'<use href="#{name}" transform="translate({x:g},{y:g}) scale({scale:g})"/>')
    return advance * scale


@cache
def _glyph(name: str) -> tuple[str, float]:
    """Outline and advance of a glyph of Leipzig, from the files that verovio carries."""
    spec = find_spec("verovio")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "data"
    file = folder / "Leipzig" / f"{name}.xml"
    if not file.exists():
        return "", 0.0
    outline = ET.fromstring(file.read_text("utf-8"))  # noqa: S314 - a file of the package
    match = re.search(
        rf'c="{name}"[^>]*h-a-x="([\d.]+)"', (folder / "Leipzig.xml").read_text("utf-8")
    )
    advance = float(match[1]) if match else 500.0
    return "".join(ET.tostring(child, "unicode") for child in outline), advance


def _width(content: str, size: float, *, bold: bool) -> float:
    """Width of text as Times sets it."""
    from reportlab.pdfbase.pdfmetrics import stringWidth

    # Times as a standard PDF font; characters that it lacks count as question marks.
    latin = content.encode("latin-1", "replace").decode("latin-1")
    return float(stringWidth(latin, "Times-Bold" if bold else "Times-Roman", size))
