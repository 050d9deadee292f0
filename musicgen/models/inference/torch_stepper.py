"""A torch network as a stepper, on the device where it is: a GPU, or a kind of its own.

The sum inside a matrix product depends on the shape of the matrices and on the place of a row in
them, but not on the other rows. So the network always runs on LANES rows, with the row of number
k in lane k % LANES, each group of lanes with a carried state of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from musicgen.models.inference.interface import Floats, Ints, Rows
from musicgen.tokens.lookback.features import Lookback

LANES = 16


class TorchStepper:
    """Any network with the interface of `musicgen.models`."""

    def __init__(self, network: nn.Module, lookback: Lookback | None = None) -> None:
        self.network, self.lookback = network, lookback
        self.n_features = len(network.config.feature_sizes)  # type: ignore[union-attr, arg-type]

    def begin(self, indices: Sequence[int]) -> Rows:
        """A row for each number."""
        return _Lanes(self.network, indices, self.n_features)


class _Lanes:
    def __init__(self, network: nn.Module, indices: Sequence[int], n_features: int) -> None:
        self.network, self.n_features = network, n_features
        self.device = next(network.parameters()).device
        taken = [0] * LANES  # rows so far in each lane, which is the group of its next row
        places = []
        for index in indices:
            lane = index % LANES
            places.append(taken[lane] * LANES + lane)
            taken[lane] += 1
        self.places = np.array(places)
        self.states: list[tuple[torch.Tensor, ...] | None] = [None] * max(taken)

    @torch.inference_mode()
    def read(self, ids: Ints, features: Ints) -> Floats:
        """Logits (B, V) after one more token a row."""
        size = len(self.states) * LANES
        tokens = np.zeros((size, 1), dtype=np.int64)
        columns = np.zeros((size, 1, self.n_features), dtype=np.int64)
        tokens[self.places, 0] = ids
        if self.n_features:
            columns[self.places, 0] = features
        logits: Floats | None = None
        for group in np.unique(self.places // LANES):
            part = slice(group * LANES, (group + 1) * LANES)
            out, self.states[group] = self.network(
                torch.from_numpy(tokens[part]).to(self.device),
                torch.from_numpy(columns[part]).to(self.device) if self.n_features else None,
                self.states[group],
            )
            values = out[:, 0].float().cpu().numpy()
            if logits is None:
                logits = np.zeros((size, values.shape[1]), np.float32)
            logits[part] = values
        assert logits is not None
        return logits[self.places]

    def keep(self, rows: Ints) -> None:
        """Go on with these rows only; a group with none left rests."""
        self.places = self.places[rows]
