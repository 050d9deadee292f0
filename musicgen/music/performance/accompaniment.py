"""What goes with a melody: bass and chords from the chord symbols, a drone, a count-in."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from musicgen.music.chord_symbols import ChordSymbol, parse_chord
from musicgen.music.performance.pulse import PlacedBar
from musicgen.music.playback import Timeline, unfold
from musicgen.music.theory import Key, Meter
from musicgen.music.tune import Tune

# What is struck in each equal part of a bar: B the bass, F its fifth, C the chord, . nothing.
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
_ELSEWHERE = "B"  # once a beat, in meters that are not in the table
BASS_FROM, CHORD_FROM, DRONE_FROM = 36, 52, 45  # lowest MIDI pitch of each, an octave upwards
FIFTH = 7
WOODBLOCK_HIGH, WOODBLOCK_LOW = 76, 77  # General MIDI percussion
_BASS_LENGTH, _CHORD_LENGTH = Fraction(9, 10), Fraction(3, 5)  # shares of what is free for them


@dataclass(frozen=True, slots=True)
class Stroke:
    """One note of the accompaniment; times in quarters, `strength` as that of a beat (0 to 1)."""

    onset: Fraction
    duration: Fraction
    midi: int
    strength: float = 0.5


@dataclass(frozen=True, slots=True)
class Backing:
    """Bass and chords, and the symbols that could not be read."""

    bass: tuple[Stroke, ...] = ()
    chords: tuple[Stroke, ...] = ()
    unknown: tuple[str, ...] = ()


def back(tune: Tune, bars: Sequence[PlacedBar], end: Fraction) -> Backing:
    """An accompaniment to the chord symbols of a tune, in quarters of the music as it is played.

    `end` is when the music stops.
    """
    changes: dict[Fraction, ChordSymbol] = {}
    unknown: dict[str, None] = {}
    for onset, text in sorted(_symbols(tune)):
        chord = parse_chord(text)
        if chord is None:
            unknown[text] = None
        else:
            changes.setdefault(onset, chord)
    bass: list[Stroke] = []
    chords: list[Stroke] = []
    onsets, current = list(changes), list(changes.values())
    sounding = -1
    for place, length, sign in _steps(bars, end):
        i = bisect_right(onsets, place) - 1
        if i < 0 or not current[i].intervals:
            continue
        chord = current[i]
        if sign != "C":
            fifth = sign == "F" and i == sounding
            midi = _in_octave(chord.bass + _fifth_of(chord) * fifth, BASS_FROM)
            bass.append(Stroke(place, length * _BASS_LENGTH, midi, 0.4 if fifth else 0.7))
        else:
            chords += [
                Stroke(place, length * _CHORD_LENGTH, midi, 0.4)
                for midi in sorted({_in_octave(p, CHORD_FROM) for p in chord.pitch_classes})
            ]
        sounding = i
    return Backing(tuple(bass), tuple(chords), tuple(unknown))


def _symbols(tune: Tune) -> Iterator[tuple[Fraction, str]]:
    """Chord symbols of all voices, with their onsets as played."""
    for voice in unfold(tune).voices:
        position = Fraction(0)
        for event in voice.events:
            if event.marks.chord_symbol:
                yield position, event.marks.chord_symbol
            position += event.duration


def _steps(bars: Sequence[PlacedBar], end: Fraction) -> Iterator[tuple[Fraction, Fraction, str]]:
    """(onset, length until the next, sign) of every stroke of the patterns."""
    strokes: list[tuple[Fraction, str]] = []
    for bar in bars:
        for place, sign in _pattern(bar.meter):
            if bar.offset <= place < bar.offset + bar.duration:
                strokes.append((bar.downbeat + place, sign))
        if bar.meter.bar_duration is None:
            strokes.append((bar.onset, "B"))
            strokes.append((bar.onset, "C"))
    ends = [*(onset for onset, _ in strokes[1:]), end]
    for (onset, sign), stop in zip(strokes, ends, strict=False):  # where there are strokes
        yield onset, (stop - onset) or Fraction(1), sign


def _pattern(meter: Meter) -> list[tuple[Fraction, str]]:
    """(place in the bar, sign) of each stroke."""
    full = meter.bar_duration
    if full is None:
        return []
    signs = PATTERNS.get(f"{meter.beats[0]}/{meter.unit}") if len(meter.beats) == 1 else None
    if signs is not None:
        return [(full * i / len(signs), s) for i, s in enumerate(signs) if s != "."]
    beats = meter.beat_durations
    places = [sum(beats[:i], Fraction(0)) for i in range(len(beats))]
    halves = [(place, _ELSEWHERE) for place in places]
    return sorted(halves + [(p + b / 2, "C") for p, b in zip(places, beats, strict=True)])


def _fifth_of(chord: ChordSymbol) -> int:
    """The fifth as the chord has it (6 in a diminished one); none above a written bass note."""
    if chord.bass != chord.root:
        return 0
    return next((i for i in chord.intervals if i in (6, 7, 8)), 0)


def _in_octave(pitch_class: int, lowest: int) -> int:
    return lowest + (pitch_class - lowest) % 12


def drone(tune: Tune, played: Timeline) -> tuple[Stroke, ...]:
    """Tonic and fifth for as long as each key lasts; nothing where a key has no tonic."""
    keys: list[tuple[Fraction, Key]] = [(Fraction(0), tune.key)]
    keys += [(at, change.key) for at, change in played.changes if change.key is not None]
    ends = [at for at, _ in keys[1:]] + [played.duration]
    strokes = []
    for (onset, key), end in zip(keys, ends, strict=True):
        if key.tonic and end > onset:
            tonic = _in_octave(key.tonic_pitch_class, DRONE_FROM)
            strokes += [Stroke(onset, end - onset, tonic + up, 0.0) for up in (0, FIFTH)]
    return tuple(strokes)


def count_in(meter: Meter, pickup: Fraction, n_bars: int) -> tuple[tuple[Stroke, ...], Fraction]:
    """Clicks on the felt beats of `n_bars` bars, and how long they last, in quarters.

    `pickup` is the place in the bar where the music begins: the last bar of the count is cut short
    there. Free meter is counted in four.
    """
    beats = meter.beat_durations or (Fraction(1),) * 4
    clicks: list[Stroke] = []
    position = Fraction(0)
    for _ in range(n_bars):
        for i, beat in enumerate(beats):
            midi = WOODBLOCK_LOW if i else WOODBLOCK_HIGH
            clicks.append(Stroke(position, min(beat, Fraction(1, 4)), midi, 0.3 if i else 1.0))
            position += beat
    length = position - sum(beats) + pickup if n_bars and pickup else position
    return tuple(click for click in clicks if click.onset < length), length
