"""Ticks to exact fractions of a quarter note.

A place in a score is a simple fraction of a quarter, or the tick next to a tuplet's place where
the resolution has none for it (341 of 1024 for a third). A performed place hardly ever is either,
so a line whose onsets all are is a score, and comes through exactly; any other is moved to a grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache

from musicgen.formats.midi.notating import Sound

# Odd part of a place's denominator -> the greatest power of two that goes with it in a score.
SCORE_GRIDS = {1: 64, 3: 16, 5: 16, 7: 16, 9: 4, 15: 4}
TUPLET_GRIDS = (24, 20, 28)  # places of triplets, quintuplets, septuplets
ROUNDING_TICKS = 1
COARSEST_ROUNDED = 200  # ticks a quarter; below, one tick is a rhythm and no rounding

GRID = 24  # of a quarter, for a performance
GRID_PLACES = tuple(i for i in range(GRID + 1) if i % 3 == 0 or i % 4 == 0)
SHORTEST = Fraction(1, 8)
# A gap this short (share of the time to the next note) is how a note is played, not a rest.
ARTICULATION = Fraction(1, 4)

TickNote = tuple[int, int, int]  # onset and end in ticks, MIDI pitch


def quantise(line: Sequence[TickNote], ticks_per_quarter: int) -> tuple[list[Sound], list[str]]:
    """A single line in quarters, and what had to be moved, as warnings.

    Performed onsets go to the nearest thirty-second or sixteenth triplet. Ends that are no places
    in a score go to the next onset, where it is near, else to the grid.
    """
    read = _score_reader(ticks_per_quarter)
    onsets = [read(onset) for onset, _, _ in line]
    is_score = all(onset is not None for onset in onsets)
    places = [
        onset if is_score and onset is not None else _snap(Fraction(tick, ticks_per_quarter))
        for onset, (tick, _, _) in zip(onsets, line, strict=True)
    ]
    tuplets = {_odd_part(place) for place in places} | {1, 3}
    sounds: list[Sound] = []
    n_moved, furthest = 0, Fraction(0)
    for i, (tick, end_tick, midi) in enumerate(line):
        following = places[i + 1] if i + 1 < len(places) else None
        if following == places[i]:  # moved onto the next
            n_moved += 1
            continue
        end = Fraction(end_tick, ticks_per_quarter)
        new_end = read(end_tick) if is_score else None
        moved = Fraction(0)
        if new_end is None or (_odd_part(new_end) not in tuplets and new_end != following):
            new_end = _snap_end(places[i], end, following)
            moved = abs(new_end - end)
        if not is_score:
            moved = max(moved, abs(places[i] - Fraction(tick, ticks_per_quarter)))
        n_moved, furthest = n_moved + (moved > 0), max(furthest, moved)
        sounds.append(Sound(places[i], new_end, midi))
    if not n_moved:
        return sounds, []
    return sounds, [
        f"{n_moved} of {len(line)} notes moved to the grid, by at most {float(furthest):.3f} "
        "of a quarter note"
    ]


def _score_reader(ticks_per_quarter: int) -> Callable[[int], Fraction | None]:
    """A function from a tick to its place in a score, None where a score has none."""
    rounding = ROUNDING_TICKS if ticks_per_quarter >= COARSEST_ROUNDED else 0

    @cache
    def within_quarter(ticks: int) -> Fraction | None:
        exact = Fraction(ticks, ticks_per_quarter)
        odd = _odd_part(exact)
        if exact.denominator <= odd * SCORE_GRIDS.get(odd, 0):
            return exact
        for grid in TUPLET_GRIDS:
            near = Fraction(round(exact * grid), grid)
            if abs(near - exact) * ticks_per_quarter <= rounding:
                return near
        return None

    def read(tick: int) -> Fraction | None:
        quarter, rest = divmod(tick, ticks_per_quarter)
        place = within_quarter(rest)
        return None if place is None else quarter + place

    return read


def _snap(place: Fraction) -> Fraction:
    quarter, rest = divmod(place * GRID, Fraction(GRID))
    nearest = min(GRID_PLACES, key=lambda i: abs(i - rest))
    return Fraction(quarter * GRID + nearest, GRID)


def _snap_end(onset: Fraction, end: Fraction, following: Fraction | None) -> Fraction:
    if following is not None and abs(following - end) <= ARTICULATION * (following - onset):
        return following
    snapped = max(_snap(end), onset + SHORTEST)
    return snapped if following is None else min(snapped, following)


def _odd_part(place: Fraction) -> int:
    return place.denominator // (place.denominator & -place.denominator)
