"""Drafts of voices and bars: mutable until the tune has been read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from musicgen.formats.abc_notation.event_drafts import ChordDraft, Pending, TupletDraft, tied
from musicgen.formats.abc_notation.sounding import (
    DRUM_CHANNEL,
    Directive,
    bounded,
    read_properties,
)
from musicgen.music.clefs import clef_name, clef_octave, parse_clef
from musicgen.music.theory import FREE_METER, Key
from musicgen.music.tune import (
    NO_MARKS,
    Bar,
    Change,
    Event,
    Marks,
    Rest,
    Timed,
    Voice,
    notes_of,
)

_ZERO = Fraction(0)
# Of two bar lines without music between them, the later in this list stays.
_STRENGTH = ("", "|", ".|", "||", "[|", "|]", "[|]")


@dataclass(slots=True)
class BarDraft:
    """A bar being read; `start` and `end` are offsets in the tune's text."""

    start: int
    end: int
    repeat_start: bool = False
    events: list[Event] = field(default_factory=list)
    overlays: list[list[Event]] = field(default_factory=list)
    volta: tuple[int, ...] = ()
    repeat_end: int = 0
    barline: str = ""
    line_break: bool = False
    has_spacer: bool = False
    has_bar_rest: bool = False
    # Changes that the bar is known to begin with.
    _n_changes: int = 0
    # State of `duration`: events counted, index of the last timed one, length of those before it.
    _n_counted: int = 0
    _last: int = -1
    _total: Fraction = _ZERO

    @property
    def empty(self) -> bool:
        """Whether it has no timed event, overlay or spacer."""
        if self.has_spacer or self.overlays:
            return False
        events = self.events
        while self._n_changes < len(events) and type(events[self._n_changes]) is Change:
            self._n_changes += 1
        return self._n_changes == len(events)

    def duration(self) -> Fraction:
        """Length so far of the main line, in quarters.

        It is needed at every line end. Only the last note may still change, so the others are
        added up once.
        """
        events = self.events
        for index in range(self._n_counted, len(events)):
            if not isinstance(events[index], Change):
                self._total += self._last_duration()
                self._last = index
        self._n_counted = len(events)
        return self._total + self._last_duration()

    def _last_duration(self) -> Fraction:
        last = self.events[self._last] if self._last >= 0 else None
        return _ZERO if last is None or isinstance(last, Change) else last.duration

    def add(self, event: Event) -> None:
        """Append an event; signs join those before them."""
        if isinstance(event, Change) and event.signs is not None:
            self.add_signs(event.signs)
        else:
            self.events.append(event)

    def add_signs(self, signs: Marks) -> None:
        """Put signs at the bar line."""
        last = self.events[-1] if self.events else None
        if type(last) is Change and last.signs is not None:
            before = last.signs
            signs = Marks(
                annotations=before.annotations + signs.annotations,
                decorations=before.decorations + signs.decorations,
                grace=before.grace or signs.grace,
            )
            self.events.pop()
        if signs != NO_MARKS:
            self.events.append(Change(signs=signs))

    def freeze(self) -> Bar:
        """The finished bar."""
        events: list[Event] = self.events
        if self.has_bar_rest and (self.overlays or sum(type(e) is not Change for e in events) > 1):
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


@dataclass(slots=True)
class Lane:
    """The main line of all bars, or one of their overlays: the place of its last event, and whether
    a tie or a tuplet is open."""

    events: list[Event] = field(default_factory=list)
    index: int = -1
    tie: bool = False
    tuplet: TupletDraft | None = None
    slur_end: Timed | None = None  # where a slur written as a tie ends: A-B-c is one from A to c

    @property
    def last(self) -> Timed | None:
        """The last note, chord or rest."""
        event = self.events[self.index] if self.index >= 0 else None
        assert not isinstance(event, Change)
        return event

    def keep_tie(self) -> None:
        """Leave an open tie on its note: it may lead to a note of another line."""
        assert self.last is not None
        self.events[self.index] = tied(self.last)
        self.tie = False


