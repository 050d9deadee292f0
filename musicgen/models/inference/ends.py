"""The two ends of every network, as tables: ids and features to vectors, vectors to logits.

The first matrix of a recurrent network meets nothing but sums of table rows, so it is multiplied
into the tables once, where they stay small. Letters: B rows, F feature columns, C channels
(d_model), N outputs, V vocabulary.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from musicgen.models.config import ModelConfig
from musicgen.models.inference.exact import LEVELS, Product, SumTable, exact_product
from musicgen.models.inference.interface import Floats, Ints, Weights

MAX_TABLE_BYTES = 64 << 20


class Entrance:
    """ids (B,) and features (B, F) -> their embedding, times a first matrix (N, C) plus its bias
    where one is given: (B, N)."""

    def __init__(
        self,
        model: ModelConfig,
        weights: Weights,
        first: tuple[Floats, Floats] | None = None,
    ) -> None:
        self.columns = [*model.plain_columns, *model.spoken_columns]
        tables = _embeddings(model, weights)
        self.product = None
        if first is not None:
            matrix, bias = first
            if sum(map(len, tables)) * len(matrix) * 4 <= MAX_TABLE_BYTES:
                tables = [exact_product(table, matrix.T) for table in tables]
                tables[0] += bias
            else:
                self.product, self.bias = Product(matrix), bias
        self.table = SumTable(tables)

    def __call__(self, ids: Ints, features: Ints) -> Floats:
        """The vector of each row."""
        indices = np.empty((len(ids), 1 + len(self.columns)), np.intp)
        indices[:, 0] = ids
        if self.columns:
            indices[:, 1:] = features[:, self.columns]
        x = self.table(indices)
        if self.product is None:
            return x
        y = self.product.of(x)
        y += self.bias
        return y


def _embeddings(model: ModelConfig, weights: Weights) -> list[NDArray[np.float64]]:
    """One table for the ids and one for each column of `Entrance.columns`, to be added up."""
    token = weights["embedding.token.weight"].astype(np.float64)
    tables = [token.copy()]
    sizes = [model.feature_sizes[column] for column in model.plain_columns]
    if sizes:
        rows = weights["embedding.table.weight"].astype(np.float64)
        tables += np.split(rows, np.cumsum(sizes)[:-1])
    if model.spoken_columns:
        maps = np.split(weights["embedding.map.weight"], len(model.spoken_columns), axis=1)
        tables += [exact_product(token, each.T) for each in maps]
        tables[0] += weights["embedding.map.bias"]
    return tables


class ArrayReadout:
    """Counts (B, C) and what one stands for -> logits (B, V), guessed ids pushed."""

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
        self.columns = list(model.pushing_columns)
        self.trust: SumTable | None = None
        if self.columns and model.trust_columns:
            self.trust_columns = list(model.trust_columns)
            sizes = [model.feature_sizes[column] for column in self.trust_columns]
            values = weights["readout.trust.weight"].astype(np.float64)
            self.trust = SumTable(np.split(values, np.cumsum(sizes)[:-1]))
        if self.columns:
            rows.append(weights["readout.push.weight"])
            bias.append(weights["readout.push.bias"])
        matrix = np.concatenate(rows)
        self.product = Product(matrix if gain is None else matrix * gain, levels=levels, step=step)
        self.bias = np.concatenate(bias).astype(np.float32)
        self.vocab_size = model.vocab_size

    def __call__(self, counts: Floats, features: Ints, step: Floats | None = None) -> Floats:
        """Logits of the next token."""
        y = self.product(counts)
        if step is not None:
            y *= step
        y += self.bias
        logits = y[:, : self.vocab_size]
        if not self.columns:
            return logits
        pushes = y[:, self.vocab_size :]
        if self.trust is not None:
            pushes += self.trust(features[:, self.trust_columns])
        rows = np.arange(len(y))
        for i, column in enumerate(self.columns):
            guesses = features[:, column]
            logits[rows, guesses] += pushes[:, i] * (guesses != 0)  # 0: no guess
        return logits
