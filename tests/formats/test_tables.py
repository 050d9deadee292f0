"""Tables with a column of ABC: every kind gives the same tunes; what is missing is said."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from musicgen import formats
from musicgen.corpus import load
from musicgen.corpus.sources import find_files, with_column
from musicgen.errors import CorpusError, ParseError
from musicgen.formats.abc_notation import to_abc
from musicgen.formats.tables import parse

# The columns of The Session's data dump.
ROWS: list[dict[str, str]] = [
    {
        "tune_id": str(n), "setting_id": str(100 + n), "name": f"Tune, The {n}", "type": "reel",
        "meter": "4/4", "mode": mode, "abc": f"|:{bar}|{bar}|{bar}|d4 D4:|\r\n|:{bar}|d4 D4:|",
        "date": "2020-01-01 00:00:00", "username": "someone",
    }
    for n, (mode, bar) in enumerate([("Dmajor", "DFAd fdAF"), ("Edorian", "EGBe gfed"),
                                     ("Gmixolydian", "GBdg fdcA")])
]  # fmt: skip


def columns() -> dict[str, list[str]]:
    return {name: [row[name] for row in ROWS] for name in ROWS[0]}


def as_csv(delimiter: str) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ROWS[0], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(ROWS)
    return text.getvalue().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    data = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), data)
    return data.getvalue()


TABLES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "list": (".json", lambda: json.dumps(ROWS).encode()),
    "list in an object": (".json", lambda: json.dumps({"about": "three", "tunes": ROWS}).encode()),
    "columns": (".json", lambda: json.dumps(columns()).encode()),
    "columns by index": (
        ".json",
        lambda: json.dumps({k: dict(enumerate(v)) for k, v in columns().items()}).encode(),
    ),
    "rows of a data set viewer": (
        ".json",
        lambda: json.dumps({"rows": [{"row_idx": 0, "row": row} for row in ROWS]}).encode(),
    ),
    "lines": (".jsonl", lambda: "\n".join(map(json.dumps, ROWS)).encode()),
    "comma": (".csv", lambda: as_csv(",")),
    "semicolon": (".csv", lambda: as_csv(";")),
    "tab": (".tsv", lambda: as_csv("\t")),
    "parquet": (".parquet", lambda: as_parquet(ROWS)),
}


@pytest.mark.parametrize("kind", TABLES)
def test_every_kind_of_table_gives_the_same_tunes(kind: str) -> None:
    suffix, content = TABLES[kind]
    reading = parse(content(), f"tunes{suffix}")
    assert not reading.rejected
    assert [(t.title, t.rhythm, str(t.key), str(t.meter)) for t in reading.tunes] == [
        ("Tune, The 0", "reel", "D major", "4/4"),
        ("Tune, The 1", "reel", "E dorian", "4/4"),
        ("Tune, The 2", "reel", "G mixolydian", "4/4"),
    ]
    assert [len(tune.bars) for tune in reading.tunes] == [6, 6, 6]
    assert [tune.source.line for tune in reading.tunes if tune.source] == [1, 2, 3]
    assert "L:1/8\n" in to_abc(reading.tunes[0])


WHOLE = "X:5\nT:Its Own\nL:1/4\nM:3/4\nK:Em\nEGB|e3|]"
BY_CONTENT = [
    {"id": "X", "about": "a reel", "melodie": WHOLE},
    {"id": "Y", "about": "", "melodie": WHOLE},
]


def test_abc_with_its_own_heading_keeps_it() -> None:
    rows = [
        {
            "control code": "S:1",
            "title": "No",
            "key": "C",
            "composer": "Anon.",
            "abc notation": WHOLE,
        }
    ]
    (tune,) = parse(json.dumps(rows).encode(), "irishman.json").tunes
    assert (tune.number, tune.title, str(tune.key), tune.composer) == (
        5,
        "Its Own",
        "E minor",
        "Anon.",
    )


def test_a_column_is_found_by_its_content_or_said() -> None:
    data = json.dumps(BY_CONTENT).encode()
    assert (
        len(parse(data, "a.json").tunes) == len(parse(data, "a.json", column="melodie").tunes) == 2
    )
    with pytest.raises(ParseError, match="no column 'abc'; it has id, about, melodie"):
        parse(data, "a.json", column="abc")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b'[{"loss": 1, "step": 2}]', "no column of ABC; it has loss, step; name one"),
        ("a.json", b"[]", "no column of ABC: it has no rows"),
        ("a.json", b'{"a": ', "is not JSON: "),
        ("a.jsonl", b'{"abc": "A|"}\nno', "is not JSON: .*"),
        ("a.csv", b"epoch,loss\n1,2\n", "no column of ABC; it has epoch, loss"),
        ("a.parquet", b"PAR1 no", "cannot be read as Parquet: "),
        ("a.json", b"[" * 100_000, "is not JSON: "),
    ],
)
def test_a_table_without_abc_is_refused_on_one_line(
    name: str, content: bytes, message: str
) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    with pytest.raises(ParseError, match=message) as caught:
        parse(content, name)
    assert "\n" not in str(caught.value)


def test_rows_without_abc_are_listed() -> None:
    rows = [*ROWS, {**ROWS[0], "abc": ""}, {**ROWS[0], "abc": "words alone"}]
    reading = parse(json.dumps(rows).encode(), "a.json")
    assert len(reading.tunes) == 3
    assert [(r.name, r.line) for r in reading.rejected] == [("Tune, The 0", 4), ("Tune, The 0", 5)]


def test_tables_are_corpora(tmp_path: Path) -> None:
    (tmp_path / "tunes.json").write_bytes(json.dumps(ROWS).encode())
    (tmp_path / "history.csv").write_text("epoch,loss\n1,2\n")  # no music
    corpus = load([str(tmp_path)])
    assert [entry.id for entry in corpus.entries] == [
        f"{tmp_path}/tunes.json:{n}" for n in (1, 2, 3)
    ]
    assert not corpus.rejected
    assert [entry.facts.title for entry, _ in corpus.tunes()] == [row["name"] for row in ROWS]


def test_the_column_of_a_corpus_is_part_of_its_source(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps([{"abc": "", "text": WHOLE}]).encode())
    with pytest.raises(CorpusError, match="no ABC in this row"):
        load([str(path)])
    (source,) = with_column([str(path)], "text")
    assert [file.column for file in find_files([source])] == ["text"]
    corpus = load([source])
    assert [tune.title for _, tune in corpus.tunes()] == ["Its Own"]


def test_tables_are_read_like_other_files(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ROWS[0]))
    (tune,) = formats.read(path)
    assert tune.title == "Tune, The 0"
    assert [t.title for t in formats.scan_each(path, column="abc") if hasattr(t, "title")] == [
        tune.title
    ]


def test_parquet_without_pyarrow_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from musicgen.formats.tables import parquet_to_json

    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ParseError, match=r"needs pyarrow; pip install 'musicgen\[parquet\]'"):
        parquet_to_json(b"")
