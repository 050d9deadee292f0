"""Novelty: runs copied from the corpus and nearest tunes, against those of held-out real tunes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from musicgen.evaluation.sets import Report, TuneSet, silent
from musicgen.music.metrics.distances import (
    RESAMPLES,
    ConfidenceInterval,
    bootstrap_weights,
    mean_interval,
)
from musicgen.music.metrics.note_arrays import Floats
from musicgen.music.playback import melody as line_of
from musicgen.music.similarity import COPY, NoveltyIndex
from musicgen.music.similarity.families import group_families, melody_digest, shingles
from musicgen.music.tune import Tune

N_HELD_OUT = 300  # real tunes that are looked up for comparison
QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True)
class NoveltySummary:
    """How near the tunes of a set are to those of a corpus they are not in.

    `copied_bars` and `similarity` are means over the tunes, `*_quantiles` their medians, 90 % and
    99 % points; `copies` is the share that `musicgen.music.similarity` calls a copy.
    """

    n: int
    copied_bars: ConfidenceInterval
    copied_bars_quantiles: tuple[float, ...]
    longest: float
    similarity: ConfidenceInterval
    similarity_quantiles: tuple[float, ...]
    copies: ConfidenceInterval


@dataclass(frozen=True, slots=True)
class Copy:
    """A tune that is called a copy: of what, how many bars, how similar."""

    name: str
    of: str
    bars: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Diversity:
    """How much the tunes of a set differ from each other: exact `duplicates` (in any key), and
    families of near-duplicates as `musicgen.music.similarity.families` groups them."""

    n: int
    duplicates: int
    families: int


@dataclass(frozen=True, eq=False)
class NearestTunes:
    """The novelty of each tune of a set, in order."""

    bars: Floats
    similarity: Floats
    copies: Floats
    neighbours: tuple[str, ...]

    def summary(self, groups: Sequence[str], seed: int = 0) -> NoveltySummary:
        """The set as a whole."""
        weights = bootstrap_weights(groups, RESAMPLES, np.random.default_rng([seed, 6]))
        return NoveltySummary(
            len(self.bars),
            mean_interval(self.bars, weights),
            tuple(np.quantile(self.bars, QUANTILES).tolist()),
            float(self.bars.max()),
            mean_interval(self.similarity, weights),
            tuple(np.quantile(self.similarity, QUANTILES).tolist()),
            mean_interval(self.copies, weights),
        )

    def listed(self, names: Sequence[str]) -> tuple[Copy, ...]:
        """The copies, longest first."""
        copies = [
            Copy(names[i], self.neighbours[i], int(self.bars[i]), float(self.similarity[i]))
            for i in np.flatnonzero(self.copies).tolist()
        ]
        return tuple(sorted(copies, key=lambda copy: (-copy.bars, -copy.similarity)))


def look_up(
    name: str, tunes: Sequence[Tune], index: NoveltyIndex, report: Report = silent
) -> NearestTunes:
    """Look every tune up in an index that it is not part of."""
    rows, neighbours = [], []
    for done, tune in enumerate(tunes, 1):
        novelty = index.assess(tune)
        rows.append((novelty.copied_bars, novelty.similarity, novelty.verdict == COPY))
        neighbours.append(str(novelty.neighbours[0]) if novelty.neighbours else "")
        report(f"looking up {name}", done, len(tunes))
    bars, similarity, copies = np.array(rows, np.float64).reshape(-1, 3).T
    return NearestTunes(bars, similarity, copies, tuple(neighbours))


def diversity(tunes: TuneSet) -> Diversity:
    """Duplicates and families within a set."""
    lines = [line_of(tune.voices[0]) for tune in tunes.tunes]
    digests = {
        melody_digest(tune.meter, [line]) for tune, line in zip(tunes.tunes, lines, strict=True)
    }
    runs = [shingles(line) for line in lines]
    families = group_families(runs, [len(run) for run in runs])
    return Diversity(len(tunes), len(tunes) - len(digests), len(np.unique(families)))
