"""Melodies end to end, and the pitch sequences that are searched: all notes, notes on beats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from musicgen.music.similarity.families import interval_runs
from musicgen.music.similarity.melody import Melody

RUN_INTERVALS = 6  # long enough to be rare, short enough to survive a change nearby
_MIN_MOVES = 3
_MIN_BEAT = 6  # ticks
_BEATS_PER_NOTE = 8  # on average at most; what follows in a melody is not looked for
Scalar = TypeVar("Scalar", bound=np.generic)
_HASH = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class Melodies:
    """T melodies end to end. `sizes`, `leads`, `beats` and `n_bars` have one number each; the
    notes of melody t are `pitches[starts[t]:starts[t + 1]]`."""

    pitches: NDArray[np.uint8]
    lengths: NDArray[np.uint16]
    sizes: NDArray[np.uint32]
    leads: NDArray[np.uint32]
    beats: NDArray[np.uint16]
    bars: NDArray[np.uint16]
    n_bars: NDArray[np.uint32]

    @staticmethod
    def of(melodies: Sequence[Melody]) -> Melodies:
        """Lay them end to end."""
        return Melodies(
            pitches=_joined((m.pitches for m in melodies), np.uint8),
            lengths=_joined((m.lengths for m in melodies), np.uint16),
            sizes=np.array([len(m) for m in melodies], np.uint32),
            leads=np.array([m.lead for m in melodies], np.uint32),
            beats=np.array([m.beat for m in melodies], np.uint16),
            bars=_joined((m.bars for m in melodies), np.uint16),
            n_bars=np.array([len(m.bars) for m in melodies], np.uint32),
        )

    def __len__(self) -> int:
        return len(self.sizes)

    def melody(self, number: int, *, title: str, place: str, tune_number: int) -> Melody:
        """One of them again."""
        notes = slice(*self._note_starts[number : number + 2].tolist())
        bars = slice(*self._bar_starts[number : number + 2].tolist())
        return Melody(
            pitches=self.pitches[notes],
            lengths=self.lengths[notes],
            bars=self.bars[bars],
            lead=int(self.leads[number]),
            beat=int(self.beats[number]),
            title=title,
            place=place,
            number=tune_number,
        )

    @cached_property
    def _note_starts(self) -> NDArray[np.int64]:
        return _starts(self.sizes)

    @cached_property
    def _bar_starts(self) -> NDArray[np.int64]:
        return _starts(self.n_bars)


@dataclass(frozen=True, eq=False)
class PitchSequences:
    """Sequences of pitch classes end to end; sequence s begins at `starts[s]`."""

    pitch_classes: NDArray[np.uint8]
    starts: NDArray[np.int64]

    @property
    def owners(self) -> NDArray[np.int32]:
        """(N,) the sequence of each place."""
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))

    def runs(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Every run of `RUN_INTERVALS` intervals, modulo octaves, that lies within one sequence:
        a number for its intervals, and the place where it begins. Runs in which hardly anything
        moves are left out: every long note has them."""
        steps = (self.pitch_classes[1:] + np.uint8(12) - self.pitch_classes[:-1]) % 12
        runs = interval_runs(steps, RUN_INTERVALS)
        moves = np.concatenate([[0], np.cumsum(steps != 0)])
        owners = self.owners
        kept = owners[: len(runs)] == owners[RUN_INTERVALS:][: len(runs)]
        kept &= moves[RUN_INTERVALS:][: len(runs)] - moves[: len(runs)] >= _MIN_MOVES
        places = np.flatnonzero(kept)
        # Multiplying spreads the 48 bits over the upper half; a chance collision does no harm.
        numbers = (runs[places] * _HASH >> np.uint64(32)).astype(np.uint32)
        return numbers, places.astype(np.uint32)


def indexed_sequences(melodies: Melodies) -> PitchSequences:
    """2 T sequences: all notes of each melody, then the notes that sound on the beats of each."""
    return _joined_sequences([_notes(melodies), _on_beats(melodies, 1, 0)])


def query_sequences(melody: Melody) -> PitchSequences:
    """The sequences to look for: all notes, and those on the beats of a notation in which bars and
    beats may be twice or half as long."""
    one = Melodies.of([melody])
    beats = [_on_beats(one, size, phase) for size, phase in ((1, 0), (0.5, 0), (2, 0), (2, 1))]
    return _joined_sequences([_notes(one), *beats])


def _notes(melodies: Melodies) -> PitchSequences:
    return PitchSequences(melodies.pitches % 12, _starts(melodies.sizes))


def _on_beats(melodies: Melodies, size: float, phase: int) -> PitchSequences:
    """The notes that sound every `size` beats, from the first bar line or `phase` beats later."""
    starts = _starts(melodies.sizes)
    time = _starts(melodies.lengths)  # all melodies one after the other
    begins, ends = time[starts[:-1]], time[starts[1:]]
    steps = np.maximum(_MIN_BEAT, melodies.beats * size).astype(np.int64)
    first_bars = np.zeros(len(melodies), np.int64)
    some = melodies.n_bars > 0
    first_bars[some] = melodies.bars[_starts(melodies.n_bars)[:-1][some]]
    # Ticks from the first onset to the first beat that is not before it.
    offsets = (first_bars + phase * melodies.beats - melodies.leads.astype(np.int64)) % steps
    counts = np.maximum(0, -((begins + offsets - ends) // steps))
    counts = np.minimum(counts, _BEATS_PER_NOTE * melodies.sizes.astype(np.int64))
    firsts = _starts(counts)
    numbers = np.arange(firsts[-1]) - np.repeat(firsts[:-1], counts)
    times = np.repeat(begins + offsets, counts) + numbers * np.repeat(steps, counts)
    sounding = np.searchsorted(time, times, "right") - 1
    return PitchSequences(melodies.pitches[sounding] % 12, firsts)


def _joined_sequences(parts: Sequence[PitchSequences]) -> PitchSequences:
    pitch_classes = np.concatenate([part.pitch_classes for part in parts])
    return PitchSequences(
        pitch_classes, _starts(np.concatenate([np.diff(p.starts) for p in parts]))
    )


def _starts(sizes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Where each of several sequences begins when they are laid end to end, and the end."""
    starts = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=starts[1:])
    return starts


def _joined(arrays: Iterable[NDArray[Scalar]], dtype: type[Scalar]) -> NDArray[Scalar]:
    return np.concatenate([np.zeros(0, dtype), *arrays])
