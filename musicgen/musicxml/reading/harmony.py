"""Chord symbols out of <harmony>: "Am7/C"."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from musicgen.musicxml.harmony import KINDS
from musicgen.musicxml.reading.values import content, integer
from musicgen.theory import STEPS

# The first spelling of each kind, and kinds that have no spelling of their own in the table.
_SPELLINGS = {kind: spelling for spelling, kind in reversed(KINDS.items())} | {
    "other": "",
    "none": "N.C.",
    "minor-11th": "m11",
    "minor-13th": "m13",
    "major-11th": "maj11",
    "major-13th": "maj13",
    "major-minor": "mmaj7",
    "Neapolitan": "",
    "Italian": "7",
    "French": "7b5",
    "German": "7",
    "pedal": "",
    "Tristan": "m7b5",
}
_SIGNS = {-2: "bb", -1: "b", 0: "", 1: "#", 2: "##"}


def read_harmony(element: Element) -> str:
    """The chord symbol; "" where it has no root to name, as with degrees of the scale."""
    kind = element.find("kind")
    value = content(element, "kind") if kind is not None else "major"
    text = kind.get("text") if kind is not None else None
    if value == "none":
        return text or "N.C."
    root = _place(element, "root")
    if not root:
        return ""
    spelled = _SPELLINGS.get(value, "") if text is None else " ".join(text.split())
    degrees = "" if text is not None and value == "other" else _degrees(element, spelled)
    bass = _place(element, "bass")
    return root + spelled + degrees + (f"/{bass}" if bass else "")


def _place(element: Element, name: str) -> str:
    step = content(element, f"{name}/{name}-step").upper()
    alter = integer(element.findtext(f"{name}/{name}-alter")) or 0
    return step + _SIGNS[alter] if step and step in STEPS and alter in _SIGNS else ""


def _degrees(element: Element, spelled: str) -> str:
    """Alterations after the kind; left out where the kind's own text already names them."""
    found = ""
    for degree in element.iterfind("degree"):
        value = integer(degree.findtext("degree-value"))
        sign = _SIGNS.get(integer(degree.findtext("degree-alter")) or 0)
        kind = content(degree, "degree-type")
        if value is None or sign is None or not 1 <= value <= 13:
            continue
        if kind == "subtract":
            word = f"no{value}"
        else:
            word = f"{sign}{value}" if sign else f"add{value}"
        if word not in spelled:
            found += word
    return found
