"""How long a studio makes its page wait: first notes, whole takes, views, sound, health under load.

    python scripts/benchmarks/studio.py [--runs 5]

Starts `musicgen studio` on a free port and asks it as the page does, first with nothing else to do,
then while it composes for others. Times in seconds: the median and the longest of the runs; of
eight takes also the processor time of all its processes (Linux), which a busy machine does not
change: over two cores it takes about half of that.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

TUNE = {"key": "D", "rhythm": "reel", "form": "AABB", "bars": 32}


class Studio:
    """A server of its own, stopped at the end."""

    def __init__(self) -> None:
        command = [str(Path(sys.executable).with_name("musicgen")), "studio"]
        self.process = subprocess.Popen(
            [*command, "--port", "0", "--no-browser"], stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        self.port = int(self.process.stderr.readline().rstrip().rstrip("/").rpartition(":")[2])
        began = time.monotonic()
        while not self.ready():
            time.sleep(0.05)
        self.warm_s = time.monotonic() - began

    def ready(self) -> bool:
        """Whether it has loaded what composing needs."""
        try:
            return bool(json.loads(self.ask("/api/health").read())["ready"])
        except OSError:
            return False

    def ask(self, path: str, request: dict[str, Any] | None = None) -> http.client.HTTPResponse:
        """The answer to a request, its body still to be read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        if request is None:
            connection.request("GET", path)
        else:
            kind = {"Content-Type": "application/json"}
            connection.request("POST", path, json.dumps(request), kind)
        return connection.getresponse()

    def takes(self, number: int, seed: int) -> tuple[float, float, list[str]]:
        """Seconds to the first notes and to the last take, and the takes."""
        began = time.monotonic()
        request = {"kind": "generate", "number": number, "seed": seed, "controls": TUNE}
        first = 0.0
        tunes = []
        for line in self.ask("/api/takes", request):
            event = json.loads(line)
            first = first or time.monotonic() - began
            if event["event"] == "take":
                tunes.append(event["tune"]["abc"])
        assert len(tunes) == number
        return first, time.monotonic() - began, tunes

    def timed(self, path: str, request: dict[str, Any] | None = None) -> float:
        """Seconds until a whole answer is there."""
        began = time.monotonic()
        response = self.ask(path, request)
        response.read()
        assert response.status == 200, response.status
        return time.monotonic() - began

    def cpu_s(self) -> float:
        """Processor time of its processes so far; 0 where there is no /proc."""
        ticks = [sum(map(int, fields[11:13])) for fields in family(self.process.pid).values()]
        return sum(ticks) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> float:
        """Seconds from the signal to the end."""
        began = time.monotonic()
        self.process.terminate()
        self.process.wait()
        return time.monotonic() - began


def family(pid: int) -> dict[int, list[str]]:
    """A process and all below it, with the fields of /proc/PID/stat after the name."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found[int(folder.name)] = (folder / "stat").read_text().rpartition(")")[2].split()
    members = {pid}
    while more := {n for n, fields in found.items() if int(fields[1]) in members} - members:
        members |= more
    return {n: found[n] for n in members if n in found}


def report(what: str, seconds: list[float]) -> None:
    """A row of the table."""
    print(f"{what:44} {statistics.median(seconds):7.2f} {max(seconds):7.2f}", flush=True)


def under_load(studio: Studio, work: Callable[[int], object], n: int) -> list[float]:
    """Seconds that health took while n threads had work done."""
    threads = [threading.Thread(target=work, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    took = []
    while any(thread.is_alive() for thread in threads):
        took.append(studio.timed("/api/health"))
        time.sleep(0.05)
    return took


def main(*, runs: int = 5) -> None:
    """Measure and print."""
    studio = Studio()
    try:
        print(f"{'seconds':44} {'median':>7} {'longest':>7}")
        report("warm after its start", [studio.warm_s])
        one = [studio.takes(1, seed) for seed in range(runs)]
        report("one take of 32 bars: first notes", [first for first, _, _ in one])
        report("one take of 32 bars: whole, with score", [whole for _, whole, _ in one])
        before_s = studio.cpu_s()
        eight = [studio.takes(8, seed) for seed in range(runs)]
        used_s = (studio.cpu_s() - before_s) / len(eight)
        report("eight takes of 32 bars: first notes", [first for first, _, _ in eight])
        report("eight takes of 32 bars: all, with scores", [whole for _, whole, _ in eight])
        report("eight takes of 32 bars: processor time", [used_s])
        tunes = [abc for _, _, (abc,) in one]
        report("a view of a tune", [studio.timed("/api/tune", {"abc": abc}) for abc in tunes])
        for kind in ("wav", "ogg", "mp3", "pdf"):
            asked = [{"abc": abc, "format": kind} for abc in tunes]
            report(f"sound and print: {kind}", [studio.timed("/api/export", a) for a in asked])
        ways: dict[str, dict[str, Any]] = {
            "continue": {"bars": 40},
            "infill": {"bars": "3-4"},
            "vary": {},
        }
        for kind, more in ways.items():
            asked = [{"kind": kind, "abc": abc, "seed": 1, **more} for abc in tunes]
            report(kind, [studio.timed("/api/takes", a) for a in asked])
        health = under_load(studio, lambda i: studio.takes(8, i), 6)
        report("health while six ask for eight takes", health)
        report("stopped", [studio.stop()])
    finally:
        studio.process.kill()


if __name__ == "__main__":
    command_line.run(main)
