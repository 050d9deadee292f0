"""The lexical grammar of an ABC music line: one regular expression, a table of token kinds.

Every alternative is bounded or begins with its own characters, so that scanning a line takes time
linear in its length. Sections are those of the ABC 2.1 standard.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from musicgen.music.theory import Pitch
from musicgen.music.tune import Note, Rest

ZERO_LENGTH = "a length of zero; read as the unit length"
_LENGTH = r"\d{0,4}(?:/{1,6}\d{0,4})?"
_VOLTA = r"\d{1,2}(?:[,-]\d{1,2}){0,16}\.?"
_BAR = (
    r":+[ \t]*\.?\[?\|[|:\]]*"  # :|  :||  :|]  :|:  ::|  :[|
    r"|::+"
    r"|\[\|[|:\]]*"  # [|  [|:  [|]
    r"|\.\|:*"
    r"|\|[|:\]]*(?:\[(?=\|)[|:\]]*){0,8}"  # |  ||  |]  |:  |||:
)

# Order matters: the first alternative that matches is the token.
_TOKENS = {
    "note": rf"(\^\^|__|\^|_|=(?:3D)?)?([A-Ga-g])([,']{{0,9}})({_LENGTH})",  # 4.1, 4.2, 4.3
    "microtone": r"([\^_=](?:\d{1,2}(?:/\d{0,2})?|/\d{0,2}))(?=([A-Ga-g]))",  # 4.2
    "space": r"[ \t\f\v`]+",  # 4.7: a backquote only helps the eye
    "bar": rf"({_BAR})({_VOLTA})?",  # 4.8, 4.9
    "broken": r"[<>]+",  # 4.4
    "tuplet": r"\((\d{1,2})(?::(\d{0,2}))?(?::(\d{0,2}))?",  # 4.13
    "slur_open": r"\.?\(&?",  # 4.11
    "slur_close": r"&?\)",
    "tie": r"\.?-",
    "quoted": r'"([^"]*)"',  # 4.18, 4.19
    "field": r"\[(?![A-Ga-gxz]:[|:])([A-Za-z]):([^\]]*)\]",  # 3.2
    "volta": rf"\[({_VOLTA})|(?<=[|:\]])\[\"({_VOLTA})\"",  # 4.9
    "grace": r"\{([^}]*)\}",  # 4.12
    "chord_open": r"\[",  # 4.17
    "chord_close": rf"\]({_LENGTH})",
    "rest": rf"([zx])({_LENGTH})",  # 4.5
    "bar_rest": r"([ZX])(\d{0,4})",
    "spacer": r"y\d{0,4}",  # 6.1.2
    "overlay": r"&+",  # 7.4
    "decoration": r"!([^!\s|\"\\%]{1,40})!|\+([A-Za-z0-9.<>()^]{1,24})\+",  # 4.14
    "plus": r"\+",  # around chords before ABC 1.6
    "line_break": r"[!$*\\]+",  # 6.1.1
    "bare_field": r"([MLK]):[ ]*(C\|?|none|\d{1,2}/\d{1,2}|[A-G][#b]?[a-z]{0,10})(?![A-Za-z:|])",
    "letter": r"[.~H-WYh-w]",  # 4.14, 4.16
    "loose_length": r"(?<=[ \t])(?:\d{1,4}(?:/\d{0,4})?|/{1,6}\d{0,4})(?![\d,-])",  # folk-rnn
    "number": _VOLTA,
    "colon": r":",
    "printable": r"=(?:20)?[ \t]*$",  # quoted-printable mail: a soft line end
    "other": r"[\s\S]",
}
TOKEN = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _TOKENS.items()))
GRACE_NOTE = re.compile(
    rf"(\^\^|__|\^|_|=)?([A-Ga-g])([,']{{0,9}})({_LENGTH})|!([^!\s|\"\\%]{{1,40}})!|(.)", re.DOTALL
)

_INDEX = TOKEN.groupindex


def subgroup(match: re.Match[str], kind: str, number: int) -> str:
    """Text of the n-th group (from 1) inside a token of this kind, "" where it took no part.

    A note's own groups are 2 to 5: sign, letter, octave marks and length.
    """
    return match[_INDEX[kind] + number] or ""


# "=3D" is a "=" that passed through quoted-printable mail.
ALTERS = {"^": 1, "^^": 2, "_": -1, "__": -2, "=": 0, "=3D": 0}


@lru_cache(maxsize=4096)
def factor(length: str) -> Fraction:
    """Multiplier of a length such as "", "2", "3/2", "/", "//" or "/4" (4.3); 0 stays 0, and what
    is divided by 0 is 0, too."""
    top, slash, rest = length.partition("/")
    numerator = int(top or 1)
    if not slash:
        return Fraction(numerator)
    halvings = len(rest) - len(rest.lstrip("/"))
    bottom = rest.lstrip("/")
    parts = int(bottom or 2)
    return Fraction(numerator, parts * 2**halvings) if parts else Fraction(0)


@lru_cache(maxsize=4096)
def duration_of(length: str, top: int, bottom: int) -> Fraction:
    """Quarter notes of a written length at a unit of top/bottom quarters; a length 0 counts 1."""
    return Fraction(top, bottom) * (factor(length) or 1)


@lru_cache(maxsize=4096)
def pitch_of(letter: str, octave: str, alter: int) -> Pitch:
    """The pitch of a letter with its octave marks: C is C4, c is C5, c' is C6, C, is C3."""
    base = 5 if letter.islower() else 4
    return Pitch(letter.upper(), alter, base + octave.count("'") - octave.count(","))


