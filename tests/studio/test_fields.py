"""Every field of every request: what it refuses, and that the refusal names it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import fields as dataclass_fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen.composer import FIRST, Selection
from musicgen.composer.controls import Controls
from musicgen.composer.sampling import SamplingConfig
from musicgen.errors import FieldError
from musicgen.studio import Settings, requests
from musicgen.studio.fields import Field, FieldGroup
from tests.studio_client import GROUPS, Client, running

DEEP: Any = []
for _ in range(50):
    DEEP = [DEEP]
# What no field takes.
NEVER = [None, {}, [], [[]], DEEP, {"a": 1}, [1, 2, 3], [None, None], [-1, 0], ["a", "b"], [0.5, 1]]
ODD = [
    *("", " ", "\t\n", "\x00", "a\x1b[2Jb", "\ud800", "\u202e", "x" * 10**6, "x\ny"),
    *(True, False, -1, 0.5, 1e300, -1e300, float("nan"), float("inf"), -float("inf")),
    *(2**53, 10**500, -(10**500), "5", "NaN", "null"),
]
NUMBERS = ("integer", "number")


def every_field(group: FieldGroup, where: str = "") -> list[tuple[str, Field]]:
    found = []
    for one in group.fields:
        name = f"{where}.{one.name}" if where else one.name
        found += [(name, one)] if one.group is None else every_field(one.group, name)
    return found


ALL = [(path, name, one) for path, group in GROUPS.items() for name, one in every_field(group)]


def refused_values(one: Field) -> list[Any]:
    """At least twenty values that this field cannot take."""
    texts = [v for v in ODD if isinstance(v, str)]
    others = [v for v in ODD if not isinstance(v, str)]
    match one.kind:
        case "integer" | "number":
            assert one.minimum is not None
            assert one.maximum is not None
            beyond = [one.minimum - 1, one.maximum + 1, 10**500, float("nan"), float("inf")]
            return [*NEVER, *texts, True, False, *beyond, *([0.5] if one.kind == "integer" else [])]
        case "flag":
            return [*NEVER, *texts, 0, 1, 0.0, 1.0]
        case "place":
            never = [v for v in NEVER if v is not None]
            return [None, *never, *ODD, [0], [0, 10**9], [True, 0], [0, float("nan")]]
        case "bars":
            unprintable = [t for t in texts if not t.isprintable() or not t.strip()]
            return [*NEVER, *unprintable, "x" * 10**6, True, -1, 0, 10**500, 0.5, float("nan")]
        case "music":
            return [*NEVER, *others, "", " ", "\t\n", "\ud800", "x" * 10**6]
        case "choice":
            return [*NEVER, *ODD]
    unprintable = [text for text in texts if not text.isprintable() or not text.strip()]
    too_long = ["x" * (one.longest + 1)]
    return [*NEVER, *others, *unprintable, *too_long]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with running(Settings(port=0, warm=False)) as server:
        yield Client(server.port)


@pytest.mark.parametrize(("path", "name", "one"), ALL, ids=[f"{p}:{n}" for p, n, _ in ALL])
def test_a_field_refuses_twenty_bad_values_and_is_named(
    client: Client, path: str, name: str, one: Field
) -> None:
    sent = 0
    for value in refused_values(one):
        request = request_with(path, name, value)
        with pytest.raises(FieldError) as error:
            GROUPS[path].read(request)
        said = str(error.value)
        assert error.value.field == name, value
        assert name.rpartition(".")[2] in said
        assert said.isprintable()
        assert len(said) < 2000
        if isinstance(value, float) and not math.isfinite(value):
            continue  # JSON has no such number
        if isinstance(value, list) and any(v != v for v in value):
            continue
        answer = client.post(f"/api/{path}", **request)
        assert answer.status == 400
        assert answer.json == {"error": {"message": said, "field": name}}
        sent += 1
    assert sent >= 20


def request_with(path: str, name: str, value: Any) -> dict[str, Any]:
    """A request that is good but for the value of one field."""
    request: dict[str, Any] = {}
    inner = request
    *groups, last = name.split(".")
    for group in groups:
        inner = inner.setdefault(group, {})
    inner[last] = value
    for other in GROUPS[path].fields:
        if other.required and other.name not in request:
            request[other.name] = _good(other)
    return request


def _good(one: Field) -> Any:
    values = {"choice": one.choices[:1], "place": [[0, 0]], "data": ["QQ=="]}
    return next(iter(values.get(one.kind, ["X:1"])))


def test_a_field_that_is_unknown_or_missing_is_named() -> None:
    for request, field, said in (
        ({"kind": "generate", "sed": 1}, "sed", "sed: is no field; did you mean 'seed'?"),
        ({}, "kind", "kind: is missing"),
        ({"kind": "generate", "controls": {"Key": "D"}}, "controls.Key", "did you mean 'key'?"),
        ({"kind": "generate", "controls": []}, "controls", "a list is not an object"),
        ({"kind": "generate", "controls": None}, "controls", "controls: is null"),
        ({"kind": "generate", "a\x1b": 1}, "a\\x1b", "is no field"),
    ):
        with pytest.raises(FieldError) as error:
            requests.TAKES.read(request)
        assert error.value.field == field
        assert said in str(error.value)


@given(
    st.dictionaries(
        st.sampled_from(["kind", "seed", "number", "controls", "sampling", "abc", "bars", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=8), inner, max_size=3)
            ),
            max_leaves=8,
        ),
    )
)
@settings(max_examples=50, deadline=None)
def test_any_request_is_read_or_refused(request: dict[str, Any]) -> None:
    try:
        found = requests.TAKES.read(request)
    except FieldError:
        return
    assert found["kind"] in requests.KINDS
    json.dumps(found, allow_nan=False)


def test_the_fields_are_those_of_the_python_api() -> None:
    for group, known in (
        (requests.CONTROLS, Controls),
        (requests.SAMPLING, SamplingConfig),
        (requests.SELECTION, Selection),
    ):
        names = {field.name for field in dataclass_fields(known)} - {"max_tokens", "seed"}
        assert {one.name for one in group.fields} == names
    sampling = {one.name: one.default for one in requests.SAMPLING.fields}
    assert SamplingConfig(**sampling) == SamplingConfig()
    selection = {one.name: one.default for one in requests.SELECTION.fields}
    assert Selection(**selection) == FIRST


def test_defaults_are_filled_in() -> None:
    asked = requests.TAKES.read({"kind": "generate"})
    assert asked["seed"] == 0
    assert asked["number"] == 1
    assert asked["sampling"] == {"temperature": 0.95, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
    assert asked["controls"] == {"end_on_tonic": False, "max_repeats": 0, "motif_bars": "1-2"}
