"""The preset `lecture` beside a network in numpy of sixty lines, for the same CPU time.

    OMP_NUM_THREADS=1 python scripts/benchmarks/lecture.py --seconds 21 --seeds 3

Both learn the same characters with a state of 100 units, windows of 25 and Adagrad at 0.1; numpy
reads one row of text, the preset eight. They take turns, seed after seed. Printed are means over
the seeds, with the smallest and the largest: the smoothed training loss on the way (for each 25
characters 0.999 of itself and 0.001 of theirs) and at the end bits per character of the validation
tunes, each from a state of zeros. A second table has the smoothed loss after equal numbers of
steps, where the preset, too, reads one row.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from musicgen.corpus.cache import prepared
from musicgen.corpus.tokenset import TokenSet
from musicgen.training import TrainConfig, train
from musicgen.training.presets import preset
from musicgen.training.run_folder import parse_rows

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.docs import numpy_rnn

Point = tuple[float, int, float]  # CPU-seconds, steps, smoothed bits per character
Run = tuple[list[Point], float]  # and bits per character of the validation tunes


def in_numpy(tokens: TokenSet, seed: int, over: Callable[[float, int], bool]) -> Run:
    """A run that ends when `over` says so of its seconds and steps."""
    weights = numpy_rnn.new_weights(len(tokens.vocab), 100, seed)
    curve, begin = [], time.process_time()
    ids = tokens.splits["train"].ids.tolist()
    for steps, smooth in enumerate(numpy_rnn.train(weights, ids, 10**9, 25), 1):
        if steps % 100 == 0:
            curve.append((time.process_time() - begin, steps, smooth))
            if over(*curve[-1][:2]):
                break
    val, nats = tokens.splits["val"], 0.0
    for i in range(len(val)):
        ids = val.tune(i)[0].tolist()
        nats += numpy_rnn.forward(weights, ids[:-1], ids[1:], np.zeros(100))[0]
    return curve, nats / math.log(2) / float(val.notes.sum())


def ours(tokens: TokenSet, seed: int, config: TrainConfig) -> Run:
    """The same of a preset, all that a run does included but its last validation."""
    config = replace(config, sample_every=0, val_every=10**6, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        done = train(config, tokens, Path(folder) / "run")
        rows = parse_rows((Path(folder) / "run" / "history.csv").read_text(), tokens.unit)
    smooth = [row for row in rows if row.smooth_bits_per_token]
    curve = [(row.elapsed_s, row.step, float(row.smooth_bits_per_token or 0)) for row in smooth]
    return curve, done.best_bits_per_note


def nearest(curve: Sequence[Point], column: int, mark: float) -> float:
    """The smoothed loss where a column of the curve is nearest to a mark."""
    return min(curve, key=lambda point: abs(point[column] - mark))[2]


def cell(values: Sequence[float], digits: int = 3) -> str:
    """The mean of several seeds, and their range."""
    mean = f"{np.mean(values):,.{digits}f}"
    return f"{mean} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def main(
    *,
    seconds: Annotated[float, "of CPU time, for each run"] = 20.0,
    steps: Annotated[int, "of each run that is compared step by step; 0 is none"] = 4000,
    seeds: Annotated[int, "runs of each"] = 3,
    corpus: Annotated[str, "a named corpus, file or folder"] = "airdsAirs",
) -> None:
    """Train both and print two Markdown tables."""
    tokens = prepared([corpus], tokenizer="char").tokens
    config = preset("lecture")
    timed, counted = config.with_budget(cpu_minutes=seconds / 60), config.with_budget(steps=steps)
    one_row = replace(counted, data=replace(config.data, batch_tokens=config.data.max_len))
    runs: dict[str, list[Run]] = {"numpy": [], "preset lecture": [], "preset, one row": []}
    for seed in range(seeds):
        runs["numpy"].append(in_numpy(tokens, seed, lambda s, n: s >= seconds and n >= steps))
        runs["preset lecture"].append(ours(tokens, seed, timed))
        if steps:
            runs["preset, one row"].append(ours(tokens, seed, one_row))
    threads = torch.get_num_threads()
    print(f"{time.strftime('%Y-%m-%d')}, {threads} threads, {corpus}, {seeds} seeds\n")
    marks = [seconds * k / 4 for k in (1, 2, 4)]
    print("| network |", " | ".join(f"{mark:.0f} s" for mark in marks), "| validation | steps |")
    print("|---|---:|---:|---:|---:|---:|")
    for name in ("numpy", "preset lecture"):
        found = [cell([nearest(curve, 0, mark) for curve, _ in runs[name]]) for mark in marks]
        found.append(cell([score for _, score in runs[name]]))
        print(f"| {name} |", " | ".join(found), f"| {cell([c[-1][1] for c, _ in runs[name]], 0)} |")
    if steps:
        places = [steps * k // 4 for k in (1, 2, 4)]
        print("\n| network |", " | ".join(f"{place:,} steps" for place in places), "|")
        print("|---|---:|---:|---:|")
        for name in ("numpy", "preset, one row"):
            found = [cell([nearest(c, 1, place) for c, _ in runs[name]]) for place in places]
            print(f"| {name} |", " | ".join(found), "|")


if __name__ == "__main__":
    command_line.run(main)
