"""The kinds of tokens whose vectors are compared, for every token language.

A row of `KINDS` says which tokens belong to a group, in which order, and what distance between them
might mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from musicgen.errors import InvalidTuneError
from musicgen.evaluation.inspection.tokens import shown
from musicgen.music.theory import Key
from musicgen.tokens import char, melody, remi, word
from musicgen.tokens.melody.table import parse_token
from musicgen.tokens.remi.encoding import parse_token as parse_remi
from musicgen.tokens.vocabulary import SPECIALS

Distance = Callable[[float, float], float]
_MAJOR = (0, 2, 4, 5, 7, 9, 11)  # semitones of the scale degrees above the tonic
_VOWELS = frozenset("aeiouyAEIOUY")


@dataclass(frozen=True, slots=True)
class TokenQuestion:
    """Something that might be near where vectors are near: `value` of a token, `distance` of two
    values."""

    what: str
    value: Callable[[str], float]
    distance: Distance = lambda a, b: abs(a - b)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKind:
    """A group of tokens. `order` gives the place of a token among them, None if it is no member.
    In tables those that `is_listed` stand, on the map those that `is_marked` have another colour
    (`note` says why), and with `joined` a line goes through them in order. `label` is shown."""

    name: str
    order: Callable[[str], float | None]
    questions: tuple[TokenQuestion, ...] = ()
    is_listed: Callable[[str], bool] = lambda _token: True
    is_marked: Callable[[str], bool] = lambda _token: False
    joined: bool = False
    note: str = ""
    label: Callable[[str], str] = str


def unlike(a: float, b: float) -> float:
    """0 for equal values, else 1."""
    return float(a != b)


def _around(a: float, b: float) -> float:
    """Steps between two keys on the circle of fifths."""
    return min((a - b) % 12, (b - a) % 12)


def _if_kind(kind: str, value: Callable[[str], float], text: str) -> float | None:
    return value(text) if parse_token(text).kind == kind else None


def _semitones(text: str) -> float:
    steps, alter = parse_token(text).value
    octave, degree = divmod(steps, 7)
    return float(12 * octave + _MAJOR[degree] + alter)


def _is_altered(text: str) -> bool:
    return bool(parse_token(text).value[1])


def _length(text: str) -> float:
    return float(parse_token(text).value)


def _fifths(text: str) -> float:
    return float(Key(parse_token(text).value).fifths)


_PITCH_CLASS = "pitch class on the circle of fifths"
_HEIGHT = "height in semitones"
_RATIO = "ratio of lengths"

MELODY_KINDS = (
    TokenKind(
        name="pitches",
        order=partial(_if_kind, "pitch", _semitones),
        questions=(
            TokenQuestion(_HEIGHT, _semitones),
            TokenQuestion(_PITCH_CLASS, lambda text: 7 * _semitones(text), _around),
        ),
        is_listed=str.isdigit,
        is_marked=_is_altered,
        note="; orange: altered degrees",
    ),
    TokenKind(
        name="durations",
        order=partial(_if_kind, "length", _length),
        questions=(TokenQuestion(_RATIO, lambda text: math.log2(_length(text))),),
    ),
    TokenKind(
        name="keys",
        order=partial(_if_kind, "tonic", _fifths),
        questions=(TokenQuestion("steps on the circle of fifths", _fifths, _around),),
        joined=True,
        note="; line: round the circle of fifths",
        label=lambda text: text.removeprefix("K:"),
    ),
)


def _remi_value(kind: str, text: str) -> float | None:
    try:
        token = parse_remi(text)
    except InvalidTuneError:
        return None
    if token.kind != kind or not isinstance(token.value, int | Fraction):
        return None
    return float(token.value)


def _number(kind: str) -> Callable[[str], float]:
    return lambda text: _remi_value(kind, text) or 0.0


def _short(text: str) -> str:
    return text.partition("_")[2]


REMI_KINDS = (
    TokenKind(
        name="pitches",
        order=partial(_remi_value, "pitch"),
        questions=(
            TokenQuestion(_HEIGHT, _number("pitch")),
            TokenQuestion(_PITCH_CLASS, lambda text: 7 * _number("pitch")(text), _around),
        ),
        label=_short,
    ),
    TokenKind(
        name="durations",
        order=partial(_remi_value, "duration"),
        questions=(TokenQuestion(_RATIO, lambda text: math.log2(_number("duration")(text) or 1)),),
        label=_short,
    ),
    TokenKind(
        name="positions",
        order=partial(_remi_value, "position"),
        questions=(TokenQuestion("distance in the bar", _number("position")),),
        label=_short,
    ),
)


def _letter(text: str) -> float | None:
    if len(text) != 1 or not text.isalpha():
        return None
    return 2 * ord(text.lower()) + text.isupper()


def _sign(text: str) -> float | None:
    return float(ord(text)) if len(text) == 1 and not text.isalpha() else None


CHARACTER_KINDS = (
    TokenKind(
        name="letters",
        order=_letter,
        questions=(
            TokenQuestion("kind, vowel or consonant", lambda text: text in _VOWELS, unlike),
            TokenQuestion("case, capital or small", str.isupper, unlike),
        ),
        is_marked=_VOWELS.__contains__,
        note="; orange: vowels",
    ),
    TokenKind(
        name="digits and signs",
        order=_sign,
        questions=(TokenQuestion("kind, digit or sign", str.isdigit, unlike),),
        is_marked=str.isdigit,
        note="; orange: digits",
        label=shown,
    ),
)


def _word(text: str) -> float | None:
    return 0.0 if word.is_word(text) else None


def _mark(text: str) -> float | None:
    return 0.0 if not word.is_word(text) and text not in SPECIALS else None


def _ending(text: str) -> float:
    return float(int.from_bytes(text[-2:].encode(), "big"))


WORD_KINDS = (
    TokenKind(
        name="words",
        order=_word,
        questions=(
            TokenQuestion("ending, the last two letters", _ending, unlike),
            TokenQuestion("first letter, capital or small", lambda text: text[0].isupper(), unlike),
        ),
        is_marked=lambda text: text[0].isupper(),
        note="; orange: capitals",
    ),
    TokenKind(name="marks", order=_mark, label=shown),
)

KINDS: dict[str, tuple[TokenKind, ...]] = {
    melody.NAME: MELODY_KINDS,
    remi.NAME: REMI_KINDS,
    char.NAME: CHARACTER_KINDS,
    word.NAME: WORD_KINDS,
}
