"""How fast tunes become pages and sound, and how much memory many of them take.

    python scripts/benchmarks/render.py [--tunes 1000] [--audio 20] [--jobs 2]

Bundled tunes, drawn at random with a fixed seed. Prints a table: seconds for a page of score once
the children are warm, seconds of sound a second, and tunes rendered in parallel with the memory of
this process and of its children as the run goes on.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from musicgen import corpus
from musicgen.errors import MusicgenError
from musicgen.formats import WRITERS, rendered
from musicgen.music.performance import perform
from musicgen.music.tune import Tune

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

SEED = 1


def main(*, tunes_: int = 1_000, audio: int = 20, jobs: int = os.cpu_count() or 1) -> None:
    """Measure and print."""
    tunes = [tune for _, tune in corpus.load(["celtic"]).tunes()]
    random.Random(SEED).shuffle(tunes)
    print(f"{os.cpu_count()} cores, {len(tunes)} tunes to choose from, seed {SEED}")
    for suffix in (".svg", ".png", ".pdf"):
        measure_pages(tunes[:50], suffix)
    measure_book(tunes[:50])
    measure_audio(tunes[:audio], jobs)
    measure_parallel(tunes[:tunes_], jobs)


def measure_pages(tunes: Iterable[Tune], suffix: str) -> None:
    """Seconds for one tune, one after the other."""
    start = time.perf_counter()
    rendered([next(iter(tunes))], suffix)
    cold = time.perf_counter() - start
    times = []
    for tune in tunes:
        start = time.perf_counter()
        rendered([tune], suffix)
        times.append(time.perf_counter() - start)
    print(
        f"{suffix}: {statistics.median(times):.3f} s a page (median of {len(times)}, "
        f"longest {max(times):.3f} s, the first with its child {cold:.2f} s)"
    )


def measure_book(tunes: list[Tune]) -> None:
    """Seconds for a tunebook with title page and index of incipits."""
    start = time.perf_counter()
    size = len(rendered(tunes, ".pdf", title="Benchmark"))
    elapsed = time.perf_counter() - start
    print(f"tunebook of {len(tunes)}: {elapsed:.1f} s, {size / 1024:.0f} KiB")


def measure_audio(tunes: Sequence[Tune], jobs: int) -> None:
    """How many seconds of sound are made in a second, warm: one tune at a time, then several."""
    sound_s = sum(perform(tune).duration_s for tune in tunes)
    for suffix in sorted(suffix for suffix, row in WRITERS.items() if row.is_audio):
        elapsed = {}
        for n in (1, jobs):
            with ThreadPoolExecutor(n) as pool:
                list(pool.map(lambda tune: rendered([tune], suffix), tunes[:n]))  # noqa: B023
                start = time.perf_counter()
                list(pool.map(lambda tune: rendered([tune], suffix), tunes))  # noqa: B023
                elapsed[n] = time.perf_counter() - start
        rates = ", ".join(f"{sound_s / s:.0f} with {n} jobs" for n, s in elapsed.items())
        print(f"{suffix}: times real time: {rates} ({sound_s:.0f} s of sound)")
    own, children = _memory_mib()
    print(f"  MiB of this process + children after sound: {own}+{children}")


def measure_parallel(tunes: list[Tune], jobs: int) -> None:
    """Scores of many tunes at the same time; memory at each tenth of the way."""
    start, failed, memory = time.perf_counter(), 0, []
    with ThreadPoolExecutor(jobs) as pool:
        for done, good in enumerate(pool.map(_renders, tunes), 1):
            failed += not good
            if done % max(1, len(tunes) // 10) == 0:
                memory.append(_memory_mib())
    elapsed = time.perf_counter() - start
    print(f"{len(tunes)} scores by {jobs} jobs: {elapsed:.1f} s, {failed} failed")
    print("  MiB of this process + children:", ", ".join(f"{a}+{b}" for a, b in memory))


def _renders(tune: Tune) -> bool:
    try:
        return bool(rendered([tune], ".svg"))
    except MusicgenError as error:
        print(f"  {error}")
        return False


def _memory_mib() -> tuple[int, int]:
    """Resident memory of this process and of its children; (0, 0) where there is no /proc."""
    own, children = 0, 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        kib = int(facts.get("VmRSS", "0 kB").split()[0])
        if int(facts["Pid"]) == os.getpid():
            own = kib // 1024
        elif int(facts["PPid"]) == os.getpid():
            children += kib // 1024
    return own, children


if __name__ == "__main__":
    command_line.run(main)
