"""All that is counted and measured in a set of tunes, and its distance from another set's.

real, new = Features.of(real_tunes), Features.of(new_tunes)
yardstick = Yardstick(real, pool)         # what is compared with, and more real tunes
rows = yardstick.compare(new)             # a Likeness for every distribution and measure
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from musicgen.music.metrics.distances import (
    RESAMPLES,
    ConfidenceInterval,
    bootstrap_weights,
    interval,
    jensen_shannon,
    kinds_of,
    tabulate,
    wasserstein,
)
from musicgen.music.metrics.distributions import DISTRIBUTIONS
from musicgen.music.metrics.note_arrays import Floats, Ints, Played
from musicgen.music.metrics.table import FAMILIES, MEASURES, measure_all

N_FLOOR = 40  # samples of real tunes that the floor is the mean of


@dataclass(frozen=True, eq=False)
class Features:
    """A set of n tunes as numbers: `counts` for each of `DISTRIBUTIONS` a counter a tune, `values`
    (n, measures) for `MEASURES`, `groups` the family of each tune."""

    counts: tuple[tuple[Counter[str], ...], ...]
    values: Floats
    groups: tuple[str, ...]

    @staticmethod
    def of(
        tunes: Sequence[Played],
        groups: Sequence[str] | None = None,
        progress: Callable[[int], None] = lambda done: None,
    ) -> Features:
        """Count and measure; without `groups` every tune is a family of its own."""
        rows = []
        for done, tune in enumerate(tunes, 1):
            rows.append([distribution.count(tune) for distribution in DISTRIBUTIONS])
            progress(done)
        names = tuple(map(str, range(len(tunes)))) if groups is None else tuple(groups)
        columns = zip(*rows, strict=True) if rows else iter([()] * len(DISTRIBUTIONS))
        return Features(tuple(tuple(c) for c in columns), measure_all(tunes), names)

    def __len__(self) -> int:
        return len(self.groups)

    def take(self, rows: Ints) -> Features:
        """Some of the tunes."""
        chosen = rows.tolist()
        return Features(
            tuple(tuple(column[i] for i in chosen) for column in self.counts),
            self.values[rows],
            tuple(self.groups[i] for i in chosen),
        )


@dataclass(frozen=True, slots=True)
class Likeness:
    """How far a set is from the real tunes in one thing.

    `unit` is "JS" (Jensen-Shannon distance, 0 to 1) for a distribution and "sd" (Wasserstein
    distance in standard deviations of the real tunes) for a measure. `floor` is the mean distance
    of other real tunes, whole families, as many as the set has, and `floor_high` bounds 95 % of
    them. `means` are those of the real tunes and of the set, for a measure.
    """

    name: str
    family: str
    about: str
    source: str
    unit: str
    distance: ConfidenceInterval
    floor: float
    floor_high: float
    means: tuple[float, float] | None

    @property
    def ratio(self) -> float:
        """Distance by floor: 1 is what real tunes show."""
        return self.distance.value / self.floor if self.floor else math.nan


class Yardstick:
    """Real tunes to compare with, and more of them (`pool`) to know what chance alone does.

    The pool shares no family with the reference. All randomness is that of `seed`.
    """

    def __init__(self, reference: Features, pool: Features, *, seed: int = 0) -> None:
        self.reference, self.pool, self.seed = reference, pool, seed
        pairs = zip(reference.counts, pool.counts, strict=True)
        self.kinds = [kinds_of([*ours, *theirs]) for ours, theirs in pairs]
        self._tables = [
            tabulate(c, k).counts for c, k in zip(reference.counts, self.kinds, strict=True)
        ]
        self._pool_tables = [
            tabulate(c, k).counts for c, k in zip(pool.counts, self.kinds, strict=True)
        ]
        deviations = np.array([_deviation(column) for column in reference.values.T])
        self.scales = np.where(deviations > 0, deviations, 1.0)
        self._floors: dict[int, tuple[Floats, Floats]] = {}

    @cached_property
    def _weights(self) -> Floats:
        rng = np.random.default_rng([self.seed, 1])
        return bootstrap_weights(self.reference.groups, RESAMPLES, rng)

    def sample(self, n: int, rng: np.random.Generator) -> Ints:
        """Rows of the pool: whole families at random, cut at `n` tunes."""
        groups = np.array(self.pool.groups)
        names = np.unique(groups)
        places = {name: place for place, name in enumerate(rng.permutation(names).tolist())}
        order = np.array([places[name] for name in groups.tolist()])
        return np.argsort(order, kind="stable")[:n]

    def floor(self, n: int) -> tuple[Floats, Floats]:
        """Mean and 95 % bound of the distance of `n` other real tunes, for each row of
        `compare`."""
        n = min(n, len(self.pool))
        if n not in self._floors:
            rng = np.random.default_rng([self.seed, 2])
            draws = [self.sample(n, rng) for _ in range(N_FLOOR)]
            found = np.array(
                [
                    self._distances([t[d] for t in self._pool_tables], self.pool.values[d])
                    for d in draws
                ]
            )
            self._floors[n] = found.mean(axis=0), np.quantile(found, 0.975, axis=0)
        return self._floors[n]

    def compare(self, new: Features) -> list[Likeness]:
        """Distances of a set in every distribution and measure, with intervals and floors."""
        tables = [tabulate(c, k).counts for c, k in zip(new.counts, self.kinds, strict=True)]
        values = self._distances(tables, new.values)
        samples = self._resampled(tables, new)
        floor, high = self.floor(len(new))
        things = [
            *((d.name, d.family, d.about, d.source, "JS", None) for d in DISTRIBUTIONS),
            *(
                (m.name, m.family, m.about, m.source, "sd", (_mean(r), _mean(c)))
                for m, r, c in zip(MEASURES, self.reference.values.T, new.values.T, strict=True)
            ),
        ]
        return [
            Likeness(*thing[:5], interval(value, spread), float(low), float(top), thing[5])
            for thing, value, spread, low, top in zip(
                things, values.tolist(), samples.T, floor, high, strict=True
            )
        ]

    def resampled_ratios(self, new: Features) -> Floats:
        """Mean log of distance by floor over everything, for bootstrap samples: (samples,).

        The samples of the reference are the same whatever the set, so two sets can be paired.
        """
        tables = [tabulate(c, k).counts for c, k in zip(new.counts, self.kinds, strict=True)]
        floor, _ = self.floor(len(new))
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(self._resampled(tables, new) / floor)
        logs[~np.isfinite(logs)] = math.nan
        ratios: Floats = np.nanmean(logs, axis=1)
        return ratios

    def _distances(self, tables: Sequence[Floats], values: Floats) -> Floats:
        pooled = [
            float(jensen_shannon(own.sum(axis=0), new.sum(axis=0)))
            for own, new in zip(self._tables, tables, strict=True)
        ]
        moved = [
            float(wasserstein(own, new, np.ones(len(own)), np.ones(len(new)))) / scale
            for own, new, scale in zip(self.reference.values.T, values.T, self.scales, strict=True)
        ]
        return np.array([*pooled, *moved])

    def _resampled(self, tables: Sequence[Floats], new: Features) -> Floats:
        """Distances of bootstrap samples of both sets: (samples, rows)."""
        rng = np.random.default_rng([self.seed, 3])
        ours, theirs = self._weights, bootstrap_weights(new.groups, RESAMPLES, rng)
        columns = [
            jensen_shannon(ours @ own, theirs @ table)
            for own, table in zip(self._tables, tables, strict=True)
        ]
        for own, values, scale in zip(
            self.reference.values.T, new.values.T, self.scales, strict=True
        ):
            columns.append(wasserstein(own, values, ours, theirs) / scale)
        return np.stack(columns, axis=1)


def family_ratios(rows: Sequence[Likeness]) -> dict[str, float]:
    """Geometric mean of distance by floor in each family, and in all of them together."""
    found = {family: _geometric(r for r in rows if r.family == family) for family in FAMILIES}
    return {**found, "all": _geometric(rows)}


def _geometric(rows: Iterable[Likeness]) -> float:
    ratios = [row.ratio for row in rows if row.ratio > 0]
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else math.nan


def _deviation(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.std()) if len(known) else math.nan


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan
