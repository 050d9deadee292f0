"""Every distribution and measure of a set of tunes, and its distance from another set.

real, new = Features.of(real_tunes), Features.of(new_tunes)
floors = DistanceFloors(real, pool)         # the reference, and more real tunes
rows = floors.compare(new)             # a Likeness for every distribution and measure
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from musicgen.music.metrics.distributions import DISTRIBUTIONS, Distribution
from musicgen.music.metrics.note_arrays import Floats, Ints, NoteArrays
from musicgen.music.metrics.table import GROUPS, MEASURES, Measure, measure_all

N_FLOOR = 40  # samples of real tunes that the floor is the mean of


@dataclass(frozen=True, eq=False)
class Features:
    """A set of n tunes as numbers.

    `counts` has a counter per tune for each of `DISTRIBUTIONS`, by name; `values` (n, measures) has
    a column for each of `measures`, which are names in `MEASURES`. `groups` is the family of each
    tune.
    """

    counts: Mapping[str, tuple[Counter[str], ...]]
    values: Floats
    groups: tuple[str, ...]
    measures: tuple[str, ...]

    @staticmethod
    def of(
        tunes: Sequence[NoteArrays],
        groups: Sequence[str] | None = None,
        progress: Callable[[int], None] = lambda done: None,
    ) -> Features:
        """Count and measure; without `groups` every tune is a family of its own."""
        counts: dict[str, list[Counter[str]]] = {name: [] for name in DISTRIBUTIONS}
        for done, tune in enumerate(tunes, 1):
            for name, distribution in DISTRIBUTIONS.items():
                counts[name].append(distribution.function(tune))
            progress(done)
        return Features(
            {name: tuple(column) for name, column in counts.items()},
            measure_all(tunes, tuple(MEASURES)),
            tuple(map(str, range(len(tunes)))) if groups is None else tuple(groups),
            tuple(MEASURES),
        )

    def __len__(self) -> int:
        return len(self.groups)

    def take(self, rows: Ints) -> Features:
        """The tunes in these rows: (m,) integers."""
        return Features(
            {name: tuple(column[i] for i in rows) for name, column in self.counts.items()},
            self.values[rows],
            tuple(self.groups[i] for i in rows),
            self.measures,
        )


@dataclass(frozen=True, slots=True)
class Likeness:
    """The distance of a set from the real tunes in one distribution or measure.

    `unit` is "JS" (Jensen-Shannon distance, 0 to 1) for a distribution and "sd" (Wasserstein
    distance in standard deviations of the real tunes) for a measure. `floor` is the mean distance
    of other real tunes, whole families, as many as the set has, and `floor_high` bounds 95 % of
    them. `means` are those of the real tunes and of the set, for a measure. The names of the
    fields are keys of the report's JSON: `family` is the group of the row, `about` its definition.
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


class DistanceFloors:
    """Real tunes as the reference, and more of them (`pool`) to know what chance alone does.

    The pool shares no family with the reference. All randomness is that of `seed`. Sets that are
    compared were measured with the same `measures` as the reference.
    """

    def __init__(self, reference: Features, pool: Features, *, seed: int = 0) -> None:
        self.reference, self.pool, self.seed = reference, pool, seed
        self.kinds = {
            name: kinds_of([*counts, *pool.counts[name]])
            for name, counts in reference.counts.items()
        }
        self._tables = self._tabulate(reference)
        self._pool_tables = self._tabulate(pool)
        deviations = np.array([_of_known(np.std, column) for column in reference.values.T])
        self.scales = np.where(deviations > 0, deviations, 1.0)
        self._floors: dict[int, tuple[Floats, Floats]] = {}

    def _tabulate(self, features: Features) -> list[Floats]:
        """A table of counts (tunes, kinds) for each distribution."""
        return [tabulate(features.counts[name], kinds) for name, kinds in self.kinds.items()]

    @cached_property
    def _weights(self) -> Floats:
        return bootstrap_weights(
            self.reference.groups, RESAMPLES, np.random.default_rng([self.seed, 1])
        )

    def sample(self, n: int, rng: np.random.Generator) -> Ints:
        """Rows of the pool: whole families at random, cut at `n` tunes."""
        groups = np.array(self.pool.groups)
        names = np.unique(groups)
        places = {name: place for place, name in enumerate(rng.permutation(names).tolist())}
        return np.argsort([places[name] for name in groups.tolist()], kind="stable")[:n]

    def floor(self, n: int) -> tuple[Floats, Floats]:
        """Mean and 95 % bound of the distance of `n` other real tunes, for each row of
        `compare`."""
        n = min(n, len(self.pool))
        if n not in self._floors:
            rng = np.random.default_rng([self.seed, 2])
            draws = [self.sample(n, rng) for _ in range(N_FLOOR)]
            distances = np.array(
                [
                    self._distances([t[d] for t in self._pool_tables], self.pool.values[d])
                    for d in draws
                ]
            )
            self._floors[n] = distances.mean(axis=0), np.quantile(distances, 0.975, axis=0)
        return self._floors[n]

    def compare(self, new: Features) -> list[Likeness]:
        """Distances of a set in every distribution and measure, with intervals and floors."""
        tables = self._tabulate(new)
        distances = self._distances(tables, new.values)
        samples = self._resampled(tables, new)
        floors = zip(*self.floor(len(new)), strict=True)
        columns = zip(self.reference.values.T, new.values.T, strict=True)
        rows: list[tuple[Distribution | Measure, str, tuple[float, float] | None]] = [
            *((DISTRIBUTIONS[name], "JS", None) for name in self.kinds),
            *(
                (MEASURES[name], "sd", (_of_known(np.mean, real), _of_known(np.mean, column)))
                for name, (real, column) in zip(self.reference.measures, columns, strict=True)
            ),
        ]
        return [
            Likeness(
                name=row.name,
                family=row.group,
                about=row.definition,
                source=row.source,
                unit=unit,
                distance=interval(distance, sample),
                floor=float(floor),
                floor_high=float(high),
                means=means,
            )
            for (row, unit, means), distance, sample, (floor, high) in zip(
                rows, distances.tolist(), samples.T, floors, strict=True
            )
        ]

    def resampled_ratios(self, new: Features) -> Floats:
        """Mean log of distance by floor over everything, for bootstrap samples: (samples,).

        The samples of the reference are the same whatever the set, so two sets can be paired.
        """
        floor, _ = self.floor(len(new))
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(self._resampled(self._tabulate(new), new) / floor)
        logs[~np.isfinite(logs)] = math.nan
        return np.nanmean(logs, axis=1)

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
        measures = zip(self.reference.values.T, new.values.T, self.scales, strict=True)
        columns = [
            *(
                jensen_shannon(ours @ real, theirs @ table)
                for real, table in zip(self._tables, tables, strict=True)
            ),
            *(wasserstein(real, values, ours, theirs) / scale for real, values, scale in measures),
        ]
        return np.stack(columns, axis=1)


def group_ratios(rows: Sequence[Likeness]) -> dict[str, float]:
    """Geometric mean of distance by floor in each group, and in all of them together ("all")."""
    ratios = {group: _geometric(row for row in rows if row.family == group) for group in GROUPS}
    return {**ratios, "all": _geometric(rows)}


def _geometric(rows: Iterable[Likeness]) -> float:
    ratios = [row.ratio for row in rows if row.ratio > 0]
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else math.nan


def _of_known(statistic: Callable[[Floats], np.floating], values: Floats) -> float:
    """A statistic of the values that are not NaN; NaN where there are none."""
    known = values[~np.isnan(values)]
    return float(statistic(known)) if len(known) else math.nan
