"""How often a bar comes more than three times in a row: in the corpus, in new tunes, guarded.

python scripts/benchmarks/repetition.py --n 300 --seed 0
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import musicgen
from musicgen.composer import Composer
from musicgen.composer.controls import Controls
from musicgen.composer.sampling import SamplingConfig
from musicgen.corpus import load
from musicgen.music.tune import Tune

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

MOST = 3


def longest_row(tune: Tune) -> int:
    """The most times in a row that one bar stands written with the same notes."""
    bars = [bar.events for bar in tune.bars if any(True for _ in bar.timed)]
    return max((len(list(row)) for _, row in groupby(bars)), default=0)


def report(what: str, rows: Sequence[int]) -> None:
    """Print the share of tunes with too long a row."""
    too_long = sum(row > MOST for row in rows)
    share = f"{too_long:4} of {len(rows)} tunes ({too_long / len(rows):.2%})"
    print(f"{what:32} {share}, longest {max(rows)}", flush=True)


def main(*, n: int = 300, seed: int = 0) -> None:
    """Measure and print."""
    rows: list[int] = []
    load("celtic", extract=longest_row, keep=rows.append)
    report("corpus celtic", rows)
    composer = musicgen.load()
    assert isinstance(composer, Composer)
    for temperature in (1.0, 0.7):
        sampling = SamplingConfig(seed=seed, temperature=temperature)
        for most in (0, MOST):
            takes = composer.takes(n, Controls(max_repeats=most), sampling)
            what = f"temperature {temperature:g}, max-repeats {most}"
            report(what, [longest_row(take.tune) for take in takes])


if __name__ == "__main__":
    command_line.run(main)
