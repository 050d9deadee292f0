"""What padding costs: an epoch of tunes as they come, of tunes of like length, and packed.

    python scripts/docs/padding.py

Forward and backward through an untrained LSTM on one core, over every twelfth batch of an epoch.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from musicgen.corpus.tokenset import PAD_ID
from musicgen.models import ModelConfig, build_model
from musicgen.models.batches import Batch, BatchPlan, collate
from musicgen.models.cost import nats

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.docs import criteria

PLACES = 4096  # in a batch
EVERY = 12


def epoch(*, as_they_come: bool) -> list[Batch]:
    """The batches of an epoch as the project makes them, or as many with tunes in any order."""
    split = criteria.tokens().splits["train"]
    plan = BatchPlan(split, batch_tokens=PLACES, max_len=512, seed=0)
    batches = [plan.batch(step) for step in range(plan.steps_per_epoch)]
    if not as_they_come:
        return batches
    order = np.random.default_rng(0).permutation(len(plan.lengths))
    ends = np.cumsum([len(batch.tokens) for batch in batches])
    return [
        collate(split, plan.starts[rows], plan.lengths[rows]) for rows in np.split(order, ends[:-1])
    ]


def padded_share(batches: list[Batch]) -> float:
    """The share of all places that hold no token."""
    places = sum(batch.targets.numel() for batch in batches)
    return 1 - sum(int((batch.targets != PAD_ID).sum()) for batch in batches) / places


def milliseconds(network: nn.Module, batches: list[Batch], *, packed: bool) -> float:
    """CPU time of a thousand tokens, forward and backward."""
    network(batches[0].tokens)[0].sum().backward()  # warm up
    begin, n_tokens = time.process_time(), 0
    for batch in batches[::EVERY]:
        if packed:
            lengths = (batch.targets != PAD_ID).sum(dim=1)
            x = pack_padded_sequence(
                network.embedding(batch.tokens, None), lengths, batch_first=True,
                enforce_sorted=False,
            )  # fmt: skip
            y, _ = pad_packed_sequence(network.layers[0].lstm(x)[0], batch_first=True)
            logits = network.readout(y, None)
        else:
            logits, _ = network(batch.tokens)
        nats(logits, batch.targets).sum().backward()
        n_tokens += int((batch.targets != PAD_ID).sum())
    return 1e6 * (time.process_time() - begin) / n_tokens


def main() -> None:
    """Print a Markdown table."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = ModelConfig(kind="lstm", vocab_size=len(criteria.tokens().vocab), d_model=128,
                         dropout=0, embedding_dropout=0)  # fmt: skip
    network = build_model(config)
    any_order, alike = epoch(as_they_come=True), epoch(as_they_come=False)
    print("| batches | padding | CPU-ms for 1,000 tokens |\n|---|--:|--:|")
    for name, batches, packed in (
        ("tunes as they come", any_order, False),
        ("the same, packed", any_order, True),
        ("tunes of like length", alike, False),
    ):
        share = 0 if packed else padded_share(batches)
        print(f"| {name} | {share:.0%} | {milliseconds(network, batches, packed=packed):.0f} |")


if __name__ == "__main__":
    command_line.run(main)
