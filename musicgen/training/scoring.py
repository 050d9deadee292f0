"""The bits that a network needs for each whole tune of a split."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from musicgen.corpus.tokenset import TokenSplit
from musicgen.models.cost import nats
from musicgen.training.batches import collate, pack


class ScoringStopped(Exception):  # noqa: N818 - nothing is wrong
    """Scoring was asked to stop before its end."""


@torch.inference_mode()
def score_tunes(
    network: nn.Module,
    split: TokenSplit,
    *,
    batch_tokens: int = 16384,
    shard: tuple[int, int] = (0, 1),
    stop: Callable[[], bool] = lambda: False,
) -> NDArray[np.float64]:
    """Bits of every whole tune, all tokens after bos: (n,). Divide by `split.notes` for the unit
    that tokenizers share.

    With `shard` (i, n) only each n-th batch from the i-th is scored, the rest are 0. `stop` is
    asked before each batch.

    Raises:
        ScoringStopped: `stop` said so.
    """
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    lengths = np.diff(split.offsets) - 1
    order = np.argsort(-lengths, kind="stable")
    bits = np.zeros(len(split))
    for run in pack(lengths[order], batch_tokens)[shard[0] :: shard[1]]:
        if stop():
            network.train(training)
            raise ScoringStopped
        tunes = order[run]
        batch = collate(split, split.offsets[tunes], lengths[tunes], total=0)
        logits, _ = network(batch.tokens.to(device), batch.features.to(device))
        cost = nats(logits, batch.targets.to(device)).cpu().double()  # (B, T)
        bits[tunes] = cost.sum(dim=1).numpy() / math.log(2)
    network.train(training)
    return bits
