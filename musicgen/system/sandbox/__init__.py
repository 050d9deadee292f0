"""Call a function of this package in a child process with limits, for libraries that may crash.

    run("musicgen.formats.engraving.drawing:engrave", xml, limits=ResourceLimits(wall_s=30))

The function is `(data: bytes, **options) -> bytes`, its options plain JSON. Idle children are kept
for the next call. Their answers are read as JSON and bytes, never unpickled. Limits of memory,
processor time and file size need a POSIX system; the limit of elapsed time holds everywhere.

`Pool.each` calls a function that returns an iterator of bytes; a `Cancellation` lets another thread
cancel such a call. A pool of its own keeps children with the libraries that they have loaded.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from musicgen import errors
from musicgen.errors import MusicgenError, SandboxError
from musicgen.system.sandbox.framing import receive, send
from musicgen.system.sandbox.limits import MIB, ResourceLimits
from musicgen.system.workers import without_interrupts

__all__ = [
    "DEFAULT_LIMITS",
    "MAX_CALLS",
    "MIB",
    "Cancellation",
    "Pool",
    "ResourceLimits",
    "run",
    "stop",
]

GRACE_S = 1.0  # for a cancelled call to come to its next answer
MAX_CALLS = 200  # then a child is replaced, so that memory leaks of a library stay small
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from musicgen.system.sandbox.serving import serve; serve()"
)
# One thread each: several children already share the processor, and idle threads of a numeric
# library reserve address space that counts against the limit.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


DEFAULT_LIMITS = ResourceLimits()


def run(
    function: str,
    data: bytes,
    *,
    what: str = "",
    limits: ResourceLimits = DEFAULT_LIMITS,
    **options: Any,
) -> bytes:
    """Call "package.module:function" in a child process; safe from several threads.

    `what` names the work in messages, such as "the engraver".

    Raises:
        SandboxError: the child crashed, or exceeded a limit, or the function failed.
        MusicgenError: raised by the function itself, of the same class.
    """
    return _pool(os.getpid()).run(function, data, what=what, limits=limits, **options)


@dataclass(frozen=True)
class _Call:
    function: str
    options: Mapping[str, Any]
    what: str
    limits: ResourceLimits

    @property
    def head(self) -> dict[str, Any]:
        return {
            "function": self.function,
            "options": dict(self.options),
            "limits": asdict(self.limits),
        }

    def failure(self, reason: str) -> SandboxError:
        return SandboxError(f"{self.what} {reason}")


class Cancellation:
    """Cancels a call from another thread: between two answers, or after `GRACE_S` by force."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self._child: _Child | None = None
        self._lock = threading.Lock()

    def cancel(self, *, grace_s: float = GRACE_S) -> None:
        """End the call without more answers; a child that has to be killed is replaced."""
        self.cancelled.set()
        killer = threading.Timer(grace_s, self._kill)
        killer.daemon = True
        killer.start()

    @contextmanager
    def holding(self, child: _Child) -> Iterator[None]:
        """Register the child that works on the call, until the block ends."""
        with self._lock:
            self._child = child
        try:
            yield
        finally:
            with self._lock:
                self._child = None

    def _kill(self) -> None:
        with self._lock:
            if self._child is not None:
                self._child.kill()


class Pool:
    """Child processes that are kept for later calls; never more than there were calls at once."""

    def __init__(self) -> None:
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._closed = False
        self._lock = threading.Lock()

    @property
    def n_children(self) -> int:
        """Number of children, idle or busy."""
        with self._lock:
            return len(self._idle) + len(self._busy)

    def run(
        self,
        function: str,
        data: bytes,
        *,
        what: str = "",
        limits: ResourceLimits = DEFAULT_LIMITS,
        cancellation: Cancellation | None = None,
        **options: Any,
    ) -> bytes:
        """As the function `run`, in a child of this pool."""
        with closing(
            self.each(
                function, data, what=what, limits=limits, cancellation=cancellation, **options
            )
        ) as answers:
            return next(answers)

    def each(
        self,
        function: str,
        data: bytes,
        *,
        what: str = "",
        limits: ResourceLimits = DEFAULT_LIMITS,
        cancellation: Cancellation | None = None,
        **options: Any,
    ) -> Generator[bytes]:
        """The items of a function that returns an iterator of bytes. The child computes an item
        when it is requested; the limits hold for all items together. Closing the generator stops
        the child.

        Raises:
            SandboxError: as of `run`, or the call was cancelled.
            MusicgenError: raised by the function itself, of the same class.
        """
        call = _Call(function, options, what or function, limits)
        cancellation = cancellation or Cancellation()
        child = self._take(call)
        try:
            with cancellation.holding(child):
                yield from child.answers(call, data, cancellation)
        except SandboxError:
            if self._closed:
                raise call.failure("was stopped") from None
            raise
        finally:
            self._put_back(child)

    def _take(self, call: _Call) -> _Child:
        """An idle child that is still alive, or a new one."""
        with self._lock:
            if self._closed:
                raise call.failure("was stopped")
            while self._idle:
                child = self._idle.pop()
                if child.usable:
                    self._busy.add(child)
                    return child
                child.close()
        try:
            child = _Child()
        except OSError as error:  # no memory, too many processes or open files
            raise call.failure(f"cannot start a process ({error.strerror})") from None
        with self._lock:
            if not self._closed:
                self._busy.add(child)
                return child
        child.close()  # the pool was closed while it started
        raise call.failure("was stopped")

    def _put_back(self, child: _Child) -> None:
        with self._lock:
            self._busy.discard(child)
            if child.usable and not self._closed:
                self._idle.append(child)
                return
        child.close()

    def close(self) -> None:
        """End all children; running calls fail, and new calls are refused."""
        with self._lock:
            self._closed = True
            idle, busy = list(self._idle), list(self._busy)
            self._idle.clear()
        for child in busy:
            child.kill()
        for child in idle:
            child.close()


