"""Any text as characters: one token each, blanks and line ends included.

    >>> encode("GAB|")
    ['G', 'A', 'B', '|']

A tune is encoded as its canonical ABC (see `text_of`), so that a model of characters and one of
notes can be given the same music.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import log2
from typing import Any

from musicgen.errors import InvalidTuneError
from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.music.tune import Tune
from musicgen.tokens.language import Encoded, Language, TextCode
from musicgen.tokens.melody.encoding import melody
from musicgen.tokens.vocabulary import SPECIALS, UNKNOWN

NAME = "char"
UNIT = "character"
# Bits that tell which of all Unicode characters an unknown one is: what its token costs beside.
UNKNOWN_BITS = log2(0x110000)
REPLACEMENT = "\ufffd"  # stands for a token that a vocabulary does not have
_NOT_MUSIC = ("X:", "T:")
_KEY = re.compile(r"^K:", re.MULTILINE)


def encode(text: str) -> list[str]:
    """The characters of a text."""
    return list(text)


def pieces(tokens: Iterable[str]) -> list[str]:
    """What each token adds to a text."""
    texts = dict.fromkeys(SPECIALS, "") | {UNKNOWN: REPLACEMENT}
    return [texts.get(token, token) for token in tokens]


def decode(tokens: Iterable[str]) -> str:
    """The text of tokens, without `<bos>`, `<eos>` and `<pad>`."""
    return "".join(pieces(tokens))


def text_of(tune: Tune) -> str:
    """Canonical ABC without number and title: rhythm, meter, unit, key, and the music."""
    lines = to_abc(tune).splitlines()
    return "\n".join(line for line in lines if not line.startswith(_NOT_MUSIC)).strip()


def tune_in(text: str) -> Tune | None:
    """The tune of a document, if it is one tune in ABC, with or without its number and title."""
    text = text.strip()
    if not text.startswith("X:"):
        if _KEY.search(text) is None:
            return None
        text = "X:1\nT:\n" + text
    reading = parse_text(text)
    return reading.tunes[0] if len(reading.tunes) == 1 and not reading.rejected else None


def text_language(name: str, unit: str, code: TextCode, **options: Any) -> Language:
    """A language of text, which encodes a tune as its canonical ABC."""

    def encode_tune(tune: Tune) -> Encoded | str:
        try:
            reduced = melody(tune)
        except InvalidTuneError as error:
            return str(error)
        encoded = language.encode_text(text_of(reduced.tune))
        return encoded._replace(dropped=reduced.dropped)

    language = Language(
        name=name,
        what="single-line melody",
        n_header=0,
        feature_sizes={},
        encode=encode_tune,
        decode=lambda tokens: tune_in(code.decode(tokens)),
        small=50,
        unit=unit,
        text=code,
        **options,
    )
    return language


CHARACTERS = text_language(
    NAME,
    UNIT,
    TextCode(
        encode=encode,
        pieces=pieces,
        n_units=len,
        spelling=lambda _vocabulary: lambda _token: UNKNOWN_BITS,
    ),
)
