"""Several processes on one list: in order, lazily, and none left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from musicgen.errors import MusicgenError
from musicgen.system.workers import in_order
from tests import ROOT
from tests.processes import alive


def double(n: int) -> int:
    time.sleep(0.01 * (n % 3))
    return 2 * n


def die(n: int) -> int:
    if n == 3:
        os._exit(1)
    return n


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_and_items_are_taken_as_they_are_needed(workers: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for n in range(40):
            taken.append(n)
            yield n

    results = in_order(double, items(), workers=workers, advice="", ahead=2)
    assert next(results) == 0
    assert len(taken) <= 2 * workers + 1
    assert list(results) == [2 * n for n in range(1, 40)]


def test_a_process_that_dies_is_said_in_one_line() -> None:
    with pytest.raises(MusicgenError, match="died, perhaps for want of memory; use one"):
        list(in_order(die, range(9), workers=2, advice="use one"))


PROGRAM = """
import os, sys, time
sys.path.insert(0, {root!r})
from musicgen.system.workers import in_order
from tests.system.test_workers import slow
if __name__ == "__main__":
    for pid in in_order(slow, range(99), workers=2, advice=""):
        print(pid, flush=True)
"""


def slow(n: int) -> int:
    time.sleep(0.05 if n < 2 else 60)
    return os.getpid()


def test_no_process_outlives_one_that_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(root=str(ROOT)))
    parent = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    children = {int(parent.stdout.readline()) for _ in range(2)}
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 60
    while any(map(alive, children)):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_closing_ends_the_processes_whatever_they_do() -> None:
    results = in_order(slow, range(99), workers=2, advice="", ahead=4)
    children = {next(results), next(results)}
    began = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 20  # of 60 s that each would sleep
    assert not any(map(alive, children))


def told(_: int) -> str:
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, set())
    return f"{os.environ['MUSICGEN_TOLD']} {signal.SIGINT in blocked}"


def test_a_process_has_its_environment_and_no_interrupts_and_ours_is_as_it_was() -> None:
    before = dict(os.environ), signal.getsignal(signal.SIGINT)
    results = in_order(told, range(3), workers=2, advice="", environment={"MUSICGEN_TOLD": "yes"})
    assert list(results) == ["yes True"] * 3
    assert (dict(os.environ), signal.getsignal(signal.SIGINT)) == before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
