"""Tables with a column of ABC, as data sets have them: JSON, JSON Lines, CSV, TSV, Parquet.

    scan("tunes.json")                    # the dump of The Session: name, type, meter, mode, abc
    scan("train.parquet", column="text")  # where no column is named so that its meaning is known

Every row is a tune. A heading field that its ABC lacks comes from the column of that meaning; where
both lack a unit note length, it is an eighth note. The `line` of a tune is its row, from 1.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, count, islice
from typing import Any

from musicgen.errors import ParseError, printable
from musicgen.formats.abc_notation.text import decode_bytes, one_line
from musicgen.formats.abc_notation.tunebook import parse_text
from musicgen.music.tune import Reading, Rejected, Tune
from musicgen.system import sandbox

Row = Mapping[str, Any]

# Names of the column with the ABC, in order of preference, as `_folded` has them.
ABC_NAMES = ("abc", "abc notation", "abcnotation", "notation", "abc text", "tune abc")
# Names of the columns with heading fields, in the order of a heading.
FIELD_NAMES = {
    "T": ("title", "name", "tune name"),
    "C": ("composer",),
    "R": ("rhythm", "type", "dance", "tune type"),
    "M": ("meter", "metre", "time signature"),
    "L": ("unit note length", "default note length", "unit"),
    "K": ("key", "mode", "key signature"),
}
_LOOKED_AT = 100  # rows, to find the column
_FIELD = re.compile(r"^([A-Za-z]):", re.MULTILINE)
_LOOKS_LIKE_ABC = re.compile(r"^[XK]:\s*\w|[A-Ga-gz][\d/,']*\s*:?\|", re.MULTILINE)
_NO_ABC = "no column of ABC"


def parse(data: bytes, path: str = "", *, column: str = "") -> Reading:
    """All tunes of a table; `column` names the one with the ABC.

    Raises:
        ParseError: it is no such table, or has no such column; a missing library.
    """
    items = list(parse_each(data, path, column=column))
    return Reading(
        tuple(item for item in items if isinstance(item, Tune)),
        tuple(item for item in items if isinstance(item, Rejected)),
    )


def parse_each(data: bytes, path: str = "", *, column: str = "") -> Iterator[Tune | Rejected]:
    """The same row by row.

    Raises:
        ParseError: as `parse`.
    """
    with _located(path):
        rows = _rows(data)
        first = list(islice(rows, _LOOKED_AT))
        columns = _columns(first, column)
    return _tunes(chain(first, rows), columns, path)


def rows_of(data: bytes, path: str = "") -> list[Row]:
    """All rows of a table, whatever its columns hold, by the names of the columns.

    Raises:
        ParseError: it is no such table.
    """
    with _located(path):
        return list(_rows(data))


@contextmanager
def _located(path: str) -> Iterator[None]:
    try:
        yield
    except ParseError as error:
        what = getattr(error, "what", str(error))  # not of an error from the sandbox
        raise ParseError(what, path=path or None, line=getattr(error, "line", 0)) from None


def holds_abc(data: bytes) -> bool:
    """Whether the beginning and end of a file of this kind mention ABC, to tell it from the others
    in a folder."""
    return re.search(rb"\babc\b|abc[ _]?notation|\\nK:|\nK:", data, re.IGNORECASE) is not None


# --- rows -----------------------------------------------------------------------------------


def _rows(data: bytes) -> Iterator[Row]:
    """The rows of a table, whose kind its first characters tell."""
    if data.startswith(b"PAR1"):
        answer = sandbox.run(f"{__name__}:parquet_to_json", data, what="the reader of Parquet")
        return _json_lines(answer.decode())
    text = decode_bytes(data)
    return _json_rows(text) if text.lstrip()[:1] in ("[", "{") else _csv_rows(text)


def _json_rows(text: str) -> Iterator[Row]:
    """Objects of a list, wherever in the document it is; or columns that are lists or objects; or
    an object a line."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return _json_lines(text)
        raise ParseError(f"is not JSON: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ParseError(f"is not JSON: {error}") from None
    if isinstance(value, dict):
        value = _rows_in(value)
    rows = value if isinstance(value, list) else []
    return (row.get("row", row) for row in rows if isinstance(row, dict))


def _rows_in(value: dict[str, Any]) -> list[Any]:
    """The longest list of rows in an object; or its columns as rows; or itself as the only row."""
    columns = list(value.values())
    lists = [column for column in columns if isinstance(column, list)]
    tables = [rows for rows in lists if any(isinstance(row, dict) for row in rows)]
    if tables:
        return max(tables, key=len)
    if columns and all(isinstance(column, dict) for column in columns):
        return [{k: column.get(n) for k, column in value.items()} for n in columns[0]]
    if columns and len(lists) == len(columns):
        return [dict(zip(value, row, strict=True)) for row in zip(*lists, strict=False)]
    return [value]


def _json_lines(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ParseError(f"is not JSON: {error}", line=number) from None
            yield row if isinstance(row, dict) else {}


def _csv_rows(text: str) -> Iterator[Row]:
    heading = text.split("\n", 1)[0]
    separator = max(",;\t", key=heading.count)
    try:
        lines = io.StringIO(text.replace("\0", ""), newline="")
        yield from csv.DictReader(lines, delimiter=separator)
    except csv.Error as error:
        raise ParseError(f"is not CSV: {error}") from None


def parquet_to_json(data: bytes) -> bytes:
    """The columns of text and numbers of a Parquet file, as JSON Lines.

    Raises:
        ParseError: it cannot be read, or pyarrow is missing.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        advice = "needs pyarrow; pip install 'musicgen[parquet]'"
        raise ParseError(f"{advice}, or save it as CSV or JSON") from None
    pyarrow.set_cpu_count(1)
    try:
        file = pyarrow.parquet.ParquetFile(io.BytesIO(data))
        batches = [batch.to_pylist() for batch in file.iter_batches(use_threads=False)]
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise ParseError(f"cannot be read as Parquet: {printable(str(error))[:200]}") from None
    return b"\n".join(json.dumps(row, default=str).encode() for rows in batches for row in rows)


# --- tunes ----------------------------------------------------------------------------------


def _folded(name: str) -> str:
    return re.sub(r"[\W_]+", " ", name).strip().lower()


def _columns(rows: list[Row], column: str) -> dict[str, str]:
    """The column of each heading field, by its letter, and with "" the one of the ABC.

    Raises:
        ParseError: there is no column with ABC.
    """
    names = list(dict.fromkeys(str(name) for row in rows for name in row if name))
    if not rows:
        raise ParseError(f"{_NO_ABC}: it has no rows")
    if column and column not in names:
        raise ParseError(f"no column '{printable(column)}'; it has {printable(', '.join(names))}")
    by_name = {_folded(name): name for name in reversed(names)}
    looks = {name: sum(looks_like_abc(row.get(name)) for row in rows) for name in names}
    if any(map(looks_like_abc, names)):
        raise ParseError(f"{_NO_ABC}, but ABC itself")
    best = max(looks, key=lambda name: looks[name])
    named = next((by_name[name] for name in ABC_NAMES if name in by_name), None)
    abc = column or named or (best if looks[best] else "")
    if not abc:
        listed = printable(", ".join(names))[:200]
        raise ParseError(f"{_NO_ABC}; it has {listed}; name one with --column")
    fields = {
        letter: next((by_name[name] for name in known if name in by_name), "")
        for letter, known in FIELD_NAMES.items()
    }
    return {"": abc} | {letter: name for letter, name in fields.items() if name not in ("", abc)}


def looks_like_abc(value: Any) -> bool:
    """Whether a cell holds a heading or bars of ABC."""
    return isinstance(value, str) and _LOOKS_LIKE_ABC.search(value) is not None


def _tunes(rows: Iterable[Row], columns: Mapping[str, str], path: str) -> Iterator[Tune | Rejected]:
    rows = iter(rows)
    for number in count(1):
        with _located(path):
            row = next(rows, None)
        if row is None:
            return
        fields = {letter: one_line(str(row.get(name) or "")) for letter, name in columns.items()}
        text = row.get(columns[""])
        if not isinstance(text, str) or not text.strip():
            yield Rejected(fields.get("T", ""), "no ABC in this row", number)
            continue
        reading = parse_text(_with_heading(text, fields, number), path)
        for rejected in reading.rejected:
            yield replace(rejected, line=number)
        for tune in reading.tunes:
            assert tune.source is not None
            warnings = tuple(replace(w, line=number, column=0) for w in tune.warnings)
            yield replace(tune, source=replace(tune.source, line=number), warnings=warnings)
        if not reading.tunes and not reading.rejected:
            yield Rejected(fields.get("T", ""), "no ABC in this row", number)


def _with_heading(text: str, fields: Mapping[str, str], number: int) -> str:
    """The ABC of a row with the heading fields that it lacks."""
    text = text.strip()
    present = set(_FIELD.findall(text))
    lacking = {x: fields[x] for x in FIELD_NAMES if fields.get(x) and x not in present}
    if "K" not in present:
        if "L" not in present:
            lacking.setdefault("L", "1/8")
        lacking["K"] = lacking.pop("K", "none")  # it ends a heading
    first, rest = f"X:{number}", text
    if "X" in present and text.startswith("X:"):
        first, _, rest = text.partition("\n")
    return "\n".join([first, *(f"{letter}:{value}" for letter, value in lacking.items()), rest])
