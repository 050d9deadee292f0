"""One step of `networks.transformer` in numpy with its key-value cache, and its layers' shapes.

Letters: B rows, C channels, H heads, D channels of a head, S times in the cache.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import ConfigError
from musicgen.models.config import ModelConfig, Shapes
from musicgen.models.inference.embedding import ArrayEmbedding, ArrayReadout
from musicgen.models.inference.interface import Floats, Ints, State, Weights
from musicgen.models.inference.quantization import LEVELS, LIMIT, QuantizedLinear, quantize

ROTARY_BASE = 10_000.0
EPSILON = np.finfo(np.float32).eps  # torch's choice for RMSNorm
MAX_TIMES = 1 << 14  # so that attention to many times still adds up exactly
_FIRST_CACHE = 256  # times that a new cache holds


def inner_width(d_model: int) -> int:
    """Channels inside the feed-forward layer: as many weights as the classic 4 C has, rounded up
    to a multiple of 64."""
    return -(-8 * d_model // 3 // 64) * 64


def layer_shapes(model: ModelConfig) -> Shapes:
    """Shapes of the parameters of all blocks and of the last norm, by name."""
    width, inner = model.d_model, inner_width(model.d_model)
    of_block: Shapes = {
        "norm_attention.weight": (width,),
        "norm_feed.weight": (width,),
        "qkv.weight": (3 * width, width),
        "merge.weight": (width, width),
        "up.weight": (2 * inner, width),
        "down.weight": (width, inner),
    }
    blocks = {
        f"blocks.{index}.{name}": shape
        for index in range(model.n_layers)
        for name, shape in of_block.items()
    }
    return {**blocks, "norm.weight": (width,)}


class TransformerStepper:
    """State: for each block keys and values as counts (B, H, S, D), and the quantization step
    of each (B, H, S)."""

    def __init__(self, model: ModelConfig, weights: Weights) -> None:
        self.model = model
        self.embedding = ArrayEmbedding(model, weights)
        self.blocks = [_Block(model, weights, index) for index in range(model.n_layers)]
        self.readout = ArrayReadout(model, weights, gain=weights["norm.weight"])
        half = model.d_model // model.n_heads // 2
        self.speeds = ROTARY_BASE ** -(np.arange(half) / half)  # radians a step

    def initial_state(self, n: int) -> State:
        """The state of n rows that have read nothing."""
        steps = (n, self.model.n_heads, _FIRST_CACHE)
        cache = (*steps, self.model.d_model // self.model.n_heads)
        shapes = (cache, cache, steps, steps) * self.model.n_layers
        return [np.zeros(shape, np.float32) for shape in shapes]

    def step(self, state: State, time: int, ids: Ints, features: Ints) -> Floats:
        """Logits (B, V) after one more token a row; updates the state.

        Raises:
            ConfigError: the tune is longer than 16,384 tokens.
        """
        if time == MAX_TIMES:
            raise ConfigError(f"a transformer reads at most {MAX_TIMES} tokens of one tune")
        if time == state[0].shape[2]:
            for index, array in enumerate(state):
                state[index] = np.concatenate([array, np.zeros_like(array)], axis=2)
        angles = time * self.speeds
        rotation = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        x = self.embedding(ids, features)  # (B, C)
        for index, block in enumerate(self.blocks):
            x = block(x, state[4 * index : 4 * index + 4], time, rotation)
        counts, step = _normalised(x)
        return self.readout(counts, features, step)


class _Block:
    """Attention and a gated feed-forward layer, each added to the residual stream (B, C)."""

    def __init__(self, model: ModelConfig, weights: Weights, index: int) -> None:
        block = f"blocks.{index}."
        self.heads, self.d_head = model.n_heads, model.d_model // model.n_heads
        gain = weights[f"{block}norm_attention.weight"]
        self.qkv = QuantizedLinear(weights[f"{block}qkv.weight"] * gain)
        self.merge = QuantizedLinear(weights[f"{block}merge.weight"])
        up = weights[f"{block}up.weight"] * weights[f"{block}norm_feed.weight"]
        self.inner = len(up) // 2
        up[: self.inner] *= np.float32(0.5)  # silu(2 g) = g (tanh(g) + 1)
        self.up, self.down = QuantizedLinear(up), QuantizedLinear(weights[f"{block}down.weight"])
        # A key times a query is a sum of D products of counts.
        self.levels = min(LEVELS, int((LIMIT / self.d_head) ** 0.5))

    def __call__(
        self, x: Floats, cache: State, time: int, rotation: tuple[Floats, Floats]
    ) -> Floats:
        qkv = self.qkv(*_normalised(x))
        x = x + self.merge(*quantize(self._attend(qkv, cache, time, rotation)))
        up = self.up(*_normalised(x))
        gate, value = up[:, : self.inner], up[:, self.inner :]
        opened = np.tanh(gate)
        opened += 1
        opened *= gate
        opened *= value
        x += self.down(*quantize(opened))
        return x

    def _attend(
        self, qkv: Floats, cache: State, time: int, rotation: tuple[Floats, Floats]
    ) -> Floats:
        """The attention output of all heads, (B, C)."""
        batch = len(qkv)
        qkv = qkv.reshape(batch, 3, self.heads, self.d_head)
        _rotate(qkv[:, :2], *rotation)
        counts, steps = quantize(qkv, self.levels)
        keys, values, key_steps, value_steps = cache
        keys[:, :, time], values[:, :, time] = counts[:, 1], counts[:, 2]
        key_steps[:, :, time], value_steps[:, :, time] = steps[:, 1, :, 0], steps[:, 2, :, 0]
        end = time + 1
        query = counts[:, 0, :, None]  # (B, H, 1, D)
        scores = np.matmul(query, keys[:, :, :end].swapaxes(2, 3))[:, :, 0]  # (B, H, S)
        scores *= key_steps[:, :, :end]
        scores *= steps[:, 0] * np.float32(self.d_head**-0.5)
        shares, step = _shares(scores, value_steps[:, :, :end], self.levels)
        read = np.matmul(shares[:, :, None], values[:, :, :end])[:, :, 0]  # (B, H, D)
        read *= step
        return read.reshape(batch, -1)


def _shares(scores: Floats, value_steps: Floats, levels: int) -> tuple[Floats, NDArray[np.float32]]:
    """Softmax of scores (B, H, S), times the step of each value, as counts with a step (B, H, 1).
    The counts of a head are so small that the weighted sum of its values is exact."""
    scores -= scores.max(axis=2, keepdims=True)
    odds = np.exp(scores)
    odds *= np.float32(LIMIT)
    np.rint(odds, out=odds)
    total = odds.sum(axis=2, keepdims=True, dtype=np.float64)  # of whole numbers, so exact
    largest = np.maximum(value_steps.max(axis=2, keepdims=True), np.float32(1e-30))
    budget = LIMIT / levels - scores.shape[2] / 2  # rounding may add half to each
    odds *= value_steps
    odds *= (budget / (total * largest)).astype(np.float32)
    return np.rint(odds, out=odds), largest * np.float32(1 / budget)


def _normalised(x: Floats) -> tuple[Floats, Floats]:
    """x (B, C) divided by its root mean square, as counts with a step."""
    counts, step = quantize(x)
    squares = np.square(counts).sum(axis=1, keepdims=True, dtype=np.float64)  # exact
    mean = np.square(step) * (squares / x.shape[1]).astype(np.float32)
    return counts, step / np.sqrt(mean + EPSILON)


def _rotate(x: Floats, cos: Floats, sin: Floats) -> None:
    """Turn the two halves of each head's channels (..., D) against each other, in place."""
    half = len(cos)
    a, b = x[..., :half], x[..., half:]
    turned = a * sin + b * cos
    a *= cos
    a -= b * sin
    b[...] = turned
