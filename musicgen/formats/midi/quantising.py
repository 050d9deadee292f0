"""Quantise lines in ticks to an exact grid, and report how far notes were moved.

A score is kept exactly: a line whose onsets are places of a score (see `grid`) keeps them. For a
performance the beat is tracked (see `beat`), and notes move to the places they were meant for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from functools import cache
from operator import ge, gt

import numpy as np

from musicgen.formats.midi.beat import Beat, Effort, follow
from musicgen.formats.midi.grid import (
    COARSEST_ROUNDED,
    denominators,
    is_score,
    near_places,
    score_places,
)
from musicgen.formats.midi.parts import NoteGroup
from musicgen.formats.midi.smf import warn_count
from musicgen.music.notation.bars import TimedChord
from musicgen.music.notation.rhythms import UNITS

SHORTEST = UNITS // 8
# A gap this short (share of the time to the next note) is articulation, not a rest.
ARTICULATION = 0.25
# Denominators of places where notes may end although none begins there; if many notes end
# elsewhere, their ends are articulation.
SIMPLE = (1, 2, 3, 4, 6, 8, 16)
FEWEST_RARE, RARE_SHARE = 8, 0.5
# Grids for a note that ends at no place of a score, before a rest. Notation programs play a share
# of the written duration, so the end is the next place of the coarsest grid that fits the rhythm.
GRIDS = tuple(UNITS // parts for parts in (4, 3, 8, 6, 12, 16, 24))
OVER = 0.18  # of a step of the grid: an end so little beyond a place belongs to that place
PLAYED_OFF = 2.5  # times the player's average deviation; a shorter gap is no rest
PLAYED_ARTICULATION = 0.4  # `ARTICULATION` in a performance


@dataclass(slots=True)
class Quantised:
    """Lines in units. `place_of` maps the ticks of onsets to their places. `beat` is that of a
    performance, None for a score. `moved` counts the notes that were moved, `furthest` is the
    longest move in quarters; `merged` counts the notes that fell on another and were left out."""

    lines: list[list[TimedChord]]
    place_of: dict[int, int]
    beat: Beat | None = None
    n_notes: int = 0
    moved: int = 0
    furthest: float = 0.0
    merged: int = 0
    warnings: list[str] = field(default_factory=list)


def quantise(
    lines: Sequence[Sequence[NoteGroup]],
    ticks_per_quarter: int,
    quarter_s: float,
    effort: Effort | None = None,
) -> Quantised:
    """Lines in ticks to lines in units.

    Args:
        lines: note groups by onset that do not overlap.
        ticks_per_quarter: of the file.
        quarter_s: duration of a quarter of the file in seconds.
        effort: what is left for the performances of the file.

    Raises:
        ParseError: a performance in which no beat can be found.
    """
    onsets = sorted({s[0] for line in lines for s in line})
    places = score_places(onsets, ticks_per_quarter)
    result = Quantised([], {})
    exact = False
    if is_score(places, ticks_per_quarter):
        exact = -1 not in places
        unit = UNITS / ticks_per_quarter
        places = [
            place if place >= 0 else _nearest(tick * unit)
            for tick, place in zip(onsets, places, strict=True)
        ]
    else:
        ticks, near = np.array(onsets, np.int64), None
        if ticks_per_quarter >= COARSEST_ROUNDED:
            near = near_places(ticks, ticks_per_quarter)
        if near is None:
            result.beat = follow(
                ticks, ticks_per_quarter, quarter_s, chords=len(lines) > 1, effort=effort
            )
            near = result.beat.places
        places = near.tolist()
    places = np.minimum.accumulate(places[::-1])[::-1].tolist()  # rounding changes no order
    result.place_of = place_of = dict(zip(onsets, places, strict=True))
    ends = sorted({s[1] for line in lines for s in line})
    end_of = _ends(ends, ticks_per_quarter, result.beat, frozenset(denominators(places)))
    for line in lines:
        sounds = _as_written(line, place_of, end_of) if exact else None
        if sounds is None:
            sounds = _place(line, place_of, end_of, result, ticks_per_quarter)
        result.n_notes += len(line)
        result.lines.append(sounds)
    _report(result, quarter_s)
    return result


_End = tuple[int, float]  # place in units, -1 where a score has none; the same not rounded


def _ends(
    ticks: Sequence[int], ticks_per_quarter: int, beat: Beat | None, struck: Set[int]
) -> dict[int, _End]:
    """Places of the ends of notes; `struck` are the denominators of the places of onsets."""
    if beat is not None:
        exact = beat.place(np.array(ticks, np.int64)) * UNITS
        return {t: (-1, e) for t, e in zip(ticks, exact.tolist(), strict=True)}
    places, unit = score_places(ticks, ticks_per_quarter), UNITS / ticks_per_quarter
    ended, usual = denominators(places), {1, 3, *map(_odd, struck)}
    rare = [parts not in struck and parts not in SIMPLE for parts in ended]
    articulated = sum(rare) >= FEWEST_RARE and sum(rare) > RARE_SHARE * len(rare)
    ends = {}
    for tick, place, parts, is_rare in zip(ticks, places, ended, rare, strict=True):
        written = place >= 0 and _odd(parts) in usual and not (articulated and is_rare)
        ends[tick] = (place if written else -1, tick * unit if place < 0 else place)
    return ends


@cache
def _odd(number: int) -> int:
    """The odd part of a number: 3 for the denominators of triplets, and so on."""
    return number // (number & -number)


def _place(
    line: Sequence[NoteGroup],
    place_of: dict[int, int],
    end_of: dict[int, _End],
    result: Quantised,
    ticks_per_quarter: int,
) -> list[TimedChord]:
    """One line on the grid; a note that falls on the next one is left out."""
    beat = result.beat
    sounds: list[TimedChord] = []
    for i, (tick, end_tick, pitches) in enumerate(line):
        onset = place_of[tick]
        following = place_of[line[i + 1][0]] if i + 1 < len(line) else None
        if following is not None and following <= onset:
            result.merged += 1
            continue
        end, exact = end_of[end_tick]
        moved = 0.0
        if end < 0 or end <= onset:
            end = _snap_end(onset, exact, following, beat)
            moved = abs(end - exact)
        elif following is not None and end > following:
            end = following
        if beat is not None:
            moved = abs(beat.deviation[tick]) * UNITS
        else:
            moved = max(moved, abs(onset - tick * UNITS / ticks_per_quarter))
        # A tick of rounding is no move.
        if moved > UNITS / ticks_per_quarter + 1:
            result.moved += 1
            result.furthest = max(result.furthest, moved / UNITS)
        sounds.append((onset, end, pitches))
    return sounds


def _as_written(
    line: Sequence[NoteGroup], place_of: dict[int, int], end_of: dict[int, _End]
) -> list[TimedChord] | None:
    """One line where nothing has to be moved, else None."""
    onsets, ends = [place_of[s[0]] for s in line], [end_of[s[1]][0] for s in line]
    if any(map(ge, onsets, ends)) or any(map(gt, ends, onsets[1:])):
        return None
    return list(zip(onsets, ends, [s[2] for s in line], strict=True))


def _snap_end(onset: int, end: float, following: int | None, beat: Beat | None) -> int:
    """The end of a note moved to the next onset if that is near, else to the grid."""
    if following is not None:
        near = ARTICULATION * (following - onset)
        if beat is not None:
            near = max(PLAYED_ARTICULATION * (following - onset), PLAYED_OFF * beat.off * UNITS)
        if following - end <= near:
            return following
    if beat is None:
        snapped = _written_end(onset, end, following)
    else:
        sixteenth = UNITS // 4
        snapped = round(end / sixteenth) * sixteenth
    snapped = max(snapped, onset + SHORTEST)
    return snapped if following is None else min(snapped, following)


def _written_end(onset: int, end: float, following: int | None) -> int:
    """The written end of a note that is played shorter, or ends at no place of a score."""
    for grid in GRIDS:
        if onset % grid == 0 and (following is None or following % grid == 0):
            return onset + math.ceil((end - onset) / grid - OVER) * grid
    return _nearest(end)


def _nearest(place: float) -> int:
    """The nearest thirty-second or sixteenth triplet."""
    grids = (UNITS // 8, UNITS // 6)
    return min((round(place / grid) * grid for grid in grids), key=lambda near: abs(near - place))


def _report(result: Quantised, quarter_s: float) -> None:
    if result.beat is not None:
        result.warnings.append(result.beat.describe())
    elif result.moved:
        result.warnings.append(
            f"{result.moved} of {result.n_notes} notes moved to the grid, by at most "
            f"{result.furthest:.3f} of a quarter note"
        )
    warn_count(result.warnings, "notes that fell on the next one, left out", result.merged)
