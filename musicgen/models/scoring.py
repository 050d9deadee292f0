"""The bits that a network needs for each whole tune of a split."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from musicgen.corpus.tokenset import TokenSplit
from musicgen.models.batches import collate_tunes, whole_tunes
from musicgen.models.cost import nats


@torch.inference_mode()
def score_tunes(
    network: nn.Module,
    split: TokenSplit,
    *,
    batch_tokens: int = 16384,
    shard: tuple[int, int] = (0, 1),
) -> NDArray[np.float64]:
    """Bits of every whole tune, all tokens after bos: (n,). Divide by `split.notes` for the unit
    that tokenizers share.

    With `shard` (i, n) only each n-th batch from the i-th is scored, the rest are 0.
    """
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    bits = np.zeros(len(split))
    for tunes in whole_tunes(split, batch_tokens)[shard[0] :: shard[1]]:
        batch = collate_tunes(split, tunes)
        logits, _ = network(batch.tokens.to(device), batch.features.to(device))
        cost = nats(logits, batch.targets.to(device)).cpu().double()  # (B, T)
        bits[tunes] = cost.sum(dim=1).numpy() / math.log(2)
    network.train(training)
    return bits
