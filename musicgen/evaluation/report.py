"""A whole evaluation as plain data: `assess` one set of tunes, `ranking` of several."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from musicgen.evaluation.control import ContinuationScore, ControlAccuracy
from musicgen.evaluation.copying import (
    N_HELD_OUT,
    Copy,
    Diversity,
    NearestTunes,
    NoveltySummary,
    diversity,
    look_up,
)
from musicgen.evaluation.discrimination import Discrimination, discriminate
from musicgen.evaluation.sets import CEILINGS, Fault, Reference, Report, TuneSet, silent
from musicgen.evaluation.unseen import discriminate_unseen
from musicgen.music.metrics.distances import ConfidenceInterval, share
from musicgen.music.metrics.features import DistanceFloors, Features, Likeness, group_ratios
from musicgen.music.metrics.judge import load_judge
from musicgen.music.metrics.note_arrays import Floats
from musicgen.music.similarity import NoveltyIndex

if TYPE_CHECKING:
    from musicgen.evaluation.likelihood import Likelihood

VERSION = 1


@dataclass(frozen=True, slots=True)
class Validity:
    """Of `n_found` tunes: the share that could be read and whose bars, repeats and endings add up
    (`valid`). `n_judged` are those that the other measures rest on. Every fault is listed."""

    n_found: int
    n_judged: int
    valid: ConfidenceInterval
    invalid: tuple[Fault, ...]
    unreadable: tuple[Fault, ...]
    set_aside: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The numbers of worse music: distances in the order of `Assessment.likeness`, ratios
    to the floor by family, AUC by the measures and by the unseen views."""

    name: str
    distances: tuple[float, ...]
    ratios: dict[str, float]
    auc: float
    unseen_auc: float


@dataclass(frozen=True, slots=True)
class Assessment:
    """All that is known of one set of tunes.

    `ratios` are geometric means of distance by floor, by family of measures: 1 is what other real
    tunes show. `judge` holds the mean score by the shipped judge of the tunes
    that it does not reject and the share that it does, of the set and of the real tunes.
    `classifier` tells the set from real tunes by the measures, which a critic may have chosen by,
    `unseen` by views that none may use.
    """

    name: str
    validity: Validity
    likeness: tuple[Likeness, ...]
    ratios: dict[str, float]
    classifier: Discrimination | None
    unseen: Discrimination | None
    nearness: NoveltySummary
    copies: tuple[Copy, ...]
    diversity: Diversity
    judge: dict[str, float]
    control: tuple[ControlAccuracy, ...] = ()
    continuation: ContinuationScore | None = None
    likelihood: Likelihood | None = None
    examples: dict[str, int] = field(default_factory=dict)  # description -> number of the tune


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A reference with everything that is the same for all sets that are compared with it."""

    reference: Reference
    floors: DistanceFloors
    index: NoveltyIndex
    held_out: NearestTunes
    held_out_nearness: NoveltySummary
    real_classifier: Discrimination | None
    real_unseen: Discrimination | None
    ceilings: tuple[Ceiling, ...]
    real_judge: dict[str, float]
    seed: int

    @staticmethod
    def of(reference: Reference, n: int, *, seed: int = 0, report: Report = silent) -> Benchmark:
        """Floors and ceilings for sets of about `n` tunes."""
        floors = reference.floors(report)
        index = NoveltyIndex.build(reference.sources)
        real = reference.held_out
        chosen = np.random.default_rng([seed, 7]).permutation(len(real))[:N_HELD_OUT].tolist()
        held_out = look_up("held-out tunes", [real.tunes[i] for i in chosen], index, report)
        groups = [real.groups[i] for i in chosen]
        rows = floors.sample(n, np.random.default_rng([seed, 8]))
        report("telling real tunes apart", 0, 1)
        classifier = discriminate(floors.reference, floors.pool.take(rows), seed=seed)
        unseen = discriminate_unseen(real, reference.others.take(rows), seed=seed)
        made = reference.ceilings(min(n, len(reference.others)), seed=seed, report=report)
        ceilings = tuple(
            _ceiling(name, made[name], real, floors, seed, report) for name in CEILINGS
        )
        opinion = _opinion(_judged(real, report))
        return Benchmark(
            reference,
            floors,
            index,
            held_out,
            held_out.summary(groups),
            classifier,
            unseen,
            ceilings,
            {f"real {name}": value for name, value in opinion.items()},
            seed,
        )

    def assess(
        self,
        tunes: TuneSet,
        *,
        report: Report = silent,
        control: tuple[ControlAccuracy, ...] = (),
        continuation: ContinuationScore | None = None,
        likelihood: Likelihood | None = None,
    ) -> Assessment:
        """Everything about one set."""
        features = tunes.features(report)
        likeness = tuple(self.floors.compare(features))
        nearest = look_up(tunes.name, tunes.tunes, self.index, report)
        judged = _judged(tunes, report)
        report("telling new tunes from real", 0, 1)
        return Assessment(
            name=tunes.name,
            validity=_validity(tunes),
            likeness=likeness,
            ratios=group_ratios(likeness),
            classifier=discriminate(self.floors.reference, features, seed=self.seed),
            unseen=discriminate_unseen(self.reference.held_out, tunes, seed=self.seed),
            nearness=nearest.summary(features.groups),
            copies=nearest.listed(tunes.names),
            diversity=diversity(tunes),
            judge={**_opinion(judged), **self.real_judge},
            control=control,
            continuation=continuation,
            likelihood=likelihood,
            examples=_examples(judged, nearest),
        )


def _ceiling(
    name: str, made: TuneSet, real: TuneSet, floors: DistanceFloors, seed: int, report: Report
) -> Ceiling:
    features = made.features(report)
    rows = floors.compare(features)
    told = discriminate(floors.reference, features, seed=seed)
    unseen = discriminate_unseen(real, made, seed=seed)
    return Ceiling(
        name,
        tuple(row.distance.value for row in rows),
        group_ratios(rows),
        *(math.nan if each is None else each.auc.value for each in (told, unseen)),
    )


def _judged(tunes: TuneSet, report: Report) -> Floats:
    """The judge's score of every tune, less 1 where it is rejected."""
    judge, scores = load_judge(), []
    for done, tune in enumerate(tunes.tunes, 1):
        scores.append(judge(tune).ranked)
        report(f"judging {tunes.name}", done, len(tunes))
    return np.array(scores)


