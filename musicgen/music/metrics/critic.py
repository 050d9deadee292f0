"""A critic of one model: the log odds that a tune is a real one and not one of the model's own.

    critic = Critic.from_bytes(data, "critic.json")
    critic(tune)                               # above 0: more likely a real one

A likelihood is blind to what shows only in a whole tune: its range, how alike its parts are. A
classifier that has seen many real and many new tunes is not, and the odds that it gives are the
ratio of their densities. Keeping the best of a few tunes by it takes a model nearer to its corpus
(Azadi et al., "Discriminator rejection sampling", ICLR 2019; Deng et al., "Residual energy-based
models for text generation", ICLR 2020). The shipped ones are fitted by scripts/fitting/critic.py
on the training families.

A critic file stores the names of its measures and of the kinds that it counts, so that a measure
that is added to the table changes no verdict. Files of version 1 store no names of measures: their
numbers belong to `VERSION_1_MEASURES`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import CheckpointError, InvalidTuneError, printable
from musicgen.music.metrics.distributions import DISTRIBUTIONS
from musicgen.music.metrics.note_arrays import Floats, Ints, NoteArrays
from musicgen.music.metrics.table import MEASURES
from musicgen.music.metrics.vectors import FeatureSpace
from musicgen.music.tune import Tune
from musicgen.system.json_content import JsonContent

FILE_NAME = "critic.json"
VERSION = 2
# Bounds of what a file may hold; `evaluation.critics` fits 250 trees of 15 nodes.
MAX_TREES, MAX_NODES = 10_000, 1_023
# The table of measures as it was for version 1, in its order. Never to be changed.
VERSION_1_MEASURES = (
    *("pitches used", "pitch classes used", "range", "tessitura", "pitch entropy"),
    *("pitch-class entropy", "scale consistency", "accidentals", "interval size", "leaps"),
    *("repeated notes", "turns", "notes", "notes a measure", "inter-onset time"),
    *("length entropy", "groove consistency", "off the beat", "measure rhythms", "silence"),
    *("measures", "sections", "repeated measures", "repeated phrases", "loop"),
    *("likeness 1 apart", "likeness 2 apart", "likeness 4 apart", "likeness 8 apart"),
    *("likeness 16 apart", "contrast", "ends on the tonic", "cadences", "compressibility"),
)

# feature, threshold, node if at most that, node if more, whether NaN counts as at most; or a value.
Node = tuple[int, float, int, int, bool] | tuple[float]


@dataclass(frozen=True, eq=False)
class Trees:
    """Regression trees as columns of all their nodes, (nodes,), one tree after the other: `roots`
    are the first nodes of each tree, (trees,), and a leaf leads to itself."""

    roots: Ints
    feature: Ints
    threshold: Floats
    low: Ints
    high: Ints
    missing_low: NDArray[np.bool_]
    value: Floats

    @staticmethod
    def of(trees: list[list[Node]]) -> Trees:
        """The columns of trees whose nodes come before those that they lead to."""
        roots = np.cumsum([0, *map(len, trees[:-1])])
        rows = [
            (0, 0.0, root + n, root + n, False, node[0])
            if len(node) == 1
            else (node[0], node[1], root + node[2], root + node[3], node[4], 0.0)
            for root, tree in zip(roots.tolist(), trees, strict=True)
            for n, node in enumerate(tree)
        ]
        types = (np.int64, np.float64, np.int64, np.int64, np.bool_, np.float64)
        columns = zip(*rows, strict=True)
        return Trees(roots, *(np.array(c, kind) for c, kind in zip(columns, types, strict=True)))

    def total(self, vector: Floats) -> float:
        """The sum of the values at which a vector arrives, one of each tree."""
        nodes = self.roots
        while True:
            values = vector[self.feature[nodes]]
            is_low = np.where(
                np.isnan(values), self.missing_low[nodes], values <= self.threshold[nodes]
            )
            following = np.where(is_low, self.low[nodes], self.high[nodes])
            if (following == nodes).all():
                return float(self.value[nodes].sum())
            nodes = following


@dataclass(frozen=True, eq=False)
class Critic:
    """Boosted trees over a `space`, as lists of `nodes`; `bias` is the log odds before any tree.

    Raises:
        ValueError: there is no tree, there are too many, or one is empty or too large, or a node
            leads to no later one or to no feature, or a number is not finite.
    """

    space: FeatureSpace
    nodes: list[list[Node]]
    bias: float

    def __post_init__(self) -> None:
        if not 0 < len(self.nodes) <= MAX_TREES:
            raise ValueError(f"[trees]: {len(self.nodes)} trees; 1 to {MAX_TREES} are read")
        n_features = len(self.space.names)
        for place, tree in enumerate(self.nodes):
            if not 0 < len(tree) <= MAX_NODES:
                raise ValueError(f"[trees][{place}]: {len(tree)} nodes; 1 to {MAX_NODES} are read")
            for number, node in enumerate(tree):
                if complaint := _complaint(node, number, len(tree), n_features):
                    raise ValueError(f"[trees][{place}][{number}]: {complaint}")
        if not math.isfinite(self.bias):
            raise ValueError("[bias]: not finite")

    @cached_property
    def _trees(self) -> Trees:
        return Trees.of(self.nodes)

    def __call__(self, tune: Tune) -> float:
        """Natural log of the odds that the tune is real; about 5 ms. Minus infinity for a tune
        that cannot be played."""
        try:
            return self.of_vector(self.space.vector(NoteArrays.of(tune)))
        except InvalidTuneError:
            return -math.inf

    def of_vector(self, vector: Floats) -> float:
        """The same for a vector of `space`: (names,)."""
        return self.bias + self._trees.total(vector)

    def to_bytes(self) -> bytes:
        """JSON with a line for each tree."""
        trees = ",\n".join(json.dumps(tree, separators=(",", ":")) for tree in self.nodes)
        head = {
            "version": VERSION,
            "bias": self.bias,
            "measures": self.space.measures,
            "kinds": self.space.kinds,
        }
        return f'{json.dumps(head)[:-1]}, "trees": [\n{trees}\n]}}\n'.encode()

    @staticmethod
    def from_bytes(data: bytes, where: str) -> Critic:
        """The inverse of `to_bytes`, which also reads version 1.

        Raises:
            CheckpointError: the bytes are no critic, or one of a later version, or it uses a
                measure that this musicgen has not; the line begins with `where`.
        """
        with JsonContent(
            data, where, raises=CheckpointError, advice="get the model again"
        ) as content:
            version = content["version"]
            if version not in (1, VERSION):
                raise CheckpointError(f"{where}: is of another version; update musicgen")
            names = VERSION_1_MEASURES if version == 1 else content["measures"]
            for name in names:
                if name not in MEASURES:
                    raise CheckpointError(
                        f"{where}: uses the measure '{printable(str(name)[:40])}', which this "
                        "musicgen does not have; update it, or register the measure first"
                    )
            return Critic(
                FeatureSpace(_different(names, "measures"), _kinds(content["kinds"])),
                [[_node(node) for node in tree] for tree in content["trees"]],
                float(content["bias"]),
            )


def _complaint(node: Node, number: int, n_nodes: int, n_features: int) -> str:
    if not all(map(math.isfinite, node)):
        return "a number that is not finite"
    if len(node) != 1:
        feature, _, low, high, _ = node
        # Children come later, so every path ends at a leaf.
        if not (0 <= feature < n_features and number < low < n_nodes and number < high < n_nodes):
            return "a node that leads nowhere"
    return ""


def _node(values: Any) -> Node:
    if len(values) == 1:
        return (float(values[0]),)
    feature, threshold, low, high, missing_low = values
    return int(feature), float(threshold), int(low), int(high), bool(missing_low)


def _kinds(kinds: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    if not kinds.keys() <= DISTRIBUTIONS.keys():
        raise ValueError("a distribution that is not in the table")
    return {name: _different(map(str, names), f"kinds][{name}") for name, names in kinds.items()}


def _different(names: Iterable[str], where: str) -> tuple[str, ...]:
    listed = tuple(names)
    if len(set(listed)) < len(listed):
        raise ValueError(f"[{where}]: a name twice")
    return listed
