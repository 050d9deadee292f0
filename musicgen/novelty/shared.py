"""The longest run of bars that a melody shares with another, given which notes match."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musicgen.novelty.alignment import typical_length
from musicgen.novelty.melody import Melody

# Share of the time of a bar, counted in both melodies, that matched notes must fill. One changed
# note of eight leaves 0.875, and halving every other note to make room for a passing one as well.
SHARED_BAR = 0.8


@dataclass(frozen=True, slots=True)
class Run:
    """Successive bars of a melody that another has too. Bars count from 1 as written, a pickup
    being bar 1; `length` is in full bars, rounded down; `notes` is how many of them match."""

    first_bar: int = 0
    last_bar: int = 0
    other_first_bar: int = 0
    other_last_bar: int = 0
    length: int = 0
    notes: int = 0


def longest_run(a: Melody, b: Melody, pairs: list[tuple[int, int]]) -> Run:
    """The longest run of bars of `a` shared with `b`; `pairs` are matching notes in order."""
    edges = np.concatenate([[0], np.cumsum(a.bars, dtype=np.int64)])
    if not pairs or edges[-1] == 0:
        return Run()
    ours, theirs = np.array(pairs).T
    shares = _shares(a, b, ours, theirs, edges)
    shared = shares >= SHARED_BAR
    bar = np.median(a.bars[a.bars > 0])
    best, best_ticks = (0, 0), 0
    for first, last in _spans(shared):
        ticks = int(edges[last + 1] - edges[first])
        if ticks > best_ticks:
            best, best_ticks = (first, last), ticks
    if not best_ticks:
        return Run()
    first, last = best
    inside = (_bar_of(a, ours) >= first) & (_bar_of(a, ours) <= last)
    other = _bar_of(b, theirs[inside]) if inside.any() else np.zeros(1, np.int64)
    return Run(
        first + 1,
        last + 1,
        int(other[0]) + 1,
        int(other[-1]) + 1,
        int(best_ticks / bar + 0.02),  # not one less for a rounded tick
        int(inside.sum()),
    )


def _shares(
    a: Melody, b: Melody, ours: NDArray[np.int64], theirs: NDArray[np.int64], edges: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(b,) for each bar of `a` the matched share of its time and of the other melody's beside it."""
    onsets = a.onsets
    matched = np.zeros(len(a), np.bool_)
    matched[ours] = True
    filled = _time_in_bars(onsets, np.where(matched, a.lengths, 0), a, edges)
    empty = _time_in_bars(onsets, np.where(matched, 0, a.lengths), a, edges)
    # The other melody's time, at our tempo; what it has between two matches goes to the later one.
    scale = typical_length(a.lengths) / typical_length(b.lengths)
    until = np.concatenate([[0], np.cumsum(b.lengths, dtype=np.int64)])
    left_out = np.concatenate([[0], until[theirs[1:]] - until[theirs[:-1] + 1]])
    bars = _bar_of(a, ours)
    filled += scale * np.bincount(bars, b.lengths[theirs], len(filled))
    empty += scale * np.bincount(bars, left_out, len(filled))
    total = filled + empty
    return np.divide(filled, total, out=np.zeros(len(total)), where=total > 0)


def _time_in_bars(
    onsets: NDArray[np.int64], ticks: NDArray[np.int64], a: Melody, edges: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(b,) how many ticks of some notes fall into each bar."""
    ends = onsets + a.lengths
    times = np.concatenate([onsets[:1], ends])
    total = np.concatenate([[0], np.cumsum(ticks)])
    found: NDArray[np.float64] = np.diff(np.interp(edges, times, total))
    return found


def _bar_of(melody: Melody, notes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bars, from 0, in which notes begin."""
    edges = np.cumsum(melody.bars, dtype=np.int64)
    places = np.searchsorted(edges, melody.onsets[notes], "right")
    clipped: NDArray[np.int64] = np.minimum(places, max(0, len(edges) - 1))
    return clipped


def _spans(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of every run of True."""
    padded = np.concatenate([[False], flags, [False]])
    changes = np.flatnonzero(padded[1:] != padded[:-1])
    return [(int(first), int(last) - 1) for first, last in changes.reshape(-1, 2)]
