"""Validation of a tune bar by bar: lengths, pickups and their complements, repeats, ties, range.

    for problem in validate(tune):
        print(problem)          # bar 8: it is 1/2 short: 5/2 of 3 quarters
    repaired, repairs = fix(tune)

Bars are checked in playing order: a bar that is too short must be made up by the one played before
or after it, as a pickup is by the last bar of its section, in every repeat and ending.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, pairwise, zip_longest

from musicgen.config import arguments
from musicgen.errors import InvalidTuneError
from musicgen.music.playback import playing_order
from musicgen.music.tune import (
    SECTION_LINES,
    Bar,
    Change,
    Event,
    Tune,
    Voice,
    marks_of,
    notes_of,
    require_tune,
)

# Every kind of problem.
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
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault in a tune. `kind` is one of `KINDS`; `bar` counts from 1 within the voice, 0 for all
    of it; `line` and `column` are those of the bar in its file, 0 when unknown."""

    bar: int
    voice: str
    kind: str
    message: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        voice = f"voice {self.voice}, " if self.voice else ""
        return f"{voice}bar {self.bar}: {self.message}" if self.bar else f"{voice}{self.message}"


@arguments()
def validate(tune: Tune) -> tuple[Problem, ...]:
    """All problems of a tune, by voice and bar."""
    tune = require_tune(tune)
    try:
        orders = playing_order(tune)
    except InvalidTuneError as error:
        return (Problem(0, "", "order", str(error)),)
    problems = [
        problem
        for voice, order in zip(tune.voices, orders, strict=True)
        for problem in _VoiceChecks(tune, voice, order).problems()
    ]
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


class _VoiceChecks:
    """The checks of one voice; `order` is its bars as played."""

    def __init__(self, tune: Tune, voice: Voice, order: Sequence[int]) -> None:
        self.tune = tune
        self.voice = voice
        self.order = order
        # By bar, how much it is too short (too long if negative), in quarters.
        self.missing = {
            index: full - bar.duration
            for index, (bar, full) in enumerate(
                zip(voice.bars, _bar_durations(tune, voice), strict=True)
            )
            if full is not None and full != bar.duration
        }
        text = tune.source.text if tune.source is not None else ""
        self.line_starts = [0, *(m.end() for m in _LINE_END.finditer(text))]
        self.followers: dict[int, set[int]] = {}
        for i, j in pairwise(order):
            self.followers.setdefault(i, set()).add(j)

    def problems(self) -> list[Problem]:
        """The problems that all checks find, by bar."""
        checks = (
            *(self.lengths, self.repeats, self.endings, self.final_line),
            *(self.ranges, self.ties, self.tuplets),
        )
        return sorted((p for check in checks for p in check()), key=lambda problem: problem.bar)

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
        yield from (self._length(i, "long") for i, missing in self.missing.items() if missing < 0)
        unmatched: set[int] = set()
        waiting: int | None = None  # a short bar that the next one may make up
        for index in self.order:
            missing = max(self.missing.get(index, Fraction(0)), Fraction(0))
            if waiting is not None and missing and self.voice.bars[waiting].duration == missing:
                waiting = None
                continue
            if waiting is not None:
                unmatched.add(waiting)
            waiting = index if missing else None
        if waiting is not None:
            unmatched.add(waiting)
        if unmatched:
            yield from self._unmatched(unmatched)

    def _unmatched(self, indices: set[int]) -> Iterator[Problem]:
        """Short bars without a complement; the first and the last may make up each other."""
        first, last = self.order[0], self.order[-1]
        bars = self.voice.bars
        for index in sorted(indices):
            if index not in (first, last) or (first == last and len(bars) > 1):
                yield self._length(index, "short")
        if first in indices and first != last:
            expected = self.missing[first]
            if bars[last].duration != expected:
                yield self.problem(
                    last,
                    "complement",
                    f"it is {bars[last].duration} quarters; after a pickup of "
                    f"{bars[first].duration} the last bar is {expected}",
                )
        elif last in indices:
            yield self._length(last, "short")

    def _length(self, index: int, kind: str) -> Problem:
        missing, duration = self.missing[index], self.voice.bars[index].duration
        message = f"it is {abs(missing)} {kind}: {duration} of {duration + missing} quarters"
        return self.problem(index, kind, message)

    def repeats(self) -> Iterator[Problem]:
        """Repeats opened and not closed, or closed without a clear place to go back to."""
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
        """A last bar without a bar line."""
        bars = self.voice.bars
        if bars and not bars[-1].barline:
            yield self.problem(
                len(bars) - 1, "final bar line", "the music stops without a bar line"
            )

    def ranges(self) -> Iterator[Problem]:
        """Notes without a MIDI number."""
        for index, bar in enumerate(self.voice.bars):
            for event in chain.from_iterable(bar.lines):
                grace = marks_of(event).grace
                for note in (*(grace.notes if grace is not None else ()), *notes_of(event)):
                    if not 0 <= note.midi <= 127:
                        message = f"{note.pitch.name} is outside MIDI's range"
                        yield self.problem(index, "range", message)

    def ties(self) -> Iterator[Problem]:
        """Ties to a rest, to another pitch or to nothing."""
        for index, bar in enumerate(self.voice.bars):
            for line, events in enumerate(bar.lines):
                timed = [event for event in events if not isinstance(event, Change)]
                for event, following in zip_longest(timed, timed[1:]):
                    tied = {note.midi for note in notes_of(event) if note.tie}
                    if tied and not tied <= (
                        _pitches(following) if following else self._pitches_after(index, line)
                    ):
                        yield self.problem(index, "tie", "a tie leads to no note of its pitch")

    def _pitches_after(self, index: int, line: int) -> set[int]:
        """Pitches that begin the bars played or written after this one."""
        pitches: set[int] = set()
        for number in self.followers.get(index, set()) | {index + 1}:
            if number < len(self.voice.bars):
                lines = self.voice.bars[number].lines
                timed = (e for e in lines[min(line, len(lines) - 1)] if not isinstance(e, Change))
                pitches |= _pitches(next(timed, None))
        return pitches

    def tuplets(self) -> Iterator[Problem]:
        """Groups that end before their last note."""
        missing: dict[int, int] = {}  # by line: the notes that its open group still needs
        for index, bar in enumerate(self.voice.bars):
            for line, events in enumerate(bar.lines):
                for event in events:
                    if isinstance(event, Change):
                        continue
                    group, left = event.tuplet, missing.pop(line, 0)
                    rest = group.size - group.index if group is not None else 0
                    if left and rest != left:
                        yield self.problem(index, "tuplet", "a tuplet has too few notes")
                    if rest > 1:
                        missing[line] = rest - 1
        if missing:
            yield self.problem(len(self.voice.bars) - 1, "tuplet", "a tuplet has too few notes")


