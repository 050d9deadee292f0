"""Text files as documents: the tunes of an ABC file, the paragraphs of a book.

    for line, text in documents(decoded(data, place)): ...

Blank lines divide. A block that begins with `X:` is a document of its own; other blocks follow one
another, blank line and all, until there is enough for a network to read on in. A text that is too
short, or too much alike, for documents in every split is cut into `PIECES` instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from musicgen.errors import ParseError
from musicgen.formats.abc_notation.text import decode_bytes
from musicgen.formats.tables import rows_of
from musicgen.music.similarity.families import SHINGLE_INTERVALS, Shingles, interval_runs
from musicgen.system.files import read_bytes

# Characters. Paragraphs are joined up to the first bound; what is longer than the second is cut,
# at a line's end where there is one: matches are looked for in time that grows with its square.
JOINED, LONGEST = 512, 2048
PIECES = 20  # of a file whose documents are too few
FEWEST_CHARACTERS = 2  # to train on: one, and one to validate with


def read_text(path: Path) -> str:
    """The characters of a text file; see `decoded`.

    Raises:
        ParseError: it cannot be read, or is not text.
    """
    return decoded(read_bytes(path), str(path))


def decoded(data: bytes, place: str) -> str:
    """The characters of a text file, with newlines as line ends.

    Raises:
        ParseError: it is not text.
    """
    try:
        text = decode_bytes(data)
    except ParseError:
        raise ParseError("is not text", path=place) from None
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def read_documents(
    data: bytes, place: str, *, column: str = "", cut: bool = False
) -> list[tuple[str, str]]:
    """The documents of the content of a text file, its pieces with `cut`, or the texts in a column
    of a table, each with its place: the line or row, with a number where one line has several.

    Raises:
        ParseError: it is not text, or has no such column.
    """
    if column:
        return list(places(cells(data, place, column)))
    text = decoded(data, place)
    return list(places(pieces(text) if cut else documents(text)))


def cells(data: bytes, place: str, column: str) -> Iterator[tuple[int, str]]:
    """The texts in a column of a table, each with its row, from 1.

    Raises:
        ParseError: it is no table, or has no such column.
    """
    rows = rows_of(data, place)
    if not any(column in row for row in rows):
        raise ParseError(f"has no column '{column}'", path=place)
    for number, row in enumerate(rows, 1):
        text = str(row.get(column) or "").replace("\0", "").strip()
        if text:
            yield number, text


def documents(text: str) -> Iterator[tuple[int, str]]:
    """Each document with the line, from 1, that it begins at; without blank lines around it."""
    start, joined = 1, ""
    for line, block in _blocks(text):
        is_tune = block.startswith("X:")
        if joined and (is_tune or len(joined) >= JOINED):
            yield from _cut(start, joined)
            joined = ""
        if is_tune:
            yield from _cut(line, block)
        elif joined:
            joined += "\n\n" + block
        else:
            start, joined = line, block
    if joined:
        yield from _cut(start, joined)


def pieces(text: str) -> Iterator[tuple[int, str]]:
    """The text in `PIECES` of about the same length, or more where it is long, each with its line;
    cut at line ends or blanks where it can be."""
    bare = text.strip()
    first = 1 + text[: text.find(bare)].count("\n")
    yield from _cut(first, bare, min(LONGEST, -(-len(bare) // PIECES)))


def places(documents: Iterable[tuple[int, str]]) -> Iterator[tuple[str, str]]:
    """Documents with their lines as texts, numbered where one line has several."""
    seen: Counter[int] = Counter()
    for line, document in documents:
        seen[line] += 1
        yield f"{line}#{seen[line]}" if seen[line] > 1 else str(line), document


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """Runs of lines that are not blank, each with the number of its first."""
    block: list[str] = []
    number = 0
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            block.append(line)
        elif block:
            yield number - len(block), "\n".join(block)
            block = []
    if block:
        yield number - len(block) + 1, "\n".join(block)


def _cut(line: int, text: str, longest: int = LONGEST) -> Iterator[tuple[int, str]]:
    start = 0
    while len(text) - start > longest:
        least, most = start + 1, start + longest
        end = text.rfind("\n", least, most) + 1 or text.rfind(" ", least, most) + 1 or most
        yield line, text[start:end]
        line += text.count("\n", start, end)
        start = end
    if text[start:].strip():
        yield line, text[start:]


def text_shingles(text: str) -> Shingles:
    """The set of runs of eight bytes of a text, in ascending order; blanks count as one each."""
    data = np.frombuffer(" ".join(text.split()).encode("utf-8", "replace"), np.uint8)
    if len(data) < SHINGLE_INTERVALS:
        return np.array([int.from_bytes(data.tobytes().ljust(SHINGLE_INTERVALS, b"\0"))], np.uint64)
    return np.unique(interval_runs(data, SHINGLE_INTERVALS))
