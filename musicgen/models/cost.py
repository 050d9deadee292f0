"""The cost of a network's predictions: the negative log-likelihood of each target, in nats."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from musicgen.corpus.tokenset import PAD_ID


def nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Cost of each target: (B, T, V), (B, T) -> (B, T) float32; 0 at padding."""
    flat = F.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), ignore_index=PAD_ID, reduction="none"
    )
    return flat.view(targets.shape)