def _opinion(judged: Floats) -> dict[str, float]:
    """Mean score of the tunes that are not rejected, and the share that is."""
    passed = judged[judged >= 0]
    score = float(passed.mean()) if len(passed) else math.nan
    return {"score": score, "rejected": float((judged < 0).mean())}


def _validity(tunes: TuneSet) -> Validity:
    n_bad = len(tunes.invalid) + len(tunes.unreadable)
    return Validity(
        tunes.n_found,
        len(tunes),
        share([True] * (tunes.n_found - n_bad) + [False] * n_bad),
        tunes.invalid,
        tunes.unreadable,
        tunes.set_aside,
    )


def _examples(judged: Floats, nearest: NearestTunes) -> dict[str, int]:
    """The tunes that the judge puts first, in the middle and last, and the one nearest to the
    corpus."""
    order = np.argsort(-judged, kind="stable")
    return {
        "best by the judge": int(order[0]),
        "median by the judge": int(order[len(order) // 2]),
        "worst by the judge": int(order[-1]),
        "nearest to the corpus": int(np.argmax(nearest.similarity)),
    }


@dataclass(frozen=True, slots=True)
class RankStep:
    """Whether the better of two neighbours in a ranking is better for sure: the difference of
    their log ratios with the 95 % of a paired bootstrap over tunes, `sure` if it excludes 0."""

    better: str
    worse: str
    difference: ConfidenceInterval
    sure: bool


def ranking(
    benchmark: Benchmark, sets: Mapping[str, Features], assessments: Sequence[Assessment]
) -> tuple[RankStep, ...]:
    """The sets from best to worst by the mean log ratio of all distances to their floors.

    Sets are resampled by tune, so that an interval says what other tunes of the same makers, in the
    same number, would have shown. Steps between neighbours only.
    """
    order = sorted(assessments, key=lambda assessment: assessment.ratios["all"])
    samples = {a.name: benchmark.floors.resampled_ratios(sets[a.name]) for a in assessments}
    steps = []
    for better, worse in pairwise(order):
        gap = math.log(worse.ratios["all"] / better.ratios["all"])
        spread = samples[worse.name] - samples[better.name]
        low, high = np.quantile(spread, [0.025, 0.975]) - (float(spread.mean()) - gap)
        difference = ConfidenceInterval(gap, float(low), float(high))
        steps.append(RankStep(better.name, worse.name, difference, difference.low > 0))
    return tuple(steps)


def as_data(
    benchmark: Benchmark,
    assessments: Sequence[Assessment],
    steps: Sequence[RankStep],
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """A report for JSON; numbers that there are none of are null."""
    reference = benchmark.reference
    data = {
        "version": VERSION,
        "about": dict(about),
        "reference": {
            "name": reference.name,
            "split": reference.split,
            "held_out_tunes": len(reference.held_out),
            "held_out_families": len(set(reference.held_out.groups)),
            "other_tunes": len(reference.others),
            "tunes_searched_for_copies": len(reference.sources),
            "notices": list(reference.notices),
            "nearness": asdict(benchmark.held_out_nearness),
            "classifier": benchmark.real_classifier and asdict(benchmark.real_classifier),
            "unseen": benchmark.real_unseen and asdict(benchmark.real_unseen),
        },
        "ceilings": [asdict(ceiling) for ceiling in benchmark.ceilings],
        "sets": [asdict(assessment) for assessment in assessments],
        "ranking": [asdict(step) for step in steps],
    }
    return _without_nan(data)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
