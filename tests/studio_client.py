"""A studio of our own in a thread, and a plain client that says exactly what it is told to."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import jsonschema

from musicgen.studio import Settings, StudioServer, requests
from musicgen.studio.openapi import document

DOCUMENT = document()
GROUPS = requests.GROUPS
JSON = {"Content-Type": "application/json"}
JIG = """X:1
T:Kesh
R:jig
M:6/8
L:1/8
K:G
D|:G3 GAB|A3 ABd|edd gdd|edB dBA|G3 GAB|A3 ABd|edd gdB|AGF G2:|
"""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def field(self) -> str:
        """Which field the error names."""
        return str(self.json["error"].get("field", ""))

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def tunes(self) -> list[Any]:
        """The takes of a stream, by number."""
        found = {line["take"]: line["tune"] for line in self.lines if line["event"] == "take"}
        return [found[number] for number in sorted(found)]


@dataclass(frozen=True)
class Client:
    """Speaks to a studio at a port of this machine."""

    port: int

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        began = time.monotonic()
        with closing(connection):
            connection.request(method, path, body, headers or {})
            # The response has the socket for itself where the server closes the connection.
            with connection.getresponse() as response:
                names = {name.lower(): value for name, value in response.getheaders()}
                return Answer(response.status, names, response.read(), time.monotonic() - began)

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, **request: Any) -> Answer:
        return self.send(path, json.dumps(request))

    def send(self, path: str, body: str | bytes) -> Answer:
        return self.ask("POST", path, body, JSON)

    def raw(self, data: bytes = b"") -> socket.socket:
        """A connection on which some bytes have been sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        try:
            connection.sendall(data)
        except BaseException:
            connection.close()
            raise
        return connection

    def begin(self, path: str, **request: Any) -> socket.socket:
        """A connection on which a request has been sent, whose answer is still to be read."""
        body = json.dumps(request).encode()
        return self.raw(heading(path, len(body)) + body)

    def busy(self) -> int:
        """How many calls run or wait."""
        health = self.get("/api/health").json
        return int(health["running"] + health["waiting"])


def operation(path: str) -> dict[str, Any]:
    """What is said of a path, whatever its method."""
    (found,) = (item for name, item in DOCUMENT["paths"][path].items() if name in ("get", "post"))
    return dict(found)


def require_described(answer: Answer, path: str) -> None:
    """See that the status, the media type and every field of an answer are described."""
    response = operation(path)["responses"][str(answer.status)]
    media = answer.headers["content-type"].partition(";")[0]
    schema = response["content"].get(media, response["content"].get("*/*"))
    assert schema is not None, media
    if "schema" in schema:
        whole = {**schema["schema"], "components": DOCUMENT["components"]}
        for line in answer.lines if media == "application/x-ndjson" else [answer.json]:
            jsonschema.validate(line, whole)


def heading(path: str, length: int) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def wait_until(condition: Any, seconds: float = 20.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.05)
    return False


@contextmanager
def running(settings: Settings) -> Iterator[StudioServer]:
    """A studio that answers while the block lasts."""
    server = StudioServer(settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        wait_until(lambda: server.started)
        server.stop()
        thread.join(20)
        assert not thread.is_alive()
