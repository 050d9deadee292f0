"""The batched next-token loop: temperature, top-k, top-p, min-p, a mask, a carried state.

    for ids, bits in stream(network, prompts, constraint, config): ...   # (B,) ids a step
    sample(network, prompts, constraint, config)                         # whole tunes

Row k of seed s is the same to the last bit whatever else is in the batch. Its random numbers
depend on (s, k, step) only, and the network always runs on LANES rows, with row k in lane
k % LANES: the sum inside a matrix product depends on the shape of the matrices and on the place
of a row in them, but not on the other rows. Letters: B rows, V vocabulary, F features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from musicgen.errors import CheckpointError, ConfigError, ControlError
from musicgen.matching import N_COLUMNS, MatchTracker
from musicgen.tokenset import BOS_ID, EOS_ID, PAD_ID, UNK_ID

LANES = 16

Ints = NDArray[np.integer]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Filter = Callable[[Floats], Floats]


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How to draw. `temperature` 0 takes the likeliest token; `top_k` 0, `top_p` 1 and `min_p` 0
    are off; at most `max_tokens` tokens are added to a prompt."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int = 0
    max_tokens: int = 2048

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ConfigError(f"temperature: {self.temperature} is not a number from 0 up")
        if self.top_k < 0:
            raise ConfigError(f"top_k: {self.top_k} is negative; 0 turns it off")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p: {self.top_p} is not in (0, 1]; 1 turns it off")
        if not 0 <= self.min_p <= 1:
            raise ConfigError(f"min_p: {self.min_p} is not in [0, 1]; 0 turns it off")
        if not 0 <= self.seed < 1 << 63:
            raise ConfigError(f"seed: {self.seed} is not in 0 .. 2^63 - 1")
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens: {self.max_tokens} is not at least 1")


class Constraint(Protocol):
    """What may come next in each of B sequences, and what the network should know about them.

    It is told every token, prompts included, and `PAD_ID` for rows that are done.
    """

    def advance(self, ids: Ints) -> None:
        """Read one token a row: (B,)."""

    def mask(self) -> Bools:
        """(B, V): True where a token may come next; at least one in every row not done."""

    def features(self) -> Ints:
        """(B, F): the feature columns before the match columns, after the last `advance`."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One finished row. `bits` is what the added tokens cost under the network itself (before
    temperature, filters and mask); `finished` says whether it ended by itself, with eos."""

    ids: list[int]
    n_prompt: int
    bits: float
    finished: bool


def sample(
    network: nn.Module,
    prompts: Sequence[Sequence[int]],
    constraint: Constraint | None,
    config: SamplingConfig,
    *,
    indices: Sequence[int] | None = None,
) -> list[Sampled]:
    """Complete every prompt; see `stream`."""
    rows: list[list[int]] = [[int(prompt[0])] for prompt in prompts if len(prompt)]
    totals = np.zeros(len(prompts))
    for ids, bits in stream(network, prompts, constraint, config, indices=indices):
        for row, token in zip(rows, ids.tolist(), strict=True):
            if token != PAD_ID:
                row.append(token)
        totals += bits
    return [
        Sampled(row, len(prompt), float(total), len(row) > len(prompt) and row[-1] == EOS_ID)
        for row, prompt, total in zip(rows, prompts, totals, strict=True)
    ]


@torch.inference_mode()
def stream(
    network: nn.Module,
    prompts: Sequence[Sequence[int]],
    constraint: Constraint | None,
    config: SamplingConfig,
    *,
    indices: Sequence[int] | None = None,
) -> Iterator[tuple[Ints, Floats]]:
    """The second and every later token of each row, one step at a time: ids (B,), bits (B,).

    Prompts (which start with bos) may differ in length: their tokens are given back as they are,
    at 0 bits. A row that is done yields `PAD_ID`. `indices` are the numbers of the rows among all
    rows of this seed (0, 1, ... by default). The constraint must be new; prompt tokens are told
    to it too.

    Raises:
        ConfigError: an empty prompt, or other feature columns than the network was trained on.
        ControlError: the mask leaves nothing to choose from.
    """
    if not prompts or not all(len(prompt) for prompt in prompts):
        raise ConfigError("prompts: each needs at least the start token")
    batch = len(prompts)
    given = np.array([len(prompt) for prompt in prompts])
    table = np.full((batch, given.max()), PAD_ID, dtype=np.int64)
    for row, prompt in enumerate(prompts):
        table[row, : len(prompt)] = prompt
    indices = range(batch) if indices is None else indices
    lanes = _Lanes(network, indices)
    tracker = MatchTracker(batch)
    draws = [row_randomness(config.seed, index) for index in indices]
    filters = filters_of(config)
    ids = table[:, 0]
    alive = np.ones(batch, dtype=np.bool_)
    for time in range(1, given.max() + config.max_tokens):
        features = _read(constraint, tracker, ids)
        logits = lanes.step(ids, features, alive)
        uniforms = np.array([draw.random() for draw in draws])
        own = alive & (time >= given)  # rows past their prompt
        allowed = np.ones_like(logits, dtype=np.bool_)
        allowed[:, [PAD_ID, BOS_ID, UNK_ID]] = False  # never part of a tune
        if constraint is not None:
            allowed &= constraint.mask()
        chosen, bits = choose(logits, allowed, uniforms, filters=filters, rows=own)
        prompted = table[:, time] if time < table.shape[1] else PAD_ID
        ids = np.where(own, chosen, np.where(alive, prompted, PAD_ID))
        yield ids, np.where(own, bits, 0.0)
        alive = alive & ~(own & (ids == EOS_ID)) & (time + 1 < given + config.max_tokens)
        if not alive.any():
            return


def choose(
    logits: Floats,
    allowed: Bools,
    uniforms: Floats,
    *,
    filters: Sequence[Filter],
    rows: Bools,
) -> tuple[Ints, Floats]:
    """Draw one id for each of `rows` by its uniform number in [0, 1): ids (B,), their bits (B,).

    Other rows get `PAD_ID` and 0. A token outside `allowed` is never drawn.
    """
    ids = np.full(len(logits), PAD_ID, dtype=np.int64)
    bits = np.zeros(len(logits))
    index = np.flatnonzero(rows)
    if not len(index):
        return ids, bits
    own = logits[index]
    if not np.isfinite(own).all():
        raise CheckpointError("the network gives values that are not finite; use another model")
    log_p = log_softmax(own)
    if not allowed[index].any(axis=1).all():
        raise ControlError("nothing may come next; the request contradicts itself")
    own = np.where(allowed[index], own, -np.inf)
    for apply in filters:
        own = apply(own)
    cumulative = np.exp(own - own.max(axis=1, keepdims=True)).cumsum(axis=1)
    total = cumulative[:, -1]
    # Below the total even when the product rounds up, so that the last step is never passed.
    threshold = np.minimum(uniforms[index] * total, np.nextafter(total, 0))
    ids[index] = (cumulative > threshold[:, None]).argmax(axis=1)
    bits[index] = -log_p[np.arange(len(index)), ids[index]] / math.log(2)
    return ids, bits


def filters_of(config: SamplingConfig) -> list[Filter]:
    """The filters that a configuration asks for, in the order in which they apply."""
    if config.temperature == 0:
        return [lambda logits: keep_top_k(logits, 1)]
    filters: list[Filter] = []
    if config.temperature != 1:
        filters.append(lambda logits: logits / config.temperature)
    if config.top_k:
        filters.append(lambda logits: keep_top_k(logits, config.top_k))
    if config.top_p < 1:
        filters.append(lambda logits: keep_top_p(logits, config.top_p))
    if config.min_p > 0:
        filters.append(lambda logits: keep_min_p(logits, config.min_p))
    return filters


def keep_top_k(logits: Floats, k: int) -> Floats:
    """The k likeliest of each row; of equals, the lower ids."""
    if k >= logits.shape[1]:
        return logits
    order = np.argsort(-logits, axis=1, kind="stable")
    kept = logits.copy()
    np.put_along_axis(kept, order[:, k:], -np.inf, axis=1)
    return kept


def keep_top_p(logits: Floats, p: float) -> Floats:
    """The fewest likeliest tokens that together reach probability p; always at least one.

    Holtzman et al., "The curious case of neural text degeneration", 2020.
    """
    order = np.argsort(-logits, axis=1, kind="stable")
    ordered = np.exp(np.take_along_axis(log_softmax(logits), order, axis=1))
    before = ordered.cumsum(axis=1) - ordered  # what the likelier ones have reached already
    drop = before >= p
    drop[:, 0] = False
    kept = logits.copy()
    np.put_along_axis(kept, order, np.where(drop, -np.inf, np.take_along_axis(kept, order, 1)), 1)
    return kept


def keep_min_p(logits: Floats, p: float) -> Floats:
    """Tokens at least p times as likely as the likeliest.

    Nguyen et al., "Turning up the heat: min-p sampling", 2024.
    """
    return np.where(logits >= logits.max(axis=1, keepdims=True) + math.log(p), logits, -np.inf)


def log_softmax(logits: Floats) -> Floats:
    """Natural logarithms of probabilities; -inf stays."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def row_randomness(seed: int, index: int) -> np.random.Generator:
    """The random numbers of row `index`: one uniform a step, whatever the other rows do."""
    return np.random.Generator(np.random.Philox(key=[seed, index]))


