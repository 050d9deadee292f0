"""The <notations> of a note: ornaments, articulations, ties, slurs, tuplet brackets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree.ElementTree import Element, fromstring

from musicgen.formats.musicxml.reading.sounds import SoundingEvent
from musicgen.formats.musicxml.signs import DYNAMICS, NOTATIONS
from musicgen.formats.musicxml.values import LeftOut, words

_GROUPS = frozenset(("ornaments", "technical", "articulations"))
# The attribute that distinguishes signs with the same element name, and its default.
_DISTINGUISHING = {
    "turn": ("slash", "no"),
    "inverted-turn": ("slash", "no"),
    "fermata": ("type", "upright"),
    "wavy-line": ("type", ""),
}
_OTHER = frozenset(("other-notation", "other-ornament", "other-technical", "other-articulation"))
_NAME = re.compile(r"[^!\s|\"\\%]{1,40}")
_WRITTEN_WITH_TEXT = frozenset(("fingering", "tremolo"))


def _signature(element: Element) -> tuple[str, str]:
    """The element's name, and its text or attribute that distinguishes it from its namesakes."""
    if element.tag in _WRITTEN_WITH_TEXT:
        return element.tag, words(element.text)
    attribute, default = _DISTINGUISHING.get(element.tag, ("", ""))
    return element.tag, element.get(attribute, default)


# The first name that is written as an element is the one that it is read as.
_NAMES: dict[tuple[str, str], str] = {}
for _name, (_, _xml) in NOTATIONS.items():
    _NAMES.setdefault(_signature(list(fromstring(f"<x>{_xml}</x>"))[-1]), _name)  # noqa: S314
_NAMES["turn", "no"] = "turn"


def read_notations(notations: Iterable[Element], sound: SoundingEvent, left_out: LeftOut) -> bool:
    """Give a note the signs of all its <notations>; returns whether it is tied to the next."""
    is_tied = False
    for element in (child for parent in notations for child in parent):
        tag, kind = element.tag, element.get("type", "")
        if tag == "tied":
            is_tied = is_tied or kind in ("start", "let-ring", "continue")
        elif tag == "slur":
            sound.opened += kind == "start"
            sound.closed += kind == "stop"
        elif tag == "tuplet":
            sound.tuplet_starts = sound.tuplet_starts or kind == "start"
            sound.tuplet_stops = sound.tuplet_stops or kind == "stop"
        elif tag == "dynamics":
            sound.decorations += read_dynamics(element)
        else:
            for sign in element if tag in _GROUPS else (element,):
                _decorate(sound.decorations, sign, left_out)
    return is_tied


def read_dynamics(element: Element) -> list[str]:
    """Names of the dynamic signs in <dynamics>."""
    names = [words(d.text) if d.tag == "other-dynamics" else d.tag for d in element]
    return [name for name in names if name in DYNAMICS or _NAME.fullmatch(name)]


def _decorate(decorations: list[str], sign: Element, left_out: LeftOut) -> None:
    tag = sign.tag
    if tag in _OTHER and _NAME.fullmatch(words(sign.text)):
        decorations.append(words(sign.text))
        return
    name = _NAMES.get(_signature(sign), "")
    if not name:
        left_out[f"<{tag}> left out" if isinstance(tag, str) else "an instruction left out"] += 1
    elif name == "trill(" and decorations[-1:] == ["trill"]:
        decorations[-1] = name
    elif name not in decorations:
        decorations.append(name)
