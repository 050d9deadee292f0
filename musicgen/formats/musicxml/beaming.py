"""Which notes share a beam: by felt beats, half bars where nothing is shorter than an eighth."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate

from musicgen.formats.musicxml.lengths import Value
from musicgen.music.theory import Meter

# How the beats of asymmetric meters are counted, in units of the meter.
_ASYMMETRIC = {5: (3, 2), 7: (2, 2, 3), 8: (3, 3, 2), 10: (3, 2, 3, 2), 11: (2, 2, 3, 2, 2)}
_HALF_BARS = Fraction(4)  # 4/4, C| and 2/2 in eighths: four to a beam

# A value that may be beamed, or None for a rest, and where it starts in the bar.
Slot = tuple[Fraction, Value | None]


def beats(meter: Meter) -> tuple[Fraction, ...]:
    """Lengths in quarters of the groups that a full bar is beamed in; () in free meter."""
    total = sum(meter.beats)
    if len(meter.beats) == 1 and meter.unit >= 8 and not meter.compound:
        groups = _ASYMMETRIC.get(total, (total,) if total <= 4 else ())
        if groups:
            return tuple(Fraction(4 * g, meter.unit) for g in groups)
    if meter.unit == 2:
        return (Fraction(1),) * (2 * total)
    return meter.beat_durations


def beam(slots: Sequence[Slot], meter: Meter, shift: Fraction) -> list[list[str]]:
    """For each slot the MusicXML beam words, from the first beam down; [] for no beam.

    `shift` is where the first slot of the bar falls in a full bar: not 0 in a pickup.
    """
    groups = _groups(slots, meter, shift)
    marks: list[list[str]] = [[] for _ in slots]
    start = 0
    while start < len(slots):
        stop = start + 1
        while stop < len(slots) and groups[start] is not None and groups[stop] == groups[start]:
            stop += 1
        if stop - start > 1:
            levels = [value.beams if value else 0 for _, value in slots[start:stop]]
            marks[start:stop] = _words(levels)
        start = stop
    return marks


def _groups(slots: Sequence[Slot], meter: Meter, shift: Fraction) -> list[int | None]:
    """A number for each slot, the same for those under one beam; None for those without."""
    lengths = beats(meter) or (Fraction(1),)
    bar = sum(lengths, Fraction(0))
    edges = list(accumulate(lengths))
    plain = [False, False]
    if bar == _HALF_BARS and len(lengths) == 4:
        plain = [_plain_half(slots, shift, bar, half) for half in (0, 1)]
    numbers: list[int | None] = []
    run = 0
    for onset, value in slots:
        if value is None or not value.beams:
            numbers.append(None)
            run += 1  # a beam does not reach across what has none
            continue
        beat = bisect_right(edges, (onset + shift) % bar)
        if any(plain) and plain[beat // 2]:
            beat = beat // 2 * 2
        bar_number = int((onset + shift) // bar)
        numbers.append((run * 1024 + bar_number) * 64 + beat)
    return numbers


def _plain_half(slots: Sequence[Slot], shift: Fraction, bar: Fraction, half: int) -> bool:
    """Whether a half of the bar holds only simple eighths, which go under one beam."""
    start = bar / 2 * half
    return all(
        value is not None and value.type == "eighth" and not value.dots and value.actual == 1
        for onset, value in slots
        if start <= (onset + shift) % bar < start + bar / 2
    )


def _words(levels: Sequence[int]) -> list[list[str]]:
    padded = (0, *levels, 0)
    return [
        [_word(level, before, after) for level in range(1, own + 1)]
        for before, own, after in zip(padded, levels, padded[2:], strict=False)
    ]


def _word(level: int, before: int, after: int) -> str:
    if before >= level:
        return "continue" if after >= level else "end"
    if after >= level:
        return "begin"
    return "backward hook" if before else "forward hook"
