"""Any text as characters: one token each, blanks and line ends included.

    >>> encode("GAB|")
    ['G', 'A', 'B', '|']

A tune is encoded as its canonical ABC (see `text_of`), so that a model of characters and one of
notes can be given the same music.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import ControlError, InvalidTuneError
from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.music.tune import Tune
from musicgen.tokens.language import Encoded, Language
from musicgen.tokens.melody.encoding import melody
from musicgen.tokens.vocabulary import SPECIALS, UNKNOWN, Vocabulary

NAME = "char"
UNIT = "character"
_NOT_MUSIC = ("X:", "T:")
_KEY = re.compile(r"^K:", re.MULTILINE)
_REPLACEMENT = "\ufffd"  # stands for a character that a vocabulary does not have


def encode(text: str) -> list[str]:
    """The characters of a text."""
    return list(text)


def decode(tokens: Iterable[str]) -> str:
    """The text of tokens, without `<bos>`, `<eos>` and `<pad>`."""
    texts = dict.fromkeys(SPECIALS, "") | {UNKNOWN: _REPLACEMENT}
    return "".join(texts.get(token, token) for token in tokens)


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


def prompt_ids(text: str, vocabulary: Vocabulary) -> list[int]:
    """Ids of the characters of a prompt.

    Raises:
        ControlError: the model has never seen one of them.
    """
    for place, character in enumerate(text, 1):
        if character not in vocabulary.ids:
            raise ControlError(
                f"prompt: character {place}, {character!r}, is none the model knows; "
                f"it knows {alphabet(vocabulary.tokens)}"
            )
    return vocabulary.encode(text)


def alphabet(vocabulary: Sequence[str]) -> str:
    """The characters of a vocabulary in a row, as Python would print them."""
    return repr("".join(token for token in vocabulary if token not in SPECIALS))[1:-1]


def _encode_tune(tune: Tune) -> Encoded | str:
    try:
        reduced = melody(tune)
    except InvalidTuneError as error:
        return str(error)
    return _encode_text(text_of(reduced.tune))._replace(dropped=reduced.dropped)


def _encode_text(text: str) -> Encoded:
    return Encoded.of(encode(text), _without_features, len(text), Counter())


def _without_features(tokens: Sequence[str]) -> tuple[NDArray[np.uint16], bool]:
    return np.zeros((len(tokens), 0), np.uint16), False


def _decode_tune(tokens: Sequence[str]) -> Tune | None:
    return tune_in(decode(tokens))


CHARACTERS = Language(
    name=NAME,
    what="single-line melody",
    n_header=0,
    feature_sizes={},
    encode=_encode_tune,
    decode=_decode_tune,
    small=50,
    unit=UNIT,
    encode_text=_encode_text,
)
