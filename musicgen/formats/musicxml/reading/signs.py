"""What is written around a note, out of <notations>: ornaments, articulations, ties, slurs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, fromstring

from musicgen.formats.musicxml.signs import DYNAMICS, NOTATIONS
from musicgen.formats.musicxml.values import LeftOut, words

_GROUPS = frozenset(("ornaments", "technical", "articulations"))
# The attribute that tells apart signs which are the same element, and its default.
_TELLING = {
    "turn": ("slash", "no"),
    "inverted-turn": ("slash", "no"),
    "fermata": ("type", "upright"),
    "wavy-line": ("type", ""),
}
_OTHER = frozenset(("other-notation", "other-ornament", "other-technical", "other-articulation"))
# Signs for the eye, or of playing techniques that a Tune has no name for: counted and left out.
_NAME = re.compile(r"[^!\s|\"\\%]{1,40}")
_WRITTEN_WITH_TEXT = frozenset(("fingering", "tremolo"))


def _signature(element: Element) -> tuple[str, str]:
    """Element and what tells it apart from others of its name."""
    if element.tag in _WRITTEN_WITH_TEXT:
        return element.tag, words(element.text)
    attribute, default = _TELLING.get(element.tag, ("", ""))
    return element.tag, element.get(attribute, default) if attribute else ""


# The first name that is written as an element is the one that it is read as.
_NAMES: dict[tuple[str, str], str] = {}
for _name, (_, _xml) in NOTATIONS.items():
    _NAMES.setdefault(_signature(list(fromstring(f"<x>{_xml}</x>"))[-1]), _name)  # noqa: S314
_NAMES["turn", "no"] = "turn"


@dataclass(slots=True)
class Around:
    """The signs of one note."""

    decorations: list[str] = field(default_factory=list)
    tied: bool = False  # to the next note
    opened: int = 0
    closed: int = 0
    tuplet_starts: bool = False
    tuplet_stops: bool = False


def read_notations(notations: list[Element], left_out: LeftOut) -> Around:
    """All <notations> of a note together."""
    around = Around()
    for element in (child for parent in notations for child in parent):
        tag, kind = element.tag, element.get("type", "")
        if tag == "tied":
            around.tied = around.tied or kind in ("start", "let-ring", "continue")
        elif tag == "slur":
            around.opened += kind == "start"
            around.closed += kind == "stop"
        elif tag == "tuplet":
            around.tuplet_starts = around.tuplet_starts or kind == "start"
            around.tuplet_stops = around.tuplet_stops or kind == "stop"
        elif tag == "dynamics":
            around.decorations += read_dynamics(element)
        elif tag in _GROUPS:
            for sign in element:
                _decorate(around.decorations, sign, left_out)
        else:
            _decorate(around.decorations, element, left_out)
    return around


def read_dynamics(element: Element) -> list[str]:
    """Names of the dynamic signs in <dynamics>."""
    names = [words(d.text) if d.tag == "other-dynamics" else d.tag for d in element]
    return [name for name in names if name in DYNAMICS or _NAME.fullmatch(name)]


def _decorate(decorations: list[str], sign: Element, left_out: LeftOut) -> None:
    tag = sign.tag
    if tag in _OTHER:
        name = words(sign.text)
        if _NAME.fullmatch(name):
            decorations.append(name)
            return
    name = _NAMES.get(_signature(sign), "")
    if not name:
        left_out[f"<{tag}> left out" if isinstance(tag, str) else "an instruction left out"] += 1
        return
    if name == "trill(" and decorations[-1:] == ["trill"]:
        decorations[-1] = name
    elif name not in decorations:
        decorations.append(name)
