"""Does a studio stay well? Mixed work for minutes, clients that leave, and its memory watched.

    python scripts/checks/studio_soak.py --minutes 10

Prints once a minute how many requests were answered with which status, and the resident memory of
the server and of all its processes. Exit 1 when the server's own memory grew by more than a tenth
and 16 MiB after the first third, when it answered 5xx, or when health took 2 s.
"""

from __future__ import annotations

import base64
import json
import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.benchmarks.studio import Studio, family

PAGE_KIB = 4
ABC = "X:1\nT:Kesh\nR:jig\nM:6/8\nK:G\n|:G3 GAB|A3 ABd|edd gdd|edB dBA|G3 GAB|A3 ABd|AGF G3:|\n"


def request_of(chance: random.Random) -> tuple[str, dict[str, Any]]:
    """Something that a page might ask, or a stranger."""
    seed = chance.randrange(1000)
    controls = {"bars": chance.choice([8, 16, 32])}
    return chance.choice(
        [
            ("/api/takes", {"kind": "generate", "seed": seed, "number": 2, "controls": controls}),
            ("/api/takes", {"kind": "infill", "seed": seed, "abc": ABC, "bars": "3-4"}),
            ("/api/takes", {"kind": "continue", "seed": seed, "abc": ABC, "bars": 16}),
            ("/api/takes", {"kind": "generate", "controls": {"key": "H"}}),
            ("/api/tune", {"abc": ABC}),
            ("/api/tune", {"abc": "X:1\nK:D\n" + "ABc|" * 500}),
            ("/api/change", {"abc": ABC, "change": "transpose", "semitones": seed % 12}),
            ("/api/export", {"abc": ABC, "format": chance.choice(["mid", "svg", "ogg", "pdf"])}),
            ("/api/read", {"name": "a.abc", "data": base64.b64encode(ABC.encode()).decode()}),
            ("/api/read", {"name": "a.mid", "data": "AAAA"}),
            ("/api/surprise", {"abc": ABC}),
        ]
    )


class Visitors:
    """Threads that ask, one thing after the other; some leave before they are answered."""

    def __init__(self, studio: Studio) -> None:
        self.studio, self.statuses = studio, Counter[str]()
        self.stop = threading.Event()

    def visit(self, seed: int) -> None:
        """Ask until it is time to stop."""
        chance = random.Random(seed)
        while not self.stop.is_set():
            path, request = request_of(chance)
            try:
                response = self.studio.ask(path, request)
                if chance.random() < 0.2:
                    response.close()
                    self.statuses["left"] += 1
                else:
                    response.read()
                    self.statuses[str(response.status)] += 1
            except OSError as error:
                self.statuses[type(error).__name__] += 1
            time.sleep(chance.random() / 2)


def memory_mib(pid: int) -> tuple[float, float]:
    """Resident memory of a process, and of it with all below it."""
    sizes = {n: int(fields[21]) * PAGE_KIB / 1024 for n, fields in family(pid).items()}
    return sizes[pid], sum(sizes.values())


def main(*, minutes: float = 10) -> bool:
    """Soak and report."""
    studio = Studio()
    visitors = Visitors(studio)
    threads = [threading.Thread(target=visitors.visit, args=(seed,)) for seed in range(4)]
    own: list[float] = []
    slowest, began, said = 0.0, time.monotonic(), 0.0
    for thread in threads:
        thread.start()
    try:
        while time.monotonic() - began < 60 * minutes:
            time.sleep(1)
            slowest = max(slowest, studio.timed("/api/health"))
            server, family = memory_mib(studio.process.pid)
            own.append(server)
            if time.monotonic() - began - said >= 60 or len(own) == 5:
                said = time.monotonic() - began
                print(
                    f"{said / 60:5.1f} min  server {server:6.1f} MiB  all {family:7.1f} MiB  "
                    f"health {slowest:.2f} s  {dict(visitors.statuses)}",
                    flush=True,
                )
    finally:
        visitors.stop.set()
        for thread in threads:
            thread.join()
        stopped_s = studio.stop()
    settled = sorted(own[: len(own) // 3])[-1]
    grown = own[-1] - settled
    failed = [status for status in visitors.statuses if status.startswith("5")]
    print(json.dumps({"statuses": visitors.statuses, "health_s": round(slowest, 2),
                      "settled_mib": round(settled, 1), "grown_mib": round(grown, 1),
                      "stopped_s": round(stopped_s, 2)}))  # fmt: skip
    return bool(failed) or slowest >= 2 or grown > max(16, settled / 10)


if __name__ == "__main__":
    command_line.run(main)
