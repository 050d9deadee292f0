"""What training costs by the size of a network: measured on one core, and by formula on GPUs.

    musicgen prepare --corpus celtic --out tokens/celtic
    python scripts/benchmarks/training_cost.py tokens/celtic

Arithmetic: a token takes F = 6 operations for each weight of a matrix product, and 6 * layers *
channels * length for attention (`musicgen.models.flops`). A run of D tokens on n devices of peak P
takes D * F / (n * P * MFU) seconds; MFU is the share of the peak that is reached. D is 20 tokens a
parameter (Hoffmann et al., "Training compute-optimal large language models", 2022).

Memory: 16 bytes a parameter (weights, gradients, two averages of AdamW, in float32) on each device
with ddp, divided by n with fsdp; `ema` adds 4. Activations come on top, in proportion to the places
of a batch. Exchange: with ddp each device sends and receives 8 * (n - 1) / n bytes a parameter and
step, with fsdp half as much again.

Sizes up to --most parameters are measured: operations per second of processor time on one thread,
in float32, and the growth of memory. The rate of the first predicts the others, which says how far
the formula holds. GPUs are by formula alone, with the MFU that is assumed.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from pathlib import Path
from typing import Annotated

import torch

from musicgen.corpus.tokenset import TokenSet
from musicgen.models import ModelConfig, build_model, weight_shapes
from musicgen.models.batches import Batch
from musicgen.models.flops import training_flops
from musicgen.training.config import TrainConfig

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.benchmarks.gpu import as_markdown, packed, stepping, transformer

SIZES = {
    "10M": transformer(384, 6, 6),
    "100M": transformer(768, 14, 12),
    "1B": transformer(2048, 20, 16),
}
TOKENS_A_PARAMETER = 20
BYTES_A_PARAMETER = 16
# Peaks in dense bfloat16, from the makers' data sheets.
GPUS = {"1 A100": (1, 312e12), "8 A100": (8, 312e12), "16 H100": (16, 989e12)}


def parameters(model: ModelConfig) -> int:
    """Weights of a network."""
    return sum(math.prod(shape) for shape in weight_shapes(model).values())


def peak_mb() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(config: TrainConfig, data: Batch, length: int, steps: int) -> tuple[float, float]:
    """Tokens per second of processor time on one thread, and MB of memory that a run takes."""
    before = peak_mb()
    torch.manual_seed(0)
    step = stepping(build_model(config.model), config, torch.float32)
    total = torch.tensor(float(length))

    def batch(row: int) -> Batch:
        rows = slice(row % len(data.tokens), row % len(data.tokens) + 1)
        return Batch(*(part[rows] for part in data[:3]), total, data.notes[rows])

    step(batch(0))
    started = time.process_time()
    for row in range(1, steps + 1):
        step(batch(row))
    return steps * length / (time.process_time() - started), peak_mb() - before


def main(
    tokens: Annotated[Path, "a folder of token files, made by musicgen prepare"],
    *,
    length: Annotated[int, "tokens of a row"] = 512,
    steps: Annotated[int, "to measure, of one row each"] = 4,
    most: Annotated[float, "parameters of the largest network that is measured"] = 150e6,
    mfu: Annotated[float, "assumed on GPUs"] = 0.4,
) -> None:
    """Measure and print the tables."""
    torch.set_num_threads(1)
    token_set = TokenSet.load(tokens)
    data = packed(token_set, length, torch.device("cpu"))
    cores, hours = [], []
    rate_of_first = 0.0
    for name, model in SIZES.items():
        config = TrainConfig(model=model, steps=1).fitted(token_set)
        n, flops = parameters(config.model), training_flops(config.model, length)
        row = [name, f"{n / 1e6:,.0f}M", f"{flops / 1e9:.2f}"]
        if n <= most:
            speed, memory = measured(config, data, length, steps)
            rate_of_first = rate_of_first or speed * flops
            predicted = rate_of_first / flops
            row += [f"{speed:,.1f}", f"{predicted:,.1f}", f"{speed * flops / 1e9:.1f}",
                    f"{memory:,.0f}"]  # fmt: skip
        else:
            row += ["", f"{rate_of_first / flops:,.2f}", "", ""]
        cores.append([*row, f"{n * BYTES_A_PARAMETER / 2**20:,.0f}"])
        seconds = n * TOKENS_A_PARAMETER * flops
        hours.append(
            [name, f"{n * TOKENS_A_PARAMETER / 1e9:,.2f}",
             *(f"{seconds / (k * peak * mfu) / 3600:,.2f}" for k, peak in GPUS.values()),
             f"{n * BYTES_A_PARAMETER / 2**30:,.1f}",
             f"{n * BYTES_A_PARAMETER / 8 / 2**30:,.2f}", f"{n * 8 * 7 / 8 / 2**30:,.2f}"]
        )  # fmt: skip
    print(f"{time.strftime('%Y-%m-%d')}, torch {torch.__version__}, rows of {length} tokens\n")
    print(
        as_markdown(
            "One core, float32",
            "network | parameters | 10^9 operations a token | tokens/s of CPU | by formula "
            "| GFLOP/s | memory, MB | 16 bytes a parameter, MB",
            cores,
        )
    )
    print(
        as_markdown(
            f"By formula, MFU {mfu:.0%}",
            f"network | 10^9 tokens | {' | '.join(f'hours on {name}' for name in GPUS)} "
            "| GiB a device, ddp | fsdp on 8 | GiB exchanged a step, ddp on 8",
            hours,
        )
    )


if __name__ == "__main__":
    command_line.run(main)