def _pitches(event: Event | None) -> set[int]:
    return {note.midi for note in notes_of(event)}


def _bar_durations(tune: Tune, voice: Voice) -> list[Fraction | None]:
    """The length that each bar should have; None in free meter or where it changes within."""
    meter, durations = tune.meter, []
    for bar in voice.bars:
        full, begun = meter.bar_duration, False
        for event in bar.events:
            if not isinstance(event, Change):
                begun = True
            elif event.meter is not None:
                meter = event.meter
                full = None if begun else meter.bar_duration
        durations.append(full)
    return durations


def _implied_start(bars: Sequence[Bar], last: int) -> int | None:
    """The bar where the repeat that ends in bar `last` begins by the ABC standard (4.8), if it is
    after a double bar.

    None where it is the start of the tune or the end of another repeat: every program agrees there.
    """
    for index in range(last, 0, -1):
        if bars[index - 1].repeat_end:
            return None
        if bars[index - 1].barline in SECTION_LINES:
            return index
    return None


def fix(tune: Tune) -> tuple[Tune, tuple[str, ...]]:
    """The tune with every fault repaired that has one obvious repair, and a line for each repair.

    A missing final bar line, a last repeat that is never closed, a repeat from a double bar that
    is never opened. Other faults are left to a musician.
    """
    repairs: list[str] = []
    voices = tuple(_fix_voice(voice, repairs) for voice in tune.voices)
    return (replace(tune, voices=voices) if repairs else tune), tuple(repairs)


def _fix_voice(voice: Voice, repairs: list[str]) -> Voice:
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
                repairs.append(
                    f"{place}bar {start + 1}: opened the repeat that ends in bar {index + 1}"
                )
            opened = False
    last = bars[-1]
    if opened and not last.repeat_end:
        last = replace(last, repeat_end=1, barline=last.barline or "|")
        repairs.append(f"{place}bar {len(bars)}: closed the repeat")
    elif not last.barline:
        last = replace(last, barline="|]")
        repairs.append(f"{place}bar {len(bars)}: added the final bar line")
    bars[-1] = last
    return replace(voice, bars=tuple(bars))
