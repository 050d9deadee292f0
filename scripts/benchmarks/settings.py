"""Validation bits per note of a preset with settings changed, each for the same CPU time.

    python scripts/benchmarks/settings.py --preset lstm --minutes 2 "optimizer=muon" "ema=0.99"

The preset as it is comes first; every further row has the settings between its quotes, as
`musicgen train --set` takes them, with spaces between. One seed unless `--seeds` says more: without
more, differences of about 1 % are not established. Test tunes are not looked at.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from musicgen.config import override
from musicgen.corpus.preparation import prepare
from musicgen.corpus.tokenset import TokenSet
from musicgen.training import Summary, TrainConfig, train
from musicgen.training.presets import PRESETS, preset

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line


def run(config: TrainConfig, tokens: TokenSet) -> Summary:
    """Train by the clock of the process; nothing of the run is kept."""
    with tempfile.TemporaryDirectory() as folder:
        return train(config, tokens, Path(folder) / "run")


def main(
    changes: Annotated[Sequence[str], 'such as "optimizer=muon learning_rate=0.01"'] = (),
    *,
    preset_: Annotated[str, PRESETS] = "lstm",
    minutes: Annotated[float, "of CPU time, for each run"] = 2.0,
    seeds: Annotated[int, "runs of each, with seeds from 0"] = 1,
    tokens_: Annotated[Path | None, "token files; default: the corpus celtic"] = None,
) -> None:
    """Train and print a Markdown table."""
    tokens = TokenSet.load(tokens_) if tokens_ else prepare(["celtic"]).tokens
    print(f"{time.strftime('%Y-%m-%d')}, {torch.get_num_threads()} threads, {preset_}\n")
    print("| change | bits per note (validation) | steps | CPU-seconds |\n|---|---:|---:|---:|")
    for change in ["", *changes]:
        config = preset(preset_).with_budget(cpu_minutes=minutes)
        for setting in change.split():
            config = override(config, setting)
        found = [run(override(config, f"seed={seed}"), tokens) for seed in range(seeds)]
        bits = ", ".join(f"{one.best_bits_per_note:.3f}" for one in found)
        steps, spent = (np.mean([getattr(one, n) for one in found]) for n in ("steps", "elapsed_s"))
        print(f"| {change or 'none'} | {bits} | {steps:,.0f} | {spent:.0f} |", flush=True)


if __name__ == "__main__":
    command_line.run(main)
