"""The description of the studio's HTTP interface: true to every route, answer and refusal."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from starlette.routing import Route

from musicgen.studio import Settings
from musicgen.studio.access import AccessCheck
from musicgen.studio.app import build
from musicgen.studio.pools import Pools
from tests.studio_client import (
    DOCUMENT,
    GROUPS,
    JIG,
    JSON,
    Client,
    operation,
    require_described,
    running,
)

BOOK = JIG + "\nX:2\nT:Broken\n"
GOOD: list[tuple[str, dict[str, Any]]] = [
    ("takes", {"kind": "generate", "seed": 3, "controls": {"bars": 8}}),
    ("takes", {"kind": "infill", "abc": JIG, "bars": "3", "number": 2, "size": 90}),
    ("takes", {"kind": "continue", "abc": JIG.replace("AGF G2:|", "AGF"), "bars": 12}),
    ("takes", {"kind": "vary", "abc": JIG}),
    ("tune", {"abc": JIG}),
    ("tune", {"abc": "no music"}),
    ("read", {"name": "a.abc", "data": base64.b64encode(BOOK.encode()).decode()}),
    ("change", {"abc": JIG, "change": "cut", "place": [3, 1]}),
    ("export", {"abc": JIG, "format": "mid"}),
]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with running(Settings(port=0, workers=1, warm=False)) as server:
        yield Client(server.port)


def test_every_route_is_there() -> None:
    app: Any = build(Pools("celtic"), AccessCheck(host="127.0.0.1"), warm=False).app
    routes = {
        (route.path.replace(":path", ""), method.lower())
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or ())
        if method != "HEAD"
    }
    described = {
        (path, method)
        for path, item in DOCUMENT["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert routes == described


def test_every_field_is_there_with_its_bounds() -> None:
    json.dumps(DOCUMENT, allow_nan=False)
    for name, group in GROUPS.items():
        schema = operation(f"/api/{name}")["requestBody"]["content"]["application/json"]["schema"]
        jsonschema.Draft202012Validator.check_schema(schema)
        assert set(schema["properties"]) == {one.name for one in group.fields}
        assert schema["additionalProperties"] is False
        if name == "takes":
            assert schema["properties"]["seed"]["maximum"] == 2**53 - 1


def test_every_reference_leads_somewhere() -> None:
    references = set(_references(DOCUMENT))
    assert len(references) > 3
    for reference in references:
        found: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/api/openapi.json", "/api/health"])
def test_what_is_read_is_as_described(client: Client, path: str) -> None:
    known = "/static/{name}" if path.startswith("/static") else path
    require_described(client.get(path), known)
    require_described(client.get(path, Host="evil.com"), known)
    if known != path:
        require_described(client.get("/static/none.js"), known)


def test_the_choices_are_as_described(client: Client) -> None:
    require_described(client.get("/api/choices"), "/api/choices")


@pytest.mark.parametrize(("name", "request_"), GOOD)
def test_answers_are_as_described(client: Client, name: str, request_: dict[str, Any]) -> None:
    path = f"/api/{name}"
    schema = operation(path)["requestBody"]["content"]["application/json"]["schema"]
    jsonschema.validate(request_, schema)
    answer = client.post(path, **request_)
    assert answer.status == 200
    require_described(answer, path)


@pytest.mark.parametrize("name", GROUPS)
def test_refusals_are_as_described(client: Client, name: str) -> None:
    path = f"/api/{name}"
    other_site = JSON | {"Origin": "http://evil.com"}
    answers = [
        client.send(path, "{"),
        client.send(path, "{}"),
        client.ask("POST", path, "{}", {"Content-Type": "text/plain"}),
        client.ask("POST", path, "{}", other_site),
        client.ask("POST", path, None, JSON | {"Content-Length": str(2**30)}),
        client.post(path, abc="K:D no tune", seed=-1),
    ]
    assert [answer.status for answer in answers] == [400, 400, 415, 403, 413, 400]
    for answer in answers:
        require_described(answer, path)
