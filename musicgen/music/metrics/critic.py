"""A critic of one model: how much rather a tune is a real one than one of the model's own.

    critic = Critic.from_bytes(data, "critic.json")
    critic(tune)                               # log odds; above 0: rather a real one

A likelihood is blind to what shows only in a whole tune: its range, how alike its parts are. A
classifier that has seen many real and many new tunes is not, and the odds that it gives are the
ratio of their densities. Keeping the best of a few tunes by it takes a model nearer to its corpus
(Azadi et al., "Discriminator rejection sampling", ICLR 2019; Deng et al., "Residual energy-based
models for text generation", ICLR 2020). The shipped ones are fitted by scripts/fitting/critic.py
on the training families.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import CheckpointError, InvalidTuneError
from musicgen.music.metrics.distributions import DISTRIBUTIONS
from musicgen.music.metrics.note_arrays import Floats, Ints, played
from musicgen.music.metrics.vectors import FeatureSpace
from musicgen.music.tune import Tune

FILE_NAME = "critic.json"
VERSION = 1

# feature, threshold, node if at most that, node if more, whether NaN counts as at most; or a value.
Node = tuple[int, float, int, int, bool] | tuple[float]


@dataclass(frozen=True, eq=False)
class Trees:
    """Regression trees as tables (trees, nodes): node 0 is the root, a leaf leads to itself."""

    feature: Ints
    threshold: Floats
    low: Ints
    high: Ints
    missing_low: NDArray[np.bool_]
    value: Floats

    @staticmethod
    def of(trees: list[list[Node]]) -> Trees:
        """The tables of trees whose nodes come before those that they lead to."""
        shape = len(trees), max(map(len, trees), default=1)
        here = np.tile(np.arange(shape[1]), (shape[0], 1))
        feature, low, high = np.zeros(shape, np.int64), here, here.copy()
        threshold, value = np.zeros(shape), np.zeros(shape)
        missing = np.zeros(shape, np.bool_)
        for row, tree in enumerate(trees):
            for place, node in enumerate(tree):
                if len(node) == 1:
                    value[row, place] = node[0]
                    continue
                feature[row, place], threshold[row, place] = node[0], node[1]
                low[row, place], high[row, place], missing[row, place] = node[2:]
        return Trees(feature, threshold, low, high, missing, value)

    def total(self, vector: Floats) -> float:
        """The sum of what all trees say of a vector."""
        rows = np.arange(len(self.feature))
        at = np.zeros(len(rows), np.int64)
        while True:
            found = vector[self.feature[rows, at]]
            known = ~np.isnan(found)
            is_low = np.where(known, found <= self.threshold[rows, at], self.missing_low[rows, at])
            onward = np.where(is_low, self.low[rows, at], self.high[rows, at])
            if (onward == at).all():
                return float(self.value[rows, at].sum())
            at = onward


@dataclass(frozen=True, eq=False)
class Critic:
    """Boosted trees over a `space`, as lists of `nodes`; `bias` is the odds of the first guess.

    Raises:
        ValueError: a node that leads nowhere or looks at nothing, a number that is not finite.
    """

    space: FeatureSpace
    nodes: list[list[Node]]
    bias: float

    def __post_init__(self) -> None:
        for tree in self.nodes:
            for place, node in enumerate(tree):
                _check(node, place, len(tree), len(self.space.names))
        if not math.isfinite(self.bias) or not all(self.nodes):
            raise ValueError("no odds to begin with, or an empty tree")

    @cached_property
    def _trees(self) -> Trees:
        return Trees.of(self.nodes)

    def __call__(self, tune: Tune) -> float:
        """Natural log of the odds that the tune is real; about 5 ms. Minus infinity for one that
        cannot be heard."""
        try:
            heard = played(tune)
        except InvalidTuneError:
            return -math.inf
        return self.of_vector(self.space.vector(heard))

    def of_vector(self, vector: Floats) -> float:
        """The same of what has been measured already: (names,)."""
        return self.bias + self._trees.total(vector)

    def to_bytes(self) -> bytes:
        """JSON, a tree a line."""
        trees = ",\n".join(json.dumps(tree, separators=(",", ":")) for tree in self.nodes)
        head = {"version": VERSION, "bias": self.bias, "kinds": self.space.kinds}
        return f'{json.dumps(head)[:-1]}, "trees": [\n{trees}\n]}}\n'.encode()

    @staticmethod
    def from_bytes(data: bytes, where: str) -> Critic:
        """What `to_bytes` wrote.

        Raises:
            CheckpointError: it is something else; the line begins with `where`.
        """
        try:
            given = json.loads(data)
            if given["version"] != VERSION:
                raise CheckpointError(f"{where}: is of another version; update musicgen")
            return Critic(
                FeatureSpace(_kinds(given["kinds"])),
                [[_node(node) for node in tree] for tree in given["trees"]],
                float(given["bias"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            raise CheckpointError(f"{where}: cannot be read; get the model again") from None


def _check(node: Node, place: int, n_nodes: int, n_features: int) -> None:
    if not all(map(math.isfinite, node)):
        raise ValueError("a number that is not finite")
    if len(node) != 1:
        feature, _, low, high, _ = node
        # Only onward, so every way ends at a leaf.
        if not (0 <= feature < n_features and place < low < n_nodes and place < high < n_nodes):
            raise ValueError("a node that leads nowhere")


def _node(given: Any) -> Node:
    if len(given) == 1:
        return (float(given[0]),)
    feature, threshold, low, high, missing_low = given
    return int(feature), float(threshold), int(low), int(high), bool(missing_low)


def _kinds(given: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    known = [distribution.name for distribution in DISTRIBUTIONS]
    if list(given) != [name for name in known if name in given]:
        raise ValueError("a distribution that is not measured")
    return {name: tuple(map(str, kinds)) for name, kinds in given.items()}
