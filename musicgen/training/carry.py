"""Truncated back-propagation through time: the state of a network, carried from window to window.

A window begins in the state that the one before it left in the same row; gradients end at its
start. Williams and Peng, "An efficient gradient-based algorithm for on-line training of recurrent
network trajectories", 1990.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from musicgen.corpus.tokenset import BOS_ID
from musicgen.models.batches import Batch

NetworkState = tuple[Tensor, ...]  # each (n_layers, B, C)


class CarriedState:
    """The states that the rows of a step ended in, for each of `shards` (i, n): of the parts of a
    step on this device, i of all n parts on all devices."""

    def __init__(self) -> None:
        self._states: dict[tuple[int, int], NetworkState] = {}

    def logits(
        self, network: nn.Module, batch: Batch, shard: tuple[int, int], *, begin: bool
    ) -> Tensor:
        """Logits (B, T, V) of windows that go on where those of the step before ended, or `begin`
        an epoch. In a row that comes to the start of a tune the state is zero from there on, as
        when composing."""
        starts = batch.tokens == BOS_ID  # (B, T)
        cuts = starts.any(dim=0).nonzero().flatten().tolist()
        state, pieces = None if begin else self._states.get(shard), []
        for first, end in pairwise(sorted({0, *cuts, batch.tokens.shape[1]})):
            if state is not None and first in cuts:
                state = tuple(each * ~starts[:, first, None] for each in state)
            logits, state = network(batch.tokens[:, first:end], batch.features[:, first:end], state)
            pieces.append(logits)
        assert state is not None
        self._states[shard] = tuple(each.detach() for each in state)
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)

    def whole(self) -> NetworkState:
        """The states of all rows in order, on the CPU: of all parts and devices, which all must
        ask; () before the first step."""
        shares = [{shard: tuple(x.cpu() for x in state) for shard, state in self._states.items()}]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            shares *= torch.distributed.get_world_size()
            torch.distributed.all_gather_object(shares, shares[0])
        states = {shard: state for share in shares for shard, state in share.items()}
        if not states:
            return ()
        n_rows = sum(state[0].shape[1] for state in states.values())
        whole = tuple(x.new_zeros(x.shape[0], n_rows, x.shape[2]) for x in (*states.values(),)[0])
        for (i, n), state in states.items():
            for each, rows in zip(whole, state, strict=True):
                each[:, i::n] = rows
        return whole

    def restore(self, whole: NetworkState, shards: list[tuple[int, int]]) -> None:
        """Go on with the states of all rows, of which these shards are on this device."""
        self._states = {}
        if whole:
            for i, n in shards:
                self._states[i, n] = tuple(each[:, i::n].clone() for each in whole)
