"""The preset `lecture` beside a network in numpy of sixty lines, for the same CPU time.

    python scripts/benchmarks/lecture.py --seconds 20

Both learn the same characters with a state of 100 units, windows of 25 and Adagrad at 0.1; numpy
reads one row of text, the preset eight. Printed are the smoothed training loss on the way (0.999 of
itself and 0.001 of that of a step) and at the end bits per character of the validation tunes, each
from a state of zeros.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from musicgen.corpus.cache import prepared
from musicgen.corpus.tokenset import TokenSet
from musicgen.training import train
from musicgen.training.presets import preset
from musicgen.training.run_folder import parse_rows

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.docs import numpy_rnn

Curve = list[tuple[float, float]]  # CPU-seconds, smoothed bits per character


def in_numpy(tokens: TokenSet, seconds: float) -> tuple[Curve, float, int]:
    """The curve, bits per character of the validation tunes, and the number of steps."""
    weights = numpy_rnn.new_weights(len(tokens.vocab), 100, 0)
    curve, begin, steps = [], time.process_time(), 0
    for smooth in numpy_rnn.train(weights, tokens.splits["train"].ids.tolist(), 10**9, 25):
        steps += 1
        if steps % 100 == 0:
            curve.append((time.process_time() - begin, smooth))
            if curve[-1][0] >= seconds:
                break
    val, nats = tokens.splits["val"], 0.0
    for i in range(len(val)):
        ids = val.tune(i)[0].tolist()
        nats += numpy_rnn.forward(weights, ids[:-1], ids[1:], np.zeros(100))[0]
    return curve, nats / math.log(2) / float(val.notes.sum()), steps


def ours(tokens: TokenSet, seconds: float) -> tuple[Curve, float, int]:
    """The same of the preset, all that a run does included but its last validation."""
    config = replace(preset("lecture"), sample_every=0, val_every=10**6)
    with tempfile.TemporaryDirectory() as folder:
        done = train(config.with_budget(cpu_minutes=seconds / 60), tokens, Path(folder) / "run")
        rows = parse_rows((Path(folder) / "run" / "history.csv").read_text(), tokens.unit)
    curve = [(r.elapsed_s, r.smooth_bits_per_token) for r in rows if r.smooth_bits_per_token]
    return curve, done.best_bits_per_note, done.steps


def main(
    *,
    seconds: Annotated[float, "of CPU time, for each"] = 20.0,
    corpus: Annotated[str, "a named corpus, file or folder"] = "airdsAirs",
) -> None:
    """Train both and print a Markdown table."""
    tokens = prepared([corpus], tokenizer="char").tokens
    runs = {"numpy": in_numpy(tokens, seconds), "preset lecture": ours(tokens, seconds)}
    print(f"{time.strftime('%Y-%m-%d')}, {torch.get_num_threads()} threads, {corpus}\n")
    marks = [seconds * k / 4 for k in range(1, 5)]
    print("| network |", " | ".join(f"{mark:.0f} s" for mark in marks), end="")
    print(" | validation | steps |\n|---|---:|---:|---:|---:|---:|---:|")
    for name, (curve, score, steps) in runs.items():
        values = [min(curve, key=lambda at, mark=mark: abs(at[0] - mark))[1] for mark in marks]
        print(f"| {name} |", " | ".join(f"{v:.3f}" for v in values), f"| {score:.3f} | {steps:,} |")


if __name__ == "__main__":
    command_line.run(main)
