"""The accompaniment of a melody: bass and chords from chord symbols, a drone, a count-in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from musicgen.music.chord_symbols import NO_CHORD, ChordSymbol, parse_chord
from musicgen.music.performance.timing import PlacedBar, StepFunction
from musicgen.music.theory import Key, Meter
from musicgen.music.tune import Tune

# A sign for each equal part of a bar: B the bass, F its fifth, C the chord, . nothing.
PATTERNS = {
    "2/4": "BCFC",
    "4/4": "BCFC",
    "2/2": "BCFC",
    "4/8": "BCFC",
    "3/4": "BCC",
    "3/8": "BCC",
    "3/2": "BCC",
    "6/4": "B.CF.C",
    "6/8": "B.CF.C",
    "9/8": "B.CF.CF.C",
    "12/8": "B.CF.CB.CF.C",
    "5/4": "BCCFC",
    "5/8": "BCCFC",
    "7/8": "BCFCFCC",
}
BASS_FROM, CHORD_FROM, DRONE_FROM = 36, 52, 45  # lowest MIDI pitch of each, an octave upwards
FIFTH = 7
WOODBLOCK_HIGH, WOODBLOCK_LOW = 76, 77  # General MIDI percussion
_BASS_LENGTH, _CHORD_LENGTH = Fraction(9, 10), Fraction(3, 5)  # shares of the time to the next


@dataclass(frozen=True, slots=True)
class BackingNote:
    """One note of the accompaniment; times in quarters, `strength` as that of a beat (0 to 1)."""

    onset: Fraction
    duration: Fraction
    midi: int
    strength: float = 0.5


@dataclass(frozen=True, slots=True)
class Backing:
    """Bass and chords, and the chord symbols that could not be read."""

    bass: tuple[BackingNote, ...]
    chords: tuple[BackingNote, ...]
    unknown: tuple[str, ...]


def back(tune: Tune, bars: Sequence[PlacedBar], end: Fraction) -> Backing:
    """An accompaniment to the chord symbols of an unfolded tune, in quarters of the music as it is
    played.

    `end` is when the music stops.
    """
    changes: dict[Fraction, ChordSymbol] = {}
    unknown: dict[str, None] = {}
    for onset, text in sorted(_symbols(tune)):
        symbol = parse_chord(text)
        if symbol is None:
            unknown[text] = None
        else:
            changes.setdefault(onset, symbol)
    bass: list[BackingNote] = []
    chords: list[BackingNote] = []
    chord_at = StepFunction(changes.items(), NO_CHORD)
    previous = NO_CHORD
    for onset, length, sign in _steps(bars, end):
        chord = chord_at(onset)
        if not chord.intervals:
            continue
        if sign == "C":
            chords += [
                BackingNote(onset, length * _CHORD_LENGTH, midi, 0.4)
                for midi in sorted({_in_octave(p, CHORD_FROM) for p in chord.pitch_classes})
            ]
        else:
            is_fifth = sign == "F" and chord is previous  # a new chord begins on its bass
            midi = _in_octave(chord.bass + _fifth_of(chord) * is_fifth, BASS_FROM)
            bass.append(BackingNote(onset, length * _BASS_LENGTH, midi, 0.4 if is_fifth else 0.7))
        previous = chord
    return Backing(tuple(bass), tuple(chords), tuple(unknown))


def _symbols(tune: Tune) -> Iterator[tuple[Fraction, str]]:
    """Chord symbols of all voices of an unfolded tune, with their onsets."""
    for voice in tune.voices:
        for onset, event in voice.placed:
            if event.marks.chord_symbol:
                yield onset, event.marks.chord_symbol


def _steps(bars: Sequence[PlacedBar], end: Fraction) -> Iterator[tuple[Fraction, Fraction, str]]:
    """(onset, length until the next, sign) of every sign of the patterns."""
    signs: list[tuple[Fraction, str]] = []
    for bar in bars:
        for place, sign in _pattern(bar.meter):
            if bar.offset <= place < bar.offset + bar.duration:
                signs.append((bar.downbeat + place, sign))
        if bar.meter.bar_duration is None:
            signs += [(bar.onset, "B"), (bar.onset, "C")]
    ends = [*(onset for onset, _ in signs[1:]), end]
    for (onset, sign), stop in zip(signs, ends, strict=False):  # one end more without signs
        yield onset, (stop - onset) or Fraction(1), sign


def _pattern(meter: Meter) -> list[tuple[Fraction, str]]:
    """(place in the bar, sign); bass on the beats and chords between them in other meters."""
    full = meter.bar_duration
    if full is None:
        return []
    signs = PATTERNS.get(f"{meter.beats[0]}/{meter.unit}") if len(meter.beats) == 1 else None
    if signs is not None:
        return [(full * i / len(signs), s) for i, s in enumerate(signs) if s != "."]
    beats = zip(meter.beat_onsets, meter.beat_durations, strict=True)
    return sorted(pair for p, b in beats for pair in ((p, "B"), (p + b / 2, "C")))


def _fifth_of(chord: ChordSymbol) -> int:
    """The fifth as the chord has it (6 in a diminished one); none above a written bass note."""
    if chord.bass != chord.root:
        return 0
    return next((i for i in chord.intervals if i in (6, 7, 8)), 0)


def _in_octave(pitch_class: int, lowest: int) -> int:
    return lowest + (pitch_class - lowest) % 12


def drone(keys: Sequence[tuple[Fraction, Key]], end: Fraction) -> tuple[BackingNote, ...]:
    """Tonic and fifth for as long as each key lasts; nothing where a key has no tonic.

    `keys` are the keys with their onsets in quarters; `end` is when the music stops.
    """
    ends = [*(onset for onset, _ in keys[1:]), end]
    return tuple(
        BackingNote(onset, stop - onset, _in_octave(key.tonic_pitch_class, DRONE_FROM) + up, 0.0)
        for (onset, key), stop in zip(keys, ends, strict=True)
        if key.tonic and stop > onset
        for up in (0, FIFTH)
    )


def count_in(
    meter: Meter, pickup: Fraction, n_bars: int
) -> tuple[tuple[BackingNote, ...], Fraction]:
    """Clicks on the felt beats of `n_bars` bars, and how long they last, in quarters.

    `pickup` is the place in the bar where the music begins: the last bar of the count is cut short
    there. Free meter is counted in four.
    """
    beats = meter.beat_durations or (Fraction(1),) * 4
    clicks: list[BackingNote] = []
    position = Fraction(0)
    for _ in range(n_bars):
        for i, beat in enumerate(beats):
            midi = WOODBLOCK_LOW if i else WOODBLOCK_HIGH
            clicks.append(BackingNote(position, min(beat, Fraction(1, 4)), midi, 0.3 if i else 1.0))
            position += beat
    length = position - sum(beats) + pickup if n_bars and pickup else position
    return tuple(click for click in clicks if click.onset < length), length
