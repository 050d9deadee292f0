"""The reader of JSON: what it refuses, and that a message says where."""

from __future__ import annotations

from typing import Any

import pytest

from musicgen.errors import CorpusError
from musicgen.system.json_content import MAX_DEPTH, JsonContent, parse_json


@pytest.mark.parametrize("value", [[], {"a": [1, -2.5, None, True, "x"]}, 2**64 - 1, "é", 1e308])
def test_json_is_read(value: Any) -> None:
    import json

    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 1e400]", "[1]: a number out of range"),
        (f'{{"a": {{"b": [1, {10**400}]}}}}', "[a][b][1]: a number out of range"),
        (f"[{'9' * 100_000}]", "[0]: a number out of range"),
        (str(2**64), "it: a number out of range"),
        ('{"a": NaN}', "[a]: a number out of range"),
        ("[-Infinity]", "[0]: a number out of range"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "it is nested more than 64 deep"),
        ("[" * 100_000, "it is nested more than 64 deep"),
        ('{"a": 1, "b": 2, "a": 3}', "[a]: twice in one object"),
        ("", "it is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"\xff", "it is not JSON: other bytes than those of UTF-8"),
    ],
    ids=range(11),
)
def test_what_is_refused_is_named(text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_json(text)
    assert str(caught.value) == message


def _size_of(text: str) -> int:
    with JsonContent(text, "a.json", raises=CorpusError, advice="make it again") as content:
        if content["size"] < 0:
            raise ValueError("[size]: negative")
        return len(content["size"])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{}", "it lacks [size]"),
        ('{"size": -1}', "[size]: negative"),
        ('{"size": 1}', "it holds something else than it should"),
        ("[1e999]", "[0]: a number out of range"),
    ],
)
def test_errors_of_the_content_name_file_and_field(text: str, what: str) -> None:
    with pytest.raises(CorpusError) as caught:
        _size_of(text)
    assert str(caught.value) == f"a.json: cannot be read: {what}; make it again"
