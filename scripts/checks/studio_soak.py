"""Does a studio stay well? Mixed work for minutes, clients that leave, and its memory watched.

    python scripts/checks/studio_soak.py --minutes 10 --clients 50

Prints once a minute how many requests were answered with which status, and the resident memory of
the server and of all its processes. Memory is flat where a straight line fitted to all sizes after
the first third rises by less than 4 MiB and a twentieth of its mean; that of all processes, which
are replaced now and then, by less than a tenth. Exit 1 when it is not (after five minutes or more),
when an answer was 5xx or broken off, when health took 10 s, or when the server said anything in its
terminal.
"""

from __future__ import annotations

import base64
import http.client
import json
import random
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
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
            except (OSError, http.client.HTTPException) as error:
                self.statuses[type(error).__name__] += 1
            time.sleep(chance.random() / 2)


def memory_mib(pid: int) -> tuple[float, float]:
    """Resident memory of a process, and of it with all below it."""
    sizes = {n: int(fields[21]) * PAGE_KIB / 1024 for n, fields in family(pid).items()}
    return sizes[pid], sum(sizes.values())


def rise(sizes: Sequence[float]) -> float:
    """By how much a straight line fitted to the last two thirds of some sizes rises."""
    settled = sizes[len(sizes) // 3 :]
    return statistics.linear_regression(range(len(settled)), settled).slope * len(settled)


def main(*, minutes: float = 10, clients: int = 4) -> bool:
    """Soak and report."""
    studio = Studio()
    visitors = Visitors(studio)
    threads = [threading.Thread(target=visitors.visit, args=(seed,)) for seed in range(clients)]
    own, whole = [], []
    slowest, began, said = 0.0, time.monotonic(), 0.0
    for thread in threads:
        thread.start()
    try:
        while time.monotonic() - began < 60 * minutes:
            time.sleep(1)
            slowest = max(slowest, studio.timed("/api/health"))
            for sizes, size in zip((own, whole), memory_mib(studio.process.pid), strict=True):
                sizes.append(size)
            if time.monotonic() - began - said >= 60 or len(own) == 5:
                said = time.monotonic() - began
                print(
                    f"{said / 60:5.1f} min  server {own[-1]:6.1f} MiB  all {whole[-1]:7.1f} MiB  "
                    f"health {slowest:.2f} s  {dict(visitors.statuses)}",
                    flush=True,
                )
    finally:
        visitors.stop.set()
        for thread in threads:
            thread.join()
        stopped_s = studio.stop()
    words = studio.process.stderr.read().replace("Ctrl-C stops it\n", "")
    failed = {s: n for s, n in visitors.statuses.items() if s[0] not in "24" and s != "left"}
    mean = statistics.mean(own)
    flat = rise(own) < max(4, mean / 20) and rise(whole) < statistics.mean(whole) / 10
    print(json.dumps({"statuses": visitors.statuses, "health_s": round(slowest, 2),
                      "server_mib": round(mean, 1), "server_rise_mib": round(rise(own), 2),
                      "all_mib": round(statistics.mean(whole), 1),
                      "all_rise_mib": round(rise(whole), 1),
                      "stopped_s": round(stopped_s, 2), "terminal": words[:500]}))  # fmt: skip
    return bool(failed or words) or slowest >= 10 or (minutes >= 5 and not flat)


if __name__ == "__main__":
    command_line.run(main)
