"""The notes of a score whose ticks are a few off: ends, single onsets, grace notes as played.

LilyPond plays a grace note for 9/40 of its length just before its note, out of the time of the note
before; other programs play it on the beat, out of the time of its own note. Either is read as a
grace note. An end, or an onset by itself, that is at no place where notes of the file begin belongs
to the next clean place. A performance is left as it is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from typing import NamedTuple

import numpy as np

from musicgen.formats.midi.grid import (
    ROUNDING_TICKS,
    TUPLET_GRIDS,
    denominators,
    is_score,
    score_places,
)
from musicgen.formats.midi.parts import GraceNote, MidiPart
from musicgen.formats.midi.smf import Ints, MidiFile, warn_count

# The greatest distance of an end from the place that was meant, in quarters. The training split of
# the bundled tunes has no rest shorter than 1/8; `scripts/fitting/note_ends.py` compares distances.
NEAR = 1 / 12
# Denominators of places where notes may end although none begins there.
SIMPLE = frozenset((1, 2, 3, 4, 6, 8, 12))
FINE = frozenset((24, 32, 48, 64))  # denominators of places that few notes have
ALONE = 1 / 16  # quarters: a fine onset with another one so near is part of a run
SHORTEST_REST = 1 / 8  # quarters; no run of written notes at fine places is shorter
MOST_GRACES = 8  # in a row
OFF_GRID, ON_GRID = 0.2, 0.5  # shares of onsets on sixteenths: of a score that comes late, of none
LONGEST_GRACE = 1 / 4  # quarters, as it is played
ON_BEAT_SHARE = 1 / 4  # of the note that it belongs to, for a grace note on the beat
PLAYED_SHARE = 9 / 40  # of the written length; LilyPond 2.24, Grace_performer
# Grids of the ends of notes, in parts of a quarter, and how far beyond a place an end belongs to it
END_GRIDS = (4, 3, 8, 6)
OVER = 0.18

_WRITTEN_GRACES = tuple(Fraction(1, parts) for parts in (16, 8, 4, 2, 1))  # quarters


def opening_graces(file: MidiFile) -> int:
    """The ticks by which a whole score comes late because it begins with grace notes."""
    rows = np.concatenate([track.notes for track in file.tracks] or [np.zeros((0, 5), np.int64)])
    onsets = np.unique(rows[:, 0])
    longest = LONGEST_GRACE * file.ticks_per_quarter
    for late in onsets[1 : min(MOST_GRACES, len(onsets) // 4) + 1].tolist():
        before = rows[rows[:, 0] < late]
        if onsets[0] or (before[:, 1] > np.minimum(late + 1, before[:, 0] + longest)).any():
            break
        step = file.ticks_per_quarter / 4
        on_grid = [float((np.abs(t / step - np.rint(t / step)) * step <= 1).mean())
                   for t in (onsets, onsets[onsets >= late] - late)]  # fmt: skip
        if on_grid[0] < OFF_GRID <= ON_GRID <= on_grid[1]:
            return late
    return 0


def cleaned(
    parts: Sequence[MidiPart], ticks_per_quarter: int, warnings: list[str]
) -> list[MidiPart]:
    """The parts of a score with clean ticks and their graces apart; warnings count the changes.
    Those of a performance are returned as they are."""
    counts: Counter[str] = Counter()
    without = [_without_graces(part, ticks_per_quarter, counts) for part in parts]
    onsets = sorted({tick for part in without for tick in part.notes[:, 0].tolist()})
    places = score_places(onsets, ticks_per_quarter)
    if not is_score(places, ticks_per_quarter):
        return [_from_0(part) for part in parts]
    strays = _strays(onsets, places, ticks_per_quarter)
    usual = SIMPLE.union(
        denominators(p for t, p in zip(onsets, places, strict=True) if t not in strays)
    )
    result, moves = [], [0]
    for part in without:
        notes = part.notes.copy()
        for tick, near in strays.items():
            notes[notes[:, 0] == tick, 0] = near
        ends = _clean_ends(notes, usual, ticks_per_quarter)
        counts[_STRAYS] += int((notes[:, 0] != part.notes[:, 0]).sum())
        off = np.abs(ends - notes[:, 1])
        moves += off[off > 1].tolist()  # a tick is rounding
        notes[:, 1] = np.maximum(ends, notes[:, 0] + 1)
        result.append(_from_0(replace(part, notes=_by_onset(notes))))
    for what, n in counts.items():
        warn_count(warnings, what, n)
    if n := len(moves) - 1:
        far = max(moves) / ticks_per_quarter
        warnings.append(f"{n} lengths read as clean, at most {far:.3f} of a quarter note off")
    return result


_GRACES = "short notes just before a note or at its beginning, read as grace notes"
_STRAYS = "notes that begin a few ticks off, moved"


def _from_0(part: MidiPart) -> MidiPart:
    """The part with what is left before the beginning moved there."""
    earliest = np.array([0, 1, 0])
    return replace(part, notes=np.maximum(part.notes, earliest))


def _by_onset(notes: Ints) -> Ints:
    return notes[np.lexsort((notes[:, 1], notes[:, 0]))]


def _strays(onsets: Sequence[int], places: Sequence[int], per_quarter: int) -> dict[int, int]:
    """Single onsets at fine places, with the ticks of the simple places that they belong to."""
    fine = [tick for tick, off in zip(onsets, _are_fine(places), strict=True) if off]
    odd_parts = {parts // (parts & -parts) for parts in denominators(places)}
    tuplets = [grid for grid in TUPLET_GRIDS if grid // 4 in odd_parts]
    strays = {}
    for i, tick in enumerate(fine):
        beside = (other for other in fine[max(i - 1, 0) : i + 2] if other != tick)
        if any(abs(other - tick) <= ALONE * per_quarter for other in beside):
            continue
        exact = (_nearest(tick, per_quarter / grid) for grid in tuplets)
        simple = (_nearest(tick, per_quarter / grid) for grid in (8, 6))
        near = next((at for at in exact if abs(at - tick) <= ROUNDING_TICKS), None)
        near = near or min(simple, key=lambda at: abs(at - tick))
        if abs(near - tick) <= ALONE / 2 * per_quarter:
            strays[tick] = near
    return strays


def _nearest(tick: int, step: float) -> int:
    return round(round(tick / step) * step)


# --- ends ------------------------------------------------------------------------------------


def _clean_ends(notes: Ints, usual: Set[int], per_quarter: int) -> Ints:
    """The ends of notes; of those at no usual place, the nearest onset of the part, or else the
    next place of the coarsest grid that fits the rhythm, if it is `NEAR`."""
    ends = notes[:, 1].copy()
    ticks = np.unique(ends)
    places = score_places(ticks.tolist(), per_quarter)
    rare = [p < 0 or d not in usual for p, d in zip(places, denominators(places), strict=True)]
    onsets = np.unique(notes[:, 0]).tolist()
    for i in np.flatnonzero(np.isin(ends, ticks[rare])).tolist():
        onset, end, _ = notes[i].tolist()
        after = bisect_right(onsets, onset)
        before_end = max(bisect_right(onsets, end), after)
        near = min(
            onsets[max(before_end - 1, after) : before_end + 1],
            key=lambda tick: abs(tick - end),
            default=None,
        )
        if near is not None and abs(near - end) <= min(NEAR * per_quarter, (near - onset) / 2):
            ends[i] = near
        elif grid := _grid([onset, *onsets[after : after + 1]], per_quarter):
            step = per_quarter / grid
            written = round(onset + ceil((end - onset) / step - OVER) * step)
            ends[i] = written if abs(written - end) <= NEAR * per_quarter else end
    return ends


def _grid(onsets: Sequence[int], per_quarter: int) -> int:
    """The coarsest of `END_GRIDS` that fits some onsets, 0 for none."""
    fitting = (g for g in END_GRIDS if not any(tick * g % per_quarter for tick in onsets))
    return next(fitting, 0)


# --- grace notes -----------------------------------------------------------------------------


class _Run(NamedTuple):
    """Grace notes from one tick to another, the tick at which their note begins, and where it is
    written to begin."""

    start: int
    stop: int
    main: int
    target: int


def _without_graces(part: MidiPart, per_quarter: int, counts: Counter[str]) -> MidiPart:
    notes = part.notes.copy()
    taken = np.zeros(len(notes), bool)
    graces: dict[int, tuple[GraceNote, ...]] = {}
    for run in _runs(notes, per_quarter):
        rows = (notes[:, 0] >= run.start) & (notes[:, 0] < run.stop)
        taken |= rows
        graces[run.target] = tuple(
            (pitch, _written_length(end - onset, per_quarter))
            for onset, end, pitch in notes[rows].tolist()
        )
        # The note before, which they cut short, lasts until their note.
        notes[(np.abs(notes[:, 1] - run.start) <= 1) & (notes[:, 0] < run.start), 1] = run.target
        notes[notes[:, 0] == run.main, 0] = run.target
    if not graces:
        return part
    counts[_GRACES] += int(taken.sum())
    return replace(part, notes=_by_onset(notes[~taken]), graces=graces)


def _written_length(ticks: int, per_quarter: int) -> Fraction:
    """The note value nearest to the length that LilyPond plays so long."""
    written = ticks / per_quarter / PLAYED_SHARE
    return min(_WRITTEN_GRACES, key=lambda value: abs(float(value) / written - 1))


def _runs(notes: Ints, per_quarter: int) -> Iterator[_Run]:
    """Runs of grace notes, each lasting until the next: before a clean onset, from fine places; or
    from a clean onset to a note at a fine place that is much longer."""
    struck = _Onsets.of(notes, per_quarter)
    ticks, used = struck.ticks, 0
    for i in range(1, len(ticks)):
        first = i
        while first > max(used, i - MOST_GRACES) and struck.leads_on(first - 1, i):
            first -= 1
        if first == i:
            continue
        time = (ticks[i] - ticks[first]) / per_quarter
        length = (struck.ends[i] - ticks[i]) / per_quarter
        if struck.is_late[i]:
            is_brief = time < SHORTEST_REST and time <= ON_BEAT_SHARE * length
            is_grace = is_brief and not struck.is_off[first]
            target = ticks[first]
        else:
            is_brief = time < SHORTEST_REST <= length
            is_grace = is_brief or any(struck.places[k] < 0 for k in range(first, i))
            target = ticks[i]
        if is_grace:
            used = i
            yield _Run(ticks[first], ticks[i], ticks[i], target)


@dataclass(frozen=True, slots=True)
class _Onsets:
    """The onsets of a part: ticks, the longest notes' ends, places; whether these are fine, or fine
    enough for a note behind a grace note on the beat; whether the ends are at clean places."""

    ticks: list[int]
    ends: list[int]
    places: list[int]
    is_off: list[bool]
    is_late: list[bool]
    ends_clean: list[bool]
    per_quarter: int

    @staticmethod
    def of(notes: Ints, per_quarter: int) -> _Onsets:
        onsets, firsts = np.unique(notes[:, 0], return_index=True)
        ends = np.maximum.reduceat(notes[:, 1], firsts)
        places = score_places(onsets.tolist(), per_quarter)
        clean = np.zeros(len(ends), bool)
        for rounding in (0, 1):
            clean |= ~np.array(
                _are_fine(score_places((ends + rounding).tolist(), per_quarter)), bool
            )
        off = _are_fine(places)
        late = [o or d == 16 for o, d in zip(off, denominators(places), strict=True)]
        ticks = onsets.tolist()
        return _Onsets(ticks, ends.tolist(), places, off, late, clean.tolist(), per_quarter)

    def leads_on(self, k: int, i: int) -> bool:
        """Whether the notes at onset `k` are grace notes that may belong to onset `i`."""
        length, after = self.ends[k] - self.ticks[k], k + 1
        if length > LONGEST_GRACE * self.per_quarter:
            return False
        if abs(self.ends[k] - self.ticks[after]) > 1:
            return self.is_off[k] and self.ends_clean[k] and after == i
        if self.is_off[k] or after == i:
            return self.is_off[k] or self.is_late[i]
        return self.is_off[after] and abs(self.ends[after] - self.ticks[after] - length) <= 1


def _are_fine(places: Sequence[int]) -> list[bool]:
    """For each place whether it is none, or one of a few notes: 1/32 or 1/24 of a quarter, and
    finer."""
    return [place < 0 or d in FINE for place, d in zip(places, denominators(places), strict=True)]
