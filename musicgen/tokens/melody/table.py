"""The melody token language: the meaning of each token, as one table.

| token          | kind      | value                                                        |
|----------------|-----------|--------------------------------------------------------------|
| `R:jig`        | rhythm    | canonical rhythm name, "" when the source gives none         |
| `M:6/8`        | meter     | Meter                                                        |
| `L:1/8`        | unit      | unit note length in quarters (1/8 -> 1/2)                    |
| `K:D`          | tonic     | "D"                                                          |
| `mode:dorian`  | mode      | "dorian"                                                     |
| `up:1/2`       | pickup    | length of the pickup in quarters, 0 for none                 |
| `|:`           | repeat    | a repeated part begins                                       |
| `[1`           | volta     | passes on which this ending is played, (1,)                  |
| `*3/2`         | length    | length of the next note, in units (none: one unit)           |
| `(3:2`         | tuplet    | (actual, normal, size); a length inside lasts to its end     |
| `5,` `#4` `1'` | pitch     | (staff steps from the tonic of octave 4, alteration)         |
| `z`            | rest      |                                                              |
| `-`            | tie       | joins the note before to the next                            |
| `|` `||` `:|` `|]` | close | bar line that ends a bar                                     |

A pitch is a scale degree 1-7 of the key with octave marks (`,` down, `'` up) and an accidental
against the key signature, so a tune has the same tokens in every key but for `K:`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from musicgen.errors import InvalidTuneError, printable
from musicgen.music.theory import ACCIDENTAL_TEXT, ACCIDENTALS, MODE_FIFTHS, Key, parse_meter
from musicgen.tokens.vocabulary import SPECIALS

MAX_UNITS = 1024  # in a bar, whose tokens take time; of real tunes 16
HEADER_KINDS = ("rhythm", "meter", "unit", "tonic", "mode", "pickup")
CLOSES = ("|", "||", ":|", "|]")
_FIXED = {"|:": "repeat", "z": "rest", "-": "tie"} | dict.fromkeys(CLOSES, "close")
_PITCH = re.compile(r"(##|#|bb|b|)([1-7])(,{0,9}|'{0,9})")
_TONIC = re.compile(r"(?:[A-G](?:##|bb|#|b)?)?")
_FRACTION = re.compile(r"[1-9]\d{0,9}(?:/[1-9]\d{0,9})?", re.ASCII)
_COUNT = re.compile(r"[1-9]\d{0,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Token:
    """A token's kind and value (see the table in this module's docstring)."""

    kind: str
    value: Any = None  # its type depends on the kind


@lru_cache(maxsize=4096)
def parse_token(text: str) -> Token:
    """Meaning of a token's text.

    Raises:
        InvalidTuneError: not a melody token.
    """
    if text in SPECIALS:
        return Token(text)
    if text in _FIXED:
        return Token(_FIXED[text], text)
    try:
        return _parse_valued(text)
    except (ValueError, KeyError, ZeroDivisionError):
        raise InvalidTuneError(f"'{printable(text[:40])}' is not a melody token") from None


def _parse_valued(text: str) -> Token:
    head, colon, tail = text.partition(":")
    match (head, colon):
        case ("R", ":"):
            return Token("rhythm", tail)
        case ("M", ":"):
            meter = parse_meter(tail)
            if meter is None or meter.bar_duration is None:
                raise ValueError(text)
            return Token("meter", meter)
        case ("L", ":"):
            return Token("unit", 4 * _length(tail))
        case ("K", ":") if _TONIC.fullmatch(tail):
            return Token("tonic", tail)
        case ("mode", ":") if tail in MODE_FIFTHS:
            return Token("mode", tail)
        case ("up", ":"):
            return Token("pickup", _length(tail) if tail != "0" else Fraction(0))
    if text.startswith("["):
        return Token("volta", tuple(map(_count, text[1:].split(","))))
    if text.startswith("("):
        numbers = [_count(n) for n in text[1:].split(":")]
        actual, normal, size = numbers if len(numbers) == 3 else (*numbers, numbers[0])
        return Token("tuplet", (actual, normal, size))
    if text.startswith("*"):
        return Token("length", _length(text[1:]))
    pitch = _PITCH.fullmatch(text)
    if pitch is None:
        raise ValueError(text)
    accidental, degree, marks = pitch.groups()
    octave = len(marks) * (-1 if marks.startswith(",") else 1)
    return Token("pitch", (7 * octave + int(degree) - 1, ACCIDENTALS[accidental]))


def _length(text: str) -> Fraction:
    """A length above 0; a model from a stranger may hold any text as a token."""
    if not _FRACTION.fullmatch(text):
        raise ValueError(text)
    return Fraction(text)


def _count(text: str) -> int:
    if not _COUNT.fullmatch(text):
        raise ValueError(text)
    return int(text)


def pitch_token(steps: int, alter: int) -> str:
    """Text of a pitch: staff steps above the tonic of octave 4, and alteration -2..2."""
    octave, degree = divmod(steps, 7)
    marks = "'" * octave + "," * -octave
    return f"{ACCIDENTAL_TEXT[alter]}{degree + 1}{marks}"


def tuplet_token(actual: int, normal: int, size: int) -> str:
    """Text of a tuplet; the size is left out where it equals `actual`."""
    return f"({actual}:{normal}" + ("" if size == actual else f":{size}")


def token_distance(text: str, known: str) -> float | None:
    """How far a known token is from another one, in the unit of their kind (see
    `vocabulary.Distance`); in pitches a staff step counts 12, an alteration 1."""
    token, other = parse_token(text), parse_token(known)
    if token.kind != other.kind:
        return None
    value = other.value
    match token.kind:
        case "length" | "unit" | "pickup":
            return abs(float(value - token.value))
        case "pitch":
            return float(abs(value[0] - token.value[0]) * 12 + abs(value[1] - token.value[1]))
        case "tonic":
            return tonic_distance(value, token.value)
        case "meter":
            if value.bar_duration == token.value.bar_duration:
                return 0
            return 1.0 + (value.compound is not token.value.compound)
    return 0 if value in ("", "major") else 1


def tonic_distance(tonic: str, other: str) -> float:
    """Semitones between two tonics, 0 to 6."""
    apart = (Key(tonic).tonic_pitch_class - Key(other).tonic_pitch_class) % 12
    return float(min(apart, 12 - apart))
