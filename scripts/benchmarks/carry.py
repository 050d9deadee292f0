"""Windows of 25, 100 and 512 characters, with the state carried from window to window and without.

    python scripts/benchmarks/carry.py --seconds 60

The network and optimizer of the preset `lecture` learn the ABC of a corpus in batches of 512
characters, each setting for the same CPU time and from the same seed. Printed are bits per
character of whole validation tunes, which every network reads from a state of zeros.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch

from musicgen.corpus.cache import prepared
from musicgen.training import train
from musicgen.training.presets import PRESETS, preset

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line


def main(
    windows: Annotated[Sequence[int], "characters"] = (25, 100, 512),
    *,
    seconds: Annotated[float, "of CPU time, for each run"] = 60.0,
    corpus: Annotated[str, "a named corpus, file or folder"] = "airdsAirs",
    preset_: Annotated[str, PRESETS] = "lecture",
) -> None:
    """Train and print a Markdown table."""
    tokens = prepared([corpus], tokenizer="char").tokens
    plain = replace(preset(preset_), sample_every=0).with_budget(cpu_minutes=seconds / 60)
    print(f"{time.strftime('%Y-%m-%d')}, {torch.get_num_threads()} threads, {preset_}, {corpus}\n")
    print("| window | carried | bits per character (validation) | steps | CPU-seconds |")
    print("|---:|---|---:|---:|---:|")
    for window in windows:
        for carry in (True, False):
            data = replace(plain.data, batch_tokens=512, max_len=window, carry=carry)
            with tempfile.TemporaryDirectory() as folder:
                done = train(replace(plain, data=data), tokens, Path(folder) / "run")
            print(
                f"| {window} | {'yes' if carry else 'no'} | {done.best_bits_per_note:.3f} "
                f"| {done.steps:,} | {done.elapsed_s:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    command_line.run(main)
