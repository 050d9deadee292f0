"""Everything that is measured of a tune as one vector: what a classifier of tunes looks at.

space = FeatureSpace.of(features_of_real_tunes)
space.vector(played(tune))                 # (len(space.names),)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from musicgen.music.metrics.distances import kinds_of, tabulate
from musicgen.music.metrics.distributions import DISTRIBUTIONS
from musicgen.music.metrics.features import Features
from musicgen.music.metrics.note_arrays import Floats, Played
from musicgen.music.metrics.table import MEASURES, measure_all

KINDS = 24  # of each distribution, the most frequent ones
# A set with other types of tune than the reference's is no worse music for it.
_UNSEEN = {"type of tune"}


@dataclass(frozen=True)
class FeatureSpace:
    """The measures, and the shares of some `kinds` in each of the distributions named."""

    kinds: dict[str, tuple[str, ...]]

    @staticmethod
    def of(reference: Features) -> FeatureSpace:
        """The space of the kinds that are frequent in a set of tunes."""
        counts = {d.name: c for d, c in zip(DISTRIBUTIONS, reference.counts, strict=True)}
        shown = [name for name in counts if name not in _UNSEEN]
        return FeatureSpace({name: kinds_of(counts[name], KINDS)[:KINDS] for name in shown})

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What each place of a vector is."""
        shares = (f"{name}: {kind}" for name, kinds in self.kinds.items() for kind in kinds)
        return (*(measure.name for measure in MEASURES), *shares)

    @cached_property
    def _shown(self) -> list[tuple[int, tuple[str, ...]]]:
        """Numbers of the distributions, not they themselves, which cannot be sent to a worker."""
        names = [distribution.name for distribution in DISTRIBUTIONS]
        return [(names.index(name), kinds) for name, kinds in self.kinds.items()]

    def vectors(self, features: Features) -> Floats:
        """(tunes, names); NaN where a measure does not apply."""
        shares = [_shares(features.counts[number], kinds) for number, kinds in self._shown]
        return np.hstack([features.values, *shares])

    def vector(self, tune: Played) -> Floats:
        """That of one tune, (names,); nothing is counted that does not show in it."""
        shares = [
            _shares([DISTRIBUTIONS[number].count(tune)], kinds)[0] for number, kinds in self._shown
        ]
        return np.concatenate([measure_all([tune])[0], *shares])


def learnable(vectors: Floats) -> Floats:
    """The vectors with 0 for what applies to none of them, as scikit-learn's trees need a value of
    everything that they learn from."""
    return np.where(np.isnan(vectors).all(axis=0), 0.0, vectors)


def _shares(counts: Sequence[Counter[str]], kinds: tuple[str, ...]) -> Floats:
    table = tabulate(counts, (*kinds, "")).counts
    totals = np.maximum(table.sum(axis=1, keepdims=True), 1)
    shares: Floats = (table / totals)[:, : len(kinds)]
    return shares
