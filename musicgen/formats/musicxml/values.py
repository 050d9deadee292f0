"""Numbers and words in MusicXML elements, read within bounds; counts of facts left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType
from xml.etree.ElementTree import Element

from musicgen.errors import printable
from musicgen.formats.musicxml.lengths import TYPES
from musicgen.music.tune import ReadWarning

Ticks = int | Fraction  # divisions of a quarter note; whole in all but a few odd files
_DECIMAL = re.compile(r"[+-]?\d{1,9}(?:\.\d{0,6})?|[+-]?\.\d{1,6}")
_QUARTERS = {name: quarters for quarters, name in TYPES.items()}
_MAX_DOTS = 4
MAX_QUARTERS = 2048  # of a note; as long as 64 maximas


class LeftOut(Counter[str]):
    """Facts of a score that a Tune cannot hold, counted by kind. `place` is what is being read: an
    element or the number of a line; None for the whole file."""

    def __init__(self) -> None:
        super().__init__()
        self.place: Element | int | None = None
        self.first: dict[str, Element | int | None] = {}  # place of each kind

    def __setitem__(self, what: str, count: int) -> None:
        self.first.setdefault(what, self.place)
        super().__setitem__(what, count)

    def warnings(self, lines: Mapping[Element, int] = MappingProxyType({})) -> list[ReadWarning]:
        """One for each kind, at the line of the first of them. `lines` are those of elements."""
        found = []
        for what, n in self.items():
            place = self.first[what]
            line = lines.get(place, 0) if isinstance(place, Element) else place or 0
            found.append(ReadWarning(what if n == 1 else f"{what}: {n}", line))
        return found

    @property
    def first_elements(self) -> list[Element]:
        """The elements among the places of the kinds."""
        return [place for place in self.first.values() if isinstance(place, Element)]


def words(text: str | None) -> str:
    """Text on one line, without blanks around; line breaks of the file are blanks."""
    if not text:
        return ""
    return text.strip() if text.isprintable() else " ".join(text.split())


def content(element: Element, path: str) -> str:
    """Text of the first element at a path below, "" without."""
    return words(element.findtext(path))


def quoted(text: str | None) -> str:
    """The beginning of a text of a file, for a message."""
    return f"'{printable(words(text)[:20])}'"


def number(text: str | None) -> Ticks | None:
    """A decimal number; None when it is none, or absurdly long."""
    word = (text or "").strip()
    if word.isascii() and word.isdigit() and len(word) < 10:
        return int(word)
    return whole_if_possible(Fraction(word)) if _DECIMAL.fullmatch(word) else None


def whole_if_possible(value: Ticks) -> Ticks:
    """The same number, as an int where it is whole: ints are faster."""
    return int(value) if value.denominator == 1 else value


def read_duration(element: Element, divisions: Ticks, left_out: LeftOut) -> Ticks | None:
    """The <duration> of an element, in divisions; None without one, or where it makes no sense."""
    text = element.findtext("duration")
    ticks = number(text)
    if text is None or (ticks is not None and 0 <= ticks <= MAX_QUARTERS * divisions):
        return ticks
    left_out[f"durations that make no sense ({quoted(text)}), passed over"] += 1
    return None


def integer(text: str | None) -> int | None:
    """A whole number; None when it is none."""
    value = number(text)
    return value if isinstance(value, int) else None


@lru_cache(maxsize=65536)
def quarters(ticks: Ticks, divisions: Ticks) -> Fraction:
    """A length in quarter notes."""
    return Fraction(ticks) / divisions


@lru_cache(maxsize=4096)
def written(kind: str, dots: int, actual: int, normal: int) -> Fraction | None:
    """Quarter notes that a note value lasts; None when there is no such value."""
    length = _QUARTERS.get(kind)
    if length is None or dots > _MAX_DOTS:
        return None
    return length * (2 - Fraction(1, 2**dots)) * normal / actual
