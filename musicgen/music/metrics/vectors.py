"""Measures and shares of a tune as one vector: the input of a classifier of tunes.

space = FeatureSpace.of(features_of_real_tunes)
space.vector(NoteArrays.of(tune))                 # (len(space.names),)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from musicgen.music.metrics.distances import kinds_of, tabulate
from musicgen.music.metrics.distributions import DISTRIBUTIONS
from musicgen.music.metrics.features import Features
from musicgen.music.metrics.note_arrays import Floats, NoteArrays
from musicgen.music.metrics.table import measure_all

KINDS = 24  # the most frequent ones of each distribution
# A set with other types of tune than the reference's is no worse music for it.
_LEFT_OUT = {"type of tune"}


@dataclass(frozen=True)
class FeatureSpace:
    """Some `measures` by name, and the shares of some `kinds` in each of the distributions named.

    Nothing else is looked at, so the space stays the same when the tables grow.
    """

    measures: tuple[str, ...]
    kinds: dict[str, tuple[str, ...]]

    @staticmethod
    def of(reference: Features) -> FeatureSpace:
        """The space of all measures and of the kinds that are frequent in a set of tunes."""
        kinds = {
            name: kinds_of(counts, KINDS)[:KINDS]
            for name, counts in reference.counts.items()
            if name not in _LEFT_OUT
        }
        return FeatureSpace(reference.measures, kinds)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each component of a vector."""
        shares = (f"{name}: {kind}" for name, kinds in self.kinds.items() for kind in kinds)
        return (*self.measures, *shares)

    def vectors(self, features: Features) -> Floats:
        """(tunes, names); NaN where a measure does not apply."""
        columns = [features.measures.index(name) for name in self.measures]
        shares = [_shares(features.counts[name], kinds) for name, kinds in self.kinds.items()]
        return np.hstack([features.values[:, columns], *shares])

    def vector(self, tune: NoteArrays) -> Floats:
        """The vector of one tune, (names,); only the distributions of the space are counted."""
        shares = [
            _shares([DISTRIBUTIONS[name].function(tune)], kinds)
            for name, kinds in self.kinds.items()
        ]
        return np.hstack([measure_all([tune], self.measures), *shares])[0]


def learnable(vectors: Floats) -> Floats:
    """The vectors with 0 for features that are NaN in all of them, as scikit-learn's trees need a
    value of every feature that they learn from."""
    return np.where(np.isnan(vectors).all(axis=0), 0.0, vectors)


def _shares(counts: Sequence[Counter[str]], kinds: tuple[str, ...]) -> Floats:
    table = tabulate(counts, (*kinds, ""))
    totals = np.maximum(table.sum(axis=1, keepdims=True), 1)
    return (table / totals)[:, : len(kinds)]
