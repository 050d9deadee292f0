"""The studio's HTTP interface under requests changed at random: always an answer, no failure."""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import random
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from musicgen.errors import printable
from musicgen.studio import Settings
from tests import http_bytes, mutation
from tests.studio_client import JIG, JSON, Answer, Client, heading, running

SHORT = 'X:1\nT:Short\nR:reel\nM:2/4\nL:1/8\nQ:1/4=90\nK:D\n"D"DE F2|A>B (3cde|]\n'
SOUND: dict[str, list[dict[str, Any]]] = {
    "takes": [
        {"kind": "generate", "seed": 3, "controls": {"bars": 2, "rhythm": "jig", "key": "D"}},
        {"kind": "generate", "sampling": {"temperature": 1.5, "top_k": 5}, "controls": {"bars": 1}},
        {"kind": "continue", "abc": SHORT, "bars": 4},
        {"kind": "infill", "abc": SHORT, "bars": "2"},
        {"kind": "vary", "abc": SHORT, "similarity": "0.6-0.8"},
    ],
    "tune": [{"abc": JIG, "size": 40}, {"abc": SHORT}],
    "change": [
        {"abc": SHORT, "change": "transpose", "semitones": 2},
        {"abc": SHORT, "change": "cut", "place": [1, 1]},
        {"abc": SHORT, "change": "tempo", "tempo": "3/8=90"},
        {"abc": JIG, "change": "rhythm", "rhythm": "reel"},
    ],
    "export": [
        {"abc": SHORT, "format": "mid", "instrument": "flute"},
        {"abc": JIG, "format": "svg"},
    ],
    "read": [{"name": "a.abc", "data": ""}],
    "surprise": [{"abc": SHORT}],
    "attention": [{"abc": SHORT, "place": [1, 1], "layer": 1, "head": 1}],
}
ODD = (
    *(None, True, -1, 0, 1, 2**53, 10**30, 0.5, -1e300, "", " ", "x" * 3000, "\0", "\x1b[2J"),
    *("\u202e", "\ud800", "9" * 400, "1/0", "0-0", [], [[]], {}, {"": {}}, [1] * 50, "D", "AABB"),
)
SUFFIXES = (".abc", ".mid", ".musicxml", ".mxl", ".krn")


def changed(value: Any, rng: random.Random) -> Any:
    """A request with something in it that is odd, missing, too much, or ABC that was spoiled."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(sorted(value))
        match rng.randrange(9):
            case 0:
                del value[name]
            case 1:
                value[rng.choice((*value, "sed", "", "a\x1b", "controls", "bars"))] = rng.choice(
                    ODD
                )
            case _:
                value[name] = changed(value[name], rng)
        return value
    if isinstance(value, str) and len(value) > 30:
        return spoiled(value, rng)
    return rng.choice(ODD)


def spoiled(abc: str, rng: random.Random) -> str:
    """A tune with some changes to its text."""
    data = bytearray(abc.encode())
    for _ in range(rng.choice((1, 2, 5))):
        mutation.spoil(".abc", data, rng)
    return data[:100_000].decode("utf-8", "replace")


def request(name: str, rng: random.Random) -> dict[str, Any]:
    """A request of a kind, one or two things in it changed."""
    found = copy.deepcopy(rng.choice(SOUND[name]))
    if name == "read":
        suffix = rng.choice(SUFFIXES)
        data = mutation.mutated(suffix, rng)
        found = {"name": f"a{suffix}", "data": base64.b64encode(data).decode()}
        if rng.random() < 0.6:
            return found
    if "abc" in found and rng.random() < 0.6:
        return found | {"abc": spoiled(found["abc"], rng)}
    for _ in range(rng.choice((1, 1, 2))):
        found = changed(found, rng)
    return found


def require_answer(answer: Answer, said: str) -> None:
    """What was asked for, or one line that says which field is wrong."""
    assert answer.status in (200, 400), (said, answer.status, answer.body[:300])
    if answer.status == 400:
        message = answer.json["error"]["message"]
        assert message == printable(message), said
        assert len(message) < 2000, said
    elif answer.headers["content-type"] == "application/x-ndjson":
        assert answer.lines[-1] == {"event": "end"}, said
        failed = [line for line in answer.lines if line["event"] == "failed"]
        assert not any("failed (" in line["error"]["message"] for line in failed), (said, failed)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with running(Settings(port=0, workers=1, warm=False)) as server:
        yield Client(server.port)


def fuzz(client: Client, name: str, seeds: range) -> None:
    for seed in seeds:
        body = json.dumps(request(name, random.Random(f"{name} {seed}")))
        answer = client.send(f"/api/{name}", body)
        require_answer(answer, f"{name} {seed}: {body[:2000]}")
    assert client.get("/api/health").json["running"] == 0


@pytest.mark.parametrize("name", SOUND)
def test_a_request_that_was_changed_at_random_is_answered(client: Client, name: str) -> None:
    numbers = {"takes": 30, "surprise": 10, "attention": 10}
    fuzz(client, name, range(numbers.get(name, 50)))


@pytest.mark.slow
@pytest.mark.parametrize("name", SOUND)
def test_many_requests_that_were_changed_at_random_are_answered(client: Client, name: str) -> None:
    fuzz(client, name, range(1000, 1400))


def test_bytes_that_were_changed_at_random_are_answered_or_hung_up_on(client: Client) -> None:
    body = json.dumps({"abc": SHORT, "format": "abc"}).encode()
    whole = heading("/api/export", len(body)) + body
    for seed in range(200):
        rng = random.Random(f"bytes {seed}")
        data = bytearray(whole)
        for _ in range(rng.choice((1, 2, 4))):
            mutation.spoil("", data, rng)
        with client.raw() as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                status = connection.recv(12)
            except ConnectionError:
                continue
        assert status == b"" or status[9:10] in (b"2", b"4"), (seed, status, bytes(data))
    assert client.ask("POST", "/api/export", body, JSON).status == 200


def test_bytes_that_are_hardly_http_are_answered_without_a_word_in_the_terminal(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    for seed in range(300):
        rng = random.Random(f"hardly {seed}")
        with client.raw() as connection, contextlib.suppress(OSError):
            for part in http_bytes.at_random(rng):
                connection.sendall(part)
                time.sleep(rng.choice((0, 0.002)))
            if rng.random() < 0.8:
                connection.shutdown(socket.SHUT_WR)
            connection.settimeout(rng.choice((0.01, 0.5)))
            assert connection.recv(12)[9:10] in (b"", b"2", b"3", b"4"), seed
        assert caplog.records == [], seed
    assert client.get("/api/health").status == 200
