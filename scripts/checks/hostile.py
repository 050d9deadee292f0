"""Everything that a hostile user, file or machine might do, idea by idea: `N of M` hold.

    python scripts/checks/hostile.py
    python scripts/checks/hostile.py --area locks server --match "two runs"

An idea is a row of `IDEAS` in a module of scripts/checks/ideas/: its name, and a function of an
empty folder that returns "" when all is well, else the complaint. Each runs in a process of its
own, which is killed with all its children after ten minutes; an exception is a fault, too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

IDEAS = Path(__file__).parent / "ideas"
AREAS = sorted(path.stem for path in IDEAS.glob("*.py") if path.stem != "__init__")
LIMIT_S = 600  # of the clock, for an idea; on an idle machine none takes two minutes


def ideas_of(area: str) -> Mapping[str, Callable[[Path], str]]:
    """The ideas of an area by name."""
    return import_module(f"scripts.checks.ideas.{area}").IDEAS


def complaint_of(area: str, name: str) -> tuple[str, float]:
    """The complaint of an idea, carried out in another process, and its seconds."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hostile-", ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [sys.executable, __file__, "--area", area, "--match", name, "--folder", folder],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            start_new_session=True,
        )  # fmt: skip
        try:
            said, _ = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            said = f"took longer than {LIMIT_S} s"
        finally:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    lines = said.strip().splitlines()
    complaint = lines[-1] if lines else f"ended with code {process.returncode}"
    return "" if process.returncode == 0 else complaint, time.monotonic() - began


def carry_out(area: str, name: str, folder: Path) -> bool:
    """Carry out an idea in this process; print its complaint."""
    os.chdir(folder)
    complaint = ideas_of(area)[name](folder)
    print(complaint)
    return bool(complaint)


def main(
    *,
    area: Annotated[Sequence[str], AREAS] = AREAS,
    match: Annotated[str, "only ideas with this in their name"] = "",
    jobs: Annotated[int, "ideas at a time"] = 2,
    folder: Annotated[Path | None, "carry out the one idea of this name here"] = None,
) -> bool:
    """Print each idea with its complaint, and how many of all hold; exit code 1 unless all do."""
    # A shell has its background jobs ignore Ctrl-C, and their children after them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if folder is not None:
        return carry_out(area[0], match, folder)
    ideas = [(of, name) for of in area for name in ideas_of(of) if match in name]
    held = 0
    with ThreadPoolExecutor(jobs) as pool:
        results = pool.map(lambda idea: complaint_of(*idea), ideas)
        for (of, name), (complaint, seconds) in zip(ideas, results, strict=True):
            held += not complaint
            print(f"{'FAULT' if complaint else 'ok':5} {seconds:5.0f} s  {of}: {name}", flush=True)
            if complaint:
                print(f"        {complaint}", flush=True)
    print(f"{held} of {len(ideas)}")
    return held < len(ideas) or not ideas


if __name__ == "__main__":
    command_line.run(main)
