r"""Text of ABC fields: bytes to characters, and the standard's escapes both ways.

ABC 2.1, section 8.2: `\'e` and `&eacute;` are an e acute, `\u00e9` too; `\%`, `\&` and `\\` stand
for the character itself.
"""

from __future__ import annotations

import codecs
import html
import re
import unicodedata

from musicgen.errors import ParseError
from musicgen.system.files import decode

_ACCENTS = {
    "`": "\u0300",
    "'": "\u0301",
    "^": "\u0302",
    "~": "\u0303",
    '"': "\u0308",
    "c": "\u0327",
    "v": "\u030c",
    "u": "\u0306",
    "H": "\u030b",
    "r": "\u030a",
}
_LIGATURES = {
    "/O": "Ø", "/o": "ø", "AA": "Å", "aa": "å", "AE": "Æ", "ae": "æ", "OE": "Œ", "oe": "œ",
    "ss": "ß", "DH": "Ð", "dh": "ð", "TH": "Þ", "th": "þ",
}  # fmt: skip
_ESCAPE = re.compile(
    r"\\u([0-9a-fA-F]{4})|\\(/O|/o|AA|aa|AE|ae|OE|oe|ss|DH|dh|TH|th)"
    r"|\\([`'^~\"cvuHr])([A-Za-z])|\\([%&\\])|(&(?:[A-Za-z]{2,8}|#\d{2,5});)"
)
_NOT_TEXT = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_LINE_ENDS = re.compile(r"[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")


def decode_bytes(data: bytes, path: str = "") -> str:
    """Characters of a file: UTF-16 by its mark, else the first of UTF-8, Windows-1252 and Latin-1
    that fits.

    Raises:
        ParseError: it is not text.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = data.decode("utf-16", errors="replace")
    else:
        text = decode(data, "utf-8-sig", "cp1252", "latin-1")
    sample = text[:65536]
    if "\0" in sample or len(_NOT_TEXT.findall(sample)) * 20 > len(sample):
        raise ParseError("is not text; is it really an ABC file?", path=path or None)
    return text


def decode_text(text: str) -> str:
    """Content of a text field with its escapes resolved."""
    text = text.strip() if text.isprintable() else one_line(text)
    return _ESCAPE.sub(_unescape, text).strip() if "\\" in text or "&" in text else text


def _unescape(match: re.Match[str]) -> str:
    code, ligature, accent, letter, plain, entity = match.groups()
    if ligature:
        return _LIGATURES[ligature]
    if plain:
        return str(plain)
    if accent:
        composed = unicodedata.normalize("NFC", letter + _ACCENTS[accent])
        return composed if len(composed) == 1 else match[0]
    char = chr(int(code, 16)) if code else html.unescape(entity).replace("\xa0", " ")
    return char if char.isprintable() else match[0]


def encode_text(text: str) -> str:
    """A field's content on one line; `decode_text` of it gives the text back."""
    text = one_line(text).replace("\\", "\\\\").replace("%", "\\%")
    return re.sub(r"&(?=[A-Za-z#])", r"\\&", text)


def quote(text: str) -> str:
    """Text in double quotes, as annotations have it."""
    return f'"{encode_text(text).replace(chr(34), "&quot;")}"'


def one_line(text: str) -> str:
    """Text without line ends or control characters, so that it cannot start another field."""
    text = _LINE_ENDS.sub(" ", text)
    return _NOT_TEXT.sub("", text).replace("\x1b", "").strip()
