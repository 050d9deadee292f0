"""Voice leading, counted: parallel fifths and octaves, crossed voices, voices out of range.

    counts = voice_leading(piece)      # Counts(bars=12, parallel_fifths=0, ...)

Fifths and octaves are parallel where two voices move from one to another of the same kind in the
same direction, from one moment at which some voice strikes to the next (the definition of music21's
VoiceLeadingQuartet). Contrary motion from a fifth to a twelfth is none.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import combinations, pairwise

from musicgen.tokens.remi.pieces import FIFTH, OCTAVE, ROLES, Piece, PiecePart


@dataclass(frozen=True, slots=True)
class Counts:
    """How often in some music. `moments` are the places where some voice strikes; a voice is
    `crossed` at a moment where the next lower one is above it, `silent` where it rests; notes are
    `out_of_range` beyond what their role may sing."""

    bars: int = 0
    notes: int = 0
    moments: int = 0
    parallel_fifths: int = 0
    parallel_octaves: int = 0
    crossed: int = 0
    silent: int = 0
    out_of_range: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def per_bar(self, name: str) -> float:
        """A count for each bar; 0 where there is none."""
        return float(getattr(self, name)) / max(1, self.bars)


def voice_leading(piece: Piece) -> Counts:
    """Count a piece. Its parts of single lines are compared, the highest first as it has them."""
    voices = [part for part in piece.parts if ROLES[part.role].single]
    moments = sorted({onset for part in voices for onset, _, _ in part.notes})
    lines = [_pitches_at(part, moments) for part in voices]
    fifths = octaves = 0
    for upper, lower in combinations(lines, 2):
        for before, after in pairwise(zip(upper, lower, strict=True)):
            kind = _parallel(before, after)
            fifths += kind == FIFTH
            octaves += kind == OCTAVE
    return Counts(
        bars=piece.n_bars - (piece.pickup > 0),
        notes=sum(len(part.notes) for part in voices),
        moments=len(moments),
        parallel_fifths=fifths,
        parallel_octaves=octaves,
        crossed=sum(
            u is not None and v is not None and u < v
            for upper, lower in pairwise(lines)
            for u, v in zip(upper, lower, strict=True)
        ),
        silent=sum(pitch is None for voice in lines for pitch in voice),
        out_of_range=sum(
            not ROLES[part.role].lowest <= midi <= ROLES[part.role].highest
            for part in voices
            for _, _, midi in part.notes
        ),
    )


def ends_on_triad(piece: Piece) -> bool:
    """Whether what sounds last is the tonic's triad, major or minor, with its third; the fifth may
    be missing."""
    end = max(part.end for part in piece.parts)
    last = {n[2] for part in piece.parts for n in part.notes if n[0] + n[1] == end}
    degrees = {(midi - piece.key.tonic_pitch_class) % 12 for midi in last}
    return degrees - {FIFTH} in ({0, 3}, {0, 4})


def _pitches_at(part: PiecePart, moments: Sequence[int]) -> list[int | None]:
    """The pitch that a part of one line sounds at each moment, None where it rests."""
    onsets = [onset for onset, _, _ in part.notes]
    pitches: list[int | None] = []
    for moment in moments:
        onset, duration, midi = (
            part.notes[i] if (i := bisect_right(onsets, moment) - 1) >= 0 else (0, 0, 0)
        )
        pitches.append(midi if onset <= moment < onset + duration else None)
    return pitches


_Pair = tuple[int | None, int | None]


def _parallel(before: _Pair, after: _Pair) -> int | None:
    """`FIFTH` or `OCTAVE` where two voices move in parallel so, else None."""
    a, b, c, d = *before, *after
    if a is None or b is None or c is None or d is None:
        return None
    kind = abs(a - b) % 12
    same = kind == abs(c - d) % 12 and kind in (FIFTH, OCTAVE)
    return kind if same and a != c and b != d and (c > a) == (d > b) else None
