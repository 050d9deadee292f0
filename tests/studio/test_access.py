"""Access to the studio: strangers, other sites, too much, too slow. No request does any work."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator

import pytest

from musicgen.errors import MusicgenError, SandboxError
from musicgen.studio import Settings, request_bodies, server
from musicgen.studio.access import COOKIE, HEADERS, host_name
from musicgen.studio.job_queue import Busy, Closed, JobQueue
from musicgen.studio.pools import Pools
from musicgen.studio.server import is_loopback, listen
from musicgen.system.sandbox import ResourceLimits
from tests import http_bytes
from tests.studio_client import JSON, Client, heading, running

TUNE = "/api/tune"


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with running(Settings(port=0, warm=False)) as studio:
        yield Client(studio.port)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less patience with slow clients than there is, if enough for one on a busy machine."""
    monkeypatch.setattr(server, "HEADER_S", 1.5)
    monkeypatch.setattr(server, "SEND_S", 1.5)
    monkeypatch.setattr(request_bodies, "BODY_S", 1.5)
    monkeypatch.setattr(request_bodies, "LINGER_S", 0.2)


# --- who asks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:80", "[::1]:8", "127.9.9.9"]
)
def test_this_machine_has_many_names(client: Client, host: str) -> None:
    assert client.get("/api/health", Host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.com",
            "127.0.0.1.evil.com",
            "localhost.evil.com",
            "localhost@evil.com",
            "evil.com:80",
        ),
        *(
            "",
            " ",
            "localhost:port",
            "192.168.0.1",
            "0.0.0.0",
            "[::2]",
            "[::1",
            "localhost/",
            "a b",
        ),
        *("localhost,evil.com", "localhost#", "::1", "2130706433"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/static/x.js", "/api/health", "/api/choices"])
def test_a_request_for_another_host_is_refused(client: Client, path: str, host: str) -> None:
    assert client.get(path, Host=host).status in (400, 403)


def test_a_request_needs_one_host(client: Client) -> None:
    for lines in (b"", b"Host: localhost\r\nHost: localhost\r\n"):
        with client.raw(b"GET /api/health HTTP/1.1\r\n" + lines + b"\r\n") as connection:
            assert connection.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.com"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://localhost:3000"},
        {"Origin": "https://127.0.0.1.evil.com"},
        {"Origin": "file://"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_page_of_another_site_is_refused(
    client: Client, method: str, headers: dict[str, str]
) -> None:
    path = "/api/health" if method == "GET" else TUNE
    answer = client.ask(method, path, '{"abc": "x"}' if method == "POST" else None, JSON | headers)
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers


def test_a_link_on_another_site_may_lead_to_the_page(client: Client) -> None:
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/", **followed).status == 200
    assert client.get("/api/choices", **followed).status == 403


def test_the_page_itself_may_ask(client: Client) -> None:
    own = {"Origin": f"http://127.0.0.1:{client.port}", "Sec-Fetch-Site": "same-origin"}
    assert client.ask("POST", TUNE, "{}", JSON | own).json["error"]["field"] == "abc"


@pytest.mark.parametrize(
    "kind",
    [
        *("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""),
        *(
            "application/json-seq",
            "text/json",
            "application/json; charset=utf-16",
            "x/application/json",
        ),
    ],
)
def test_what_changes_something_must_be_json(client: Client, kind: str) -> None:
    for path in (TUNE, "/api/takes", "/api/read", "/api/nothing"):
        assert client.ask("POST", path, "{}", {"Content-Type": kind}).status == 415


def test_other_methods_do_nothing(client: Client) -> None:
    assert client.get("/api/takes").status == 405
    for method in ("PUT", "PATCH", "DELETE"):
        assert client.ask(method, TUNE, "{}", JSON).status == 405


def test_every_answer_has_the_headers_that_protect_the_page(client: Client) -> None:
    answers = [client.get(path) for path in ("/", "/static/none.js", "/api/health", "/nothing")]
    answers += [client.get("/", Host="evil.com"), client.send(TUNE, "{"), client.send(TUNE, "{}")]
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name.lower()] == value
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'self'" in policy


def test_the_page_has_no_script_or_style_of_its_own(client: Client) -> None:
    page = client.get("/").body.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son\w+=|javascript:", page)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)


@pytest.mark.parametrize(
    "path",
    [
        *("../app.py", "..%2fapp.py", "%2e%2e/app.py", "/etc/passwd", "....//app.py", "..\\app.py"),
        *("index.html%00.js", "a" * 5000 + ".js", "C:/x.js", "%252e%252e/app.py", "", ".", ".."),
        *("../static/index.html", "./index.html", "index.html/", "x/../index.html", "~root/x.js"),
    ],
)
def test_no_path_leads_out_of_the_page(client: Client, path: str) -> None:
    answer = client.get(f"/static/{path}")
    assert answer.status == 404
    assert client.get(f"/{path}").status in (200, 404)
    assert b"root:" not in answer.body


# --- a token --------------------------------------------------------------------------------------


def test_a_studio_for_others_asks_for_a_token() -> None:
    with running(Settings(host="0.0.0.0", port=0, warm=False)) as studio:
        client, token = Client(studio.port), studio.token
        assert len(token) >= 32
        assert studio.address.endswith(f"/?token={token}")
        bearer = {"Authorization": f"Bearer {token}"}
        wrong = token[:-1] + ("y" if token.endswith("x") else "x")
        for path in ("/", "/static/index.html", "/api/health", "/api/choices"):
            assert client.get(path).status == 401
            assert client.get(path, Authorization=f"Bearer {wrong}").status == 401
            assert client.get(path, Authorization=f"Basic {token}").status == 401
        assert client.ask("POST", TUNE, "{}", JSON).status == 401
        assert client.ask("POST", TUNE, "{}", JSON | bearer).status == 400
        assert client.get("/api/health", **bearer).status == 200
        assert client.get("/api/health", Host="evil.com", **bearer).status == 403
        assert client.get("/api/health", Host="10.1.2.3", **bearer).status == 200
        page = client.get(f"/?token={token}")
        assert page.status == 200
        cookie = page.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        kept = {"Cookie": f"{COOKIE}={token}"}
        assert client.get("/static/index.html", **kept).status == 200
        # A cookie comes with every request that a browser makes, so it opens nothing else.
        assert client.get("/api/health", **kept).status == 401
        assert client.get(f"/api/health?token={token}").status == 401


def test_only_this_machine_can_reach_a_studio_without_a_token(client: Client) -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1")] == [True] * 3
    others = ("0.0.0.0", "::", "", "192.168.1.1", "8.8.8.8", "no such host")
    assert not any(map(is_loopback, others))
    assert "set-cookie" not in client.get("/").headers


def test_an_address_that_cannot_be_had_is_one_line() -> None:
    taken = listen("127.0.0.1", 0)
    with taken, pytest.raises(MusicgenError) as error:
        listen("127.0.0.1", taken.getsockname()[1])
    assert "\n" not in str(error.value)
    for host in ("8.8.8.8", "no such host", "a" * 100, "\udcff"):
        with pytest.raises(MusicgenError):
            listen(host, 0)


@pytest.mark.parametrize(
    ("text", "name"),
    [("a", "a"), ("A.b:80", "a.b"), ("[::1]:80", "::1"), ("a@b", None), ("a:x", None), ("", None)],
)
def test_a_host_header_is_read(text: str, name: str | None) -> None:
    assert host_name(text) == name


# --- too much -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "most"), [("/api/read", 7 << 20), (TUNE, 1 << 20)])
def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(
    client: Client, path: str, most: int
) -> None:
    for length in (most + 1, 2**30, 2**40):
        with client.raw(heading(path, length)) as connection:
            assert b" 413 " in connection.recv(1000)


def test_a_gibibyte_that_does_not_say_so_is_refused_while_it_comes(client: Client) -> None:
    start = heading("/api/read", 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    sent = 0
    with client.raw(start) as connection:
        try:
            while sent < 2**30:
                connection.sendall(chunk)
                sent += 65536
        except OSError:
            pass
        assert b" 413 " in connection.recv(1000)
    assert sent < 2**30
    assert client.get("/api/health").status == 200


@pytest.mark.parametrize("line", ["Content-Length: -5", "Content-Length: 1e9", "Content-Length: x"])
def test_a_length_that_is_none_is_refused(client: Client, line: str) -> None:
    start = heading(TUNE, 0).replace(b"Content-Length: 0", line.encode())
    with client.raw(start + b"{}") as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 4")


def received(connection: socket.socket) -> bytes:
    """All that comes before the connection is closed."""
    return b"".join(iter(lambda: connection.recv(10_000), b""))


@pytest.mark.parametrize("name", http_bytes.MALFORMED)
def test_what_is_not_http_gets_one_short_answer_and_the_connection_is_closed(
    client: Client, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    data = http_bytes.MALFORMED[name]
    for size in (len(data), 20):
        with client.raw() as connection:
            for place in range(0, len(data), size):
                connection.sendall(data[place : place + size])
            answer = received(connection)
        assert answer.startswith(b"HTTP/1.1 400")
        assert answer.count(b"HTTP/1.1 ") == 1
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"].isprintable()
    assert caplog.records == []


@pytest.mark.parametrize("name", http_bytes.BAD_CHUNKS)
def test_what_is_not_http_after_an_answer_closes_the_connection_without_a_word(
    client: Client, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    start = http_bytes.request(http_bytes.CHUNKED, start=b"GET /api/health HTTP/1.1")
    with client.raw(start) as connection:
        assert connection.recv(10_000).startswith(b"HTTP/1.1 200")
        connection.sendall(http_bytes.BAD_CHUNKS[name])
        assert b"HTTP/1.1" not in received(connection)
    assert caplog.records == []


def test_headers_without_end_are_refused(client: Client) -> None:
    with client.raw(b"GET /" + b"a" * 100_000) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "body",
    [
        *("", "{", "[]", "null", "1", '"x"', "[" * 100_000, '{"abc":' * 9000, '{"a":1,"a":2}'),
        *(
            '{"abc": NaN}',
            '{"abc": Infinity}',
            '{"abc": 1' + "0" * 5000 + "}",
            "{'abc': 1}",
            "\x00",
        ),
        *(
            '{"abc": "x"} x',
            b'{"abc": "\xe9"}',
            b"\xff\xfe{\x00}\x00",
            '{"": 1}',
            '{"__proto__": {}}',
        ),
    ],
)
def test_a_body_that_is_no_request_is_refused(client: Client, body: str | bytes) -> None:
    answer = client.send(TUNE, body)
    assert answer.status == 400
    assert answer.json["error"]["message"].isprintable()


# --- too slow -------------------------------------------------------------------------------------


def test_two_hundred_slow_clients_are_put_out_and_hold_nobody_up(
    client: Client, hasty: None
) -> None:
    beginnings = (b"", b"GET /api/health HT", heading(TUNE, 1000) + b"{", heading(TUNE, 9)[:-2])
    with contextlib.ExitStack() as open_:
        slow = [open_.enter_context(client.raw(beginnings[i % 4])) for i in range(200)]
        began = time.monotonic()
        while time.monotonic() - began < 2.5:
            assert client.get("/api/health").seconds < 10  # one after the other they take 300
            time.sleep(0.1)
        for connection in slow:
            answer = b""
            try:
                while part := connection.recv(1000):
                    answer += part
            except ConnectionError:
                pass
            assert not answer or b" 408 " in answer


def test_a_connection_is_kept_for_the_next_request_but_not_for_a_slow_one(
    client: Client, hasty: None
) -> None:
    request = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with client.raw() as connection:
        for _ in range(2):
            connection.sendall(request)
            answer = b""
            while b'"waiting"' not in answer:
                part = connection.recv(4000)
                assert part, answer
                answer += part
            assert answer.startswith(b"HTTP/1.1 200")
        connection.sendall(request[:20])
        with contextlib.suppress(ConnectionError):  # as good as an end
            assert connection.recv(4000) == b""


def test_more_connections_than_there_is_room_for_push_the_idle_ones_out(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 20)
    with contextlib.ExitStack() as open_:
        for _ in range(60):
            open_.enter_context(client.raw())
        assert client.get("/api/health").status == 200


# --- the queue ------------------------------------------------------------------------------------

HERE = "tests.studio.test_access:"


def count(data: bytes, *, n: int, pause_s: float = 0.0) -> Iterator[bytes]:
    for i in range(n):
        time.sleep(pause_s)
        yield str(i).encode()


def sleep(data: bytes) -> bytes:
    time.sleep(60)
    return data


def hoard(data: bytes) -> bytes:
    return bytes(2**31)


def queue_for(n: int, **limits: int) -> JobQueue:
    return JobQueue(
        "the work", at_once=n, waiting=1, limits=ResourceLimits(**{"wall_s": 20, **limits})
    )


def test_answers_come_one_by_one() -> None:
    async def ask() -> list[bytes]:
        queue = queue_for(1)
        try:
            async with queue.place():
                return [answer async for answer in queue.each(HERE + "count", b"", n=3)]
        finally:
            queue.close()

    assert asyncio.run(ask()) == [b"0", b"1", b"2"]


def test_who_comes_to_a_full_queue_is_told_so() -> None:
    async def ask() -> None:
        queue = queue_for(1)
        calls = [asyncio.create_task(queue.ask(HERE + "sleep", b"")) for _ in range(2)]
        await asyncio.sleep(0.1)
        assert (queue.running, queue.queued) == (1, 1)
        with pytest.raises(Busy):
            await queue.ask(HERE + "sleep", b"")
        queue.close()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [SandboxError, Closed]

    asyncio.run(ask())


def test_a_caller_that_leaves_frees_its_place_at_once() -> None:
    async def ask() -> None:
        queue = queue_for(1)
        first = asyncio.create_task(queue.ask(HERE + "sleep", b""))
        await asyncio.sleep(0.1)
        first.cancel()
        began = time.monotonic()
        async with queue.place():
            assert time.monotonic() - began < 20  # the work takes a minute
            answers = [answer async for answer in queue.each(HERE + "count", b"", n=2)]
        assert answers == [b"0", b"1"]
        queue.close()

    asyncio.run(ask())


def test_a_closed_queue_accepts_nothing_and_leaves_nobody_waiting() -> None:
    async def ask() -> None:
        queue = queue_for(1)
        calls = [asyncio.create_task(collect(queue)) for _ in range(3)]  # for two threads
        warming = asyncio.create_task(queue.warm(HERE + "sleep"))
        await asyncio.sleep(0.1)
        queue.close()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(result) for result in results] == [SandboxError, SandboxError, Closed]
        with pytest.raises((asyncio.CancelledError, Closed)):
            await warming
        for late in (queue.warm(HERE + "sleep"), queue.ask(HERE + "count", b""), collect(queue)):
            with pytest.raises(Closed):
                await late

    async def collect(queue: JobQueue) -> list[bytes]:
        return [answer async for answer in queue.each(HERE + "sleep", b"")]

    asyncio.run(asyncio.wait_for(ask(), 30))


def test_work_that_breaks_in_an_unforeseen_way_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def ask() -> None:
        queue = queue_for(1)
        monkeypatch.setattr(queue._pool, "each", lambda *_, **__: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            await queue.ask(HERE + "count", b"", n=1)
        queue.close()

    asyncio.run(asyncio.wait_for(ask(), 30))


def test_a_studio_that_is_stopped_while_it_loads_stops_without_complaint(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    load = Pools.warm

    async def stopped(self: Pools) -> None:
        self.close()
        await load(self)

    monkeypatch.setattr(Pools, "warm", stopped)
    with running(Settings(port=0)):
        pass
    assert caplog.records == []


def test_work_that_asks_for_too_much_fails_alone() -> None:
    async def ask() -> None:
        queue = queue_for(1, memory_mib=512)
        with pytest.raises(SandboxError, match="needs more than 512 MiB"):
            await queue.ask(HERE + "hoard", b"")
        assert await queue.ask(HERE + "count", b"", n=1) == b"0"
        queue.close()

    asyncio.run(ask())
