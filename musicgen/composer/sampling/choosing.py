"""Choosing tokens: temperature, top-k, top-p and min-p as plain functions on logits (B, V)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen.composer.sampling.config import SamplingConfig
from musicgen.errors import CheckpointError, ControlError

Ints = NDArray[np.integer]
Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Filter = Callable[[Floats], Floats]
# Odds against the likeliest of all, of all that is allowed together: below it, precision is lost.
SMALLEST_TOTAL = 1e-200


def choose(
    logits: Floats,
    allowed: Bools,
    uniforms: Floats,
    *,
    filters: Sequence[Filter],
    rows: Bools,
) -> tuple[Ints, Floats]:
    """Draw one id for each of `rows` by its uniform number in [0, 1): ids (B,), their bits (B,).

    Other rows get id 0, which is `PAD_ID`, and 0 bits. A token outside `allowed` is never drawn.
    """
    ids, bits = np.zeros(len(logits), np.int64), np.zeros(len(logits))
    index = np.flatnonzero(rows)
    if not len(index):
        return ids, bits
    if len(index) < len(logits):
        logits, allowed, uniforms = logits[index], allowed[index], uniforms[index]
    if not np.isfinite(logits).all():
        raise CheckpointError("the network gives values that are not finite; use another model")
    if not allowed.any(axis=1).all():
        raise ControlError("nothing may come next; the request contradicts itself")
    shifted = logits - logits.max(axis=1, keepdims=True).astype(np.float64)
    odds = np.exp(shifted)
    log_total = np.log(odds.sum(axis=1))
    cumulative = _filtered(odds, logits, allowed, filters).cumsum(axis=1)
    total = cumulative[:, -1]
    # Below the total even when the product rounds up, so that the last step is never passed.
    threshold = np.minimum(uniforms * total, np.nextafter(total, 0))
    chosen = (cumulative > threshold[:, None]).argmax(axis=1)
    ids[index] = chosen
    bits[index] = (log_total - shifted[np.arange(len(index)), chosen]) / math.log(2)
    return ids, bits


def chances(logits: Floats, allowed: Bools, filters: Sequence[Filter]) -> Floats:
    """Probabilities (B, V) with which `choose` draws."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True).astype(np.float64))
    odds = _filtered(odds, logits, allowed, filters)
    result: Floats = odds / odds.sum(axis=1, keepdims=True)
    return result


def _filtered(odds: Floats, logits: Floats, allowed: Bools, filters: Sequence[Filter]) -> Floats:
    """Odds (B, V), which belong to the logits, of what is allowed and passes the filters."""
    kept: Floats = odds * allowed
    if not filters and kept.sum(axis=1).min() >= SMALLEST_TOTAL:
        return kept
    own: Floats = np.where(allowed, logits.astype(np.float64), -np.inf)
    for apply in filters:
        own = apply(own)
    again: Floats = np.exp(own - own.max(axis=1, keepdims=True))
    return again


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
