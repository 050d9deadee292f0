"""Messages of the exception tree."""

from __future__ import annotations

import pytest

from musicgen import errors
from musicgen.errors import MusicgenError, ParseError, locate, printable


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({}, "no key"),
        ({"path": "a.abc"}, "a.abc: no key"),
        ({"path": "a.abc", "line": 3}, "a.abc:3: no key"),
        ({"path": "a.abc", "line": 3, "column": 7}, "a.abc:3:7: no key"),
        ({"line": 3}, "line 3: no key"),
        ({"line": 3, "column": 7}, "line 3:7: no key"),
        ({"column": 7}, "no key"),
    ],
)
def test_a_message_starts_with_what_is_known_of_its_place(
    place: dict[str, str | int], message: str
) -> None:
    assert locate("no key", **place) == message  # type: ignore[arg-type]


def test_a_parse_error_keeps_its_parts() -> None:
    error = ParseError("no key", path="a.abc", line=3)
    assert (error.what, error.path, error.line, error.column) == ("no key", "a.abc", 3, 0)


def test_control_characters_cannot_reach_the_terminal() -> None:
    assert printable("a\x1b[2J\nb\u202e") == "a\\x1b[2J\\nb\\u202e"
    assert str(ParseError("bad '\x07'", path="x\n.abc")) == "x\\n.abc: bad '\\x07'"


def test_printable_text_of_any_language_is_left_alone() -> None:
    assert printable("Ó Raghallaigh — 桜") == "Ó Raghallaigh — 桜"


def test_every_exception_is_drawn_in_the_tree_and_caught_as_one() -> None:
    kinds = [v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, Exception)]
    assert all(issubclass(kind, MusicgenError) for kind in kinds)
    assert errors.__doc__ is not None
    assert all(kind.__name__ in errors.__doc__ for kind in kinds)
