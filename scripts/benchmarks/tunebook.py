"""What a tunebook costs beside composing it: written tune by tune, resumed, read again.

    python scripts/benchmarks/tunebook.py
    python scripts/benchmarks/tunebook.py --tunes 1000 10000 100000

Forty tunes are composed once and written again and again under other numbers and titles, without
their novelty, so that nothing but the book is measured: a file a tune, book.abc, index.csv. Then
the complete book is resumed, which looks at every tune and writes book and index anew, and book.abc
is read. Each step runs in a process of its own, whose memory is its own. CPU-seconds for 1,000
tunes say whether the cost is linear; the clock depends on how fast the disk syncs.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated

import musicgen
from musicgen import formats
from musicgen.cli.tunebook import BOOK, Tunebook
from musicgen.composer import FIRST, Take
from musicgen.composer.controls import Controls
from musicgen.composer.sampling import SamplingConfig

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.measuring import Timer

DIFFERENT = 40
STEPS = ("write", "resume", "read")


def takes(n: int) -> Iterator[Take]:
    """So many takes that differ in number and title."""
    composer = musicgen.load("celtic-rnn")
    made = list(composer.takes(DIFFERENT, Controls(), SamplingConfig(seed=1), FIRST))
    for index, take in enumerate(islice(cycle(made), n)):
        tune = replace(take.tune, title=f"Tune 1-{index + 1}", number=index + 1)
        yield Take(tune, index, take.bits_per_note)


def carry_out(step: str, folder: Path, n: int) -> dict[str, float]:
    """One step here and now: its CPU-seconds, seconds, and the memory of this process in MB."""
    composed = takes(n) if step == "write" else iter(())
    first = list(islice(composed, 1))  # composing is done before the time is taken
    with Timer() as timer:
        if step == "read":
            done = len(formats.read(folder / BOOK))
        else:
            book = Tunebook(folder, {"how": {"seed": 1}}, resume=step == "resume", force=False)
            book.fill((take for part in (first, composed) for take in part), n, ())
            done = book.done
    assert done == n, (step, done)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_s": timer.cpu_s, "wall_s": timer.wall_s, "memory_mb": memory}


def main(
    *,
    tunes: Annotated[Sequence[int], "how many, one book after the other"] = (1000, 10_000, 100_000),
    step: Annotated[str, "carry out one step here; for the script itself"] = "",
    folder: Path = Path(),
) -> None:
    """Print what each step costs for each number of tunes."""
    if step:
        print(json.dumps(carry_out(step, folder, tunes[0])))
        return
    for n in tunes:
        with tempfile.TemporaryDirectory() as temp:
            for name in STEPS:
                line = [sys.executable, __file__, "--step", name, "--tunes", str(n)]
                done = subprocess.run(
                    [*line, "--folder", f"{temp}/book"], check=True, stdout=subprocess.PIPE
                )
                cost = json.loads(done.stdout.splitlines()[-1])
                print(
                    f"{n:7} tunes, {name:6}: {cost['cpu_s']:7.2f} CPU-seconds, "
                    f"{1000 * cost['cpu_s'] / n:.2f} for 1,000; {cost['wall_s']:.0f} s by the "
                    f"clock; {cost['memory_mb']:.0f} MB",
                    flush=True,
                )


if __name__ == "__main__":
    command_line.run(main)