class _Lanes:
    """Runs a network on B rows in groups of LANES, each with its own carried state."""

    def __init__(self, network: nn.Module, indices: Sequence[int]) -> None:
        self.network = network
        self.n_features = len(network.config.feature_sizes)  # type: ignore[union-attr, arg-type]
        self.device = next(network.parameters()).device
        taken = [0] * LANES  # rows so far in each lane, which is the group of its next row
        places = []
        for index in indices:
            lane = index % LANES
            places.append(taken[lane] * LANES + lane)
            taken[lane] += 1
        self.places = np.array(places)
        self.states: list[tuple[torch.Tensor, ...] | None] = [None] * max(taken)

    def step(self, ids: Ints, features: Ints, alive: Bools) -> Floats:
        """Logits (B, V) after one more token; rows whose whole group is done get zeros."""
        if self.n_features and features.shape[1] != self.n_features:
            raise ConfigError(
                f"the model was trained with {self.n_features} feature columns, "
                f"here are {features.shape[1]}; use its own tokenizer"
            )
        size = len(self.states) * LANES
        rows = self.places
        tokens = np.zeros((size, 1), dtype=np.int64)
        columns = np.zeros((size, 1, self.n_features), dtype=np.int64)
        running = np.zeros(size, dtype=np.bool_)
        tokens[rows, 0], running[rows] = ids, alive
        if self.n_features:
            columns[rows, 0] = features
        logits: Floats | None = None
        for group in np.flatnonzero(running.reshape(-1, LANES).any(axis=1)):
            part = slice(group * LANES, (group + 1) * LANES)
            out, self.states[group] = self.network(
                torch.from_numpy(tokens[part]).to(self.device),
                torch.from_numpy(columns[part]).to(self.device) if self.n_features else None,
                self.states[group],
            )
            values = out[:, 0].float().cpu().double().numpy()
            if logits is None:
                logits = np.zeros((size, values.shape[1]))
            logits[part] = values
        assert logits is not None
        of_rows: Floats = logits[rows]
        return of_rows


def _read(constraint: Constraint | None, tracker: MatchTracker, ids: Ints) -> Ints:
    """Tell one token a row to constraint and tracker: features (B, F) with the match columns."""
    matched = tracker.advance(ids)
    if constraint is None:
        return matched.reshape(len(ids), N_COLUMNS)
    constraint.advance(ids)
    return np.hstack([constraint.features(), matched])
