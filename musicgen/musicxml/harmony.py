"""Chord symbols such as "F#m7/C#" as MusicXML harmony."""

from __future__ import annotations

import re

from musicgen.musicxml.markup import element, text

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
_SYMBOL = re.compile(r"([A-G])([#b♯♭]?)([^/\s]*)(?:/([A-G])([#b♯♭]?))?")
_ALTER = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}


def harmony(symbol: str) -> str | None:
    """The <harmony> element of a chord symbol; None when it is not one."""
    if symbol.strip().upper().replace(".", "") == "NC":
        return element(
            "harmony", element("root", "<root-step>C</root-step>"), _kind("none", symbol.strip())
        )
    match = _SYMBOL.fullmatch(symbol.strip())
    if match is None:
        return None
    step, accidental, kind, bass, bass_accidental = match.groups()
    parts = [_place("root", step, accidental), _kind(KINDS.get(kind, "other"), kind)]
    if bass:
        parts.append(_place("bass", bass, bass_accidental))
    return element("harmony", *parts)


def _place(name: str, step: str, accidental: str) -> str:
    alter = _ALTER[accidental]
    altered = (element(f"{name}-alter", text(alter)),) if alter else ()
    return element(name, element(f"{name}-step", step), *altered)


def _kind(name: str, written: str) -> str:
    return element("kind", name, text=written)
