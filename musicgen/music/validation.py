"""Is a tune sound? Bar by bar: lengths, pickups and their complements, repeats, ties, range.

    for problem in validate(tune):
        print(problem)          # bar 8: it is 1/2 short: 5/2 of 3 quarters
    repaired, said = fix(tune)

Bars are judged in playing order: a bar that is too short must be made up by the one played before
or after it, as a pickup is by the last bar of its section, in every repeat and ending.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise, zip_longest

from musicgen.errors import InvalidTuneError
from musicgen.music.playback import playing_order
from musicgen.music.tune import Bar, Change, Chord, Event, Grace, Note, Tune, Voice

# What can be wrong.
KINDS = {
    "long": "a bar holds more than its meter allows",
    "short": "a bar holds less than its meter asks, and no neighbour makes it up",
    "complement": "the last bar and the pickup do not make a whole bar",
    "unclosed repeat": "a repeat is opened and never closed",
    "unopened repeat": "a repeat closes after a double bar without an opening sign",
    "ending": "an ending has no counterpart or does not close",
    "final bar line": "the music stops without a bar line",
    "range": "a note lies outside MIDI's 0 to 127",
    "tie": "a tie leads to no note of its pitch",
    "tuplet": "a tuplet has too few notes",
    "voices": "the voices are not equally long",
    "order": "the playing order cannot be worked out",
}
SECTION_LINES = ("||", "|]", "[|")
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that does not add up. `bar` counts from 1 within the voice, 0 for all of it;
    `line` and `column` are those of the bar in its file, 0 when unknown."""

    bar: int
    voice: str
    kind: str
    message: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        voice = f"voice {self.voice}, " if self.voice else ""
        return f"{voice}bar {self.bar}: {self.message}" if self.bar else f"{voice}{self.message}"


def validate(tune: Tune) -> tuple[Problem, ...]:
    """All problems of a tune, by voice and bar."""
    try:
        orders = playing_order(tune)
    except InvalidTuneError as error:
        return (Problem(0, "", "order", str(error)),)
    problems: list[Problem] = []
    for voice, order in zip(tune.voices, orders, strict=True):
        judge = _Judge(tune, voice, order)
        found = [problem for check in judge.checks() for problem in check]
        problems += sorted(found, key=lambda problem: problem.bar)
    return (*problems, *_unequal_voices(tune, orders))


def _unequal_voices(tune: Tune, orders: Sequence[Sequence[int]]) -> Iterator[Problem]:
    lengths = [
        sum((voice.bars[i].duration for i in order), Fraction(0))
        for voice, order in zip(tune.voices, orders, strict=True)
    ]
    for voice, length in zip(tune.voices[1:], lengths[1:], strict=True):
        if length != lengths[0] and voice.bars:
            message = f"it plays for {length} quarters, the first voice for {lengths[0]}"
            yield Problem(0, voice.id, "voices", message)


