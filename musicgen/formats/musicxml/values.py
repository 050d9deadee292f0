"""Numbers and words in MusicXML elements, read within bounds; counts of facts left out."""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from functools import lru_cache
from xml.etree.ElementTree import Element

from musicgen.formats.musicxml.lengths import TYPES
from musicgen.music.tune import ReadWarning

Ticks = int | Fraction  # divisions of a quarter note; whole in all but a few odd files
_DECIMAL = re.compile(r"[+-]?\d{1,9}(?:\.\d{0,6})?|[+-]?\.\d{1,6}")
_QUARTERS = {name: quarters for quarters, name in TYPES.items()}
_MAX_DOTS = 4


class LeftOut(Counter[str]):
    """Facts of a score that a Tune cannot hold, counted by kind."""

    def warnings(self) -> list[ReadWarning]:
        """One line for each kind."""
        return [ReadWarning(what if n == 1 else f"{what}: {n}") for what, n in self.items()]


def words(text: str | None) -> str:
    """Text on one line, without blanks around; line breaks of the file are blanks."""
    if not text:
        return ""
    return text.strip() if text.isprintable() else " ".join(text.split())


def content(element: Element, path: str) -> str:
    """Text of the first element at a path below, "" without."""
    return words(element.findtext(path))


def number(text: str | None) -> Ticks | None:
    """A decimal number; None when it is none, or absurdly long."""
    word = (text or "").strip()
    if word.isascii() and word.isdigit() and len(word) < 10:
        return int(word)
    return whole_if_possible(Fraction(word)) if _DECIMAL.fullmatch(word) else None


def whole_if_possible(value: Ticks) -> Ticks:
    """The same number, as an int where it is whole: ints are faster."""
    return int(value) if value.denominator == 1 else value


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