def stop() -> None:
    """End the children of this process; calls that are running in other threads fail."""
    pool = _pool(os.getpid())
    _pool.cache_clear()  # later calls start new ones
    pool.close()


@cache
def _pool(_process: int) -> Pool:
    """The pool of this process; after a fork, the children of the parent cannot be used."""
    pool = Pool()
    atexit.register(pool.close)
    return pool


class _Child:
    """A process that answers calls, one at a time."""

    def __init__(self) -> None:
        places = [str(Path(place).resolve()) for place in sys.path]
        self._calls = 0
        self._waits = False  # for permission to continue
        self._most = 0  # bytes of an answer
        theirs, ours = os.pipe()
        self._lifeline = os.fdopen(ours, "wb")  # open while this process lives
        try:
            with without_interrupts():
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
                    [sys.executable, "-I", "-c", _BOOT, json.dumps(places)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=theirs,  # the child moves it to another place
                    env={**os.environ, **_ENVIRONMENT},
                    start_new_session=True,  # the parent handles Ctrl-C in the terminal
                )
        except OSError:
            self._lifeline.close()
            raise
        finally:
            os.close(theirs)

    @property
    def usable(self) -> bool:
        return self._process.poll() is None and self._calls < MAX_CALLS

    def answers(self, call: _Call, data: bytes, cancellation: Cancellation) -> Iterator[bytes]:
        """All answers to a call; the child waits until the next one is requested."""
        self._calls += 1
        self._most = call.limits.answer_mib * MIB
        done = False
        with self._clock(call.limits.wall_s) as late:
            try:
                reply, answer = self._exchange(call.head, data)
                while "more" in reply:
                    yield answer
                    if cancellation.cancelled.is_set():
                        raise call.failure("was cancelled")
                    reply, answer = self._exchange({}, b"")
                done = True
            except (EOFError, OSError, ValueError):
                self.kill()
                code = self._process.wait()
                if cancellation.cancelled.is_set():
                    raise call.failure("was cancelled") from None
                if late.is_set():
                    raise call.failure(f"took longer than {call.limits.wall_s:g} s") from None
                raise call.failure(_cause_of_death(code, call.limits)) from None
            finally:
                if not done and self._process.poll() is None:
                    self._stop()
        if late.is_set():  # killed just after its answer
            self._process.wait()
        if "error" in reply:
            raise _restored(call, str(reply["error"]), str(reply.get("message", "")))
        if "end" not in reply:
            yield answer

    @contextmanager
    def _clock(self, wall_s: float) -> Iterator[threading.Event]:
        """Kill the process after some time and set the event that is yielded."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            self.kill()

        clock = threading.Timer(wall_s, stop)
        clock.daemon = True
        clock.start()
        try:
            yield late
        finally:
            clock.cancel()
            clock.join()

    def _stop(self) -> None:
        """Stop a child that waits for permission to continue; kill one that is busy, since nobody
        will read its answer."""
        try:
            if self._waits:
                self._exchange({"stop": True}, b"")
                return
        except (EOFError, OSError, ValueError):
            pass
        self.kill()

    def _exchange(self, head: Mapping[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        self._waits = False
        send(pipe_in, head, data)
        reply, answer = receive(pipe_out, self._most)
        self._waits = "more" in reply
        return reply, answer

    def kill(self) -> None:
        """End the process now; a caller that waits for its answer gets an error."""
        self._process.kill()

    def close(self) -> None:
        """End the process and close its pipes."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._lifeline):
            with suppress(OSError):  # unsent data is of no use
                assert pipe is not None
                pipe.close()


def _cause_of_death(code: int, limits: ResourceLimits) -> str:
    if code >= 0:
        return f"ended with code {code}"
    name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
    if name == "SIGXCPU":
        return f"used more than {limits.cpu_s} s of processor time"
    if name == "SIGXFSZ":
        return f"wrote more than {limits.file_mib} MiB to a file"
    return f"crashed ({name}), perhaps at the limit of {limits.memory_mib} MiB of memory"


def _restored(call: _Call, name: str, message: str) -> MusicgenError:
    """The exception of the child: classes of this package unchanged, others as SandboxError."""
    if name == "MemoryError":
        return call.failure(f"needs more than {call.limits.memory_mib} MiB of memory")
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, MusicgenError):
        restored = kind.__new__(kind)
        Exception.__init__(restored, message)
        return restored
    return call.failure(f"failed ({name}: {errors.printable(message)})")
