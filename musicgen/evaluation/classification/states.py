"""The states of a network's last layer after each token of tunes: the input of a head."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from musicgen.evaluation.inspection.tokens import TokenView, encode_tune
from musicgen.models.checkpoint import Checkpoint
from musicgen.models.sealed_folder import arrays_to
from musicgen.music.tune import Tune
from musicgen.tokens.melody.table import HEADER_KINDS

BATCH = 32
MAX_TOKENS = 512  # of a longer tune the first ones
_BEFORE_MUSIC = 1 + len(HEADER_KINDS)  # <bos> and the heading


def states_of(checkpoint: Checkpoint, tunes: Sequence[Tune]) -> list[NDArray[np.float32]]:
    """For each tune (T, C), from its first note to its end.

    Raises:
        CheckpointError: the model does not read melody tokens.
        ControlError: a tune is no single line in one key and one meter.
    """
    views = [encode_tune(tune, checkpoint) for tune in tunes]
    order = np.argsort([len(view.ids) for view in views], kind="stable").tolist()
    by_tune: dict[int, NDArray[np.float32]] = {}
    for begin in range(0, len(order), BATCH):
        rows = order[begin : begin + BATCH]
        layer = _last_layer(checkpoint, [views[i] for i in rows])
        for i, states in zip(rows, layer, strict=True):
            by_tune[i] = states[_BEFORE_MUSIC : len(views[i].ids)]
    return [by_tune[i] for i in range(len(tunes))]


@torch.inference_mode()
def _last_layer(checkpoint: Checkpoint, views: Sequence[TokenView]) -> NDArray[np.float32]:
    """The input of the readout: (B, T, C)."""
    ids, features = padded(views)
    network: Any = checkpoint.network
    caught: list[torch.Tensor] = []
    hook = network.readout.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    try:
        network(ids, features)
    finally:
        hook.remove()
    return caught[0].float().numpy()


def padded(views: Sequence[TokenView]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids (B, T) and features (B, T, F) side by side, padded on the right, `MAX_TOKENS` at most."""
    longest = min(max(len(view.ids) for view in views), MAX_TOKENS)
    ids = np.zeros((len(views), longest), np.int64)
    features = np.zeros((len(views), longest, views[0].features.shape[1]), np.int64)
    for row, view in enumerate(views):
        n = min(len(view.ids), longest)
        ids[row, :n], features[row, :n] = view.ids[:n], view.features[:n]
    return torch.from_numpy(ids), torch.from_numpy(features)


def fingerprint_of(checkpoint: Checkpoint) -> str:
    """SHA-256 of a model's weights, hexadecimal: a head fits no other."""
    return hashlib.sha256(arrays_to(dict(checkpoint.weights))).hexdigest()
