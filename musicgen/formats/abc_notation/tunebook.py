"""ABC files to tunes: where each tune begins and ends, and what could not be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from musicgen.errors import ParseError
from musicgen.formats.abc_notation.body import TuneReader
from musicgen.formats.abc_notation.header import INHERITED
from musicgen.formats.abc_notation.lines import SourceLine, is_field, is_prose
from musicgen.formats.abc_notation.markup import bounds
from musicgen.formats.abc_notation.text import decode_bytes
from musicgen.music.tune import FileContent, Reading, Rejected, Tune

_LINE = re.compile(r"([^\r\n]*)(\r\n|\r|\n|\Z)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_TITLE = re.compile(r"T:\s*(.*)")
_FIELD_LIKE = re.compile(r"\s*[A-Za-z+]:")
MAX_NAME = 80
MAX_LINES = 2_000_000
MAX_TUNES = 200_000


def parse(data: bytes, path: str = "") -> Reading:
    """All tunes of an ABC file.

    Raises:
        ParseError: it is not text.
    """
    return _reading(_read_each(decode_bytes(data, path), path, FileContent(data)))


def parse_each(data: bytes, path: str = "") -> Iterator[Tune | Rejected]:
    """The same one by one, in the order of the file.

    Raises:
        ParseError: it is not text.
    """
    return _read_each(decode_bytes(data, path), path, FileContent(data))


def parse_text(text: str, path: str = "") -> Reading:
    """All tunes of ABC text; a tune that cannot be read is among the rejected.

    Control characters count as blanks.
    """
    return _reading(_read_each(text, path))


def _reading(each: Iterator[Tune | Rejected]) -> Reading:
    items = list(each)
    return Reading(
        tuple(item for item in items if isinstance(item, Tune)),
        tuple(item for item in items if isinstance(item, Rejected)),
    )


def without_controls(text: str) -> str:
    """The text with blanks for control characters, as tunes have it as their source."""
    return _CONTROL.sub(" ", text)


def _read_each(text: str, path: str, file: FileContent | None = None) -> Iterator[Tune | Rejected]:
    if text.count("\n") + text.count("\r") > MAX_LINES:
        raise ParseError(f"has more than {MAX_LINES} lines; split it", path=path or None)
    text = without_controls(text)
    lines = [_source_line(n, m) for n, m in enumerate(_LINE.finditer(text), 1)]
    defaults: list[tuple[str, str]] = []
    places = _find_tunes(lines, defaults)
    if len(places) > MAX_TUNES:
        raise ParseError(f"holds more than {MAX_TUNES} tunes; split it", path=path or None)
    for first, last in places:
        chosen = lines[first:last]
        if len(chosen) == 1:
            yield Rejected(_name(chosen), "has no music; write some after K:", chosen[0].number)
            continue
        start, end = chosen[0].offset, chosen[-1].offset + len(chosen[-1].text)
        moved = [SourceLine(line.number, line.offset - start, line.text) for line in chosen]
        try:
            tune = TuneReader(path, defaults).read(moved, text[start:end])
        except ParseError as error:
            yield Rejected(_name(chosen), error.what, error.line or chosen[0].number)
            continue
        if file is not None and tune.source is not None:
            file.lines.append(tune.source.line)
            tune = tune.read_from(replace(tune.source, file=file))
        yield tune


def _source_line(number: int, match: re.Match[str]) -> SourceLine:
    start, end = bounds(match[1])
    return SourceLine(number, match.start() + start, match[1][start:end])


def _name(lines: list[SourceLine]) -> str:
    titles = (match[1].strip() for line in lines[:50] if (match := _TITLE.match(line.text)))
    return next(filter(None, titles), lines[0].text[:MAX_NAME].strip())[:MAX_NAME]


def _find_tunes(lines: list[SourceLine], defaults: list[tuple[str, str]]) -> list[tuple[int, int]]:
    """First and past-the-last line of each tune; fields before the first go to `defaults`."""
    places: list[tuple[int, int]] = []
    number = 0
    while number < len(lines):
        text = lines[number].text
        if text.startswith("X:") or (text[:2] in _WITHOUT_NUMBER and _is_heading(lines, number)):
            places.append((number, _end_of_tune(lines, number)))
            number = places[-1][1]
            continue
        if not places and is_field(text) and text[0] in INHERITED:
            defaults.append((text[0], text[2:]))
        number += 1
    return places


_WITHOUT_NUMBER = ("T:", "M:", "L:", "K:", "R:", "C:", "Q:")


def _is_heading(lines: list[SourceLine], number: int) -> bool:
    """Whether a tune without X: begins here: fields up to K: and then a line of music."""
    seen_key = False
    for line in lines[number : number + 200]:
        text = line.text
        if text.startswith("X:"):
            return False
        if text.startswith("%"):
            continue
        if _FIELD_LIKE.match(text) and is_field(text.lstrip()):
            seen_key = seen_key or text.lstrip().startswith("K:")
        else:
            return seen_key and bool(text.strip()) and not is_prose(text)
    return False


def _end_of_tune(lines: list[SourceLine], first: int) -> int:
    """The line after a tune's last: at the next X:, or at a blank line that no music follows."""
    number, last, in_body = first + 1, first + 1, lines[first].text.startswith("K:")
    numbered = lines[first].text.startswith("X:")
    block = ""
    while number < len(lines):
        text = lines[number].text
        if text.startswith("X:"):
            break
        if block:
            block = "" if text.removeprefix("%%").lstrip().startswith(block) else block
            last = number = number + 1
            continue
        if text.startswith("%%begin"):
            block = "end" + text[7:].split()[0] if text[7:].split() else ""
        if not text.strip():
            rest = range(number, len(lines))  # of which blank lines and comments do not count
            following = next((n for n in rest if not _is_idle(lines[n].text)), None)
            if following is None or not _continues(lines[following].text, in_body=in_body):
                break
            if not numbered and in_body and _is_heading(lines, following):
                break  # tunes without X: are parted by blank lines (2.2)
            number = following
            continue
        in_body = in_body or text.startswith("K:")
        last = number = number + 1
    while last > first + 1 and _is_idle(lines[last - 1].text):
        last -= 1
    return last


def _is_idle(text: str) -> bool:
    return not text.strip() or (text.startswith("%") and not text.startswith("%%"))


def _continues(text: str, *, in_body: bool) -> bool:
    """Whether a line after a blank one still belongs to the tune."""
    if text.startswith(("X:", "%%")):
        return False
    if is_field(text):
        return not in_body or text[0] in "wWVKMLQP"
    return "|" in text and not is_prose(text)
