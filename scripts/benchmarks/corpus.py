"""From files to a folder of token files: tunes a second, memory, and what a million would take.

    python scripts/benchmarks/corpus.py
    python scripts/benchmarks/corpus.py --tunes 50000 100000

First the bundled collections as they are. Then, with --tunes, corpora of that many tunes made of
the bundled ones: after the originals come copies with their bars shuffled, so that nearly all are
new tunes of the same make (a transposed copy would be found to be a duplicate). A straight line
through the two largest says what a million tunes would take.

Every corpus is prepared in a process of its own, by `preparation.prepare` with a worker for each
core. Memory is the largest resident set of that process, and beside it that of its largest worker.
"""

from __future__ import annotations

import json
import platform
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from musicgen import corpus, formats
from musicgen.cli.progress import available_cores
from musicgen.corpus.preparation import prepare

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

BUNDLED = ["celtic", "essenFolksong"]
TUNES_PER_FILE = 100
KEY_LINE = re.compile(r"^K:.*$", re.MULTILINE)
MILLION = 1_000_000


def measure(sources: list[str], folder: str, workers: int) -> dict[str, float]:
    """Prepare a corpus here and now."""
    begin, cpu = time.perf_counter(), time.process_time()
    prepared = prepare(sources, folder=folder, workers=workers)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    mine = resource.getrusage(resource.RUSAGE_SELF)
    per_mb = 2**10 if sys.platform != "darwin" else 2**20
    loaded = prepared.corpus
    return {
        "tunes": len(loaded.entries) + len(loaded.duplicates),
        "different": len(loaded.entries),
        "families": len({entry.family for entry in loaded.entries}),
        "encoded": len(loaded.entries) - len(prepared.omitted),
        "seconds": seconds,
        "cpu_s": cpu + children.ru_utime + children.ru_stime,
        "memory_mb": mine.ru_maxrss / per_mb,
        "worker_mb": children.ru_maxrss / per_mb,
        "disk_mb": sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20,
    }


def measure_apart(sources: list[str], workers: int) -> dict[str, float]:
    """The same in a fresh process, whose memory is its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--workers", str(workers)]
        done = subprocess.run(
            [*command, "--measure", f"{folder}/tokens", *sources],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    return json.loads(done.stdout)


def shuffled(text: str, chance: random.Random) -> str:
    """A tune with the bars of its music in another order."""
    key = KEY_LINE.search(text)
    if key is None:
        return text
    music = " ".join(text[key.end() :].split("\n"))
    bars = [bar for bar in re.split(r"[|:\[\]]+(?:[12]\s)?", music) if bar.strip()]
    chance.shuffle(bars)
    lines = ["|".join(bars[i : i + 4]) for i in range(0, len(bars), 4)]
    body = "|\n".join(lines)
    return f"{text[: key.end()]}\n{body}|]"


def many_tunes(n: int) -> Iterator[str]:
    """Texts of `n` tunes."""
    texts = []
    for file in corpus.find_files(BUNDLED):
        for tune in formats.scan(file.path).tunes:
            assert tune.source is not None
            texts.append(tune.source.text.strip())
    chance = random.Random(0)
    for number in range(n):
        text = texts[number % len(texts)]
        yield text if number < len(texts) else shuffled(text, chance)


def write_corpus(folder: Path, n: int) -> None:
    """A folder of tunebooks with `n` tunes."""
    waiting: list[str] = []
    for number, text in enumerate(many_tunes(n), 1):
        waiting.append(text)
        if len(waiting) == TUNES_PER_FILE or number == n:
            (folder / f"{number:08}.abc").write_text("\n\n".join(waiting) + "\n", "utf-8")
            waiting = []


def print_row(name: str, figures: dict[str, float]) -> None:
    """One line of the table."""
    print(
        f"| {name} | {figures['tunes']:,.0f} | {figures['seconds']:.1f} | {figures['cpu_s']:.1f} "
        f"| {figures['tunes'] / figures['seconds']:,.0f} | {figures['memory_mb']:.0f} "
        f"| {figures['worker_mb']:.0f} | {figures['disk_mb']:.0f} "
        f"| {figures['encoded'] / figures['different']:.1%} |",
        flush=True,
    )


def extrapolate(small: dict[str, float], large: dict[str, float]) -> dict[str, float]:
    """A million tunes, on the line through two corpora."""
    share = (MILLION - small["tunes"]) / (large["tunes"] - small["tunes"])
    figures = {name: small[name] + share * (large[name] - small[name]) for name in small}
    return figures | {"worker_mb": max(small["worker_mb"], large["worker_mb"])}


def main(
    *,
    tunes: Annotated[Sequence[int], "sizes of made corpora"] = (),
    workers: int = available_cores(),
    measure_: Annotated[Sequence[str], "for the script itself: FOLDER and corpora"] = (),
) -> None:
    """Run the benchmark and print a Markdown table."""
    if measure_:
        folder, *sources = measure_
        print(json.dumps(measure(sources, folder, workers)))
        return
    print(f"note: {corpus.NON_COMMERCIAL}", file=sys.stderr)
    print(f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {available_cores()} cores, ", end="")
    print(f"{workers} workers, Python {platform.python_version()}\n")
    print(
        "| corpus | tunes | seconds | CPU-seconds | tunes/s | MB | MB a worker | MB on disk "
        "| encoded |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    )
    print_row("celtic", measure_apart(["celtic"], workers))
    measured = [measure_apart(BUNDLED, workers)]
    print_row("celtic and essenFolksong", measured[0])
    for n in sorted(tunes):
        with tempfile.TemporaryDirectory() as folder:
            write_corpus(Path(folder), n)
            measured.append(measure_apart([folder], workers))
            print_row(f"{n:,} made of them", measured[-1])
    if len(measured) > 1:
        print_row("extrapolated", extrapolate(*measured[-2:]))


if __name__ == "__main__":
    command_line.run(main)
