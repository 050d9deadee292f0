"""Voices and bars while they are being read: mutable until the tune is complete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

from musicgen.music.theory import Key, Meter
from musicgen.music.tune import (
    Bar,
    Change,
    Chord,
    Event,
    Grace,
    Marks,
    Note,
    Rest,
    Timed,
    Tuplet,
    Voice,
)

# Of two bar lines that meet without music between them, the later in this list stays.
_STRENGTH = ("", ".|", "|", "||", "[|", "|]", "[|]")


class Pending:
    """Signs waiting for the note they stand before."""

    __slots__ = ("annotations", "chord_symbol", "closed", "decorations", "grace", "opened")

    def __init__(self) -> None:
        self.chord_symbol = ""
        self.annotations: list[str] = []
        self.decorations: list[str] = []
        self.grace: Grace | None = None
        self.opened = 0
        self.closed = 0

    def marks(self) -> Marks:
        """What has been collected."""
        return Marks(
            chord_symbol=self.chord_symbol,
            annotations=tuple(self.annotations),
            decorations=tuple(self.decorations),
            grace=self.grace,
            slurs_opened=self.opened,
            slurs_closed=self.closed,
        )


class ChordDraft:
    """Notes between [ and ], and the signs that stood before or within."""

    __slots__ = ("broken", "notes", "old", "pending")

    def __init__(self, pending: Pending | None, *, old: bool) -> None:
        self.notes: list[Note] = []
        self.pending = pending
        self.broken = ""
        self.old = old


class TupletDraft:
    """A group being filled: `actual` in the time of `normal`, `size` notes, `index` so far."""

    __slots__ = ("actual", "index", "normal", "size")

    def __init__(self, actual: int, normal: int, size: int) -> None:
        self.actual = actual
        self.normal = normal
        self.size = size
        self.index = 0

    def next(self) -> Tuplet:
        """Membership of the next note."""
        tuplet = shared_tuplet(self.actual, self.normal, self.size, self.index)
        self.index += 1
        return tuplet


@lru_cache(maxsize=4096)
def shared_tuplet(actual: int, normal: int, size: int, index: int) -> Tuplet:
    """A Tuplet; equal ones are one object."""
    return Tuplet(actual, normal, size, index)


class BarDraft:
    """A bar being read; `start` and `end` are offsets in the tune's text."""

    __slots__ = (
        "_changes", "_last", "_seen", "_total",
        "barline", "end", "events", "line_break", "overlays", "repeat_end", "repeat_start",
        "rested", "spaced", "start", "volta",
    )  # fmt: skip

    def __init__(self, start: int, *, repeat_start: bool = False) -> None:
        self.events: list[Event] = []
        self.overlays: list[list[Event]] = []
        self.repeat_start = repeat_start
        self.volta: tuple[int, ...] = ()
        self.repeat_end = 0
        self.barline = ""
        self.line_break = False
        self.spaced = False
        self.rested = False  # holds a rest for the whole bar
        self.start = start
        self.end = start
        self._changes = 0  # that the bar is known to begin with
        self._seen, self._last, self._total = 0, -1, Fraction(0)  # of `duration`

    @property
    def empty(self) -> bool:
        """Whether nothing in it takes time, not even an explicit spacer."""
        if self.spaced or self.overlays:
            return False
        events = self.events
        while self._changes < len(events) and type(events[self._changes]) is Change:
            self._changes += 1
        return self._changes == len(events)

    def duration(self) -> Fraction:
        """Length so far of the main line, in quarters.

        Asked at every line end, so what can change no more, all but the last note, is added up
        once.
        """
        events = self.events
        for number in range(self._seen, len(events)):
            event = events[number]
            if not isinstance(event, Change):
                self._total += self._last_duration()
                self._last = number
        self._seen = len(events)
        return self._total + self._last_duration()

    def _last_duration(self) -> Fraction:
        last = self.events[self._last] if self._last >= 0 else None
        return Fraction(0) if last is None or isinstance(last, Change) else last.duration

    def freeze(self) -> Bar:
        """The finished bar."""
        events: list[Event] = self.events
        if self.rested and (self.overlays or sum(type(e) is not Change for e in events) > 1):
            events = [replace(e, full_bar=False) if type(e) is Rest else e for e in events]
        return Bar(
            events=tuple(events),
            overlays=tuple(tuple(lane) for lane in self.overlays),
            repeat_start=self.repeat_start,
            volta=self.volta,
            repeat_end=self.repeat_end,
            barline=self.barline,
            line_break=self.line_break,
            span=(self.start, self.end),
        )


