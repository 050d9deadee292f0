"""Child processes: what they answer, what they may use, and what is left after they die."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from musicgen.errors import ConfigError, ParseError, SandboxError
from musicgen.system.sandbox import MAX_CALLS, Cancellation, Pool, ResourceLimits, run
from tests import ROOT
from tests.processes import alive

posix = pytest.mark.skipif(sys.platform == "win32", reason="no resource limits there")
HERE = "tests.system.test_sandbox:"


def reverse(data: bytes) -> bytes:
    return data[::-1]


def process(data: bytes) -> bytes:
    return str(os.getpid()).encode()


def spin(data: bytes) -> bytes:
    while True:
        pass


def sleep(data: bytes) -> bytes:
    time.sleep(60)
    return data


def hoard(data: bytes) -> bytes:
    return bytes(2**30)


def segfault(data: bytes) -> bytes:
    os.kill(os.getpid(), signal.SIGSEGV)
    return data


def chatter(data: bytes) -> bytes:
    print("a library talks to standard output")
    os.write(1, b"and past Python")
    return data


def fill_the_disk(data: bytes, *, path: str) -> bytes:
    with Path(path).open("wb") as file:
        for _ in range(8):
            file.write(bytes(2**20))
    return data


def refuse(data: bytes, *, kind: str) -> bytes:
    if kind == "ours":
        raise ParseError("not music", path="a.abc", line=3)
    raise KeyError(kind)


def test_a_function_gets_bytes_and_options_and_answers_with_bytes() -> None:
    data = os.urandom(300_000)
    assert run(HERE + "reverse", data) == data[::-1]


@pytest.fixture
def pool() -> Iterator[Pool]:
    """Children that no other test has called."""
    own = Pool()
    yield own
    own.close()


def test_a_warm_child_is_used_again(pool: Pool) -> None:
    first = pool.run(HERE + "process", b"")
    assert int(first) != os.getpid()
    assert pool.run(HERE + "process", b"") == first


def test_a_child_is_replaced_after_many_calls(pool: Pool) -> None:
    assert len({pool.run(HERE + "process", b"") for _ in range(MAX_CALLS + 1)}) == 2


@posix
def test_a_child_that_died_while_idle_is_not_asked(pool: Pool) -> None:
    idle = int(pool.run(HERE + "process", b""))
    os.kill(idle, signal.SIGKILL)
    os.waitid(os.P_PID, idle, os.WEXITED | os.WNOWAIT)
    assert int(pool.run(HERE + "process", b"")) != idle


def test_threads_do_not_wait_for_each_other() -> None:
    barrier = threading.Barrier(2)

    def ask(_: int) -> bytes:
        barrier.wait()
        return run(HERE + "reverse", b"ab")

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, range(2))) == [b"ba", b"ba"]


def test_what_a_library_prints_does_not_disturb_the_answer() -> None:
    assert run(HERE + "chatter", b"x") == b"x"


@posix
@pytest.mark.parametrize(
    ("function", "limits", "message"),
    [
        ("spin", ResourceLimits(cpu_s=1), "the engraver used more than 1 s of processor time"),
        ("sleep", ResourceLimits(wall_s=0.3), "the engraver took longer than 0.3 s"),
        ("hoard", ResourceLimits(memory_mib=512), "the engraver needs more than 512 MiB of memory"),
        (
            "segfault",
            ResourceLimits(),
            "the engraver crashed (SIGSEGV), perhaps at the limit of 2048 MiB of memory",
        ),
    ],
)
def test_a_runaway_child_is_stopped_and_the_next_call_works(
    function: str, limits: ResourceLimits, message: str
) -> None:
    with pytest.raises(SandboxError) as error:
        run(HERE + function, b"", what="the engraver", limits=limits)
    assert str(error.value) == message
    assert run(HERE + "reverse", b"ab") == b"ba"


@posix
def test_a_child_cannot_fill_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "full"
    with pytest.raises(SandboxError):
        run(HERE + "fill_the_disk", b"", limits=ResourceLimits(file_mib=2), path=str(path))
    assert path.stat().st_size <= 2 * 2**20


def test_an_answer_that_is_too_long_is_refused() -> None:
    with pytest.raises(SandboxError):
        run(HERE + "reverse", bytes(2**21), limits=ResourceLimits(answer_mib=1))


def test_our_own_errors_arrive_as_they_were() -> None:
    with pytest.raises(ParseError) as error:
        run(HERE + "refuse", b"", kind="ours")
    assert str(error.value) == "a.abc:3: not music"


def test_any_other_error_names_the_work_and_the_reason() -> None:
    with pytest.raises(SandboxError) as error:
        run(HERE + "refuse", b"", what="the engraver", kind="theirs")
    assert str(error.value) == "the engraver failed (KeyError: 'theirs')"


def test_options_must_be_plain() -> None:
    with pytest.raises(TypeError):
        run(HERE + "refuse", b"", kind=ConfigError)


def count(data: bytes, *, n: int) -> Iterator[bytes]:
    for i in range(n):
        yield str(i).encode()
    if data:
        raise ParseError("no more")


def begin_and_sleep(data: bytes) -> Iterator[bytes]:
    yield process(data)
    time.sleep(60)


def test_answers_come_one_by_one_and_errors_after_them(pool: Pool) -> None:
    assert list(pool.each(HERE + "count", b"", n=3)) == [b"0", b"1", b"2"]
    answers = pool.each(HERE + "count", b"x", n=1)
    assert next(answers) == b"0"
    with pytest.raises(ParseError, match="no more"):
        next(answers)


def test_a_child_whose_answers_are_no_longer_wanted_is_used_again(pool: Pool) -> None:
    child = pool.run(HERE + "process", b"")
    answers = pool.each(HERE + "count", b"", n=1000)
    assert next(answers) == b"0"
    answers.close()
    assert pool.run(HERE + "process", b"") == child


@posix
def test_a_call_is_cancelled_between_answers_or_by_force(pool: Pool) -> None:
    child = pool.run(HERE + "process", b"")
    cancellation = Cancellation()
    answers = pool.each(HERE + "count", b"", n=1000, cancellation=cancellation)
    next(answers)
    cancellation.cancel(grace_s=60)
    with pytest.raises(SandboxError, match="was cancelled"):
        next(answers)
    assert pool.run(HERE + "process", b"") == child
    cancellation = Cancellation()
    answers = pool.each(HERE + "begin_and_sleep", b"", cancellation=cancellation)
    assert next(answers) == child
    threading.Timer(0.2, cancellation.cancel, kwargs={"grace_s": 0.1}).start()
    with pytest.raises(SandboxError, match="was cancelled"):
        next(answers)
    assert pool.run(HERE + "process", b"") != child


def test_a_closed_pool_takes_no_calls() -> None:
    pool = Pool()
    answers = pool.each(HERE + "count", b"", n=9)
    next(answers)
    pool.close()
    with pytest.raises(SandboxError, match="was stopped"):
        list(answers)
    with pytest.raises(SandboxError, match="was stopped"):
        pool.run(HERE + "reverse", b"ab")
    assert pool.n_children == 0


# --- when the parent dies -------------------------------------------------------------------------

PARENT = """
import sys, threading
sys.path.insert(0, {root!r})
from musicgen.system.sandbox import Pool
pool = Pool()
for name in ("spin", "hold_the_interpreter", "begin_and_hold"):
    call = lambda name=name: list(pool.each("tests.system.test_sandbox:report_and_" + name, b""))
    threading.Thread(target=call).start()
threading.Event().wait()  # once this thread has ended, Python 3.12 starts no other
"""


def report_and_spin(data: bytes) -> bytes:
    Path(f"{os.getpid()}.pid").touch()
    return spin(data)


def report_and_hold_the_interpreter(data: bytes) -> bytes:
    Path(f"{os.getpid()}.pid").touch()
    ctypes.PyDLL(None).sleep(60)
    return data


def report_and_begin_and_hold(data: bytes) -> Iterator[bytes]:
    yield data
    yield report_and_hold_the_interpreter(data)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, libraries may delay it")
def test_no_child_outlives_its_parent_whatever_either_does(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(root=str(ROOT))], cwd=tmp_path)
    with parent:
        until = time.monotonic() + 300
        while len(pids := [int(path.stem) for path in tmp_path.glob("*.pid")]) < 3:
            assert time.monotonic() < until
            time.sleep(0.05)
        parent.kill()
    killed = time.monotonic()
    while any(map(alive, pids)):
        assert time.monotonic() - killed < 30  # of a minute that each would sleep
        time.sleep(0.01)
