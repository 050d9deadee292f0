"""Sounding notes to written bars: bar lines, rests, ties, tuplets, spelling.

Everything here is exact; onsets and durations are Fractions of a quarter note.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import lcm

from musicgen.errors import ParseError
from musicgen.theory import Key, Meter, spell
from musicgen.tune import Bar, Change, Event, Note, Rest, Tempo, Timed, Tuplet

MAX_BARS = 20_000
MAX_SILENCE = 512  # quarters; four minutes at 120 quarters a minute

# A single note head with up to two dots: 1, 3 or 7 times a power of two.
_NOTE_HEADS = (1, 3, 7)
# Written against sounding notes of a tuplet: 3 in the time of 2, and so on.
_TUPLETS = {3: 2, 5: 4, 7: 4, 9: 8, 15: 8}
_LONGEST_TUPLET = 4  # quarters


@dataclass(frozen=True, slots=True)
class Sound:
    """One note of a single line: onset and end in quarters, MIDI pitch."""

    onset: Fraction
    end: Fraction
    midi: int


@dataclass(frozen=True, slots=True)
class Frame:
    """What the line is written into: meters, keys and tempos with their onsets in quarters.

    There is a meter and a key at 0.
    """

    meters: Sequence[tuple[Fraction, Meter]]
    keys: Sequence[tuple[Fraction, Key]]
    tempos: Sequence[tuple[Fraction, Tempo]] = ()

    def key_at(self, onset: Fraction) -> Key:
        """The key in force at a place, in quarters."""
        return self.keys[bisect_right(self.keys, onset, key=lambda item: item[0]) - 1][1]


@dataclass(frozen=True, slots=True)
class _Span:
    """A bar to be filled: from `start` to `stop`, in a meter that is announced when it is new."""

    start: Fraction
    stop: Fraction
    meter: Meter
    announced: bool


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a note, or of a silence (no pitch), that lies within one bar."""

    onset: Fraction
    end: Fraction
    midi: int | None
    tie: bool = False

    @property
    def duration(self) -> Fraction:
        return self.end - self.onset

    def split(self, at: Sequence[Fraction]) -> list[_Piece]:
        """The pieces between the given places, which lie inside, in order; all tied."""
        if not at:
            return [self]
        edges = [self.onset, *at, self.end]
        pieces = [_Piece(a, b, self.midi, self.midi is not None) for a, b in pairwise(edges)]
        pieces[-1] = replace(pieces[-1], tie=self.tie)
        return pieces


def pickup_meter(frame: Frame) -> Meter | None:
    """The meter of a pickup bar: a first meter that lasts for one bar shorter than the next."""
    if len(frame.meters) < 2:
        return None
    (start, first), (stop, second) = frame.meters[:2]
    short, full = first.bar_duration, second.bar_duration
    if short is None or full is None or stop - start != short or short >= full:
        return None
    return first


def write_bars(sounds: Sequence[Sound], frame: Frame, stop: Fraction) -> tuple[Bar, ...]:
    """Cut a line into bars, filled up with rests; the last bar stops where the music does.

    The music stops with its last note, or at `stop` (the end of the file) where that lies within
    the last bar: programs that fill up a bar or a page mean no rest by it.

    A pickup bar (see `pickup_meter`) carries no meter of its own: it is a short bar of the meter
    that follows. The last bar ends with "|]" when it is full or makes up for the pickup, and
    with no bar line when it is left unfinished.

    Raises:
        ParseError: silence or music beyond the limits above.
    """
    end = max(s.end for s in sounds)
    spans = list(_spans(frame, end))
    changes = _changes(sounds, frame, spans)
    pieces = _fill(sounds)
    if end < stop < spans[-1].stop:
        pieces.append(_Piece(end, stop, None))
        end = stop
    bars: list[Bar] = []
    first = 0
    for span in spans:
        inside: list[_Piece] = []
        while first < len(pieces) and pieces[first].onset < span.stop:
            piece = pieces[first]
            if piece.end > span.stop:
                head, pieces[first] = piece.split([span.stop])
                inside.append(head)
                break
            inside.append(piece)
            first += 1
        bars.append(_write_bar(inside, span, frame, changes))
    return (*bars[:-1], replace(bars[-1], barline=_last_line(bars, spans[-1], end)))


