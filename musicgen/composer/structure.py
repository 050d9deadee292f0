"""How well made a tune is, by rule: repetition, cadence, range, no loops, nothing copied."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from musicgen.music.playback import melody
from musicgen.music.similarity import COPY_SIMILARITY, RELATED_SIMILARITY
from musicgen.music.tune import Chord, Note, Rest, Timed, Tune

# Between the middle two numbers all is as in 90 % of the tunes of the shipped corpus (1,502 of
# every third file); at the outer two nothing of the value is left.
REPETITION = (-0.05, 0.05, 0.48, 0.9)  # share of bars that occur before in the tune, to the note
RANGE = (0.0, 12.0, 24.0, 36.0)  # semitones
LOOPING = (-1.0, 0.0, 0.05, 0.3)  # share of bars that repeat the bar before
SIMILARITY = (-1.0, 0.0, RELATED_SIMILARITY, COPY_SIMILARITY)  # to the nearest tune of a corpus


def structure(tune: Tune, similarity: float = 0.0) -> float:
    """A score from 0 to 1: the mean of four values, times how far the tune is from any copy.

    The values are whether bars come back about as often as in the corpus (`REPETITION`), whether
    the last note is the tonic (1), or its third or fifth (1/2), whether the range is usual
    (`RANGE`), and whether bars are not stuck (`LOOPING`). `similarity` is that of the nearest tune
    of the corpus. A tune without notes has 0.
    """
    sounding = [midi for voice in tune.voices[:1] for midi, _ in melody(voice) if midi is not None]
    if not sounding:
        return 0.0
    bars = _bars(tune)
    again = sum(bar in bars[:k] for k, bar in enumerate(bars)) / len(bars)
    stuck = sum(a == b for a, b in pairwise(bars)) / len(bars)
    values = (
        _within(again, REPETITION),
        _cadence(tune, sounding[-1]),
        _within(max(sounding) - min(sounding), RANGE),
        _within(stuck, LOOPING),
    )
    return sum(values) / len(values) * _within(similarity, SIMILARITY)


def _bars(tune: Tune) -> list[tuple[tuple[tuple[int, ...], Fraction], ...]]:
    """The bars of the first voice that hold a note, as what sounds in them."""
    bars = ([event for event in bar.timed if event.duration] for bar in tune.bars)
    return [
        tuple((_pitches(event), event.duration) for event in events)
        for events in bars
        if any(not isinstance(event, Rest) for event in events)
    ]


def _pitches(event: Timed) -> tuple[int, ...]:
    if isinstance(event, Note):
        return (event.midi,)
    return tuple(note.midi for note in event.notes) if isinstance(event, Chord) else ()


def _cadence(tune: Tune, last: int) -> float:
    degree = (last - tune.key.tonic_pitch_class) % 12
    return 1.0 if degree == 0 else 0.5 if degree in (3, 4, 7) else 0.0


def _within(value: float, corners: tuple[float, float, float, float]) -> float:
    """1 between the inner corners, 0 outside the outer ones, a straight line between."""
    zero, one, still_one, zero_again = corners
    if value < one:
        return max(0.0, (value - zero) / (one - zero))
    return 1.0 if value <= still_one else max(0.0, (zero_again - value) / (zero_again - still_one))
