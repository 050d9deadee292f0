"""Validation bits per note of a preset with settings changed, each for the same CPU time.

    python scripts/benchmarks/settings.py --preset lstm --minutes 2 "optimizer=muon" "ema=0.99"

The preset as it is comes first; every further row has the settings between its quotes, as
`musicgen train --set` takes them, with spaces between. One seed unless `--seeds` says more: without
more, differences of about 1 % are not established. Test tunes are not looked at.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from musicgen.config import override
from musicgen.corpus.preparation import prepare
from musicgen.corpus.tokenset import TokenSet
from musicgen.training import Summary, TrainConfig, train
from musicgen.training.presets import PRESETS, preset


def run(config: TrainConfig, tokens: TokenSet) -> Summary:
    """Train by the clock of the process; nothing of the run is kept."""
    with tempfile.TemporaryDirectory() as folder:
        return train(config, tokens, Path(folder) / "run", clock=time.process_time)


def main() -> None:
    """Train and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("changes", nargs="*", help='such as "optimizer=muon learning_rate=0.01"')
    parser.add_argument("--preset", choices=PRESETS, default="lstm")
    parser.add_argument("--minutes", type=float, default=2.0, help="of CPU time, for each run")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each, with seeds from 0")
    parser.add_argument("--tokens", type=Path, help="token files; default: the corpus celtic")
    arguments = parser.parse_args()

    tokens = TokenSet.load(arguments.tokens) if arguments.tokens else prepare(["celtic"]).tokens
    print(f"{time.strftime('%Y-%m-%d')}, {torch.get_num_threads()} threads, {arguments.preset}\n")
    print("| change | bits per note (validation) | steps | CPU-seconds |\n|---|---:|---:|---:|")
    for change in ["", *arguments.changes]:
        config = preset(arguments.preset).with_budget(minutes=arguments.minutes)
        for setting in change.split():
            config = override(config, setting)
        found = [run(override(config, f"seed={seed}"), tokens) for seed in range(arguments.seeds)]
        bits = ", ".join(f"{one.best_bits_per_note:.3f}" for one in found)
        steps, spent = (np.mean([getattr(one, n) for one in found]) for n in ("steps", "elapsed_s"))
        print(f"| {change or 'none'} | {bits} | {steps:,.0f} | {spent:.0f} |", flush=True)


if __name__ == "__main__":
    main()