class _Judge:
    """Checks one voice; `order` is its bars as played."""

    def __init__(self, tune: Tune, voice: Voice, order: Sequence[int]) -> None:
        self.tune = tune
        self.voice = voice
        self.order = order
        self.full = _bar_durations(tune, voice)
        text = tune.source.text if tune.source is not None else ""
        self.line_starts = [0, *(m.end() for m in _LINE_END.finditer(text))]
        self.followers: dict[int, set[int]] = {}
        for i, j in pairwise(order):
            self.followers.setdefault(i, set()).add(j)

    def checks(self) -> Iterator[Iterator[Problem]]:
        """Every check."""
        yield self.lengths()
        yield self.repeats()
        yield self.endings()
        yield self.final_line()
        yield self.ranges()
        yield self.ties()
        yield self.tuplets()

    def problem(self, index: int, kind: str, message: str) -> Problem:
        """A problem of the bar with this index, with its place in the source."""
        bar, source = self.voice.bars[index], self.tune.source
        if source is None or bar.span is None or not source.text:
            return Problem(index + 1, self.voice.id, kind, message)
        text = source.text[bar.span[0] : bar.span[1]]
        start = bar.span[0] + len(text) - len(text.lstrip())
        number = bisect_right(self.line_starts, start)
        column = start - self.line_starts[number - 1] + 1
        return Problem(index + 1, self.voice.id, kind, message, source.line + number - 1, column)

    def lengths(self) -> Iterator[Problem]:
        """Bars that are too long, or too short without a complement in playing order."""
        bars, full = self.voice.bars, self.full
        for index, bar in enumerate(bars):
            limit = full[index]
            if limit is not None and bar.duration > limit:
                yield self.problem(index, "long", _measure(bar, limit))
        waiting: int | None = None
        alone: dict[int, None] = {}
        for index in self.order:
            limit = full[index]
            if limit is None or bars[index].duration >= limit:
                if waiting is not None:
                    alone[waiting] = None
                waiting = None
            elif waiting is not None and bars[waiting].duration + bars[index].duration == limit:
                waiting = None
            else:
                if waiting is not None:
                    alone[waiting] = None
                waiting = index
        if waiting is not None:
            alone[waiting] = None
        yield from self._unmade(alone)

    def _unmade(self, alone: dict[int, None]) -> Iterator[Problem]:
        """Short bars that nothing makes up; the first and the last may make up each other."""
        if not self.order:
            return
        first, last = self.order[0], self.order[-1]
        bars = self.voice.bars
        for index in sorted(alone):
            limit = self.full[index]
            assert limit is not None
            if index not in (first, last) or (first == last and len(bars) > 1):
                yield self.problem(index, "short", _measure(bars[index], limit))
        if first in alone and first != last:
            limit = self.full[first]
            assert limit is not None
            expected = limit - bars[first].duration
            if bars[last].duration != expected:
                yield self.problem(
                    last,
                    "complement",
                    f"it is {bars[last].duration} quarters; after a pickup of "
                    f"{bars[first].duration} the last bar is {expected}",
                )
        elif last in alone:
            limit = self.full[last]
            assert limit is not None
            yield self.problem(last, "short", _measure(bars[last], limit))

    def repeats(self) -> Iterator[Problem]:
        """Repeats opened and not closed, or closed with nothing clear to go back to."""
        opened: int | None = None
        for index, bar in enumerate(self.voice.bars):
            if bar.repeat_start:
                if opened is not None:
                    yield self.problem(opened, "unclosed repeat", "the repeat is never closed")
                opened = index
            if bar.repeat_end:
                start = _implied_start(self.voice.bars, index) if opened is None else None
                if start:
                    yield self.problem(
                        start, "unopened repeat", f"bar {index + 1} repeats from here without '|:'"
                    )
                opened = None
        if opened is not None:
            yield self.problem(opened, "unclosed repeat", "the repeat is never closed")

    def endings(self) -> Iterator[Problem]:
        """A first ending that never turns back, a second without a first."""
        bars = self.voice.bars
        seen: set[int] = set()
        for index, bar in enumerate(bars):
            if not bar.volta:
                if bar.repeat_start:
                    seen = set()
                continue
            if min(bar.volta) > 1 and min(bar.volta) - 1 not in seen:
                message = f"ending {bar.volta[0]} follows no ending {min(bar.volta) - 1}"
                yield self.problem(index, "ending", message)
            seen = seen | set(bar.volta) if min(bar.volta) > 1 else set(bar.volta)
            following = next((j for j in range(index + 1, len(bars)) if bars[j].volta), None)
            if following is None or min(bars[following].volta) == 1:
                continue
            if not any(b.repeat_end for b in bars[index:following]):
                yield self.problem(
                    index, "ending", f"ending {bar.volta[0]} does not close with ':|'"
                )

    def final_line(self) -> Iterator[Problem]:
        """Music that just stops."""
        if self.voice.bars and not self.voice.bars[-1].barline:
            last = len(self.voice.bars) - 1
            yield self.problem(last, "final bar line", "the music stops without a bar line")

    def ranges(self) -> Iterator[Problem]:
        """Notes that MIDI has no number for."""
        for index, bar in enumerate(self.voice.bars):
            for events in (bar.events, *bar.overlays):
                for note in _notes(events):
                    if not 0 <= note.midi <= 127:
                        message = f"{note.pitch.name} is outside MIDI's range"
                        yield self.problem(index, "range", message)

    def ties(self) -> Iterator[Problem]:
        """Ties to a rest, to another pitch or to nothing."""
        bars = self.voice.bars
        for index, bar in enumerate(bars):
            for lane, events in enumerate((bar.events, *bar.overlays)):
                sounding = [e for e in events if not isinstance(e, Change)]
                for event, after in zip_longest(sounding, sounding[1:]):
                    tied = _tied_pitches(event)
                    if not tied:
                        continue
                    reached = _pitches(after) if after is not None else self._next(index, lane)
                    if not tied <= reached:
                        yield self.problem(index, "tie", "a tie leads to no note of its pitch")

    def _next(self, index: int, lane: int) -> set[int]:
        """Pitches that begin the bars played after this one."""
        found: set[int] = set()
        following = self.followers.get(index, set()) | {index + 1}
        for number in following:
            if number < len(self.voice.bars):
                bar = self.voice.bars[number]
                lanes = (bar.events, *bar.overlays)
                timed = (e for e in lanes[min(lane, len(lanes) - 1)] if not isinstance(e, Change))
                found |= _pitches(next(timed, None))
        return found

    def tuplets(self) -> Iterator[Problem]:
        """Groups that end before their last note."""
        missing: dict[int, int] = {}  # by lane: the notes that its open group still needs
        for index, bar in enumerate(self.voice.bars):
            for lane, events in enumerate((bar.events, *bar.overlays)):
                for event in events:
                    if isinstance(event, Change):
                        continue
                    group, left = event.tuplet, missing.pop(lane, 0)
                    fits = group is not None and group.size - group.index == left
                    if left and not fits:
                        yield self.problem(index, "tuplet", "a tuplet has too few notes")
                    if group is not None and group.index + 1 < group.size:
                        missing[lane] = group.size - group.index - 1
        if missing:
            last = len(self.voice.bars) - 1
            yield self.problem(last, "tuplet", "a tuplet has too few notes")


