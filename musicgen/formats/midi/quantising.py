"""Lines in ticks to lines on an exact grid, with a report of how far notes were moved.

A score comes through exactly: a line whose onsets are places of a score (see `grid`) keeps them. Of
a performance the beat is followed (see `beat`), and notes are put where a listener hears them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import ge, gt

import numpy as np

from musicgen.formats.midi.beat import Beat, follow
from musicgen.formats.midi.grid import (
    COARSEST_ROUNDED,
    UNITS,
    denominators,
    is_score,
    near_places,
    score_places,
)
from musicgen.formats.midi.notating import Sound
from musicgen.formats.midi.parts import Strike
from musicgen.formats.midi.smf import Ints

SHORTEST = UNITS // 8
# A gap this short (share of the time to the next note) is how a note is played, not a rest.
ARTICULATION = 0.25
# Denominators of places where notes end that begin on no such place; where many end elsewhere, they
# are articulated.
SIMPLE = (1, 2, 3, 4, 6, 8, 16)
FEWEST_RARE, RARE_SHARE = 8, 0.5
# Of a note whose end is no place of a score, and that rests before the next: notation programs play
# some share of what is written, so it is the next place of the coarsest grid that fits the rhythm.
GRIDS = tuple(UNITS // parts for parts in (4, 3, 8, 6, 12, 16, 24))
OVER = 0.18  # of a place of the grid: by so little more, it is still the one before
PLAYED_OFF = 2.5  # times what the player is off on average; less is no rest
PLAYED_ARTICULATION = 0.4  # in a performance; nobody holds all notes to their end


@dataclass(slots=True)
class Quantised:
    """Lines in units. `beat` is that of a performance, None for a score; `moved` counts notes that
    were moved, `furthest` by how many quarters at most; `merged` those that fell on another."""

    lines: list[list[Sound]]
    beat: Beat | None = None
    n_notes: int = 0
    moved: int = 0
    furthest: float = 0.0
    merged: int = 0
    warnings: list[str] = field(default_factory=list)


def quantise(
    lines: Sequence[Sequence[Strike]],
    ticks_per_quarter: int,
    quarter_s: float,
) -> Quantised:
    """Lines in ticks to lines in units.

    Args:
        lines: of strikes by onset that do not overlap.
        ticks_per_quarter: of the file.
        quarter_s: how long a quarter of the file lasts, in seconds.

    Raises:
        ParseError: a performance in which no beat can be found.
    """
    onsets = np.array(sorted({s[0] for line in lines for s in line}), np.int64)
    places = score_places(onsets, ticks_per_quarter)
    near = None
    written = is_score(places, ticks_per_quarter)
    if not written and ticks_per_quarter >= COARSEST_ROUNDED:
        near = near_places(onsets, ticks_per_quarter)
    result = Quantised([])
    exactly = False
    if near is not None:
        places = near
    elif written:
        strays = places < 0
        exactly = not strays.any()
        exact = onsets[strays] * (UNITS / ticks_per_quarter)
        places[strays] = [_nearest(place) for place in exact.tolist()]
    else:
        result.beat = follow(onsets, ticks_per_quarter, quarter_s, chords=len(lines) > 1)
        places = result.beat.places
    place_of = dict(zip(onsets.tolist(), places.tolist(), strict=True))
    ends = np.array(sorted({s[1] for line in lines for s in line}), np.int64)
    end_of = _ends(ends, ticks_per_quarter, result.beat, denominators(places))
    for line in lines:
        sounds = _as_written(line, place_of, end_of) if exactly else None
        if sounds is None:
            sounds = _place(line, place_of, end_of, result, ticks_per_quarter)
        result.n_notes += len(line)
        result.lines.append(sounds)
    _report(result, quarter_s)
    return result


_End = tuple[int, float]  # place in units, -1 where a score has none; the same unrounded


def _ends(ticks: Ints, ticks_per_quarter: int, beat: Beat | None, struck: Ints) -> dict[int, _End]:
    """Where ends of notes fall; `struck` are the denominators of the places of onsets."""
    if beat is not None:
        exact = beat.place(ticks) * UNITS
        return {t: (-1, e) for t, e in zip(ticks.tolist(), exact.tolist(), strict=True)}
    places = score_places(ticks, ticks_per_quarter)
    exact = np.where(places < 0, ticks * (UNITS / ticks_per_quarter), places)
    ended = denominators(places)
    places[~np.isin(_odd(ended), [1, 3, *_odd(np.unique(struck))])] = -1
    rare = ~np.isin(ended, [*SIMPLE, *np.unique(struck)])
    if rare.sum() >= FEWEST_RARE and rare.mean() > RARE_SHARE:
        places[rare] = -1
    return dict(zip(ticks.tolist(), zip(places.tolist(), exact.tolist(), strict=True), strict=True))


def _odd(numbers: Ints) -> Ints:
    """What is left of each when it is halved as often as possible: 3 for triplets, and so on."""
    left: Ints = numbers // (numbers & -numbers)
    return left


def _place(
    line: Sequence[Strike],
    place_of: dict[int, int],
    end_of: dict[int, _End],
    result: Quantised,
    ticks_per_quarter: int,
) -> list[Sound]:
    """One line on the grid; what falls on the next note is merged with it."""
    beat = result.beat
    sounds: list[Sound] = []
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
    line: Sequence[Strike], place_of: dict[int, int], end_of: dict[int, _End]
) -> list[Sound] | None:
    """One line where nothing has to be moved, else None."""
    onsets, ends = [place_of[s[0]] for s in line], [end_of[s[1]][0] for s in line]
    if any(map(ge, onsets, ends)) or any(map(gt, ends, onsets[1:])):
        return None
    return list(zip(onsets, ends, [s[2] for s in line], strict=True))


def _snap_end(onset: int, end: float, following: int | None, beat: Beat | None) -> int:
    """An end to the next onset where it is near, else to the grid."""
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
    """Where a note that is played shorter than written, or with a sloppy end, ends in a score."""
    for grid in GRIDS:
        if onset % grid == 0 and (following is None or following % grid == 0):
            return onset + math.ceil((end - onset) / grid - OVER) * grid
    return _nearest(end)


def _nearest(place: float) -> int:
    """The nearest thirty-second or sixteenth triplet."""
    grids = (UNITS // 8, UNITS // 6)
    return min((round(place / grid) * grid for grid in grids), key=lambda at: abs(at - place))


def _report(result: Quantised, quarter_s: float) -> None:
    if result.beat is not None:
        result.warnings.append(result.beat.describe())
    elif result.moved:
        result.warnings.append(
            f"{result.moved} of {result.n_notes} notes moved to the grid, by at most "
            f"{result.furthest:.3f} of a quarter note"
        )
    if result.merged:
        result.warnings.append(f"notes that fell on the next one, left out: {result.merged}")
