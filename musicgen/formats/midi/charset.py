"""The encoding of the texts of a MIDI file, which the file seldom says.

RP-026 (MIDI Manufacturers Association, 1999) has tags in the texts, {@LATIN} for ISO 8859-1 and
{@JP} for Shift-JIS, each for all texts after it. Without a tag, what is valid as UTF-8 is UTF-8.
For the other texts, together, the encoding is chosen in which they read most like a language: kana
and the usual kanji in Shift-JIS, the usual hanzi in GB18030, single letters with accents beside
plain ones in Latin-1. Where none does, their bytes stay as they are, written as \\x83.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_TAG = re.compile(rb"\{@(LATIN|JP|UTF-?8)\}", re.IGNORECASE)
_ENCODING_OF_TAG = {b"LATIN": "cp1252", b"JP": "cp932", b"UTF8": "utf-8", b"UTF-8": "utf-8"}
NAMES = {"cp932": "Shift-JIS", "gb18030": "GB18030", "cp1252": "Latin-1"}

_KANA = re.compile("[\u3040-\u30ff\u3000-\u3002\u300c\u300d]")
_HANZI = re.compile("[\u3100-\ufeff\U00010000-\U0010ffff]")
_HALF_WIDTH = re.compile("[\uff61-\uff9f]")
# Letters with accents, and the quotation marks and dashes of Windows' Latin-1.
_ACCENTED = re.compile("[\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff\u0152-\u0178\u2010-\u2026]+")
_LONGEST_RUN = 2  # of them in a row, as in "größe"


def decode_texts(texts: Sequence[bytes]) -> tuple[list[str], str]:
    """The texts in the order of the file, and a warning where their encoding was guessed."""
    encoding = ""
    tagged: list[tuple[bytes, str]] = []
    for text in texts:
        for tag in _TAG.findall(text):
            encoding = _ENCODING_OF_TAG[tag.upper()]
        tagged.append((_TAG.sub(b"", text), encoding))
    unknown = [text for text, said in tagged if not said and _strict(text, "utf-8") is None]
    guess = _guess(unknown) if unknown else ""
    decoded = [_decoded(text, said, guess) for text, said in tagged]
    warning = ""
    if guess in ("cp932", "gb18030"):
        warning = f"texts without a known encoding, read as {NAMES[guess]}: {len(unknown)}"
    elif unknown and not guess:
        warning = f"texts in an unknown encoding, their bytes written as \\x..: {len(unknown)}"
    return decoded, warning


def _decoded(text: bytes, said: str, guess: str) -> str:
    for encoding in (said, "utf-8", guess):
        if encoding and (found := _strict(text, encoding)) is not None:
            return found
    return text.decode("ascii", "backslashreplace")


def _strict(text: bytes, encoding: str) -> str | None:
    try:
        return text.decode(encoding)
    except UnicodeDecodeError:
        return None


def _guess(texts: Sequence[bytes]) -> str:
    """The encoding in which some texts read most like a language, "" where in none they do."""
    scores = {}
    for encoding, score in _SCORES.items():
        read = [_strict(text, encoding) for text in texts]
        scores[encoding] = sum(-len(texts) if text is None else score(text) for text in read)
    best = max(scores, key=scores.__getitem__)  # the first of several
    return best if scores[best] >= 0 else ""


def _as_japanese(text: str) -> float:
    points = 1.0 * len(_KANA.findall(text)) - 0.5 * len(_HALF_WIDTH.findall(text))
    return points + _hanzi(text, "cp932", range(0x88, 0x98))


def _as_chinese(text: str) -> float:
    return _hanzi(text, "gb18030", range(0xB0, 0xD8))


def _hanzi(text: str, encoding: str, usual: range) -> float:
    """A point for each character of the usual level of a standard (JIS X 0208 and GB 2312 have the
    usual ones first), minus one for any other and for each beside a plain letter."""
    points = 0.0
    for match in _HANZI.finditer(text):
        lead, *rest = match[0].encode(encoding)
        in_standard = encoding == "cp932" or rest[0] >= 0xA1
        points += 1 if lead in usual and in_standard else -1
        points -= _beside_letter(text, match)
    return points


def _as_latin(text: str) -> float:
    points = 0.0
    for run in _ACCENTED.finditer(text):
        points += _beside_letter(text, run) if len(run[0]) <= _LONGEST_RUN else -len(run[0])
    return points


def _beside_letter(text: str, match: re.Match[str]) -> bool:
    beside = text[max(match.start() - 1, 0) : match.start()] + text[match.end() : match.end() + 1]
    return any(character.isascii() and character.isalpha() for character in beside)


_SCORES: dict[str, Callable[[str], float]] = {
    "cp1252": _as_latin,
    "cp932": _as_japanese,
    "gb18030": _as_chinese,
}
