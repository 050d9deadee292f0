"""The longest run of bars that a melody shares with another, given which notes match."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median_low

from musicgen.music.similarity.alignment import typical_length
from musicgen.music.similarity.melody import Melody

# Share of the time of a bar, counted in both melodies, that matched notes must fill. One changed
# note of eight leaves 0.875, and halving every other note to make room for a passing one as well.
SHARED_BAR = 0.8


@dataclass(frozen=True, slots=True)
class SharedBars:
    """Successive bars of a melody that another has too. Bars count from 1 as written, a pickup
    being bar 1; `length` is in full bars, rounded down; `notes` is how many of them match. All
    are 0 where no bar is shared."""

    first_bar: int = 0
    last_bar: int = 0
    other_first_bar: int = 0
    other_last_bar: int = 0
    length: int = 0
    notes: int = 0


class BarComparison:
    """Compares other melodies with one, bar by bar.

    A note counts to the bar in which it begins; a bar in which none does neither ends a run nor
    adds to its length.
    """

    def __init__(self, melody: Melody) -> None:
        self.edges = [0, *accumulate(melody.bars.tolist())]  # ticks at which bars begin and end
        self.full_bar = median_low([ticks for ticks in melody.bars.tolist() if ticks] or [1])
        self.lengths = melody.lengths.tolist()
        self.typical = typical_length(melody.lengths)
        self.bar_of = _bars_of(melody.onsets.tolist(), self.edges)
        self.ticks = [0.0] * max(1, len(melody.bars))
        for bar, length in zip(self.bar_of, self.lengths, strict=True):
            self.ticks[bar] += length

    def longest_run(self, other: Melody, pairs: Sequence[tuple[int, int]]) -> SharedBars:
        """The longest run of bars shared with `other`; `pairs` are matching notes in order."""
        shares = self._shares(other, pairs)
        best, best_ticks = (0, 0), 0
        for first, end in _spans(shares):
            ticks = sum(
                self.edges[bar + 1] - self.edges[bar]
                for bar in range(first, end)
                if shares[bar] is not None
            )
            if ticks > best_ticks:
                best, best_ticks = (first, end), ticks
        if not best_ticks:
            return SharedBars()
        theirs = [j for i, j in pairs if best[0] <= self.bar_of[i] < best[1]]
        onsets = other.onsets
        edges = [0, *accumulate(other.bars.tolist())]
        first, last = _bars_of([int(onsets[theirs[0]]), int(onsets[theirs[-1]])], edges)
        return SharedBars(
            first_bar=best[0] + 1,
            last_bar=best[1],
            other_first_bar=first + 1,
            other_last_bar=last + 1,
            length=int(best_ticks / self.full_bar + 0.02),  # not one less for a rounded tick
            notes=len(theirs),
        )

    def _shares(self, other: Melody, pairs: Sequence[tuple[int, int]]) -> list[float | None]:
        """Of each bar, the matched share of its time and of the other melody's time beside it,
        which is taken at our tempo; None where no note begins."""
        scale = self.typical / typical_length(other.lengths)
        lengths = other.lengths.tolist()
        until = [0, *accumulate(lengths)]
        matched, total = [0.0] * len(self.ticks), self.ticks.copy()
        following = pairs[0][1] if pairs else 0  # their note after the last one that matched
        for i, j in pairs:
            bar = self.bar_of[i]
            matched[bar] += self.lengths[i] + scale * lengths[j]
            # Their notes between two matches count to the later one.
            total[bar] += scale * (until[j + 1] - until[following])
            following = j + 1
        return [m / t if t else None for m, t in zip(matched, total, strict=True)]


def _bars_of(onsets: list[int], edges: list[int]) -> list[int]:
    """The bars, from 0, that begin at or before each onset; the last for what comes after all."""
    last = max(0, len(edges) - 2)
    return [min(last, bisect_right(edges, onset) - 1) for onset in onsets]


def _spans(shares: list[float | None]) -> Iterator[tuple[int, int]]:
    """First bar and the one after the last of every run of shared ones."""
    first = end = 0
    for bar, share in enumerate(shares):
        if share is None:
            continue
        if share >= SHARED_BAR:
            first = bar if end == 0 else first
            end = bar + 1
        elif end:
            yield first, end
            end = 0
    if end:
        yield first, end
