"""Remnants of HTML in ABC text, such as of a page it was copied from: tags and entities."""

from __future__ import annotations

import html
import re

# Names of tags that cannot be notes between signs of broken rhythm, as in "A<b>c".
_NAMES = (
    "blockquote|body|br|center|code|div|em|font|h[1-6]|head|hr|html|i|img|li|link|meta|ol|p|pre|"
    "script|small|span|strong|style|sub|sup|s|table|tbody|td|th|title|tr|tt|u|ul"
)
_ATTRIBUTES = r"\s+[a-z-]+\s*=[^<>]*"
_TAG = rf"<(?:/(?:{_NAMES}|a)|(?:{_NAMES})(?:{_ATTRIBUTES})?|a{_ATTRIBUTES}|!--[^<>]*--)\s*/?>"
_ENTITY = r"&(?:[a-z]{2,8}|#\d{2,5}|#x[0-9a-f]{2,4});"
_AROUND = re.compile(rf"(?:\s*(?:{_TAG}|&nbsp;))+\s*", re.IGNORECASE)
_AT_END = re.compile(rf"{_AROUND.pattern}\Z", re.IGNORECASE)
# Text in quotes has its own escapes (8.2), and so have inline fields.
_WITHIN = re.compile(rf'("[^"]*"|\[[A-Za-z]:[^\]]*\])|({_TAG}|&nbsp;)|({_ENTITY})', re.IGNORECASE)


def has_markup(text: str) -> bool:
    """Whether a text holds a tag, or a blank as HTML writes it."""
    return ("<" in text or "&nbsp;" in text) and _AROUND.search(text) is not None


def bounds(line: str) -> tuple[int, int]:
    """First and past-the-last character of a line without the tags around it."""
    if "<" not in line and "&nbsp;" not in line:
        return 0, len(line)
    before, after = _AROUND.match(line), _AT_END.search(line)
    start = before.end() if before else 0
    return start, max(start, after.start() if after else len(line))


def without_markup(line: str) -> tuple[str, list[int] | None]:
    """A line of music with a blank for every tag and the characters of entities, and the source
    column of each of its characters (one more than characters; None: nothing was replaced)."""
    if "<" not in line and "&" not in line:
        return line, None
    pieces: list[str] = []
    columns: list[int] = []
    position = 0
    for match in _WITHIN.finditer(line):
        if match[1]:
            continue
        new = " " if match[2] else html.unescape(match[3])
        pieces += [line[position : match.start()], new]
        columns += [*range(position, match.start()), *[match.start()] * len(new)]
        position = match.end()
    if not position:
        return line, None
    pieces.append(line[position:])
    return "".join(pieces), [*columns, *range(position, len(line) + 1)]