def letter_of(step: str, octave: int) -> str:
    """A step in an octave as a letter with octave marks; `pitch_of` of it gives them back."""
    return step.lower() + "'" * (octave - 5) if octave >= 5 else step + "," * (4 - octave)


@lru_cache(maxsize=16384)
def plain_note(letter: str, octave: str, alter: int, length: str, unit: tuple[int, int]) -> Note:
    """A note without any marks; notes are immutable, so equal ones are shared."""
    return Note(pitch_of(letter, octave, alter), duration_of(length, *unit))


@lru_cache(maxsize=1024)
def plain_rest(visible: bool, length: str, unit: tuple[int, int]) -> Rest:
    """A rest without any marks, shared like `plain_note`."""
    return Rest(duration_of(length, *unit), visible=visible)


# A number of notes in the time of how many (4.13); 0 depends on the meter: 3 if compound, else 2.
TUPLET_TIMES = {2: 3, 3: 2, 4: 3, 5: 0, 6: 2, 7: 0, 8: 3, 9: 0}


def tuplet_times(actual: int, compound: bool) -> int:
    """The q that (p means by itself; beyond the standard's (9, the power of two below p."""
    if actual in TUPLET_TIMES:
        return TUPLET_TIMES[actual] or (3 if compound else 2)
    return 1 << (actual - 1).bit_length() - 1 if actual > 1 else 1


# Chord symbols (4.18): root, quality, bass; anything else in quotes is an annotation.
_CHORD = re.compile(
    r"\(?[A-G](?:##|bb|[#b♯♭])?"
    r"(?:maj|min|mi|ma|dim|aug|sus|add|alt|omit|no|M|m|o|\+|-|°|ø|\^|\d{1,2}|[#b♯♭]\d{1,2}|\(|\))*"
    r"(?:/[A-Ga-g](?:#|b|♯|♭|\+|-)?)?\)?|N\.?C\.?"
)


def is_chord_symbol(text: str) -> bool:
    """Whether quoted text names a chord ("Am7/c") and not an instruction ("D.S.", "Segno")."""
    return len(text) <= 24 and _CHORD.fullmatch(text) is not None
