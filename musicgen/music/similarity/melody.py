"""The melody that is compared: the first line of a tune as pitches and inter-onset times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from musicgen.music.playback import melody
from musicgen.music.tune import Bar, Tune

TICKS_PER_QUARTER = 48
MAX_NOTES = 4096  # what follows is not compared
MAX_TICKS = 0xFFFF  # a longer note or bar counts as this long

Ints = NDArray[np.integer]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Melody:
    """The first line of a tune that sounds, as written, each bar once.

    `pitches` (n,) are MIDI numbers, no two neighbours equal: a repeated note counts as one, for
    cuts and bowing divide notes as the player likes. `lengths` (n,) are ticks from each onset to
    the next, the last one's to the end, so that a rest belongs to the note before it. `lead` are
    the ticks before the first onset, `bars` (b,) those of each bar, `beat` those of a felt beat.
    `place` is the collection or file, with the line where there is one.
    """

    pitches: NDArray[np.uint8]
    lengths: NDArray[np.uint16]
    bars: NDArray[np.uint16]
    lead: int = 0
    beat: int = TICKS_PER_QUARTER
    title: str = ""
    place: str = ""
    number: int = 0

    def __len__(self) -> int:
        return len(self.pitches)

    @property
    def onsets(self) -> NDArray[np.int64]:
        """(n,) the ticks at which each note begins."""
        return self.lead + np.cumsum(self.lengths, dtype=np.int64) - self.lengths

    @staticmethod
    def of(tune: Tune, *, place: str | None = None) -> Melody:
        """The melody of a tune; without notes where nothing sounds."""
        if place is None and tune.source is not None:
            line = tune.source.line
            place = f"{tune.source.path}:{line}" if line else tune.source.path
        pitches: list[int] = []
        lengths: list[int] = []
        bars: Sequence[Bar] = ()
        lead = 0
        for voice in tune.voices:
            pitches, lengths, lead = _onsets(melody(voice))
            if pitches:
                bars = voice.bars
                break
        return Melody(
            pitches=np.array(pitches[:MAX_NOTES], np.int64).clip(0, 127).astype(np.uint8),
            lengths=np.array(lengths[:MAX_NOTES], np.uint16),
            bars=np.array([_bar_ticks(bar) for bar in bars], np.uint16),
            lead=lead,
            beat=_whole(_exact_ticks(next(iter(tune.meter.beat_durations), Fraction(1)))),
            title=tune.title,
            place=place or "",
            number=tune.number,
        )


def _onsets(line: Sequence[tuple[int | None, Fraction]]) -> tuple[list[int], list[int], int]:
    """Pitches, ticks to the next onset, ticks before the first."""
    pitches: list[int] = []
    onsets: list[float] = []
    position = 0.0
    for midi, duration in line:
        if midi is not None and (not pitches or pitches[-1] != midi):
            pitches.append(midi)
            onsets.append(position)
        position += _exact_ticks(duration)
    ends = [*onsets, position][1:]
    lengths = [max(1, _whole(end - onset)) for onset, end in zip(onsets, ends, strict=True)]
    return pitches, lengths, _whole(onsets[0]) if onsets else 0


def _bar_ticks(bar: Bar) -> int:
    return _whole(sum(_exact_ticks(event.duration) for event in bar.timed))


def _exact_ticks(duration: Fraction) -> float:
    return TICKS_PER_QUARTER * duration.numerator / duration.denominator


def _whole(ticks: float) -> int:
    return min(MAX_TICKS, round(ticks))
