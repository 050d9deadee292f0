"""Clefs: their names, and the sign, line and octave that a name stands for.

parse_clef("treble-8") -> Clef("G", 2, -1)        clef_name(Clef("F", 3)) -> "bass3"

Names are those of the ABC standard 2.1, section 4.6: a clef, its line where it is not the usual
one, and -8, +8, -15 or +15 for music that sounds one or two octaves from where it is written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PERCUSSION = "perc"


@dataclass(frozen=True, slots=True)
class Clef:
    """A sign ("G", "F", "C", "percussion"), the line it stands on, from 1 at the bottom, and the
    octaves from where the notes are written to where they sound."""

    sign: str
    line: int
    octave: int = 0


# The names of a shape, the one to write first.
_SHAPES = {
    "treble": ("G", 2),
    "bass": ("F", 4),
    "alto": ("C", 3),
    "tenor": ("C", 4),
    "soprano": ("C", 1),
    "mezzosoprano": ("C", 2),
    "bass3": ("F", 3),
    PERCUSSION: ("percussion", 0),
    "mezzo": ("C", 2),
    "baritone": ("F", 3),
    "g": ("G", 2),
    "f": ("F", 4),
    "c": ("C", 3),
}
_NAMES = {shape: name for name, shape in reversed(_SHAPES.items())}
_OCTAVES = {"": 0, "-8": -1, "+8": 1, "-15": -2, "+15": 2}
_SUFFIXES = {octave: suffix for suffix, octave in _OCTAVES.items()}
_CLEF = re.compile(r"([a-z]+)([1-5]?)([+-](?:8|15))?")


def parse_clef(name: str) -> Clef | None:
    """The clef of a name in any case; None where it is not known."""
    match = _CLEF.fullmatch(name.lower())
    if match is None or match[1] not in _SHAPES:
        return None
    sign, line = _SHAPES[match[1]]
    return Clef(sign, int(match[2] or line), _OCTAVES[match[3] or ""])


def clef_name(clef: Clef) -> str:
    """The name of a clef; "" where it has none."""
    if clef.sign == "percussion":
        return PERCUSSION
    usual = next((name for name, (sign, _) in _SHAPES.items() if sign == clef.sign), "")
    name = _NAMES.get((clef.sign, clef.line), f"{usual}{clef.line}" if usual else "")
    return name and name + _SUFFIXES.get(clef.octave, "")


def clef_octave(name: str) -> int:
    """Octaves from where the notes are written to where they sound; 0 for an unknown clef."""
    clef = parse_clef(name)
    return 0 if clef is None else clef.octave
