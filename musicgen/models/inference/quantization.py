"""Quantized matrix products whose sums are exact: integers in float32, added up below 2^24.

A floating-point sum depends on the order of its terms, and the order that a matrix product takes
depends on the library, the processor, the number of threads, the shapes, and the place of a row.
Integers below 2^24 are added exactly in float32, in whatever order. So activations are quantized
to LEVELS steps either side of zero and each row of weights to the finest step at which no sum can
pass 2^24, about 10 bits. Then the fast float32 product of any library gives a row the same bits
alone and in a batch of any size. Letters: B rows, K inputs, N outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import ConfigError
from musicgen.models.inference.interface import Floats, Ints

# An activation is one of -LEVELS .. LEVELS; with more, the weights get coarser. 256, 512 and 1024
# differ by less than 0.0005 bits per note (scripts/benchmarks/sampling.py --only likelihood).
LEVELS = 512
LIMIT = 1 << 24  # float32 holds every integer up to here


def quantize(x: Floats, levels: int = LEVELS) -> tuple[Floats, Floats]:
    """Integers in -levels .. levels, of the shape of x, and the step between two of them in each
    row of the last axis, (..., 1): x is about counts * step. A row's largest value is `levels`."""
    largest = np.abs(x).max(axis=-1, keepdims=True)
    np.maximum(largest, np.float32(1e-30), out=largest)
    counts = x * (np.float32(levels) / largest)
    return np.rint(counts, out=counts), largest * np.float32(1 / levels)


class QuantizedLinear:
    """Quantized inputs (B, K) -> inputs @ weight.T (B, N), for a weight (N, K) and integers in
    -levels .. levels that stand for `step` each.

    Raises:
        ConfigError: more inputs than can be added up exactly, about 30,000.
    """

    def __init__(self, weight: Floats, *, levels: int = LEVELS, step: float = 1.0) -> None:
        columns = weight.T.astype(np.float64)  # (K, N)
        sums = np.maximum(np.abs(columns).sum(axis=0), 1e-30)
        scale = (LIMIT / levels - len(columns) / 2) / sums  # rounding may add half to each
        if (scale <= 0).any():
            raise ConfigError(f"a layer of {len(columns)} inputs is too wide for exact sums")
        self.weight = np.rint(columns * scale).astype(np.float32)
        self.scale = (step / scale).astype(np.float32)  # (N,)

    def __call__(self, counts: Floats, step: Floats | None = None) -> Floats:
        """The product for counts as from `quantize`, times the step (B, 1) of each row."""
        y: Floats = counts @ self.weight
        y *= self.scale
        if step is not None:
            y *= step
        return y


class EmbeddingSum:
    """The sum of one row from each of several tables: indices (B, tables) -> (B, N)."""

    def __init__(self, tables: Sequence[NDArray[np.float64]]) -> None:
        largest = sum(float(np.abs(table).max(initial=0)) for table in tables) or 1.0
        grid = 2.0 ** np.floor(np.log2(LIMIT / 2 / largest))
        self.rows = (np.rint(np.concatenate(tables) * grid) / grid).astype(np.float32)
        self.starts = np.cumsum([0, *(len(table) for table in tables[:-1])])

    def __call__(self, indices: Ints) -> Floats:
        """Row `indices[b, i]` of table i, added up over i."""
        first, *others = (indices + self.starts).T
        total: Floats = self.rows[first]
        for rows in others:
            total += self.rows[rows]
        return total


def exact_matmul(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """a (M, K) @ b (K, N) in float64, both rounded so far (about 2^-21 of the largest) that the
    sums are exact."""
    bits = int((52 - np.log2(max(1, a.shape[1]))) // 2)
    counts, steps = [], 1.0
    for matrix in (a, b):
        step = max(float(np.abs(matrix).max(initial=0)), 1e-30) / 2.0**bits
        counts.append(np.rint(matrix.astype(np.float64) / step))
        steps *= step
    return (counts[0] @ counts[1]) * steps
