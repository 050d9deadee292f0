"""One of our functions in a child process with limits, so that no foreign library takes us down.

    run("musicgen.formats.engraving.engraver:engrave", xml, limits=Limits(wall_s=30), scale=40)

The function is `(data: bytes, **options) -> bytes`, its options plain JSON. Children stay warm:
the next call takes an idle one. What they answer is read as JSON and bytes, never unpickled.
Memory, processor and file limits need a POSIX system; the clock is kept everywhere.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Any, cast

from musicgen import errors
from musicgen.errors import IsolationError, MusicgenError

MIB = 2**20
MAX_CALLS = 200  # then a child is replaced, so that leaks of a library stay small
_FRAME = struct.Struct(">II")  # lengths of the JSON and of the bytes that follow
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from musicgen.isolation import serve; serve()"
)
# One thread each: several children already share the processor, and idle threads of a numeric
# library reserve address space that counts against the limit.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one call may use: address space, seconds of processor and of clock, size of a file it
    writes, size of its answer."""

    memory_mib: int = 2048
    cpu_s: int = 60
    wall_s: float = 60.0
    file_mib: int = 64
    answer_mib: int = 512


DEFAULT_LIMITS = Limits()


def run(
    function: str, data: bytes, *, what: str = "", limits: Limits = DEFAULT_LIMITS, **options: Any
) -> bytes:
    """Call "package.module:function" in a child process; safe from several threads.

    `what` names the work in messages, such as "the engraver".

    Raises:
        IsolationError: the child crashed, or went over a limit, or the function failed.
        MusicgenError: what the function itself raised, of the same class.
    """
    return _pool(os.getpid()).run(_Call(function, options, what or function, limits), data)


@dataclass(frozen=True)
class _Call:
    function: str
    options: Mapping[str, Any]
    what: str
    limits: Limits

    def failure(self, reason: str) -> IsolationError:
        return IsolationError(f"{self.what} {reason}")


class _Pool:
    """Idle children. There are never more than calls were made at the same time."""

    def __init__(self) -> None:
        self._idle: list[_Child] = []
        self._lock = threading.Lock()

    def run(self, call: _Call, data: bytes) -> bytes:
        child = self._take()
        try:
            return child.answer(call, data)
        finally:
            if child.usable:
                with self._lock:
                    self._idle.append(child)
            else:
                child.close()

    def _take(self) -> _Child:
        """An idle child that is still alive, or a new one."""
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.usable:
                    return child
                child.close()
        return _Child()

    def close(self) -> None:
        with self._lock:
            while self._idle:
                self._idle.pop().close()


@cache
def _pool(_process: int) -> _Pool:
    """The pool of this process: after a fork, the pipes of the parent's children are not ours."""
    pool = _Pool()
    atexit.register(pool.close)
    return pool


class _Child:
    """A process that answers calls, one at a time."""

    def __init__(self) -> None:
        places = [str(Path(place).resolve()) for place in sys.path]
        self._calls = 0
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, constant arguments
            [sys.executable, "-I", "-c", _BOOT, json.dumps(places)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **_ENVIRONMENT},
            start_new_session=True,  # Ctrl-C in the terminal is for us to handle
        )

    @property
    def usable(self) -> bool:
        return self._process.poll() is None and self._calls < MAX_CALLS

    def answer(self, call: _Call, data: bytes) -> bytes:
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        self._calls += 1
        clock = threading.Timer(call.limits.wall_s, stop)
        clock.daemon = True
        clock.start()
        try:
            reply, answer = self._exchange(call, data)
        except (EOFError, OSError, ValueError):
            self._process.kill()
            code = self._process.wait()
            if late.is_set():
                raise call.failure(f"took longer than {call.limits.wall_s:g} s") from None
            raise call.failure(_cause_of_death(code, call.limits)) from None
        except BaseException:  # interrupted half-way: nobody will read its answer
            self._process.kill()
            raise
        finally:
            clock.cancel()
            clock.join()
        if late.is_set():  # killed just after its answer
            self._process.wait()
        if "error" in reply:
            raise _restored(call, str(reply["error"]), str(reply.get("message", "")))
        return answer

    def _exchange(self, call: _Call, data: bytes) -> tuple[dict[str, Any], bytes]:
        request = {
            "function": call.function,
            "options": dict(call.options),
            "limits": asdict(call.limits),
        }
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        _send(pipe_in, request, data)
        return _receive(pipe_out, call.limits.answer_mib * MIB)

    def close(self) -> None:
        """End the process; it has nothing to save."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what could not be sent is of no use
                assert pipe is not None
                pipe.close()


def _cause_of_death(code: int, limits: Limits) -> str:
    if code >= 0:
        return f"ended with code {code}"
    name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
    if name == "SIGXCPU":
        return f"used more than {limits.cpu_s} s of processor time"
    if name == "SIGXFSZ":
        return f"wrote more than {limits.file_mib} MiB to a file"
    return f"crashed ({name}), perhaps at the limit of {limits.memory_mib} MiB of memory"


def _restored(call: _Call, name: str, message: str) -> MusicgenError:
    """The exception of the child: our own classes as they were, others as an IsolationError."""
    if name == "MemoryError":
        return call.failure(f"needs more than {call.limits.memory_mib} MiB of memory")
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, MusicgenError):
        restored = kind.__new__(kind)
        Exception.__init__(restored, message)
        return restored
    return call.failure(f"failed ({name}: {errors.printable(message)})")


def _send(pipe: IO[bytes], head: Mapping[str, Any], data: bytes) -> None:
    text = json.dumps(head).encode()
    pipe.write(_FRAME.pack(len(text), len(data)) + text)
    pipe.write(data)
    pipe.flush()


def _receive(pipe: IO[bytes], most: int) -> tuple[dict[str, Any], bytes]:
    lengths = _FRAME.unpack(_read_exactly(pipe, _FRAME.size))
    if max(lengths) > most:
        raise ValueError("an answer larger than allowed")
    text, data = (_read_exactly(pipe, n) for n in lengths)
    return cast(dict[str, Any], json.loads(text)), data


def _read_exactly(pipe: IO[bytes], n: int) -> bytes:
    data = pipe.read(n)
    if len(data) < n:
        raise EOFError
    return data


def serve() -> None:
    """The child's side: answer calls from standard input until it closes."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb+") as nothing:  # noqa: PTH123 - a library may print where it likes
        os.dup2(nothing.fileno(), 0)
        os.dup2(nothing.fileno(), 1)
    while True:
        try:
            call, data = _receive(requests, 2**32)
        except EOFError:
            return
        try:
            _limit(Limits(**call["limits"]))
            head, answer = {}, _function(call["function"])(data, **call["options"])
        except Exception as error:  # noqa: BLE001 - whatever it is, the parent reports it
            head, answer = {"error": type(error).__name__, "message": str(error)}, b""
        _send(answers, head, answer)


def _function(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)


def _limit(limits: Limits) -> None:
    """Set the soft limits of this process; hard ones stay, so that the next call may have more."""
    try:
        import resource
    except ImportError:  # Windows: the parent's clock is what is left
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    for kind, value in (
        (resource.RLIMIT_AS, limits.memory_mib * MIB),
        (resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + limits.cpu_s),
        (resource.RLIMIT_FSIZE, limits.file_mib * MIB),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with suppress(ValueError, OSError):  # some systems know a limit by name only
            resource.setrlimit(kind, (soft, hard))
