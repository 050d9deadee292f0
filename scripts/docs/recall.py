"""How much of the past does a state of k numbers keep? Networks that must recall random symbols.

    python scripts/docs/recall.py

A sequence of symbols, each drawn at random from 16, cannot be predicted, only remembered. The
project's own networks read it, with a readout that has to name each of the last 24 symbols from the
vector at each time; nothing of the past reaches it but by that vector. Each learns for the same CPU
time; seed 0. Prints how many bits of the last 24 symbols (4 bits each) the readout still knows.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # networks this small only wait for a second thread

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from musicgen.models import ModelConfig, build_model

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

SYMBOLS, BACK, TIME, ROWS = 16, 24, 72, 16
WIDTHS = (8, 32, 128)
KINDS_READ = ("rnn", "lstm")
SECONDS = 8.0  # of CPU time, for each network


class Recall(nn.Module):
    """A readout of the last `BACK` symbols: x (B, T, C) -> scores (B, T, BACK, SYMBOLS)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.output = nn.Linear(width, BACK * SYMBOLS)

    def forward(self, x: Tensor, features: None) -> Tensor:
        """Scores of every symbol for each distance back, 0 being the one just read."""
        return self.output(x).unflatten(2, (BACK, SYMBOLS))


def costs(network: nn.Module, ids: Tensor) -> Tensor:
    """Bits that each distance back costs, (BACK,), over all times at which it exists."""
    scores = network(ids)[0][:, BACK:]
    wanted = ids.unfold(1, BACK, 1)[:, 1:].flip(2)  # (B, T - BACK, BACK)
    nats = nn.functional.cross_entropy(scores.flatten(0, 2), wanted.flatten(), reduction="none")
    return nats.view(wanted.shape).mean(dim=(0, 1)) / np.log(2)


def bits_kept(kind: str, width: int, seconds: float = SECONDS) -> NDArray[np.float64]:
    """Bits known of the symbol read n steps ago, (BACK,), of log2(SYMBOLS), after training."""
    torch.manual_seed(0)
    config = ModelConfig(kind=kind, vocab_size=SYMBOLS, d_model=width, n_layers=1, n_heads=4,
                         dropout=0, embedding_dropout=0, tie_embeddings=False)  # fmt: skip
    network = build_model(config)
    network.readout = Recall(width)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    end = time.process_time() + seconds
    while time.process_time() < end:
        optimizer.zero_grad()
        costs(network, torch.randint(0, SYMBOLS, (ROWS, TIME))).sum().backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    with torch.no_grad():
        cost = costs(network, torch.randint(0, SYMBOLS, (64, TIME))).double().numpy()
    return np.maximum(0, np.log2(SYMBOLS) - cost)


def main(*, widths: Sequence[int] = WIDTHS, seconds: float = SECONDS) -> None:
    """Print a Markdown table."""
    print(f"{time.strftime('%Y-%m-%d')}, {seconds:g} CPU-seconds each\n")
    print("| network | width | bits kept of 96 |\n|---|--:|--:|")
    for kind in KINDS_READ:
        for width in widths:
            print(f"| {kind} | {width} | {bits_kept(kind, width, seconds).sum():.1f} |", flush=True)


if __name__ == "__main__":
    command_line.run(main)
