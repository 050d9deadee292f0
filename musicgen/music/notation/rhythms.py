"""The notation of a bar's rhythm: note heads, rests, ties, dots, tuplets, spelling.

Worked out once for each rhythm, since corpora repeat a few of them endlessly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate, pairwise
from math import lcm

from musicgen.music.theory import Key, Meter, Pitch, spell
from musicgen.music.tune import Chord, Event, Note, Rest, Tuplet

UNITS = 20160  # of a quarter: the least that holds all places of `formats.midi.grid.SCORE_GRIDS`

# A single note head with up to two dots: 1, 3 or 7 times a power of two.
_NOTE_HEADS = (1, 3, 7)
# Written against sounding notes of a tuplet: 3 in the time of 2, and so on.
_TUPLETS = {3: 2, 5: 4, 7: 4, 9: 8, 15: 8}
_LONGEST_TUPLET = 4  # quarters

REST, NOTE, TIED = range(3)  # kinds of pieces of a bar
# The pieces of a bar: onset and end in units from its start, and the kind.
Rhythm = tuple[tuple[int, int, int], ...]


@dataclass(eq=False, slots=True)
class NoteHead:
    """A note head or rest of a bar, pitches aside. `number` is that of the sound, -1 for a rest;
    `onset` is in units from the start of the bar."""

    number: int
    onset: int
    duration: Fraction
    tie: bool
    tuplet: Tuplet | None
    rest: Rest | None
    written: dict[tuple[tuple[int, ...], int], Event] = field(default_factory=dict)

    def event(self, struck: Sequence[tuple[int, ...]], fifths: int) -> Event:
        """The rest, note or chord, spelled in a key of so many sharps."""
        if self.rest is not None:
            return self.rest
        pitches = struck[self.number]
        event = self.written.get((pitches, fifths))
        if event is None:
            event = self.written[pitches, fifths] = self._write(pitches, fifths)
        return event

    def _write(self, pitches: tuple[int, ...], fifths: int) -> Event:
        if len(pitches) == 1:
            return Note(_spelled(pitches[0], fifths), self.duration, self.tie, self.tuplet)
        notes = (Note(_spelled(midi, fifths), self.duration, self.tie) for midi in pitches)
        return Chord(tuple(notes), self.duration, self.tuplet)


@lru_cache(maxsize=4096)
def _spelled(midi: int, fifths: int) -> Pitch:
    return spell(midi, Key.of_signature(min(max(fifths, -7), 7)))


@lru_cache(maxsize=8192)
def heads(rhythm: Rhythm, meter: Meter, length: int) -> tuple[NoteHead, ...]:
    """How the rhythm of a bar of some length is written."""
    numbers = iter(range(len(rhythm)))
    pieces = [
        _Piece(
            Fraction(onset, UNITS),
            Fraction(end, UNITS),
            -1 if what == REST else next(numbers),
            what == TIED,
        )
        for onset, end, what in rhythm
    ]
    duration = Fraction(length, UNITS)
    if len(pieces) == 1 and pieces[0].number < 0 and pieces[0].duration == duration:
        full = duration == meter.bar_duration
        return (NoteHead(-1, 0, duration, False, None, Rest(duration, full_bar=full)),)
    return tuple(_head(piece, tuplet) for piece, tuplet in _notate(pieces, _beats(meter, duration)))


def _head(piece: _Piece, tuplet: Tuplet | None) -> NoteHead:
    rest = Rest(piece.duration, tuplet=tuplet) if piece.number < 0 else None
    return NoteHead(piece.number, int(piece.onset * UNITS), piece.duration, piece.tie, tuplet, rest)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of sound `number`, or of a silence (-1), that lies within one bar; in quarters from
    its start."""

    onset: Fraction
    end: Fraction
    number: int
    tie: bool = False

    @property
    def duration(self) -> Fraction:
        return self.end - self.onset

    def split(self, at: Sequence[Fraction]) -> list[_Piece]:
        """The pieces between the given places, which lie inside, in order; all tied."""
        if not at:
            return [self]
        edges = [self.onset, *at, self.end]
        pieces = [_Piece(a, b, self.number, self.number >= 0) for a, b in pairwise(edges)]
        pieces[-1] = replace(pieces[-1], tie=self.tie)
        return pieces