class Lane:
    """The main line of a bar or one of its overlays, through all bars: where its last event is,
    whether a tie or a tuplet goes on in it."""

    __slots__ = ("events", "index", "tie", "tuplet")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.index = -1
        self.tie = False
        self.tuplet: TupletDraft | None = None

    def keep_tie(self) -> None:
        """The tie that waits for a note stays where it is: it may lead to one of another line."""
        last = self.events[self.index]
        assert not isinstance(last, Change)
        self.events[self.index] = tied(last)
        self.tie = False


class VoiceDraft:
    """A voice being read, with all that its notes depend on."""

    __slots__ = (
        "altered", "bar", "bars", "broken", "busy", "chord", "clef", "events", "id", "key",
        "lane", "lanes", "line_end", "line_from", "lyric_from", "meter", "name", "octave",
        "pending", "program", "properties", "repeat_end", "signature", "unit", "verse",
    )  # fmt: skip

    def __init__(self, voice_id: str, start: int) -> None:
        self.id = voice_id
        self.name = ""
        self.clef = ""
        self.properties = ""
        self.program: int | None = None
        self.octave = 0
        self.bars: list[BarDraft] = []
        self.bar = BarDraft(start)
        self.events = self.bar.events  # where the next event goes: the bar or an overlay
        self.lane = Lane()
        self.lanes = [self.lane]
        self.pending: Pending | None = None
        self.chord: ChordDraft | None = None
        self.broken: tuple[Fraction, Fraction] | None = None
        self.line_end = False  # the bar was full at a line end without a bar line
        self.busy = False  # any of the above, so that the next note is not a plain one
        self.repeat_end = 0  # times to repeat at the next bar line, from a parted ':'
        self.line_from = (0, 0)  # bar and event at which the last line of music begins, for s:
        self.lyric_from = (0, 0)  # bar and event from which the next w: counts
        self.verse = 0

    def set_key(self, key: Key) -> None:
        """A new signature, which also ends the bar's accidentals."""
        self.key = key
        self.signature: dict[str, int] = key.signature
        self.altered: dict[str, int] = self.signature

    def set_meter(self, meter: Meter) -> None:
        """A new meter."""
        self.meter = meter

    def set_unit(self, unit: Fraction) -> None:
        """A new unit note length, in quarters."""
        self.unit = (unit.numerator, unit.denominator)

    @property
    def started(self) -> bool:
        """Whether any music has been read."""
        return bool(self.bars) or not self.bar.empty

    def expect(self) -> Pending:
        """Signs for the next note; inside a chord, for its next note."""
        if self.pending is None:
            self.pending = Pending()
            self.busy = True
        return self.pending

    @property
    def last(self) -> Timed | None:
        """The last note, chord or rest of the lane."""
        lane = self.lane
        event = lane.events[lane.index] if lane.index >= 0 else None
        assert not isinstance(event, Change)
        return event

    def amend_last(self, change: Callable[[Timed], Timed]) -> None:
        """Replace the last event of the lane by a changed one."""
        lane, last = self.lane, self.last
        assert last is not None
        lane.events[lane.index] = change(last)

    def append(self, event: Timed) -> None:
        """Put a finished event at the end of the lane."""
        lane = self.lane
        lane.index = len(self.events)
        lane.events = self.events
        self.events.append(event)

    def begin_overlay(self) -> None:
        """Go back to the start of the bar with another lane."""
        self.bar.overlays.append([])
        self.events = self.bar.overlays[-1]
        number = len(self.bar.overlays)
        if number == len(self.lanes):
            self.lanes.append(Lane())
        self.lane = self.lanes[number]
        self.busy = True
        self.altered = self.signature

    def close_bar(
        self, barline: str, end: int, *, repeat_end: int = 0, repeat_start: bool = False
    ) -> None:
        """End the bar; a bar without music only adds its line to the one before."""
        bar = self.bar
        if bar.empty:
            bar.repeat_start = bar.repeat_start or repeat_start
            if self.bars:
                before = self.bars[-1]
                if not (repeat_start and barline == "|" and before.barline):  # |: on a new line
                    before.barline = max(before.barline, barline, key=_STRENGTH.index)
                before.repeat_end = max(before.repeat_end, repeat_end)
                before.end = bar.start = end
        else:
            for number, lane in enumerate(self.lanes[1:]):
                if lane.tie and lane.events not in bar.overlays[number : number + 1]:
                    lane.keep_tie()
            bar.barline, bar.repeat_end, bar.end = barline, repeat_end, end
            self.bars.append(bar)
            self.bar = BarDraft(end, repeat_start=repeat_start)
        self.events = self.bar.events
        if self.lane is not self.lanes[0]:
            self.lane = self.lanes[0]
            self.busy = True
        self.line_end = False
        if barline:
            self.altered = self.signature

    def open_repeat(self) -> int:
        """Number of the bar, from 1, whose repeat is never closed; 0 if there is none."""
        opened = 0
        for number, bar in enumerate(self.bars, 1):
            if bar.repeat_start:
                opened = number
            if bar.repeat_end:
                opened = 0
        return opened

    def freeze(self) -> Voice:
        """The finished voice."""
        return Voice(
            id=self.id,
            name=self.name,
            clef=self.clef,
            properties=self.properties,
            program=self.program,
            bars=tuple(bar.freeze() for bar in self.bars),
        )


