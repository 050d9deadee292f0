"""What Lightning, logs and bookkeeping cost: our training against a bare loop of the same network.

    python scripts/benchmarks/training.py --preset lstm

Both take the same batches of the `celtic` corpus with the same optimizer, clipping and learning
rate, in turn, several times over. The time of a block of 100 steps is user and system time of the
process, so that other work on the machine matters little; the first and the last block of every
run are left out, and with them scoring and saving, which a bare loop would need as well. Printed
are the tokens that each takes in a CPU-second (median block), the mean over rounds of their ratio
with a bootstrap interval, and the share of places in the batches that is padding.
"""

from __future__ import annotations

import math
import platform
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Annotated, cast

import numpy as np
import torch

from musicgen.corpus.preparation import prepare
from musicgen.corpus.tokenset import PAD_ID, TokenSet
from musicgen.models import build_model
from musicgen.models.batches import BatchPlan
from musicgen.models.cost import nats
from musicgen.models.optimizers import build_optimizer
from musicgen.training import Progress, TrainConfig, train
from musicgen.training.presets import PRESETS, preset
from musicgen.training.run import Logger

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

BLOCK = 100  # steps


def plan_of(config: TrainConfig, tokens: TokenSet) -> BatchPlan:
    """The batches that a run takes."""
    batch_tokens, max_len = config.data.batch_tokens, config.data.max_len
    split = tokens.splits["train"]
    return BatchPlan(split, batch_tokens=batch_tokens, max_len=max_len, seed=config.seed)


def ours(config: TrainConfig, tokens: TokenSet, logger: str) -> list[float]:
    """CPU-seconds of each block of a run through Lightning, the first and last left out."""
    times: dict[int, float] = {}

    def report(progress: Progress) -> None:
        times.setdefault(progress.step, time.process_time())

    with tempfile.TemporaryDirectory() as folder:
        train(config, tokens, Path(folder) / "run", report=report, logger=cast(Logger, logger))
    times.pop(config.steps or 0)  # the last block ends with scoring
    return np.diff(list(times.values())).tolist()


def bare(config: TrainConfig, tokens: TokenSet) -> list[float]:
    """CPU-seconds of each block of a loop written by hand, the first and last left out."""
    config = config.fitted(tokens)
    torch.manual_seed(config.seed)
    network = build_model(config.model)
    optimizer = build_optimizer(
        config.optimizer,
        network,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        beta2=config.beta2,
    )
    plan = plan_of(config, tokens)
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
    plan = plan_of(config, tokens)
    places = targets = 0
    n_steps = plan.steps_per_epoch
    for step in range(n_steps):
        batch = plan.batch(step)
        places += batch.targets.numel()
        targets += int((batch.targets != PAD_ID).sum())
    return 1 - targets / places, BLOCK * targets / n_steps


def main(
    *,
    preset_: Annotated[str, PRESETS] = "lstm",
    steps: Annotated[int, "of each run"] = 400,
    rounds: Annotated[int, "runs of each"] = 5,
    logger: Annotated[str, ("csv", "tensorboard")] = "tensorboard",
) -> None:
    """Run the comparison and print it."""
    tokens = prepare(["celtic"]).tokens
    config = preset(preset_).with_budget(steps=steps)
    waste, targets = padding(config, tokens)
    blocks: dict[str, list[float]] = {"ours": [], "bare loop": []}
    ratios = []
    runs = {"ours": partial(ours, logger=logger), "bare loop": bare}
    for number in range(rounds):
        names = list(runs)[:: 1 if number % 2 else -1]  # neither is always first
        round_ = {name: runs[name](config, tokens) for name in names}
        ratios.append(float(np.median(round_["bare loop"]) / np.median(round_["ours"])))
        for name, times in round_.items():
            blocks[name] += times
    rates = {name: targets / float(np.median(times)) for name, times in blocks.items()}
    print(f"{time.strftime('%Y-%m-%d')}, {platform.processor() or platform.machine()}, ", end="")
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {preset_}")
    for name, rate in rates.items():
        spread = np.quantile(blocks[name], [0.25, 0.75]) / np.median(blocks[name])
        print(
            f"{name:>10}: {rate:8,.0f} tokens a CPU-second (blocks {spread[0]:.2f}-{spread[1]:.2f})"
        )
    drawn = np.random.default_rng(0).choice(ratios, (10_000, rounds)).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    print(
        f"     ratio: {np.mean(ratios):.3f} (95 % interval {low:.3f}-{high:.3f}, {rounds} rounds)"
    )
    print(f"   padding: {100 * waste:.1f} % of places")


if __name__ == "__main__":
    command_line.run(main)
