"""Parallelism in time: the time of one core, and the longest chain of dependent operations.

    python scripts/docs/parallel.py

One sequence forward and backward through networks of about as many parameters. On parallel hardware
it is the chain that takes time: operations that do not wait for one another may run at once.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor, nn

from musicgen.models import ModelConfig, build_model

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

VOCAB = 130
SIZES = {"rnn": (256, 1), "lstm": (136, 1), "transformer": (80, 2)}  # width, layers
LENGTHS = (64, 256, 1024)
REPEATS = 5


def network_of(kind: str) -> nn.Module:
    """An untrained network of that kind, of about 200,000 parameters."""
    width, n_layers = SIZES[kind]
    return build_model(ModelConfig(kind=kind, vocab_size=VOCAB, d_model=width, n_layers=n_layers,
                                   n_heads=4, tie_embeddings=False))  # fmt: skip


def longest_chain(loss: Tensor) -> int:
    """Operations in the longest chain from a weight or an input to the loss."""
    ordered, seen, stack = [], set(), [(loss.grad_fn, False)]
    while stack:
        operation, finished = stack.pop()
        if finished:
            ordered.append(operation)  # after all that it depends on
        elif operation not in seen:
            seen.add(operation)
            stack.append((operation, True))
            stack += [(each, False) for each, _ in operation.next_functions if each]
    depth = {None: 0}
    for operation in ordered:
        depth[operation] = 1 + max((depth[e] for e, _ in operation.next_functions), default=0)
    return depth[loss.grad_fn]


def chain_of(network: nn.Module, ids: Tensor) -> int:
    """The longest chain to the loss of the last token; an LSTM step by step, as torch's own is one
    operation to autograd."""
    if network.config.kind != "lstm":
        return longest_chain(network(ids)[0][0, -1].logsumexp(0))
    x = network.embedding(ids, None)
    h = c = x.new_zeros(1, x.shape[2])
    for t in range(ids.shape[1]):
        h, c = network.layers[0].step(x[:, t], h, c)
    return longest_chain(network.readout(h[:, None], None)[0, -1].logsumexp(0))


def seconds_of(network: nn.Module, ids: Tensor) -> float:
    """CPU-seconds forward and backward, the least of some: other work on the machine adds to it."""
    spent = []
    for _ in range(REPEATS):
        begin = time.process_time()
        network(ids)[0].logsumexp(2).sum().backward()
        spent.append(time.process_time() - begin)
    return min(spent)


def measured(lengths: Sequence[int] = LENGTHS) -> dict[str, list[tuple[float, int]]]:
    """CPU-seconds and longest chain of each kind at each length."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    rows = {}
    for kind in SIZES:
        network = network_of(kind)
        ids = [torch.randint(0, VOCAB, (1, length)) for length in lengths]
        rows[kind] = [(seconds_of(network, each), chain_of(network, each)) for each in ids]
    return rows


def main(*, lengths: Sequence[int] = LENGTHS) -> None:
    """Print a Markdown table."""
    rows = measured(lengths)
    print("| network | parameters |" + "".join(f" T = {n} |" for n in lengths))
    print("|---|--:|" + "--:|" * len(lengths))
    for kind, row in rows.items():
        size = sum(p.numel() for p in network_of(kind).parameters())
        cells = (f"{1000 * seconds:.0f} ms, chain {chain:,}" for seconds, chain in row)
        print(f"| {kind} | {size:,} | {' | '.join(cells)} |")


if __name__ == "__main__":
    command_line.run(main)
