"""Lines of an ABC file: information fields, music, prose."""

from __future__ import annotations

import re
from dataclasses import dataclass

FIELD = re.compile(r"([A-Za-z+]):(.*)", re.DOTALL)
_NOTE_BEFORE_BAR = re.compile(r"[A-Ga-gxz]:(?:\||:|\[\||$)")
_QUOTED = re.compile(r'"[^"]*"|![^!\s]*!|\[[A-Za-z]:[^\]]*\]')
_WORD = re.compile(r"(?<![A-Za-z'])[A-Za-z]*[h-tw][a-z]*(?![A-Za-z])")


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of a tune: its number in the file, its offset in the tune's text, its characters."""

    number: int
    offset: int
    text: str


def is_field(text: str) -> bool:
    """Whether a line is an information field and not music such as "A:|"."""
    return FIELD.match(text) is not None and _NOTE_BEFORE_BAR.match(text) is None


def is_prose(text: str) -> bool:
    """Whether a line has no bar line and looks like words rather than notes."""
    if "|" in text or "`" in text:
        return False
    words = _WORD.findall(_QUOTED.sub(" ", text))
    return sum(len(w) > 1 for w in words) >= 2 or any(len(w) > 4 for w in words)
