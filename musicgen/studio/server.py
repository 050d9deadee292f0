"""The server: its address, its time limits for slow clients, start and stop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from musicgen.errors import MusicgenError
from musicgen.studio.access import HEADERS, AccessCheck, error_body
from musicgen.studio.app import build
from musicgen.studio.pools import Pools
from musicgen.studio.request_bodies import LINGER_S

HEADER_S = 10.0  # until a request has arrived up to its body
KEEP_ALIVE_S = 15  # until the next request
SEND_S = 30.0  # for a client that does not receive
LAST_WORDS_S = 0.3  # to tell clients that the server stops
STOP_S = 3  # for work that is running then
MAX_CONNECTIONS = 400
MAX_HEADER_BYTES = 32 * 1024


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The address at which the studio listens, and its model. Port 0 is any free port; `workers` is
    the number of processes that compose, and of those that draw; with `warm` they load everything
    they need at the start."""

    host: str = "127.0.0.1"
    port: int = 8765
    checkpoint: str = "celtic"
    workers: int = 2
    warm: bool = True


class StudioServer:
    """A server that listens from its construction and answers while it runs.

    Attributes:
        address: the address to open in a browser, with the token if there is one.
        token: the secret that every request must have; "" if only this machine can send any.

    Raises:
        MusicgenError: the address is in use, or does not belong to this machine.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._listening = listen(settings.host, settings.port)
        self.port: int = self._listening.getsockname()[1]
        self.token = "" if is_loopback(settings.host) else secrets.token_urlsafe(24)
        self.address = address(settings.host, self.port, self.token)
        self._server: _Server | None = None

    def run(self) -> int:
        """Answer until a signal or `stop`; the number of the signal, else 0."""
        return asyncio.run(self._run())

    async def _run(self) -> int:
        pools = Pools(self.settings.checkpoint, workers=self.settings.workers)
        access = AccessCheck(host=self.settings.host, token=self.token)
        config = uvicorn.Config(
            build(pools, access, warm=self.settings.warm),
            http=_Connection,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=STOP_S,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
        self._server = _Server(config, on_stop=pools.close)
        await self._server.serve(sockets=[self._listening])
        return self._server.stopped_by

    @property
    def started(self) -> bool:
        """Whether it answers."""
        return self._server is not None and self._server.started

    def stop(self) -> None:
        """End `run`, from another thread."""
        if self._server is not None:
            self._server.should_exit = True


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server at this address."""
    try:
        addresses = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return bool(host) and all(ipaddress.ip_address(row[4][0]).is_loopback for row in addresses)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        MusicgenError: the address cannot be used.
    """
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, place = min(rows, key=lambda row: row[0] != socket.AF_INET)
        listening = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # on Windows, two servers could listen at one address then
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(place)
            listening.listen(256)
        except BaseException:
            listening.close()
            raise
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MusicgenError(
            f"cannot listen at {host} port {port} ({reason}); choose another with --port or --host"
        ) from None
    return listening


def address(host: str, port: int, token: str = "") -> str:
    """The address to open in a browser."""
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104
    name = f"[{name}]" if ":" in name else name
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def _bad_request() -> bytes:
    """The answer to bytes that are no request of HTTP."""
    body = error_body("the request is not valid HTTP")
    headers = HEADERS | {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    lines = ("HTTP/1.1 400 Bad Request", *(": ".join(header) for header in headers.items()))
    return "\r\n".join((*lines, "", "")).encode() + body


class _Server(uvicorn.Server):
    """Records the signal that stopped it, for the caller. Running work is cancelled as soon as the
    server is to stop, so that nothing waits for it."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self.stopped_by = 0
        self._on_stop = on_stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await asyncio.sleep(LAST_WORDS_S)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.stopped_by = sig
        self.force_exit = self.should_exit  # the second signal
        self.should_exit = True


class _Connection(H11Protocol):
    """A connection that is closed if its client is too slow, or if there are too many."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._heading: asyncio.TimerHandle | None = None
        self._sending: asyncio.TimerHandle | None = None
        self._refused = False  # what still comes is dropped

    @property
    def _idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_heading()
        if len(self.connections) > MAX_CONNECTIONS:
            waiting = [c for c in self.connections if isinstance(c, _Connection) and c._idle]
            oldest = min(waiting, key=lambda c: c._began) if waiting else self
            oldest.transport.abort()

    def _expect_heading(self) -> None:
        self._began = self.loop.time()
        if self._heading is None:
            self._heading = self.loop.call_later(HEADER_S, self._give_up)

    def _forget_heading(self) -> None:
        if self._heading is not None:
            self._heading.cancel()
            self._heading = None

    def _give_up(self) -> None:
        self._heading = None
        if self._idle:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._idle:
            self._expect_heading()  # of the next request
        super().data_received(data)
        if not self._idle:
            self._forget_heading()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, unless an answer has begun, and close the connection: after a
        moment, as a connection that is closed before all is read loses the answer."""
        self._refused = True
        if self.cycle is not None:
            self.cycle.disconnected = True  # nobody waits for its answer
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_bad_request())
        with contextlib.suppress(OSError):  # the client may be gone
            self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_heading()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._sending is None:
            left = self.transport.get_write_buffer_size()
            self._sending = self.loop.call_later(SEND_S, self._require_progress, left)

    def _require_progress(self, before: int) -> None:
        """Close the connection of a client that has received nothing since then."""
        left = self.transport.get_write_buffer_size()
        if left >= before:
            self.transport.abort()
        else:
            self._sending = self.loop.call_later(SEND_S, self._require_progress, left)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
