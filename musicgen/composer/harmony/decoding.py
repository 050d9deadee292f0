"""Decoding a harmony slot by slot: the likeliest by beam search, or drawn with a temperature.

A chord may change only where a note or a rest begins. With temperature 0 a beam of the likeliest
prefixes is kept; above 0 every chord is drawn, reproducibly for a seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musicgen.composer.sampling.filters import log_softmax
from musicgen.config import checked
from musicgen.errors import ConfigError
from musicgen.models.harmony.network import Harmonizer
from musicgen.models.inference.threads import torch_single_threaded
from musicgen.tokens.harmony.chords import BEGIN, N_CHORDS
from musicgen.tokens.harmony.features import HarmonyExample


@checked
@dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """`temperature` 0 searches with `beam` candidates, above 0 draws with `seed`."""

    temperature: float = 0.0
    beam: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 10:
            raise ConfigError(f"temperature: {self.temperature:g} is not in 0 to 10")
        if not 1 <= self.beam <= 64:
            raise ConfigError(f"beam: {self.beam} is not in 1 to 64")
        if self.seed < 0:
            raise ConfigError(f"seed: {self.seed} is negative; give a whole number from 0 up")


@dataclass(frozen=True, slots=True, eq=False)
class Harmony:
    """The chord of every slot (S,), and its probability (S,)."""

    chords: NDArray[np.int64]
    probabilities: NDArray[np.float64]


# The rows that continue and their chords, from the log-probabilities of all (rows, chords).
_Choose = Callable[[NDArray[np.float64]], tuple[NDArray[np.int64], NDArray[np.int64]]]


def harmonies(network: Harmonizer, example: HarmonyExample, config: DecodingConfig) -> Harmony:
    """The chords of a tune; an empty harmony for one without slots."""
    if not len(example):
        return Harmony(np.zeros(0, np.int64), np.zeros(0))
    rng = np.random.default_rng(config.seed)

    def draw(scores: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        weights = np.exp((scores[0] - scores[0].max()) / config.temperature)
        return np.zeros(1, np.int64), np.array([rng.choice(N_CHORDS, p=weights / weights.sum())])

    def best(scores: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        order = np.argsort(-scores, axis=None, kind="stable")[: config.beam]
        order = order[np.isfinite(scores.ravel()[order])]
        rows, chords = np.unravel_index(order, scores.shape)
        return rows.astype(np.int64), chords.astype(np.int64)

    drawn = config.temperature > 0
    with torch_single_threaded():
        return _run(network, example, draw if drawn else best, keep_scores=not drawn)


@torch.inference_mode()
def _run(
    network: Harmonizer, example: HarmonyExample, choose: _Choose, *, keep_scores: bool
) -> Harmony:
    melody, slot_of, slots = (
        torch.from_numpy(array)[None] for array in (example.melody, example.slot_of, example.slots)
    )
    present = torch.ones(slot_of.shape, dtype=torch.bool)
    encoded = network.encode(melody, slot_of, slots, present)
    chords = np.zeros((1, 0), np.int64)
    costs, total = np.zeros((1, 0)), np.zeros(1)
    state = None
    for number in range(len(example)):
        n = len(chords)
        last = chords[:, -1] if number else np.full(n, BEGIN, np.int64)
        logits, state = network.decode(
            encoded.expand(n, -1, -1),
            slot_of,
            slots[:, number : number + 1].expand(n, -1, -1),
            present,
            torch.from_numpy(last)[:, None],
            state,
        )
        scores = _log_probabilities(logits[:, 0], last, free=bool(example.free[number]))
        rows, chosen = choose(total[:, None] + scores if keep_scores else scores)
        chords = np.hstack([chords[rows], chosen[:, None]])
        costs = np.hstack([costs[rows], scores[rows, chosen][:, None]])
        total = total[rows] + scores[rows, chosen]
        index = torch.from_numpy(rows)
        state = (state[0], [tuple(each[index] for each in cache) for cache in state[1]])
    winner = int(total.argmax())
    return Harmony(chords[winner], np.exp(costs[winner]))


def _log_probabilities(
    logits: Tensor, last: NDArray[np.int64], *, free: bool
) -> NDArray[np.float64]:
    """(rows, V): of each chord in one slot; where none can begin, the last has probability 1."""
    scores: NDArray[np.float64] = logits.double().numpy()
    scores[:, BEGIN] = -np.inf
    if not free:
        for row in np.flatnonzero(last != BEGIN):
            scores[row] = -np.inf
            scores[row, last[row]] = 0
    return log_softmax(scores).astype(np.float64, copy=False)