class VoiceDraft:
    """A voice being read, with the state that its notes depend on."""

    __slots__ = (
        "altered", "bar", "bars", "broken", "busy", "channel", "chord", "events", "id", "initial",
        "is_percussion", "is_silent", "key", "lane", "lanes", "line_end", "line_start",
        "lyric_start", "meter", "n_silent", "name", "octave", "octaves", "overlaid",
        "overlay_start", "pending", "properties", "repeat_end", "semitones", "signature", "state",
        "unit", "verse",
    )  # fmt: skip

    def __init__(self, voice_id: str, start: int) -> None:
        self.id = voice_id
        self.name = ""
        self.properties = ""
        # Clef, program and transposition: at the beginning, and now.
        self.initial: dict[str, Any] = {"clef": "", "program": None, "transposition": 0}
        self.state = dict(self.initial)
        self.octaves = 0  # those of octave=
        self.octave = 0  # how many octaves higher notes sound than written, with that of the clef
        self.semitones: dict[str, int] = {}  # by what transposes: a property, a directive
        self.channel: int | None = None
        self.is_percussion = False
        self.is_silent = False  # drums in a voice with pitches, or the other way round
        self.n_silent = 0
        self.bars: list[BarDraft] = []
        self.bar = BarDraft(start, start)
        self.events = self.bar.events  # where the next event goes: the bar or an overlay
        self.lane = Lane()
        self.lanes = [self.lane]
        self.overlaid: list[BarDraft] = []  # the bars that the open overlay still goes through
        self.overlay_start: tuple[int, Fraction] | None = None  # number and place in it of "(&"
        self.pending: Pending | None = None
        self.chord: ChordDraft | None = None
        self.broken: tuple[Fraction, Fraction] | None = None
        self.line_end = False  # the bar was full at a line end without a bar line
        self.busy = False  # any of the above is set: the next note is not a plain one
        self.repeat_end = 0  # times to repeat at the next bar line, from a ':' apart from it
        self.line_start = (0, 0)  # bar and event at which the last line of music begins, for s:
        self.lyric_start = (0, 0)  # bar and event at which the next w: begins
        self.verse = 0
        self.meter = FREE_METER
        self.unit = (1, 2)  # numerator and denominator, in quarters

    def set_key(self, key: Key) -> None:
        """Set the signature, which also ends the bar's accidentals."""
        self.key = key
        self.signature: dict[str, int] = key.signature
        self.altered: dict[str, int] = self.signature

    def turn(self, what: str, value: Any, *, anew: bool = False) -> None:
        """Set the clef, program or transposition: of the voice, or as a change once music has been
        read. With `anew`, the same value again is a change too, since a repeat may come back to it
        from another."""
        if what == "clef" and (clef := parse_clef(value)) is not None:
            value = clef_name(clef)
        anew = anew and (self.started or self.bar.repeat_start)
        if value == self.state[what] and not anew:
            return
        self.state[what] = value
        if self.started or anew:
            self.events.append(Change(**{what: value}))
        if not self.started:
            self.initial[what] = value
        if what == "clef":
            self.octave = self.octaves + clef_octave(value)
            self._sort()

    def take_properties(self, text: str) -> tuple[str, ...]:
        """Take in the properties of K: or V: that decide what sounds; returns the others."""
        properties = read_properties(text)
        if properties.octaves is not None:
            self.octaves = properties.octaves
            self.octave = self.octaves + clef_octave(self.state["clef"])
        if properties.semitones is not None:
            self.transpose("property", properties.semitones)
        return properties.others

    def take(self, directive: Directive) -> None:
        """Follow a directive that decides what sounds."""
        if directive.kind == "program":
            if self.is_percussion or directive.argument != DRUM_CHANNEL:
                self.turn("program", directive.value, anew=True)
        elif directive.kind == "channel":
            self.set_channel(directive.value)
        elif directive.kind == "transpose":
            self.transpose("directive", directive.value, anew=True)
        elif directive.kind == "rtranspose":
            before = self.semitones.get("directive", 0)
            self.transpose("directive", directive.value + before, anew=True)

    def transpose(self, by: str, semitones: int, *, anew: bool = False) -> None:
        """Set how far notes sound from where they are written, by a property or a directive; the
        two add up."""
        self.semitones[by] = bounded(semitones)
        self.turn("transposition", bounded(sum(self.semitones.values())), anew=anew)

    def set_channel(self, channel: int | None) -> None:
        """Set the MIDI channel, counted from 1."""
        self.channel = channel
        self._sort()

    def _sort(self) -> None:
        """Decide whether the notes that follow are drums; the first decide for the voice."""
        clef = parse_clef(self.state["clef"])
        drums = clef is not None and clef.sign == "percussion"
        if self.channel is not None:
            drums = self.channel == DRUM_CHANNEL
        if not self.started:
            self.is_percussion = drums
        self.is_silent = drums != self.is_percussion

    @property
    def started(self) -> bool:
        """Whether any music has been read."""
        return bool(self.bars) or not self.bar.empty

    def before_next(self) -> Pending:
        """The signs for the next note; inside a chord, for its next note."""
        if self.pending is None:
            self.pending = Pending()
            self.busy = True
        return self.pending

    @property
    def last(self) -> Timed | None:
        """The last note, chord or rest of the lane."""
        return self.lane.last

    def amend_last(self, change: Callable[[Timed], Timed]) -> None:
        """Replace the last event of the lane by a changed one."""
        assert self.last is not None
        self.lane.events[self.lane.index] = change(self.last)

    def append(self, event: Timed) -> None:
        """Put a finished event at the end of the lane."""
        self.lane.index = len(self.events)
        self.lane.events = self.events
        self.events.append(event)

    @property
    def current(self) -> BarDraft:
        """The bar that the next event goes to."""
        return self.overlaid[0] if self.overlaid else self.bar

    def begin_overlay(self, n_bars: int) -> bool:
        """Go back by bar lines, or to "(&", with another lane; whether there are so many bars."""
        bars = self.bars if self.bar.empty and self.bars else [*self.bars, self.bar]
        place = next((i for i, bar in enumerate(bars) if bar is self.current), len(bars) - 1)
        start, gap = (
            (place + 1 - n_bars, _ZERO)
            if n_bars > 1 or not self.overlay_start
            else self.overlay_start
        )
        self.overlaid = bars[max(start, 0) :]
        number = 1 + max(len(bar.overlays) for bar in self.overlaid)
        self.lanes += [Lane() for _ in range(number + 1 - len(self.lanes))]
        self.lane = self.lanes[number]
        self._overlay()
        if gap:
            self.append(Rest(gap, visible=False))
        return start >= 0

    def _overlay(self) -> None:
        self.events = []
        self.current.overlays.append(self.events)
        self.busy = True
        self.altered = self.signature

    def continue_overlay(self) -> bool:
        """At a bar line, go on to the next bar of an overlay; False where it ends here."""
        if len(self.overlaid) < 2:
            return False
        self.overlaid.pop(0)
        self._overlay()
        return True

    def end_overlay(self) -> None:
        """Go back to the main line."""
        self.overlaid, self.events = [], self.bar.events
        if self.lane is not self.lanes[0]:
            self.lane = self.lanes[0]
            self.busy = True

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
            self.bar = BarDraft(end, end, repeat_start)
        self.end_overlay()
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

    def freeze(self, drum_map: Mapping[int, int]) -> Voice:
        """The finished voice; `drum_map` has the General MIDI keys of notes."""
        bars = tuple(bar.freeze() for bar in self.bars)
        keys: tuple[tuple[int, int], ...] | None = None
        if self.is_percussion:
            self.initial["transposition"] = 0
            events = (event for bar in bars for line in bar.lines for event in line)
            struck = {note.midi for event in events for note in notes_of(event)}
            keys = tuple(
                sorted(
                    pair for pair in drum_map.items() if pair[0] in struck and pair[0] != pair[1]
                )
            )
        return Voice(
            id=self.id,
            name=self.name,
            properties=self.properties,
            percussion=keys,
            bars=bars,
            **self.initial,
        )
