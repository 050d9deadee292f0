"""Arranging a tune: cut it at a note, take one voice, or turn it into another dance.

    cut(tune, (8, 2))             # the music before the third event of the ninth bar
    one_voice(tune, 2)            # its second voice alone
    to_rhythm(tune, "reel")       # a jig as a reel: three eighths become a quarter and two

Dances are changed into one another beat by beat, so both need as many beats in a bar: jigs, reels,
hornpipes and polkas have two, slip jigs and waltzes three, slides two or four.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from musicgen.errors import ControlError, printable
from musicgen.music.theory import (
    RHYTHM_METERS,
    WRITTEN_METERS,
    Meter,
    canonical_rhythm,
    default_unit,
    parse_meter,
)
from musicgen.music.tune import Bar, Change, Chord, Event, Note, Timed, Tune, Tuplet, Voice

FINEST = Fraction(1, 8)  # of a quarter: onsets are rounded to thirty-seconds

# Where the parts of a beat of three come to lie in one of two or four, as shares of a beat: three
# eighths become a quarter and two eighths, a quarter and an eighth two equal notes.
_THREE = (Fraction(0), Fraction(1, 3), Fraction(2, 3), Fraction(1))
_TWO = (Fraction(0), Fraction(1, 2), Fraction(3, 4), Fraction(1))
# And back: two equal notes become a quarter and an eighth, four eighths two and two sixteenths.
_FOUR = (Fraction(0), Fraction(1, 4), Fraction(1, 2), Fraction(3, 4), Fraction(1))
_LILTED = (Fraction(0), Fraction(1, 3), Fraction(2, 3), Fraction(5, 6), Fraction(1))


def cut(tune: Tune, place: tuple[int, int]) -> Tune:
    """The tune up to a place (bar, event among its timed events, both from 0), which goes; the last
    bar is open unless the cut is between two bars. Other voices stop at the same bar.

    Raises:
        ControlError: there is no such place, or nothing stands before it.
    """
    bar_number, event_number = place
    bars = tune.bars
    if not (0 <= bar_number < len(bars) and 0 <= event_number < len(list(bars[bar_number].timed))):
        raise ControlError(f"place {list(place)}: the tune has no such note or rest")
    if place == (0, 0):
        raise ControlError(f"place {list(place)}: nothing stands before it")
    first, *others = tune.voices
    kept = list(bars[:bar_number])
    if event_number:
        kept.append(_begun(bars[bar_number], event_number))
    kept[-1] = _without_last_tie(kept[-1])
    shorter = [replace(voice, bars=voice.bars[:bar_number]) for voice in others]
    return replace(tune, voices=(replace(first, bars=tuple(kept)), *shorter), source=None)


def one_voice(tune: Tune, number: int) -> Tune:
    """A voice of the tune alone, counted from 1, without the overlays of its bars.

    Raises:
        ControlError: there is no such voice.
    """
    if not 1 <= number <= len(tune.voices):
        raise ControlError(f"voice {number}: the tune has {len(tune.voices)}, counted from 1")
    voice = tune.voices[number - 1]
    line = replace(voice, bars=tuple(replace(bar, overlays=()) for bar in voice.bars))
    return replace(tune, voices=(line,), source=None)


def _begun(bar: Bar, n_events: int) -> Bar:
    """A bar with its first timed events, open at its right."""
    events: list[Event] = []
    for event in bar.events:
        if not isinstance(event, Change):
            if not n_events:
                break
            n_events -= 1
        events.append(event)
    return replace(bar, events=tuple(events), overlays=(), repeat_end=0, barline="", span=None)


def _without_last_tie(bar: Bar) -> Bar:
    """The bar without a tie on its last note or chord."""
    events = list(bar.events)
    last = max((i for i, event in enumerate(events) if not isinstance(event, Change)), default=0)
    event = events[last] if events else None
    if isinstance(event, Note):
        events[last] = replace(event, tie=False)
    elif isinstance(event, Chord):
        events[last] = replace(event, notes=tuple(replace(n, tie=False) for n in event.notes))
    return replace(bar, events=tuple(events))


@dataclass(frozen=True, slots=True)
class _Map:
    """Time in a bar of one meter to time in a bar of another: `old` and `new` are the beats, in
    quarters, `knots` and `places` where the parts of a beat are and where they go, as shares."""

    old: Fraction
    new: Fraction
    knots: tuple[Fraction, ...]
    places: tuple[Fraction, ...]

    @staticmethod
    def between(old: Meter, new: Meter, n_beats: int) -> _Map:
        assert old.bar_duration is not None
        assert new.bar_duration is not None
        knots: tuple[Fraction, ...] = (Fraction(0), Fraction(1))
        places = knots
        if old.compound and not new.compound:
            knots, places = _THREE, _TWO
        elif new.compound and not old.compound:
            knots, places = _FOUR, _LILTED
        return _Map(old.bar_duration / n_beats, new.bar_duration / n_beats, knots, places)

    def __call__(self, moment: Fraction) -> Fraction:
        beat, share = divmod(moment / self.old, 1)
        i = bisect_right(self.knots, share) - 1
        low, high = self.knots[i : i + 2]
        inside = (share - low) / (high - low)
        start, end = self.places[i : i + 2]
        return (beat + start + inside * (end - start)) * self.new


def to_rhythm(tune: Tune, rhythm: str) -> Tune:
    """The tune as another dance: its notes in their order, its bars and repeats, in the first meter
    of the dance that has as many beats; its own tempo goes.

    Raises:
        ControlError: no such dance, a meter that changes, or bars of other numbers of beats.
    """
    name = canonical_rhythm(rhythm)
    if name not in RHYTHM_METERS:
        raise ControlError(
            f"rhythm '{printable(rhythm[:40])}': no dance that is known; "
            f"use {', '.join(RHYTHM_METERS)}"
        )
    if any(
        isinstance(e, Change) and e.meter for v in tune.voices for b in v.bars for e in b.events
    ):
        raise ControlError("rhythm: the tune changes its meter; give it one meter first")
    meter, n_beats = _meter_for(tune.meter, name)
    tune = replace(tune, rhythm=name, tempo=None, source=None)
    if str(meter) == str(tune.meter):
        return tune
    mapped = _Map.between(tune.meter, meter, n_beats)
    full = tune.meter.bar_duration
    assert full is not None
    voices = tuple(_moved(voice, mapped, full) for voice in tune.voices)
    return replace(tune, meter=meter, unit=default_unit(meter), voices=voices)


def _beats(meter: Meter) -> set[int]:
    """How many beats a bar can be felt in: 4/4 in two and in four, 3/8 in three and in one."""
    n = len(meter.beat_durations)
    if len(set(meter.beat_durations)) > 1:
        return {n}
    return {n, n // 2} if n % 4 == 0 and not meter.compound else {n}


def _meter_for(old: Meter, rhythm: str) -> tuple[Meter, int]:
    """The meter of a dance for music in another, and in how many beats both are felt."""
    known = [m for text in RHYTHM_METERS[rhythm] if (m := parse_meter(text)) is not None]
    written = [WRITTEN_METERS.get((rhythm, meter), meter) for meter in known]
    if any(str(old) == str(meter) for meter in written):
        return old, len(old.beat_durations)
    for meter in written:
        common = _beats(old) & _beats(meter)
        if common:
            return meter, max(common)
    raise ControlError(
        f"rhythm: a {rhythm} has other beats in a bar than {old}; "
        f"its meters are {', '.join(map(str, written))}"
    )


def _moved(voice: Voice, mapped: _Map, full: Fraction) -> Voice:
    offsets = _offsets(voice.bars, full)
    bars = []
    for bar, offset in zip(voice.bars, offsets, strict=True):
        lines = [tuple(_line(line, offset, mapped)) for line in bar.lines]
        bars.append(replace(bar, events=lines[0], overlays=tuple(lines[1:]), span=None))
    return replace(voice, bars=tuple(bars))


def _offsets(bars: Sequence[Bar], full: Fraction) -> Iterator[Fraction]:
    """The place in a full bar at which each begins: a short one that opens a part is a pickup and
    stands at the end."""
    opens = True
    for bar in bars:
        length = bar.duration
        short = 0 < length < full
        yield full - length if short and (opens or bar.repeat_start) else Fraction(0)
        if length:
            opens = bool(bar.repeat_end) or bar.barline in ("||", "|]")


def _line(events: Sequence[Event], offset: Fraction, mapped: _Map) -> Iterator[Event]:
    """Events at their new lengths, which add up to where the last of them ends."""
    at, written = offset, mapped(offset)
    for event in events:
        if isinstance(event, Change):
            yield event
            continue
        if mapped.knots == mapped.places:  # all parts of a beat are stretched alike
            yield _lasting(event, event.duration * mapped.new / mapped.old, event.tuplet)
            continue
        at += event.duration
        end = round(mapped(at) / FINEST) * FINEST
        if event.duration:
            end = max(end, written + FINEST)
        yield _lasting(event, end - written, None)
        written = end


def _lasting(event: Timed, duration: Fraction, tuplet: Tuplet | None) -> Timed:
    """A note, chord or rest of another length."""
    if isinstance(event, Chord):
        ratio = duration / event.duration if event.duration else Fraction(1)
        notes = tuple(
            replace(note, duration=note.duration * ratio, tuplet=tuplet) for note in event.notes
        )
        return replace(event, notes=notes, duration=duration, tuplet=tuplet)
    return replace(event, duration=duration, tuplet=tuplet)
