"""Where chords may change: the slots of a tune, whole bars or halves of them, and what is in each.

    slots_of(tune)        # every slot in written order, with the melody that sounds in it

A bar of three beats is one slot, one of two or four is two, one of three compound beats (9/8) is
three; pickups have none. A chord can only be written where a note or a rest begins, so a slot that
begins inside a long note keeps the chord before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from musicgen.music.theory import C_MAJOR, Key, Meter
from musicgen.music.tune import Bar, Change, Chord, Rest, Timed, Tune

DOTTED_QUARTER = Fraction(3, 2)


@dataclass(frozen=True, slots=True)
class SlotNote:
    """The part of a note or rest that sounds in a slot: MIDI pitch (None: a rest), where in the
    slot it begins and how long it lasts, in quarters; `held` says that it began before."""

    midi: int | None
    onset: Fraction
    duration: Fraction
    held: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a chord. `bar` is the index of its bar and `event` that of the event of the bar
    that begins with it (None inside a note); `place` and `duration` are in quarters, the place
    counted from the bar's first beat; `index` says which slot of its bar it is. `part_bar` counts
    the bars since its part began, `bars_left` those until it ends. `written` is the chord symbol in
    force, "" for none yet."""

    bar: int
    event: int | None
    index: int
    place: Fraction
    duration: Fraction
    key: Key
    meter: Meter
    part_bar: int
    bars_left: int
    written: str
    pieces: tuple[SlotNote, ...]


def places(meter: Meter) -> tuple[Fraction, ...]:
    """Where in a full bar chords may change, in quarters from its first beat."""
    beats = meter.beat_durations
    n = len(beats)
    starts = [sum(beats[:i], Fraction(0)) for i in range(n)]
    if n == 3 and len(meter.beats) == 1:
        return tuple(starts) if beats[0] >= DOTTED_QUARTER else (Fraction(0),)
    if n < 2:
        return (Fraction(0),)
    return (Fraction(0), starts[(n + 1) // 2])


def slots_of(tune: Tune) -> list[Slot]:
    """The slots of the first voice, in written order; none in free meter."""
    slots: list[Slot] = []
    bars = tune.bars
    parts = _parts(bars)
    key, meter, written = tune.key, tune.meter, ""
    for number, bar in enumerate(bars):
        for event in bar.events:  # a change holds for its whole bar
            if isinstance(event, Change):
                key, meter = event.key or key, event.meter or meter
        first, last = parts[number]
        context = (key if key.tonic else C_MAJOR, meter, number - first, last - number)
        written = _fill(
            slots, number, bar, context, written, pickup=_is_pickup(bars, number, meter)
        )
    return slots


def _fill(
    slots: list[Slot],
    number: int,
    bar: Bar,
    context: tuple[Key, Meter, int, int],
    written: str,
    *,
    pickup: bool,
) -> str:
    """Append the slots of one bar; the chord symbol in force at its end."""
    key, meter, part_bar, bars_left = context
    timed = list(_timed(bar))
    starts = () if pickup or meter.bar_duration is None else _starts(bar, meter)
    ends = (*starts[1:], bar.duration)
    symbols = [(onset, event.marks.chord_symbol) for _, onset, event in timed]
    for index, (start, end) in enumerate(zip(starts, ends, strict=False)):
        begins = next((i for i, onset, _ in timed if onset == start), None)
        in_force = [text for onset, text in symbols if text and onset <= start]
        slots.append(
            Slot(
                bar=number,
                event=begins,
                index=index,
                place=start,
                duration=end - start,
                key=key,
                meter=meter,
                part_bar=part_bar,
                bars_left=bars_left,
                written=in_force[-1] if in_force else written,
                pieces=tuple(_pieces(timed, start, end)),
            )
        )
    return next((text for _, text in reversed(symbols) if text), written)


def _timed(bar: Bar) -> Iterator[tuple[int, Fraction, Timed]]:
    """(index in the bar's events, onset, event) of what takes time."""
    onset = Fraction(0)
    for i, event in enumerate(bar.events):
        if not isinstance(event, Change):
            if event.duration > 0:
                yield i, onset, event
            onset += event.duration


def _starts(bar: Bar, meter: Meter) -> tuple[Fraction, ...]:
    """Where the slots of a bar begin; a bar that is too long goes on in the same rhythm."""
    full = meter.bar_duration
    assert full is not None
    n_full = max(1, -(-bar.duration // full))
    every = (n * full + place for n in range(int(n_full)) for place in places(meter))
    return tuple(start for start in every if start < bar.duration)


def _pieces(
    timed: list[tuple[int, Fraction, Timed]], start: Fraction, end: Fraction
) -> Iterator[SlotNote]:
    for _, onset, event in timed:
        begin, stop = max(onset, start), min(onset + event.duration, end)
        if begin < stop:
            yield SlotNote(_top(event), begin - start, stop - begin, held=onset < start)


def _top(event: Timed) -> int | None:
    if isinstance(event, Rest):
        return None
    if isinstance(event, Chord):
        return max(note.midi for note in event.notes)
    return event.midi


def _parts(bars: tuple[Bar, ...]) -> list[tuple[int, int]]:
    """First and last bar of the part of each bar: parts end with repeats and heavy bar lines."""
    parts: list[tuple[int, int]] = []
    first = 0
    for number, bar in enumerate(bars):
        last = number + 1 == len(bars)
        ends = last or bar.repeat_end or bar.barline not in ("", "|", ".|")
        if ends or bars[number + 1].repeat_start:
            parts += [(first, number)] * (number + 1 - first)
            first = number + 1
    return parts


def _is_pickup(bars: tuple[Bar, ...], number: int, meter: Meter) -> bool:
    """Whether a bar is short because it leads into the next: it begins the tune or a part, or
    what it lacks is in the bar before."""
    full = meter.bar_duration
    bar = bars[number]
    if full is None or bar.duration >= full or number + 1 == len(bars):
        return False
    if bar.volta or bar.repeat_end:  # an ending, short for what the next part begins with
        return False
    if number == 0 or bar.repeat_start:
        return True
    return bars[number - 1].duration + bar.duration <= full