def _measure(bar: Bar, full: Fraction) -> str:
    by = bar.duration - full
    return f"it is {abs(by)} {'long' if by > 0 else 'short'}: {bar.duration} of {full} quarters"


def _bar_durations(tune: Tune, voice: Voice) -> list[Fraction | None]:
    """The length that each bar should have; None in free meter or where it changes within."""
    meter, found = tune.meter, []
    for bar in voice.bars:
        full, begun = meter.bar_duration, False
        for event in bar.events:
            if isinstance(event, Change) and event.meter is not None:
                meter = event.meter
                full = None if begun else meter.bar_duration
            begun = begun or not isinstance(event, Change)
        found.append(full)
    return found


def _implied_start(bars: Sequence[Bar], last: int) -> int | None:
    """Where the repeat that ends in bar `last` begins by the standard (4.8), if at a double bar.

    None where the tune begins or another repeat ended, which every program understands.
    """
    for index in range(last, 0, -1):
        before = bars[index - 1]
        if before.repeat_end:
            return None
        if before.barline in SECTION_LINES:
            return index
    return None


def _notes(events: Sequence[Event]) -> Iterator[Note]:
    for event in events:
        if isinstance(event, Change):
            continue
        grace: Grace | None = event.marks.grace
        yield from grace.notes if grace is not None else ()
        if isinstance(event, Note):
            yield event
        elif isinstance(event, Chord):
            yield from event.notes


def _pitches(event: Event | None) -> set[int]:
    if isinstance(event, Note):
        return {event.midi}
    return {note.midi for note in event.notes} if isinstance(event, Chord) else set()


def _tied_pitches(event: Event) -> set[int]:
    if isinstance(event, Note):
        return {event.midi} if event.tie else set()
    return {n.midi for n in event.notes if n.tie} if isinstance(event, Chord) else set()


def fix(tune: Tune) -> tuple[Tune, tuple[str, ...]]:
    """The tune with what has exactly one obvious repair repaired, and what was done.

    A missing final bar line, a last repeat that is never closed, a repeat from a double bar that
    is never opened. Everything else is left to a musician.
    """
    said: list[str] = []
    voices = tuple(_fix_voice(voice, said) for voice in tune.voices)
    return (replace(tune, voices=voices) if said else tune), tuple(said)


def _fix_voice(voice: Voice, said: list[str]) -> Voice:
    bars = list(voice.bars)
    if not bars:
        return voice
    place = f"voice {voice.id}, " if voice.id else ""
    opened = False
    for index, bar in enumerate(bars):
        opened = opened or bar.repeat_start
        if bar.repeat_end:
            start = None if opened else _implied_start(bars, index)
            if start is not None:
                bars[start] = replace(bars[start], repeat_start=True)
                said.append(
                    f"{place}bar {start + 1}: opened the repeat that ends in bar {index + 1}"
                )
            opened = False
    last = bars[-1]
    if opened and not last.repeat_end:
        last = replace(last, repeat_end=1, barline=last.barline or "|")
        said.append(f"{place}bar {len(bars)}: closed the repeat")
    elif not last.barline:
        last = replace(last, barline="|]")
        said.append(f"{place}bar {len(bars)}: added the final bar line")
    bars[-1] = last
    return replace(voice, bars=tuple(bars)) if tuple(bars) != voice.bars else voice