def _last_line(bars: list[Bar], span: _Span, end: Fraction) -> str:
    full = span.meter.bar_duration
    complete = end == span.stop and bars[-1].duration == full
    complement = len(bars) > 1 and bars[0].duration + bars[-1].duration == full
    return "|]" if complete or complement else ""


def _spans(frame: Frame, end: Fraction) -> Iterator[_Span]:
    meters = [(at, meter) for at, meter in frame.meters if at < end]
    pickup = pickup_meter(frame)
    n_bars, announced = 0, False
    for i, (start, meter) in enumerate(meters):
        stop = meters[i + 1][0] if i + 1 < len(meters) else end
        length = meter.bar_duration
        assert length is not None  # a MIDI meter is never free
        if i == 0 and pickup is not None:
            yield _Span(start, start + length, frame.meters[1][1], False)
            continue
        announced = i > (1 if pickup is not None else 0)
        while start < stop:
            n_bars += 1
            if n_bars > MAX_BARS:
                raise ParseError(f"more than {MAX_BARS} bars; split the file")
            yield _Span(
                start,
                min(start + length, stop) if stop != end else start + length,
                meter,
                announced,
            )
            start, announced = start + length, False


def _fill(sounds: Sequence[Sound]) -> list[_Piece]:
    """Notes with the silences between them."""
    pieces: list[_Piece] = []
    position = Fraction(0)
    for sound in sounds:
        if sound.onset > position:
            if sound.onset - position > MAX_SILENCE:
                raise ParseError(
                    f"a silence of {float(sound.onset - position):.0f} quarter notes; "
                    f"cut it to at most {MAX_SILENCE}"
                )
            pieces.append(_Piece(position, sound.onset, None))
        pieces.append(_Piece(sound.onset, sound.end, sound.midi))
        position = sound.end
    return pieces


def _changes(
    sounds: Sequence[Sound], frame: Frame, spans: Sequence[_Span]
) -> dict[Fraction, list[Change]]:
    """Key and tempo changes, each moved to the next onset or bar line, where it can be written."""
    places = sorted({s.onset for s in sounds} | {span.start for span in spans})
    wanted = [(at, Change(key=key)) for at, key in frame.keys if at > 0]
    wanted += [(at, Change(tempo=tempo)) for at, tempo in frame.tempos if at > 0]
    wanted.sort(key=lambda item: item[0])
    changes: dict[Fraction, list[Change]] = {}
    i = 0
    for at, change in wanted:
        while i < len(places) and places[i] < at:
            i += 1
        if i < len(places):
            changes.setdefault(places[i], []).append(change)
    return changes


def _write_bar(
    pieces: list[_Piece], span: _Span, frame: Frame, changes: dict[Fraction, list[Change]]
) -> Bar:
    events: list[Event] = [Change(meter=span.meter)] if span.announced else []
    if len(pieces) == 1 and pieces[0].midi is None and pieces[0].end == span.stop:
        rest = Rest(pieces[0].duration, full_bar=pieces[0].duration == span.meter.bar_duration)
        return Bar(events=(*events, *changes.get(span.start, ()), rest))
    position = span.start
    for timed, midi in _notate(pieces, _beats(span)):
        events += changes.get(position, ())
        if midi is not None and isinstance(timed, Note):
            timed = replace(timed, pitch=_spell(midi, frame.key_at(position)))
        events.append(timed)
        position += timed.duration
    return Bar(events=tuple(events))


