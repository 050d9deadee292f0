"""The table of distributions: counts of notes, runs of notes and form, with their sources.

sum((DISTRIBUTIONS["intervals"].function(NoteArrays.of(tune)) for tune in tunes), Counter())
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from musicgen.music.metrics import structure
from musicgen.music.metrics.note_arrays import TICKS, NoteArrays

Counts = Counter[str]


@dataclass(frozen=True)
class Distribution:
    """Counts of a tune, which are pooled over a set. `group` is one of `table.GROUPS`, `source` a
    paper, a library or "musicgen"."""

    name: str
    group: str
    definition: str
    source: str
    function: Callable[[NoteArrays], Counts]


def _each(values: Iterable[Hashable]) -> Counts:
    return Counter(map(str, values))


def _runs(values: Sequence[Hashable], length: int) -> Counts:
    """Counts of the runs of `length` successive values."""
    windows = zip(*(values[i:] for i in range(length)), strict=False)
    return Counter(" ".join(map(str, window)) for window in windows)


@lru_cache(4096)  # a tune has few different ones
def quarters(ticks: int) -> str:
    """A time in quarters as text, exact."""
    divisor = math.gcd(ticks, TICKS)
    top, bottom = ticks // divisor, TICKS // divisor
    return str(top) if bottom == 1 else f"{top}/{bottom}"


def _lengths(tune: NoteArrays) -> list[str]:
    return [quarters(ticks) for ticks in tune.durations.tolist()]


def _positions(tune: NoteArrays) -> Counts:
    return Counter(f"{tune.meter} {quarters(place)}" for place in tune.positions.tolist())


def _moves(tune: NoteArrays) -> list[str]:
    """Each interval as one of five: leap down, step down, unison, step up, leap up."""
    edges = [-2, 0, 1, 3]
    return ["Ld=uU"[i] for i in np.searchsorted(edges, tune.intervals, "right")]


def _rhythms(tune: NoteArrays) -> Counts:
    return Counter(f"{tune.meter}: " + " ".join(map(quarters, r)) for r in tune.rhythms.values())


def _repeat_distances(tune: NoteArrays) -> Counts:
    return _each(np.minimum(structure.repeat_lags(tune), structure.MAX_LAG + 1).tolist())


_MGEVAL, _OURS = "mgeval", "musicgen"
_ROWS: tuple[Distribution, ...] = (
    Distribution(
        "scale degrees",
        "pitch",
        "semitones above the tonic",
        "mgeval's pitch-class histogram, by key",
        lambda t: _each(t.degrees.tolist()),
    ),
    Distribution(
        "degree pairs",
        "pitch",
        "a degree and the next",
        "mgeval's pitch-class transition matrix, by key",
        lambda t: _runs(t.degrees.tolist(), 2),
    ),
    Distribution(
        "degree triples",
        "pitch",
        "three degrees in a row",
        _OURS,
        lambda t: _runs(t.degrees.tolist(), 3),
    ),
    Distribution(
        "intervals",
        "pitch",
        "semitones from note to note",
        _OURS,
        lambda t: _each(np.clip(t.intervals, -16, 16).tolist()),
    ),
    Distribution(
        "contour",
        "pitch",
        "five moves in a row: leap or step down, same, step or leap up",
        "after Huron 1996",
        lambda t: _runs(_moves(t), 5),
    ),
    Distribution(
        "note lengths",
        "rhythm",
        "in quarters",
        "mgeval's note-length histogram",
        lambda t: _each(_lengths(t)),
    ),
    Distribution(
        "length pairs",
        "rhythm",
        "a length and the next",
        "mgeval's note-length transition matrix",
        lambda t: _runs(_lengths(t), 2),
    ),
    Distribution(
        "rhythm", "rhythm", "four lengths in a row", _OURS, lambda t: _runs(_lengths(t), 4)
    ),
    Distribution(
        "positions", "rhythm", "where in the bar notes begin, by meter", _OURS, _positions
    ),
    Distribution(
        "measure rhythms",
        "rhythm",
        "the onsets of a whole measure, by meter",
        _OURS,
        _rhythms,
    ),
    Distribution(
        "type of tune",
        "form",
        "type, meter and mode",
        _OURS,
        lambda t: _each([f"{t.rhythm or 'none'} {t.meter} {t.key.mode}"]),
    ),
    Distribution(
        "form",
        "form",
        "letters of the 8-measure strains as heard",
        _OURS,
        lambda t: _each([structure.form(t)]),
    ),
    Distribution(
        "section lengths",
        "form",
        "of the written parts, in measures",
        _OURS,
        lambda t: _each(t.sections),
    ),
    Distribution(
        "repeat distances",
        "structure",
        "measures since a measure was last heard; 0 if it is new",
        _OURS,
        _repeat_distances,
    ),
    Distribution(
        "cadences",
        "structure",
        "degree on which each strain of 8 measures ends",
        _OURS,
        lambda t: _each(structure.cadence_degrees(t)),
    ),
)
DISTRIBUTIONS: dict[str, Distribution] = {row.name: row for row in _ROWS}
