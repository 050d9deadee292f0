"""The child's side of the sandbox: read calls, send answers."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from importlib import import_module
from typing import IO, Any

from musicgen.system.sandbox.framing import receive, send
from musicgen.system.sandbox.limits import MIB, ResourceLimits, keep_to


def serve() -> None:
    """Answer calls from standard input until it closes, or the process that started this one ends:
    then standard error, whose other end it has, closes."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    lifeline = os.dup(2)
    with open(os.devnull, "rb+") as nothing:  # noqa: PTH123 - for what libraries print
        for handle in range(3):
            os.dup2(nothing.fileno(), handle)
    _end_with(lifeline)
    while True:
        try:
            call, data = receive(requests, 2**32)
        except EOFError:
            return
        head: dict[str, Any] = {}
        try:
            keep_to(ResourceLimits(**call["limits"]))
            result = _function(call["function"])(data, **call["options"])
            if isinstance(result, bytes):
                answer = result
            else:
                _give_each(result, requests, answers)
                head, answer = {"end": True}, b""
        except Exception as error:  # noqa: BLE001 - the parent reports it
            head, answer = {"error": type(error).__name__, "message": str(error)}, b""
        send(answers, head, answer)


def _end_with(lifeline: int) -> None:
    """End this process when the other end of a pipe closes, whatever it is doing then."""

    def wait() -> None:
        os.read(lifeline, 1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
    try:  # A library may hold the interpreter for seconds; on Linux, the kernel needs no thread.
        import fcntl

        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)
    except (ImportError, AttributeError, OSError):
        return


def _give_each(parts: Iterator[bytes], requests: IO[bytes], answers: IO[bytes]) -> None:
    """Send the parts one by one, each when the parent requests it."""
    for part in parts:
        send(answers, {"more": True}, part)
        leave, _ = receive(requests, MIB)
        if "stop" in leave:
            return


def _function(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)
