"""Readers of control values: text into keys, meters, lengths and ranges, or a one-line error."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import NoReturn

from musicgen.errors import ControlError, printable
from musicgen.music.theory import (
    ACCIDENTALS,
    Key,
    Meter,
    Pitch,
    default_qpm,
    parse_fraction,
    parse_key,
    parse_meter,
)
from musicgen.music.tune import Tempo

MIN_BPM, MAX_BPM = 10, 1000
MOST_ACCIDENTALS = 7  # in a key signature
MOST_PART_BARS = 64
MOST_BARS = 256
MOST_REPEATS = 1000
NARROWEST_RANGE = 7  # semitones, a fifth
WIDEST_INTERVAL = 127
_PITCH = r"([A-Ga-g])(##|bb|#|b|♯|♭|)(-?\d)"
_RANGE = re.compile(rf"\s*{_PITCH}\s*(?:-|\u2013|\.\.|to|\s)\s*{_PITCH}\s*")
_FRACTION = re.compile(r"\s*(\d{1,4})(?:\s*/\s*(\d{1,4}))?\s*")
_SIGNS = {"♯": "#", "♭": "b"}


def refuse(name: str, value: object, reason: str) -> NoReturn:
    """Raise the ControlError of a control whose value cannot be used."""
    raise ControlError(f"{name} '{printable(str(value)[:60])}': {reason}")


def read_key(text: str) -> Key:
    """A key with a signature of at most seven sharps or flats."""
    key = parse_key(text)
    if key is None:
        refuse("key", text, "not a key; write it like D, Ador or E minor")
    if abs(key.fifths) > MOST_ACCIDENTALS:
        sign = "sharps" if key.fifths > 0 else "flats"
        refuse("key", text, f"it has {abs(key.fifths)} {sign}; use its usual name")
    return key


def read_meter(text: str) -> Meter:
    """A meter with bars."""
    meter = parse_meter(text)
    if meter is None or meter.bar_duration is None:
        refuse("meter", text, "not a meter; write it like 6/8 or C|")
    return meter


def read_unit(text: object) -> Fraction:
    """A unit note length as in ABC ("1/8"), in quarters."""
    length = _note_length(text)
    if length is None or not length:
        refuse("unit", text, "not a note length; write it like 1/8")
    part = length / 4
    if part.numerator != 1 or part.denominator not in (1, 2, 4, 8, 16, 32, 64):
        refuse("unit", text, "use 1, 1/2, 1/4, 1/8, 1/16, 1/32 or 1/64")
    return length


def read_pickup(text: object) -> Fraction:
    """The length of a pickup as a note length ("1/8", "3/8", 0 or "none"), in quarters."""
    length = Fraction(0) if str(text).strip().lower() == "none" else _note_length(text)
    if length is None:
        refuse("pickup", text, "not a length; write it like 1/8, or 0 for none")
    return length


def _note_length(text: object) -> Fraction | None:
    match = _FRACTION.fullmatch(str(text))
    if match is None or (match[2] is not None and not int(match[2])):
        return None
    return 4 * Fraction(int(match[1]), int(match[2] or 1))


def read_tempo(text: object) -> tuple[Fraction | None, Fraction]:
    """(beat in quarters or None, beats a minute) of "110", beats of the meter, or "3/8=110"."""
    beat_text, equals, number = str(text).rpartition("=")
    beat = _note_length(beat_text) if equals else None
    bpm = parse_fraction(number) or Fraction(0)
    if not MIN_BPM <= bpm <= MAX_BPM or bool(equals) != bool(beat):
        refuse("tempo", text, f"write {MIN_BPM} to {MAX_BPM} beats a minute, like 110 or 3/8=110")
    return beat, bpm


def tempo_of(value: tuple[Fraction | None, Fraction], meter: Meter) -> Tempo:
    """The tempo that `read_tempo` read, in a meter, whose first beat counts where none is named."""
    beat, bpm = value
    return Tempo(bpm, beat or meter.beat_durations[0])


def usual_tempo(rhythm: str, meter: Meter) -> Tempo:
    """The tempo at which a tune is played that gives none, in beats of its meter."""
    beat = meter.beat_durations[0] if meter.beats else Fraction(1)
    return Tempo(default_qpm(rhythm) / beat, beat)


def read_range(text: str) -> tuple[int, int]:
    """Lowest and highest pitch, MIDI numbers, of a range such as "D4-B5"."""
    match = _RANGE.fullmatch(text)
    if match is None:
        refuse("range", text, "not a range; write it like D4-B5, where C4 is middle C")
    low, high = (
        Pitch(step.upper(), ACCIDENTALS[_SIGNS.get(sign, sign)], int(octave)).midi
        for step, sign, octave in (match.groups()[:3], match.groups()[3:])
    )
    if high < low:
        refuse("range", text, "its first pitch is above its second")
    if high - low < NARROWEST_RANGE:
        refuse("range", text, "narrower than a fifth; name a wider one")
    return low, high


def read_count(name: str, value: int | None, most: int) -> int | None:
    """A whole number from 1 to `most`; None stays None."""
    if value is not None and (isinstance(value, bool) or not 1 <= value <= most):
        refuse(name, value, f"use a whole number from 1 to {most}")
    return value


def read_part_bars(value: int | str | Sequence[int]) -> tuple[int, ...]:
    """Bars of the parts: one number for all, or one for each."""
    if isinstance(value, int):
        numbers: Sequence[int | str] = (value,)
    else:
        numbers = re.split(r"[\s,+]+", value.strip()) if isinstance(value, str) else value
    counts = []
    for number in numbers:
        if not str(number).isdecimal() or not 1 <= int(number) <= MOST_PART_BARS:
            text = value if isinstance(value, int | str) else ",".join(map(str, value))
            refuse("part-bars", text, f"use numbers from 1 to {MOST_PART_BARS}, like 8 or 8,12")
        counts.append(int(number))
    if not counts:
        refuse("part-bars", "", "no number; write it like 8 or 8,12")
    return tuple(counts)
