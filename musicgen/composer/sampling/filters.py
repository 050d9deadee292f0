"""The filters on a next-token distribution, and the draw from it.

Each filter is a plain function of logits (B, V) and one number of `SamplingConfig`; `FILTERS` lists
them in the order in which they apply.
"""

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
# A filter and the value of its setting.
Filter = tuple[Callable[[Floats, Any], Floats], float]
# Below this total of the allowed odds, relative to the likeliest token, precision is lost.
SMALLEST_TOTAL = 1e-200


def draw_tokens(
    logits: Floats,
    allowed: Bools,
    uniforms: Floats,
    *,
    filters: Sequence[Filter],
    rows: Bools,
) -> tuple[Ints, Floats]:
    """Draw one id for each of `rows` by its uniform number in [0, 1): ids (B,), their bits (B,).

    Other rows get id 0, which is `PAD_ID`, and 0 bits. A token outside `allowed` is never drawn.

    Raises:
        CheckpointError: a logit is not finite.
        ControlError: a row has no allowed token.
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


def probabilities(logits: Floats, allowed: Bools, filters: Sequence[Filter]) -> Floats:
    """Probabilities (B, V) with which `draw_tokens` draws."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True).astype(np.float64))
    odds = _filtered(odds, logits, allowed, filters)
    return odds / odds.sum(axis=1, keepdims=True)


def _filtered(odds: Floats, logits: Floats, allowed: Bools, filters: Sequence[Filter]) -> Floats:
    """Odds (B, V) of the tokens that are allowed and pass the filters; 0 for the others."""
    kept: Floats = odds * allowed
    if not filters and kept.sum(axis=1).min() >= SMALLEST_TOTAL:
        return kept
    masked: Floats = np.where(allowed, logits.astype(np.float64), -np.inf)
    for keep, value in filters:
        masked = keep(masked, value)
    return np.exp(masked - masked.max(axis=1, keepdims=True))


def divide_by_temperature(logits: Floats, temperature: float) -> Floats:
    """A flatter distribution above 1, a sharper one below."""
    return logits / temperature


def keep_top_k(logits: Floats, k: int) -> Floats:
    """Keep the k likeliest tokens of each row; of equals, the lower ids."""
    if k >= logits.shape[1]:
        return logits
    order = np.argsort(-logits, axis=1, kind="stable")
    kept = logits.copy()
    np.put_along_axis(kept, order[:, k:], -np.inf, axis=1)
    return kept


def keep_top_p(logits: Floats, p: float) -> Floats:
    """Keep the fewest likeliest tokens that together reach probability p; always at least one.

    Holtzman et al., "The curious case of neural text degeneration", 2020.
    """
    order = np.argsort(-logits, axis=1, kind="stable")
    ordered = np.exp(np.take_along_axis(log_softmax(logits), order, axis=1))
    drop = ordered.cumsum(axis=1) - ordered >= p  # the probability of the likelier tokens
    drop[:, 0] = False
    kept = logits.copy()
    np.put_along_axis(kept, order, np.where(drop, -np.inf, np.take_along_axis(kept, order, 1)), 1)
    return kept


def keep_min_p(logits: Floats, p: float) -> Floats:
    """Keep the tokens at least p times as likely as the likeliest.

    Nguyen et al., "Turning up the heat: min-p sampling", 2024.
    """
    return np.where(logits >= logits.max(axis=1, keepdims=True) + math.log(p), logits, -np.inf)


# Setting of `SamplingConfig` -> its filter and the value at which it is off, in order.
FILTERS: dict[str, Filter] = {
    "temperature": (divide_by_temperature, 1),
    "top_k": (keep_top_k, 0),
    "top_p": (keep_top_p, 1),
    "min_p": (keep_min_p, 0),
}


def filters_of(config: SamplingConfig) -> list[Filter]:
    """The filters that a configuration turns on, in order; temperature 0 keeps one token."""
    if config.temperature == 0:
        return [(keep_top_k, 1)]
    return [
        (keep, getattr(config, name))
        for name, (keep, off) in FILTERS.items()
        if getattr(config, name) != off
    ]


def log_softmax(logits: Floats) -> Floats:
    """Natural logarithms of probabilities; -inf stays."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
