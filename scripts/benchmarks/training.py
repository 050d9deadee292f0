"""What Lightning, logs and bookkeeping cost: our training against a bare loop of the same network.

    python scripts/benchmarks/training.py --preset lstm

Both take the same batches of the `celtic` corpus with the same optimizer, clipping and learning
rate, in turn, several times over. The time of a block of 100 steps is user and system time of the
process, so that other work on the machine matters little; the first and the last block of every
run are left out, and with them scoring and saving, which a bare loop would need as well. Printed
are the tokens that each takes in a CPU-second (median block), their ratio, and the share of places
in the batches that is padding.
"""

from __future__ import annotations

import math
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from musicgen.corpus.preparation import prepare
from musicgen.corpus.tokenset import PAD_ID, TokenSet
from musicgen.models import build_model
from musicgen.models.cost import nats
from musicgen.training import NextTokenModule, Progress, TrainConfig, train
from musicgen.training.batches import BatchPlan
from musicgen.training.presets import PRESETS, preset

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

BLOCK = 100  # steps


def ours(config: TrainConfig, tokens: TokenSet) -> list[float]:
    """CPU-seconds of each block of a run through Lightning, the first and last left out."""
    times: dict[int, float] = {}

    def report(progress: Progress) -> None:
        times.setdefault(progress.step, time.process_time())

    with tempfile.TemporaryDirectory() as folder:
        train(config, tokens, Path(folder) / "run", report=report)
    times.pop(config.steps or 0)  # the last block ends with scoring
    return np.diff(list(times.values())).tolist()


def bare(config: TrainConfig, tokens: TokenSet) -> list[float]:
    """CPU-seconds of each block of a loop written by hand, the first and last left out."""
    config = config.fitted(tokens)
    torch.manual_seed(config.seed)
    network = build_model(config.model)
    module = NextTokenModule(config)
    module.network = network
    optimizer = module.configure_optimizers()
    plan = BatchPlan(tokens.splits["train"], config.data, config.seed)
    assert config.steps is not None
    torch.set_flush_denormal(True)
    times = []
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * 0.5 * (1 + math.cos(math.pi * step / config.steps))
        batch = plan.batch(step)
        logits, _ = network(batch.tokens, batch.features)
        loss = nats(logits, batch.targets).sum() / batch.n_targets
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip)
        optimizer.step()
        if (step + 1) % BLOCK == 0:
            times.append(time.process_time())
    torch.set_flush_denormal(False)
    return np.diff(times[:-1]).tolist()


def padding(config: TrainConfig, tokens: TokenSet) -> tuple[float, float]:
    """The share of places that is padding in one epoch, and targets in a block of steps."""
    plan = BatchPlan(tokens.splits["train"], config.data, config.seed)
    places = targets = 0
    n_steps = plan.first_step(1)
    for step in range(n_steps):
        batch = plan.batch(step)
        places += batch.targets.numel()
        targets += int((batch.targets != PAD_ID).sum())
    return 1 - targets / places, BLOCK * targets / n_steps


def main(
    *,
    preset_: Annotated[str, PRESETS] = "lstm",
    steps: Annotated[int, "of each run"] = 400,
    rounds: Annotated[int, "runs of each"] = 4,
) -> None:
    """Run the comparison and print it."""
    tokens = prepare(["celtic"]).tokens
    config = preset(preset_).with_budget(steps=steps)
    waste, targets = padding(config, tokens)
    blocks: dict[str, list[float]] = {"ours": [], "bare loop": []}
    for _ in range(rounds):
        blocks["ours"] += ours(config, tokens)
        blocks["bare loop"] += bare(config, tokens)
    rates = {name: targets / float(np.median(times)) for name, times in blocks.items()}
    print(f"{time.strftime('%Y-%m-%d')}, {platform.processor() or platform.machine()}, ", end="")
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {preset_}")
    for name, rate in rates.items():
        spread = np.quantile(blocks[name], [0.25, 0.75]) / np.median(blocks[name])
        print(
            f"{name:>10}: {rate:8,.0f} tokens a CPU-second (blocks {spread[0]:.2f}-{spread[1]:.2f})"
        )
    print(f"     ratio: {rates['ours'] / rates['bare loop']:.3f}")
    print(f"   padding: {100 * waste:.1f} % of places")


if __name__ == "__main__":
    command_line.run(main)
