"""Counted rhythms: the time to the next note after each place of a quarter.

Tunes are of several styles, in eighths or in quarters, dotted or swung: a mixture of Markov chains,
found by `scripts/fitting/estimation.py` (expectation maximisation). A reader of
a rhythm can infer its style on the way.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from musicgen.music.estimation.note_line import GRID
from musicgen.music.estimation.tables import tables

LONGEST = 8 * GRID  # longer notes count as this long
_RARE = 1e-4
_WRITTEN = tuple(p for p in range(GRID) if p % 3 == 0 or p % 4 == 0)  # places that scores have

# Classes of the time that went before: up to each of these, and longer.
PREVIOUS = (3, 4, 6, 8, 9, 12, 16, 18, 24, 36)
# Notes' worth of what is usual whatever went before, whatever the place, and in whatever style. At
# places where few notes begin, mostly of misprinted tunes, the next note brings the rhythm back.
_BACKED, _BACKED_PLACE, _BACKED_STYLE = 50.0, 2000.0, 20.0


def previous_class(length: int) -> int:
    """The class of a time to the next onset, in `GRID`-ths: its position in `PREVIOUS`."""
    return bisect_left(PREVIOUS, length)


def place_probability(place: int) -> float:
    """How often, in tunes of any meter, a note begins at a place of its quarter."""
    counts, total = _places()
    return (counts[place] + 1) / (total + GRID)


def rhythm_probability(place: int, length: int, previous: int | None = None) -> float:
    """How often, in tunes of any style, a note at a place of its quarter is followed by the next
    after so long, both in `GRID`-ths; `previous` is the class of the time before."""
    row, total = _rhythm().get(place, ({}, 0))
    usual = _usual(place).get(length, _RARE * _RARE)
    probability = (row.get(length, 0) + _BACKED_PLACE * usual) / (total + _BACKED_PLACE)
    if length % 3 and length % 4:
        probability = min(probability, _RARE)
    if previous is None:
        return probability
    own, n = _rhythm_after().get((place, previous), ({}, 0))
    return (own.get(length, 0) + _BACKED * probability) / (n + _BACKED)


def style_weights() -> NDArray[np.float64]:
    """How frequent each style is, (K,)."""
    return np.array(tables()["styles"]["weights"])


def style_probabilities() -> NDArray[np.float64]:
    """`rhythm_probability` in each style: (places, classes of the time before, lengths, K).

    The last class is that of the first note. Lengths that no score has are 0.
    """
    classes = range(len(PREVIOUS) + 1)
    usual = np.zeros((GRID, len(classes), LONGEST + 1))
    for place in _WRITTEN:
        lengths = [k for k in range(1, LONGEST + 1) if (place + k) % GRID in _WRITTEN]
        for before in classes:
            usual[place, before, lengths] = [
                rhythm_probability(place, length, before) for length in lengths
            ]
    styles = []
    for rows in map(_read, tables()["styles"]["counts"]):
        own = _BACKED_STYLE * usual
        total = np.full((GRID, len(classes), 1), _BACKED_STYLE)
        for (place, before), (row, n) in rows.items():
            total[place, before] += n
            lengths = [k for k in row if usual[place, before, k]]
            own[place, before, lengths] += [row[k] for k in lengths]
        styles.append(own / total)
    return np.stack(styles, axis=-1)


_Row = tuple[dict[int, int], int]
_Rows = dict[tuple[int, int], _Row]


def _read(table: Mapping[str, Mapping[str, int]]) -> _Rows:
    """Counts by place and class of the time before, with their sums."""
    rows = {}
    for name, row in table.items():
        place, _, previous = name.partition(",")
        counts = {int(k): n for k, n in row.items()}
        rows[int(place), int(previous)] = (counts, sum(counts.values()))
    return rows


@cache
def _rhythm_after() -> _Rows:
    return _read(tables()["rhythm"])


@cache
def _rhythm() -> dict[int, _Row]:
    sums: dict[int, Counter[int]] = {}
    for (place, _), (row, _) in _rhythm_after().items():
        sums.setdefault(place, Counter()).update(row)
    return {place: (dict(row), sum(row.values())) for place, row in sums.items()}


@cache
def _places() -> tuple[Counter[int], int]:
    """Notes that begin at each place of a quarter, and all of them."""
    counts = Counter({place: total for place, (_, total) in _rhythm().items()})
    return counts, counts.total()


@cache
def _usual(place: int) -> dict[int, float]:
    """Lengths by how usual they are anywhere, and the place that they lead to is."""
    lengths: Counter[int] = Counter()
    for row, _ in _rhythm().values():
        lengths.update(row)
    fit = {k: (n + 1) * place_probability((place + k) % GRID) for k, n in lengths.items()}
    total = sum(fit.values())
    return {length: each / total for length, each in fit.items()}
