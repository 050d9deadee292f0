"""The ideas of `scripts/checks/hostile.py`, a module for each area, and the parts that they share.

An idea is a row of a module's `IDEAS`: its name, and a function of an empty folder, which is also
the working folder, that returns "" when all is well, else the complaint in one line.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from musicgen.errors import printable

ROOT = Path(__file__).resolve().parents[3]
Idea = Callable[[Path], str]
Done = subprocess.CompletedProcess[str]


def command(*arguments: object, cpu_s: int = 60, memory_mib: int = 4096, **options: Any) -> Done:
    """Run `musicgen` with these arguments, within bounds of processor time and memory; options as
    of `subprocess.run`."""

    def limit() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
        resource.setrlimit(resource.RLIMIT_AS, (memory_mib << 20, memory_mib << 20))

    return subprocess.run(
        [sys.executable, "-m", "musicgen", *map(str, arguments)],
        capture_output="stdout" not in options, text=True, errors="replace", check=False,
        preexec_fn=limit, **options,
    )  # fmt: skip


def not_one_line(done: Done, code: int = 1) -> str:
    """What is wrong with a refusal, which is one plain line and this exit code; "" for nothing."""
    lines = (done.stderr or "").splitlines()
    if done.returncode != code:
        return f"exit code {done.returncode} instead of {code}: {' / '.join(lines[-2:])}"
    if len(lines) != 1:
        return f"{len(lines)} lines instead of one: {' / '.join(lines[-2:])}"
    return "" if lines[0] == printable(lines[0]) else f"not plain: {printable(lines[0])}"


def script(name: str, *arguments: object) -> Idea:
    """The idea that a check of this folder holds with these arguments."""
    return partial(_run_script, [sys.executable, ROOT / "scripts/checks" / name, *arguments])


def _run_script(line: list[object], folder: Path) -> str:
    done = subprocess.run(
        list(map(str, line)), cwd=folder, capture_output=True, text=True, check=False
    )
    said = (done.stdout + done.stderr).strip().splitlines()
    return "" if done.returncode == 0 else " / ".join(said[-3:]) or f"code {done.returncode}"
