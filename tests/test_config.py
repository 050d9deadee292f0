"""Configuration: dataclasses to JSON and back, overrides, advice."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicgen.config import from_dict, override, to_dict
from musicgen.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Inner:
    n_layers: int = 2
    kind: Literal["rnn", "lstm"] = "lstm"
    sizes: tuple[int, ...] = (1, 2)


@dataclass(frozen=True, kw_only=True)
class Outer:
    model: Inner = field(default_factory=Inner)
    rate: float = 0.5
    minutes: float | None = None
    deep: bool = False
    name: str = "x"


@dataclass(frozen=True, kw_only=True)
class Needy:
    needed: int


CONFIGS = st.builds(
    Outer,
    model=st.builds(
        Inner,
        n_layers=st.integers(),
        kind=st.sampled_from(["rnn", "lstm"]),
        sizes=st.lists(st.integers(), max_size=3).map(tuple),
    ),
    rate=st.floats(allow_nan=False, allow_infinity=False),
    minutes=st.none() | st.floats(0, 9),
    deep=st.booleans(),
    name=st.text(),
)


@given(config=CONFIGS)
def test_json_and_back(config: Outer) -> None:
    assert from_dict(Outer, json.loads(json.dumps(to_dict(config)))) == config


def test_what_is_left_out_takes_its_default() -> None:
    assert from_dict(Outer, {"model": {"n_layers": 5}}) == Outer(model=Inner(n_layers=5))


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("model.n_layers=6", Outer(model=Inner(n_layers=6))),
        ("model.kind=rnn", Outer(model=Inner(kind="rnn"))),
        ("model.sizes=4, 8", Outer(model=Inner(sizes=(4, 8)))),
        ("model.sizes=", Outer(model=Inner(sizes=()))),
        ("rate=1e-3", Outer(rate=0.001)),
        ("rate=2", Outer(rate=2.0)),
        ("minutes=0", Outer(minutes=0.0)),
        ("minutes=none", Outer()),
        ("deep=yes", Outer(deep=True)),
        (" name = a=b ", Outer(name="a=b")),
        ("name=7", Outer(name="7")),
    ],
)
def test_an_override_has_the_type_of_its_field(assignment: str, expected: Outer) -> None:
    assert override(Outer(), assignment) == expected


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("model.n_layer=6", "model.n_layer: unknown setting; did you mean 'n_layers'?"),
        ("zzz=6", "zzz: unknown setting; use one of: model, rate, minutes, deep, name"),
        ("model.kind=lsmt", "model.kind: unknown value 'lsmt'; did you mean 'lstm'?"),
        ("model.n_layers=six", "model.n_layers: 'six' is not a whole number"),
        ("model.n_layers=6.0", "model.n_layers: 6.0 is not a whole number"),
        ("model.sizes=1,x", "model.sizes[1]: 'x' is not a whole number"),
        ("rate=NaN", "rate: nan is not a finite number"),
        ("rate=true", "rate: True is not a finite number"),
        ("deep=maybe", "deep: 'maybe' is not true or false"),
        ("model=3", "model: is a group of settings; set one of them, as model.n_layers=..."),
        ("rate.x=3", "rate: is a single setting, without '.x'"),
        ("rate", "'rate': is not an assignment; write NAME=VALUE"),
        ("=3", "'=3': is not an assignment; write NAME=VALUE"),
    ],
)
def test_a_wrong_override_is_explained(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override(Outer(), assignment)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"modle": {}}, "modle: unknown setting; did you mean 'model'?"),
        ({"model": {"n_layers": True}}, "model.n_layers: True is not a whole number"),
        ({"model": {"sizes": 3}}, "model.sizes: 3 is not a list"),
        ({"model": 3}, "model: 3 is not a group of settings"),
        ({"name": None}, "name: None is not text"),
        ([], "Outer: [] is not a group of settings"),
        ({"name": ["long"] * 99}, "name: ['long', 'long', 'long', 'long', 'lon... is not text"),
    ],
)
def test_wrong_data_is_explained(data: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(Outer, data)
    assert str(caught.value) == message


def test_a_required_setting_left_out_is_named() -> None:
    with pytest.raises(ConfigError, match="needed: is missing; give it a value"):
        from_dict(Needy, {})
