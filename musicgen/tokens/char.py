"""Any text as characters: a token for each, blanks and line ends included.

    >>> encode("GAB|")
    ['G', 'A', 'B', '|']

A tune is told as its canonical ABC (see `text_of`), so that a model of characters and one of
notes can be given the same music.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from musicgen.errors import ControlError
from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.music.tune import Tune
from musicgen.tokens.vocabulary import SPECIALS, UNKNOWN, Vocabulary

NAME = "char"
UNIT = "character"
_NOT_MUSIC = ("X:", "T:")
_KEY = re.compile(r"^K:", re.MULTILINE)
_STRANGER = "\ufffd"  # stands for a character that a vocabulary does not have


def encode(text: str) -> list[str]:
    """The characters of a text."""
    return list(text)


def decode(tokens: Iterable[str]) -> str:
    """The text that tokens say; `<bos>`, `<eos>` and `<pad>` are passed over."""
    return "".join(
        _STRANGER if token == UNKNOWN else token
        for token in tokens
        if token == UNKNOWN or token not in SPECIALS
    )


def text_of(tune: Tune) -> str:
    """Canonical ABC without number and title: rhythm, meter, unit, key, and the music."""
    lines = to_abc(tune).splitlines()
    return "\n".join(line for line in lines if not line.startswith(_NOT_MUSIC)).strip()


def tune_in(text: str) -> Tune | None:
    """The one tune that a document is, if it is ABC that can be read, with or without its number
    and title."""
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
    strange = next((c for c in text if c not in vocabulary.ids), None)
    if strange is not None:
        place = text.index(strange) + 1
        raise ControlError(
            f"prompt: character {place}, {strange!r}, is none the model knows; "
            f"it knows {alphabet(vocabulary.tokens)}"
        )
    return vocabulary.encode(text)


def alphabet(vocabulary: Sequence[str]) -> str:
    """The characters of a vocabulary in a row, as Python would print them."""
    return repr("".join(token for token in vocabulary if token not in SPECIALS))[1:-1]
