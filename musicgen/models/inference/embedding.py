"""Embedding and readout of every network in numpy: ids and features to vectors, vectors to logits.

The first matrix of a recurrent network multiplies only sums of table rows, so it is multiplied
into the tables once, where they stay small. Letters: B rows, F feature columns, C channels
(d_model), N outputs, V vocabulary.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from musicgen.models.config import ModelConfig
from musicgen.models.inference.interface import Floats, Ints, Weights
from musicgen.models.inference.quantization import (
    LEVELS,
    EmbeddingSum,
    QuantizedLinear,
    exact_matmul,
    quantize,
)

MAX_TABLE_BYTES = 64 << 20


class ArrayEmbedding:
    """ids (B,) and features (B, F) -> their embedding (B, C), or (B, N) after a first linear
    layer, its matrix (N, C) and bias (N,), where one is given."""

    def __init__(
        self,
        model: ModelConfig,
        weights: Weights,
        first: tuple[Floats, Floats] | None = None,
    ) -> None:
        self.columns = [*model.plain_columns, *model.token_inputs]
        tables = _embeddings(model, weights)
        self.product = None
        if first is not None:
            matrix, bias = first
            if sum(map(len, tables)) * len(matrix) * 4 <= MAX_TABLE_BYTES:
                tables = [exact_matmul(table, matrix.T) for table in tables]
                tables[0] += bias
            else:
                self.product, self.bias = QuantizedLinear(matrix), bias
        self.table = EmbeddingSum(tables)

    def __call__(self, ids: Ints, features: Ints) -> Floats:
        """The vector of each row."""
        indices = np.empty((len(ids), 1 + len(self.columns)), np.intp)
        indices[:, 0] = ids
        if self.columns:
            indices[:, 1:] = features[:, self.columns]
        x = self.table(indices)
        if self.product is None:
            return x
        y = self.product(*quantize(x))
        y += self.bias
        return y


def _embeddings(model: ModelConfig, weights: Weights) -> list[NDArray[np.float64]]:
    """One table for the ids and one for each of `ArrayEmbedding.columns`, to be added up."""
    token = weights["embedding.token.weight"].astype(np.float64)
    tables = [token.copy()]
    if model.plain_columns:
        tables += _split(weights["embedding.table.weight"], model, model.plain_columns)
    if model.token_inputs:
        maps = np.split(weights["embedding.map.weight"], len(model.token_inputs), axis=1)
        tables += [exact_matmul(token, each.T) for each in maps]
        tables[0] += weights["embedding.map.bias"]
    return tables


def _split(rows: Floats, model: ModelConfig, columns: tuple[int, ...]) -> list[NDArray[np.float64]]:
    """The tables of some feature columns, which lie in one."""
    sizes = [model.feature_sizes[column] for column in columns]
    return np.split(rows.astype(np.float64), np.cumsum(sizes)[:-1])


class ArrayReadout:
    """Quantized vectors (B, C) -> logits (B, V), with the logit bias of the copy head."""

    def __init__(
        self,
        model: ModelConfig,
        weights: Weights,
        *,
        levels: int = LEVELS,
        step: float = 1.0,
        gain: Floats | None = None,
    ) -> None:
        tied = "embedding.token.weight" if model.tie_embeddings else "readout.output.weight"
        rows, bias = [weights[tied]], [weights["readout.output.bias"]]
        self.columns = list(model.copy_columns)
        self.confidence: EmbeddingSum | None = None
        self.confidence_columns = list(model.trust_columns)
        if self.columns and self.confidence_columns:
            self.confidence = EmbeddingSum(
                _split(weights["readout.trust.weight"], model, model.trust_columns)
            )
        if self.columns:
            rows.append(weights["readout.push.weight"])
            bias.append(weights["readout.push.bias"])
        matrix = np.concatenate(rows) if gain is None else np.concatenate(rows) * gain
        self.product = QuantizedLinear(matrix, levels=levels, step=step)
        self.bias = np.concatenate(bias).astype(np.float32)
        self.vocab_size = model.vocab_size

    def __call__(self, counts: Floats, features: Ints, step: Floats | None = None) -> Floats:
        """Logits of the next token; `step` as in `QuantizedLinear`."""
        y = self.product(counts, step)
        y += self.bias
        logits, biases = y[:, : self.vocab_size], y[:, self.vocab_size :]
        if self.confidence is not None:
            biases += self.confidence(features[:, self.confidence_columns])
        rows = np.arange(len(y))
        for i, column in enumerate(self.columns):
            tokens = features[:, column]
            logits[rows, tokens] += biases[:, i] * (tokens != 0)  # 0: nothing to copy
        return logits
