"""Ideas: clients, signals and deaths of a studio."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.benchmarks.studio import Studio, family
from scripts.checks.ideas import ROOT, Idea, command, not_one_line, script
from tests import http_bytes
from tests.processes import alive

TAKES = {"kind": "generate", "number": 8, "controls": {"bars": 32}}


@contextlib.contextmanager
def studio() -> Iterator[Studio]:
    """A studio of its own, which is killed at the end."""
    server = Studio()
    try:
        yield server
    finally:
        server.process.kill()


def asked(server: Studio, path: str, request: dict[str, object]) -> socket.socket:
    """A connection on which something was asked, its answer still to come."""
    body = json.dumps(request).encode()
    length = f"Content-Length: {len(body)}".encode()
    start = f"POST {path} HTTP/1.1".encode()
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    connection.sendall(http_bytes.request(http_bytes.TYPE, length, body=body, start=start))
    return connection


def busy(server: Studio) -> int:
    """How many calls run or wait."""
    health = json.loads(server.ask("/api/health").read())
    return int(health["running"] + health["waiting"])


def words(server: Studio) -> str:
    """The first line in the terminal of a server, which is stopped, after its own two."""
    server.process.terminate()
    _, said = server.process.communicate()
    lines = [line for line in said.splitlines() if "stops" not in line]
    return f"{len(lines)} lines in the terminal: {lines[0]}" if lines else ""


def hardly_http(_: Path) -> str:
    """A thousand requests at random, and every malformed one."""
    with studio() as server:
        for seed in range(1000):
            rng = random.Random(seed)
            address = ("127.0.0.1", server.port)
            connection = socket.create_connection(address, timeout=0.2)
            with connection, contextlib.suppress(OSError):
                for part in http_bytes.at_random(rng):
                    connection.sendall(part)
                connection.recv(100)
        server.timed("/api/health")
        for name, data in http_bytes.MALFORMED.items():
            with socket.create_connection(address, timeout=60) as connection:
                connection.sendall(data)
                if not connection.recv(100).startswith(b"HTTP/1.1 400"):
                    return f"{name}: not refused"
        return words(server)


def clients_that_leave(_: Path) -> str:
    """A hundred clients ask for takes and leave; then nothing runs, and one more is served."""
    with studio() as server:
        for number in range(100):
            asked(server, "/api/takes", TAKES | {"seed": number}).close()
        until = time.monotonic() + 60
        while busy(server):
            if time.monotonic() > until:
                return f"{busy(server)} calls still run or wait"
            time.sleep(0.1)
        server.takes(1, seed=1)
        return words(server)


def clients_that_read_nothing(_: Path) -> str:
    """Clients that ask for takes and never read, beside one that does."""
    with studio() as server, contextlib.ExitStack() as open_:
        for number in range(6):
            open_.enter_context(asked(server, "/api/takes", TAKES | {"number": 1, "seed": number}))
        slowest = max(server.timed("/api/health") for _ in range(20))
        server.takes(1, seed=1)
        return words(server) or ("" if slowest < 5 else f"health took {slowest:.1f} s")


def left_of(stop: signal.Signals, seconds: float, _: Path) -> str:
    """Children that are left so many seconds after a studio that was busy got a signal."""
    with studio() as server, contextlib.ExitStack() as open_:
        for number in range(6):
            open_.enter_context(asked(server, "/api/takes", TAKES | {"seed": number}))
        for _ in range(3):
            drawn = {"abc": "X:1\nM:4/4\nL:1/8\nK:D\n" + "ABcd efga|" * 400, "format": "pdf"}
            open_.enter_context(asked(server, "/api/export", drawn))
        time.sleep(2)
        processes = family(server.process.pid)
        server.process.send_signal(stop)
        until = time.monotonic() + seconds
        while left := [pid for pid in processes if alive(pid)]:
            if time.monotonic() > until:
                return f"{len(left)} of {len(processes)} processes run {seconds:g} s after {stop}"
            time.sleep(0.01)
    return "" if len(processes) > 4 else f"only {len(processes)} processes were there"


def taken_port(_: Path) -> str:
    """A port that another program has."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        return not_one_line(command("studio", "--no-browser", "--port", other.getsockname()[1]))


def unusable_model(spoil: Callable[[Path], None], folder: Path) -> str:
    """A model folder that is damaged is refused before the page is opened."""
    shutil.copytree(ROOT / "checkpoints/celtic-rnn", folder / "model")
    spoil(folder / "model")
    return not_one_line(command("studio", "--no-browser", "--checkpoint", folder / "model"))


def _cut_weights(model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


IDEAS: dict[str, Idea] = {
    "bytes that are hardly HTTP are answered without a word in the terminal": hardly_http,
    "a hundred clients that ask and leave are forgotten": clients_that_leave,
    "clients that never read hold nobody up": clients_that_read_nothing,
    **{
        f"all processes of a busy studio end within {seconds} s of {stop.name}": (
            lambda folder, stop=stop, seconds=seconds: left_of(stop, seconds, folder)
        )
        for stop, seconds in ((signal.SIGKILL, 2), (signal.SIGTERM, 8), (signal.SIGINT, 8))
    },
    "a port that is taken is one line": taken_port,
    "a model whose weights were cut is one line": lambda f: unusable_model(_cut_weights, f),
    "a model without its manifest is one line": lambda f: unusable_model(
        lambda model: (model / "manifest.json").unlink(), f
    ),
    "half a minute of fifty clients leaves no trace": script(
        "studio_soak.py", "--minutes", 0.5, "--clients", 50
    ),
}
