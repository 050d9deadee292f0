"""Chord symbols such as "F#m7/C#" as MusicXML harmony, and back."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from musicgen.formats.musicxml.values import content, integer
from musicgen.music.chord_symbols import Spelling, spelled_chord
from musicgen.music.theory import STEPS
from musicgen.system.markup import element, text

KINDS = {
    "": "major",
    "maj": "major",
    "M": "major",
    "m": "minor",
    "min": "minor",
    "-": "minor",
    "+": "augmented",
    "aug": "augmented",
    "dim": "diminished",
    "o": "diminished",
    "°": "diminished",
    "7": "dominant",
    "maj7": "major-seventh",
    "M7": "major-seventh",
    "m7": "minor-seventh",
    "min7": "minor-seventh",
    "dim7": "diminished-seventh",
    "o7": "diminished-seventh",
    "aug7": "augmented-seventh",
    "+7": "augmented-seventh",
    "m7b5": "half-diminished",
    "ø": "half-diminished",
    "6": "major-sixth",
    "m6": "minor-sixth",
    "9": "dominant-ninth",
    "maj9": "major-ninth",
    "m9": "minor-ninth",
    "11": "dominant-11th",
    "13": "dominant-13th",
    "sus2": "suspended-second",
    "sus": "suspended-fourth",
    "sus4": "suspended-fourth",
    "5": "power",
}


def harmony(symbol: str) -> str | None:
    """The <harmony> element of a chord symbol; None when it is not one."""
    if symbol.strip().upper().replace(".", "") == "NC":
        return element(
            "harmony", element("root", "<root-step>C</root-step>"), _kind("none", symbol.strip())
        )
    spelled = spelled_chord(symbol)
    if spelled is None:
        return None
    kind = _kind(KINDS.get(spelled.kind, "other"), spelled.kind)
    bass = _place("bass", spelled.bass) if spelled.bass else ""
    return element("harmony", _place("root", spelled.root), kind, bass)


def _place(name: str, spelling: Spelling) -> str:
    step, alter = spelling
    altered = (element(f"{name}-alter", text(alter)),) if alter else ()
    return element(name, element(f"{name}-step", step), *altered)


def _kind(name: str, written: str) -> str:
    return element("kind", name, text=written)


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
    root = _placed(element, "root")
    if not root:
        return ""
    spelled = _SPELLINGS.get(value, "") if text is None else " ".join(text.split())
    degrees = "" if text is not None and value == "other" else _degrees(element, spelled)
    bass = _placed(element, "bass")
    return root + spelled + degrees + (f"/{bass}" if bass else "")


def _placed(element: Element, name: str) -> str:
    step = content(element, f"{name}/{name}-step").upper()
    alter = integer(element.findtext(f"{name}/{name}-alter")) or 0
    return step + _SIGNS[alter] if step and step in STEPS and alter in _SIGNS else ""


def _degrees(element: Element, spelled: str) -> str:
    """Alterations after the kind; left out where the kind's own text already names them."""
    alterations = ""
    for degree in element.iterfind("degree"):
        value = integer(degree.findtext("degree-value"))
        sign = _SIGNS.get(integer(degree.findtext("degree-alter")) or 0)
        kind = content(degree, "degree-type")
        if value is None or sign is None or not 1 <= value <= 13:
            continue
        word = f"{sign}{value}" if sign else f"add{value}"
        word = f"no{value}" if kind == "subtract" else word
        if word not in spelled:
            alterations += word
    return alterations