def with_marks(event: Timed, marks: Marks) -> Timed:
    """The event with other marks."""
    if type(event) is Note:
        return Note(event.pitch, event.duration, event.tie, event.tuplet, marks)
    if type(event) is Chord:
        return Chord(event.notes, event.duration, event.tuplet, marks)
    assert type(event) is Rest
    return Rest(event.duration, event.visible, event.full_bar, event.tuplet, marks)


def with_slurs(event: Timed, opened: int, closed: int) -> Timed:
    """The event with more slurs beginning or ending on it."""
    marks = event.marks
    opened, closed = marks.slurs_opened + opened, marks.slurs_closed + closed
    return with_marks(event, replace(marks, slurs_opened=opened, slurs_closed=closed))


def with_signs(event: Timed, annotations: list[str], decorations: list[str]) -> Timed:
    """The event with signs that were written after it added."""
    marks = event.marks
    texts, names = (*marks.annotations, *annotations), (*marks.decorations, *decorations)
    return with_marks(event, replace(marks, annotations=texts, decorations=names))


def scaled(event: Timed, by: Fraction, tuplet: Tuplet | None = None) -> Timed:
    """The event with its duration multiplied, and put into a tuplet if one is given."""
    group = event.tuplet if tuplet is None else tuplet
    if type(event) is Note:
        return Note(event.pitch, event.duration * by, event.tie, group, event.marks)
    if type(event) is Chord:
        notes = tuple(Note(n.pitch, n.duration * by, n.tie, None, n.marks) for n in event.notes)
        return Chord(notes, event.duration * by, group, event.marks)
    assert type(event) is Rest
    return Rest(event.duration * by, event.visible, event.full_bar, group, event.marks)


def tied(event: Timed, pitches: frozenset[object] | None = None) -> Timed:
    """The event with its tie set; of a chord, the notes of these pitches (None: all)."""
    if type(event) is Note:
        return Note(event.pitch, event.duration, True, event.tuplet, event.marks)
    if type(event) is Chord:
        notes = tuple(
            Note(n.pitch, n.duration, n.tie or pitches is None or n.pitch in pitches, None, n.marks)
            for n in event.notes
        )
        return Chord(notes, event.duration, event.tuplet, event.marks)
    return event
