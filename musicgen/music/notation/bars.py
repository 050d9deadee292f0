"""Sounding notes to written bars: bar lines, rests, ties, tuplets, spelling.

Places are whole numbers of `grid.UNITS` to a quarter, so that everything here is exact.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, repeat
from typing import NamedTuple

from musicgen.errors import ParseError
from musicgen.music.notation.rhythms import NOTE, REST, TIED, UNITS, Rhythm, heads
from musicgen.music.theory import Key, Meter
from musicgen.music.tune import Bar, Change, Chord, Event, Marks, Note, Tempo

MAX_BARS = 20_000
# Bars that any file may have, and bars for each note: cost stays in proportion to the bytes.
FREE_BARS, BARS_A_NOTE = 2_000, 8
MAX_LINE_BARS = 200_000  # of all lines together
SHORTESTREST = UNITS // 8  # at the end of the file
MAX_SILENCE = 512  # quarters; four minutes at 120 quarters a minute

# Onset and end in units, MIDI pitches struck together, the highest first; one line's do not overlap
TimedChord = tuple[int, int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class ConductorTrack:
    """The frame of the bars: meters, keys and tempos with their onsets in units, and the length of
    a pickup, 0 for none. There is a meter and a key at 0."""

    meters: Sequence[tuple[int, Meter]]
    keys: Sequence[tuple[int, Key]]
    tempos: Sequence[tuple[int, Tempo]] = ()
    pickup: int = 0

    def key_at(self, onset: int) -> Key:
        """The key in force at a place, in units."""
        return self.keys[bisect_right(self.keys, onset, key=lambda item: item[0]) - 1][1]


class _Span(NamedTuple):
    """A bar to be filled: from `start` to `stop`, in a meter that is announced when it is new."""

    start: int
    stop: int
    meter: Meter
    announced: bool


def write_bars(
    lines: Sequence[Sequence[TimedChord]],
    frame: ConductorTrack,
    stop: int,
    marks: Sequence[Mapping[int, Marks]] = (),
) -> list[tuple[Bar, ...]]:
    """Cut lines into bars, filled up with rests; the last bar stops where the music does.

    The music stops with its last note, or at `stop` (the end of the file, in units) where that lies
    within the last bar, or at its end where there is no pickup to make up for. A last bar that
    is as long as the rest before a pickup is filled up, as the first one was. The last bar ends
    with "|]" when it is full or makes up for the pickup, and with no bar line when it is left
    unfinished. `marks` are those of notes by onset, for as many lines as have any.

    Raises:
        ParseError: silence or music beyond the limits above.
    """
    _require_music(lines)
    end = max(line[-1][1] for line in lines if line)
    spans = list(_spans(frame, end, sum(map(len, lines))))
    if len(spans) * len(lines) > MAX_LINE_BARS:
        raise ParseError(f"more than {MAX_LINE_BARS} bars in all parts; split the file")
    filled = stop == spans[-1].stop and not frame.pickup
    if end + SHORTESTREST <= stop and (stop < spans[-1].stop or filled):
        end = stop
    silent = min(line[0][0] for line in lines if line)
    if len(spans) > 1 and 0 < silent == end - spans[-1].start < spans[0].stop:
        end = spans[-1].stop
    changes = _changes(lines, frame, spans)
    barline = _last_line(spans, end)
    written = []
    for line, of_line in zip(lines, chain(marks, repeat({})), strict=False):
        context = _Context(frame, changes, of_line)
        bars = [
            _write_bar(rhythm, struck, span, context)
            for span, (rhythm, struck) in zip(spans, _cut(line, spans, end), strict=True)
        ]
        bars[-1] = replace(bars[-1], barline=barline)
        written.append(tuple(bars))
    return written


def _require_music(lines: Sequence[Sequence[TimedChord]]) -> None:
    """Raise for a silence of all lines longer than `MAX_SILENCE`."""
    sounds = lines[0] if len(lines) == 1 else sorted(s for line in lines for s in line)
    if sounds[-1][0] <= MAX_SILENCE * UNITS:
        return
    sounded = 0  # end of the latest sound so far
    for onset, end, _ in sounds:
        if onset - sounded > MAX_SILENCE * UNITS:
            raise ParseError(
                f"a silence of {(onset - sounded) / UNITS:.0f} quarter notes; "
                f"cut it to at most {MAX_SILENCE}"
            )
        sounded = max(sounded, end)


def _last_line(spans: Sequence[_Span], end: int) -> str:
    last, full = spans[-1], _length(spans[-1].meter)
    complete = end == last.stop and end - last.start == full
    complement = len(spans) > 1 and spans[0].stop - spans[0].start + end - last.start == full
    return "|]" if complete or complement else ""


def _length(meter: Meter) -> int:
    duration = meter.bar_duration
    assert duration is not None  # no meter of a MIDI file is free
    return int(duration * UNITS)


def _spans(frame: ConductorTrack, end: int, n_sounds: int) -> Iterator[_Span]:
    most = min(MAX_BARS, FREE_BARS + BARS_A_NOTE * n_sounds)
    meters = [(at, meter) for at, meter in frame.meters if at < end]
    if frame.pickup:
        yield _Span(0, frame.pickup, meters[0][1], False)
        meters[0] = (frame.pickup, meters[0][1])
    n_bars = 0
    for i, (start, meter) in enumerate(meters):
        stop = meters[i + 1][0] if i + 1 < len(meters) else None
        length, announced = _length(meter), i > 0
        while start < (end if stop is None else stop):
            n_bars += 1
            if n_bars > most:
                raise ParseError(f"more than {most} bars for {n_sounds} notes; split the file")
            bar_end = start + length if stop is None else min(start + length, stop)
            yield _Span(start, bar_end, meter, announced)
            start, announced = bar_end, False


def _cut(
    line: Sequence[TimedChord], spans: Sequence[_Span], end: int
) -> Iterator[tuple[Rhythm, list[tuple[int, ...]]]]:
    """For each bar its rhythm, as (onset in the bar, end, what) of notes and rests, and what is
    struck on each note."""
    sounds = iter(line)
    sound = next(sounds, None)
    position = 0
    for span in spans:
        start, stop = span.start, min(span.stop, end)
        rhythm: list[tuple[int, int, int]] = []
        struck: list[tuple[int, ...]] = []
        while position < stop:
            if sound is None or sound[0] > position:
                until = stop if sound is None or sound[0] > stop else sound[0]
                kind = REST
            else:
                struck.append(sound[2])
                until, kind = (stop, TIED) if sound[1] > stop else (sound[1], NOTE)
                if kind == NOTE:
                    sound = next(sounds, None)
            rhythm.append((position - start, until - start, kind))
            position = until
        yield tuple(rhythm), struck


def _changes(
    lines: Sequence[Sequence[TimedChord]], frame: ConductorTrack, spans: Sequence[_Span]
) -> dict[int, list[Change]]:
    """Key and tempo changes, each moved to the next onset or bar line, where it can be written."""
    wanted = [(at, Change(key=key)) for at, key in frame.keys if at > 0]
    wanted += [(at, Change(tempo=tempo)) for at, tempo in frame.tempos if at > 0]
    if not wanted:
        return {}
    places = sorted({s[0] for s in lines[0]} | {span.start for span in spans})
    changes: dict[int, list[Change]] = {}
    for at, change in sorted(wanted, key=lambda item: item[0]):
        i = bisect_left(places, at)
        if i < len(places):
            changes.setdefault(places[i], []).append(change)
    return changes


@dataclass(frozen=True, slots=True)
class _Context:
    """The frame, changes and marks that all bars of a line share."""

    frame: ConductorTrack
    changes: Mapping[int, list[Change]]
    marks: Mapping[int, Marks]

    @property
    def plain(self) -> bool:
        """True if nothing changes and there are no marks."""
        return not self.changes and not self.marks and len(self.frame.keys) == 1


def _write_bar(
    rhythm: Rhythm,
    struck: Sequence[tuple[int, ...]],
    span: _Span,
    context: _Context,
) -> Bar:
    frame, changes = context.frame, context.changes
    length = span.stop - span.start
    if context.plain and not span.announced:
        return _plain_bar(rhythm, tuple(struck), span.meter, length, frame.keys[0][1].fifths)
    events: list[Event] = [Change(meter=span.meter)] if span.announced else []
    first = -1
    for head in heads(rhythm, span.meter, length):
        place = span.start + head.onset
        events += changes.get(place, ())
        event = head.event(struck, frame.key_at(place).fifths)
        if head.number != first and isinstance(event, Note | Chord) and place in context.marks:
            event = replace(event, marks=context.marks[place])
        first = head.number
        events.append(event)
    return Bar(events=tuple(events))


@lru_cache(maxsize=8192)
def _plain_bar(
    rhythm: Rhythm, struck: tuple[tuple[int, ...], ...], meter: Meter, length: int, fifths: int
) -> Bar:
    """A bar in which nothing changes; music repeats its bars."""
    return Bar(events=tuple(head.event(struck, fifths) for head in heads(rhythm, meter, length)))