_Written = list[tuple[_Piece, Tuplet | None]]


@lru_cache(maxsize=256)
def _beats(meter: Meter, length: Fraction) -> tuple[Fraction, ...]:
    """Where the beats of a bar fall, its start aside; a pickup is counted from its end."""
    lengths = meter.beat_durations
    full = sum(lengths, Fraction(0))
    onsets = accumulate(lengths, initial=min(length - full, Fraction(0)))
    return tuple(onset for onset in onsets if 0 < onset < length)


def _notate(pieces: list[_Piece], beats: Sequence[Fraction]) -> _Written:
    """Pieces as note heads and rests, each with its tuplet."""
    written: _Written = []
    for group in _groups(pieces):
        if _is_plain(group[0].duration) and len(group) == 1:
            written += [(piece, None) for piece in _split_plain(group[0], beats)]
            continue
        tuplet = _write_tuplet(group)
        if tuplet is None:  # across the beats: cut it there and look again
            cut = [p for piece in group for p in piece.split(_inside(piece, beats))]
            if len(cut) > len(group):
                written += _notate(cut, [])
                continue
            tuplet = [(piece, None) for piece in group]
        written += tuplet
    return written


def _groups(pieces: list[_Piece]) -> Iterator[list[_Piece]]:
    """Single pieces, or runs of pieces between places that need no tuplet."""
    group: list[_Piece] = []
    for piece in pieces:
        group.append(piece)
        if _is_plain(piece.end - group[0].onset):
            yield group
            group = []
    if group:
        yield group


def _write_tuplet(group: list[_Piece]) -> _Written | None:
    """The notes of a tuplet; None when the group is not one that a musician would write."""
    total = group[-1].end - group[0].onset
    actual = _odd(lcm(*(p.duration.denominator for p in group)))
    if actual not in _TUPLETS or total > _LONGEST_TUPLET or _odd(total.numerator) not in (1, 3):
        return None
    scale = Fraction(_TUPLETS[actual], actual)
    pieces = [part for piece in group for part in piece.split(_head_edges(piece, scale))]
    size = len(pieces)
    return [(piece, Tuplet(actual, _TUPLETS[actual], size, i)) for i, piece in enumerate(pieces)]


def _split_plain(piece: _Piece, beats: Sequence[Fraction]) -> list[_Piece]:
    """A piece as single note heads, cut at beats where it can be."""
    if _odd(piece.duration.numerator) in _NOTE_HEADS:
        return [piece]
    good = [
        at
        for at in _inside(piece, beats)
        if _odd((at - piece.onset).numerator) in _NOTE_HEADS
        and _odd((piece.end - at).numerator) in _NOTE_HEADS
    ]
    return piece.split(good[-1:] or _head_edges(piece))


def _head_edges(piece: _Piece, scale: Fraction = Fraction(1)) -> list[Fraction]:
    """Where a piece is cut into single note heads, the longest first; `scale` is its sounding by
    its written duration."""
    edges, position, left = [], piece.onset, piece.duration / scale
    while _odd(left.numerator) not in _NOTE_HEADS:
        head = Fraction(1 << (left.numerator.bit_length() - 1), left.denominator)
        position += head * scale
        edges.append(position)
        left -= head
    return edges


def _inside(piece: _Piece, places: Sequence[Fraction]) -> list[Fraction]:
    return [at for at in places if piece.onset < at < piece.end]


def _is_plain(duration: Fraction) -> bool:
    """True if a duration needs no tuplet: its denominator is a power of two."""
    return _odd(duration.denominator) == 1


def _odd(number: int) -> int:
    """The odd factor of a positive number."""
    return number // (number & -number)
