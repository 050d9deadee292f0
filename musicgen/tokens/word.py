r"""Any text as words and punctuation marks.

    >>> encode("Well, it's late.\n")
    ['Well', ',', "it's", 'late', '.', '\n']

A blank between two tokens is not written where one is usual: before a word, but not after an
opening bracket; not before a comma. Where a text has another one, or none, a token says so, so
`"".join(pieces(encode(text))) == text` for every text, tabs and line ends included. Only words that
a vocabulary does not know are lost: U+FFFD stands for each.

A word is a run of letters, digits and `_`, with apostrophes inside it. So Chinese, Japanese and
Thai, which have no blanks, are better read as characters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import log2

from musicgen.tokens.char import REPLACEMENT, UNKNOWN_BITS, text_language
from musicgen.tokens.language import TextCode
from musicgen.tokens.vocabulary import SPECIALS, UNKNOWN

NAME = "word"
UNIT = "word"
JOIN = "<join>"  # no blank, where one would be usual
MOST_WORDS = 20_000
_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")
_TOKEN = re.compile(rf"{_WORD.pattern}|[^\w\s]|\s")
_NO_BLANK_BEFORE = frozenset(".,;:!?)]}%\u2026\u201d\u2019\u00bb-\u2013\u2014/")
_NO_BLANK_AFTER = frozenset("([{\u201c\u2018\u00ab\u201e\u00bf\u00a1-\u2013\u2014/#$@")


def encode(text: str) -> list[str]:
    """The words, marks, unusual blanks and line ends of a text."""
    pieces = _TOKEN.findall(text)
    tokens: list[str] = []
    for i, piece in enumerate(pieces):
        before = pieces[i - 1] if i else ""
        if piece == " " and i + 1 < len(pieces) and _usual_blank(before, pieces[i + 1]):
            continue
        if _usual_blank(before, piece):
            tokens.append(JOIN)
        tokens.append(piece)
    return tokens


def pieces(tokens: Iterable[str]) -> list[str]:
    """What each token adds to a text: its letters, with the usual blank before them."""
    texts = dict.fromkeys((*SPECIALS, JOIN), "") | {UNKNOWN: REPLACEMENT}
    found: list[str] = []
    before = ""
    for token in tokens:
        text = texts.get(token, token)
        found.append(" " + text if _usual_blank(before, text) else text)
        before = text
    return found


def _usual_blank(before: str, after: str) -> bool:
    """Whether two tokens have one blank between them unless said otherwise; "" is no token."""
    return not (
        not before
        or not after
        or before.isspace()
        or after.isspace()
        or before in _NO_BLANK_AFTER
        or after in _NO_BLANK_BEFORE
    )


def is_word(token: str) -> bool:
    """Whether a token is a word, and no mark, blank or special."""
    return _WORD.fullmatch(token) is not None


def n_words(text: str) -> int:
    """The words of a text; marks and line ends are none."""
    return len(_WORD.findall(text))


def spelling(vocabulary: Sequence[str]) -> Callable[[str], float]:
    """Bits to spell a word letter by letter, each by its frequency in the words of a vocabulary,
    the end like a letter. 0 for `<unk>`, of which nothing else is known."""
    counts = Counter(letter for token in vocabulary if is_word(token) for letter in token + "\n")
    total = sum(counts.values()) + 1  # 1 for any other letter
    costs = {letter: log2(total / n) for letter, n in counts.items()}
    other = log2(total) + UNKNOWN_BITS

    def bits(token: str) -> float:
        return 0.0 if token == UNKNOWN else sum(costs.get(c, other) for c in token + "\n")

    return bits


WORDS = text_language(
    NAME,
    UNIT,
    TextCode(encode=encode, pieces=pieces, n_units=n_words, spelling=spelling, reads_unknown=True),
    min_count=2,
    most_tokens=MOST_WORDS,
)