def _beats(span: _Span) -> list[Fraction]:
    """Where the beats of a bar fall, its start aside; a pickup is counted from its end."""
    lengths = span.meter.beat_durations
    full = sum(lengths, Fraction(0))
    position = span.stop - full if span.stop - span.start < full else span.start
    beats = []
    for length in lengths:
        position += length
        if span.start < position < span.stop:
            beats.append(position)
    return beats


def _notate(pieces: list[_Piece], beats: list[Fraction]) -> list[tuple[Timed, int | None]]:
    """Notes and rests (still without their spelling) with their MIDI pitches."""
    written: list[tuple[Timed, int | None]] = []
    for group in _groups(pieces):
        if _is_plain(group[0].duration) and len(group) == 1:
            for piece in _split_plain(group[0], beats):
                written.append((_timed(piece, None), piece.midi))
            continue
        tuplet = _write_tuplet(group)
        if tuplet is None:  # across the beats: cut it there and look again
            cut = [p for piece in group for p in piece.split(_inside(piece, beats))]
            if len(cut) > len(group):
                written += _notate(cut, [])
                continue
            tuplet = [(_timed(piece, None), piece.midi) for piece in group]
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


def _write_tuplet(group: list[_Piece]) -> list[tuple[Timed, int | None]] | None:
    """The notes of a tuplet; None when the group is not one that a musician would write."""
    total = group[-1].end - group[0].onset
    actual = _odd(lcm(*(p.duration.denominator for p in group)))
    if actual not in _TUPLETS or total > _LONGEST_TUPLET or _odd(total.numerator) not in (1, 3):
        return None
    scale = Fraction(_TUPLETS[actual], actual)
    pieces = []
    for piece in group:
        heads = _note_heads(piece.duration / scale)
        edges = [piece.onset + sum(heads[:k], Fraction(0)) * scale for k in range(1, len(heads))]
        pieces += piece.split(edges)
    size = len(pieces)
    return [
        (_timed(piece, Tuplet(actual, _TUPLETS[actual], size, i)), piece.midi)
        for i, piece in enumerate(pieces)
    ]


def _timed(piece: _Piece, tuplet: Tuplet | None) -> Timed:
    if piece.midi is None:
        return Rest(piece.duration, tuplet=tuplet)
    return Note(_UNSPELLED, piece.duration, piece.tie, tuplet)


_spell = lru_cache(maxsize=4096)(spell)
_UNSPELLED = spell(60, Key())


def _split_plain(piece: _Piece, beats: list[Fraction]) -> list[_Piece]:
    """A piece as single note heads, cut at beats where it can be."""
    if _odd(piece.duration.numerator) in _NOTE_HEADS:
        return [piece]
    inside = _inside(piece, beats)
    good = [
        at
        for at in inside
        if _odd((at - piece.onset).numerator) in _NOTE_HEADS
        and _odd((piece.end - at).numerator) in _NOTE_HEADS
    ]
    if good:
        return piece.split(good[-1:])
    heads = _note_heads(piece.duration)
    return piece.split([piece.onset + sum(heads[:k], Fraction(0)) for k in range(1, len(heads))])


def _note_heads(duration: Fraction) -> list[Fraction]:
    """A duration as a sum of note heads, the longest first."""
    heads = []
    while _odd(duration.numerator) not in _NOTE_HEADS:
        head = Fraction(1 << (duration.numerator.bit_length() - 1), duration.denominator)
        heads.append(head)
        duration -= head
    return [*heads, duration]


def _inside(piece: _Piece, places: list[Fraction]) -> list[Fraction]:
    return [at for at in places if piece.onset < at < piece.end]


def _is_plain(duration: Fraction) -> bool:
    """Whether a duration or distance needs no tuplet: its denominator is a power of two."""
    return _odd(duration.denominator) == 1


def _odd(number: int) -> int:
    """What is left of a positive number when it is halved as often as possible."""
    return number // (number & -number)
