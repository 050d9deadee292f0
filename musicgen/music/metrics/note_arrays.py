"""The notes of a tune as arrays, repeats played out: the input of every measure.

Repeats are played out and ties joined, so a tune counts the same whether it comes from ABC with
repeat signs or from MIDI without any. Times are ticks, `TICKS` to a quarter note.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import InvalidTuneError
from musicgen.music.playback import PlayedBar, PlayedNote, timeline
from musicgen.music.theory import MODE_FIFTHS, STEP_SEMITONES, Key
from musicgen.music.tune import SECTION_LINES, Tune

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

TICKS = 10080  # a quarter note: divides by all lengths down to 1/128, triplets, fives and sevens


@dataclass(frozen=True, eq=False)
class NoteArrays:
    """The melody of a tune: N notes in K measures.

    The melody is the first voice that has notes, the highest where several sound together. A
    measure is a whole bar: a short bar and the pickup that completes it are one. `measures` (N,)
    counts from 0, a pickup before the first whole bar is measure -1; `positions` (N,) are ticks
    from the measure's beginning, a pickup's counted back from its end. `key` is the heading's.
    `sections` are the lengths, in measures, of the parts between repeat signs and double bars.
    """

    onsets: Ints
    durations: Ints
    pitches: Ints
    measures: Ints
    positions: Ints
    measure_ticks: int
    n_measures: int
    beat_ticks: int
    key: Key
    meter: str
    rhythm: str
    sections: tuple[int, ...]

    @staticmethod
    def of(tune: Tune) -> NoteArrays:
        """The melody of a tune with its repeats played out.

        Raises:
            InvalidTuneError: nothing sounds, it has no bars, or it is too long to play.
        """
        tune = tune.without_drums
        played = timeline(tune)
        notes = _skyline(played.notes)
        if not notes or not played.bars:
            raise InvalidTuneError("no notes")
        starts, lengths, full, pickup = _measures(played.bars)
        onsets = np.array([_ticks(note.onset) for note in notes], np.int64)
        places = np.searchsorted(starts, onsets, side="right") - 1
        positions = onsets - starts[places]
        if pickup:
            positions = np.where(places == 0, positions + max(0, full - int(lengths[0])), positions)
        meter = tune.meter
        return NoteArrays(
            onsets=onsets,
            durations=np.array([max(1, _ticks(note.duration)) for note in notes], np.int64),
            pitches=np.array([note.midi for note in notes], np.int64),
            measures=places - pickup,
            positions=positions,
            measure_ticks=full,
            n_measures=len(starts) - pickup,
            beat_ticks=_ticks(next(iter(meter.beat_durations), Fraction(1))),
            key=tune.key if tune.key.mode in MODE_FIFTHS else Key(tune.key.tonic or "C", "major"),
            # As a fraction, so that C and 4/4 are one.
            meter=f"{sum(meter.beats)}/{meter.unit}" if meter.beats else "none",
            rhythm=tune.rhythm,
            sections=_sections(tune),
        )

    @cached_property
    def degrees(self) -> Ints:
        """Semitones above the tonic, 0-11: (N,)."""
        return (self.pitches - self.key.tonic_pitch_class) % 12

    @cached_property
    def intervals(self) -> Ints:
        """Semitones from each note to the next: (N - 1,)."""
        return np.diff(self.pitches)

    @cached_property
    def scale(self) -> NDArray[np.bool_]:
        """True for each of the 12 degrees that belongs to the key's scale: (12,)."""
        alters = self.key.signature
        scale = np.zeros(12, np.bool_)
        for step, semitones in STEP_SEMITONES.items():
            scale[(semitones + alters[step] - self.key.tonic_pitch_class) % 12] = True
        return scale

    @cached_property
    def rhythms(self) -> dict[int, tuple[int, ...]]:
        """By measure, the positions at which its notes begin; measures without notes and the
        pickup are left out."""
        positions: dict[int, list[int]] = {}
        for measure, position in zip(self.measures.tolist(), self.positions.tolist(), strict=True):
            if measure >= 0:
                positions.setdefault(measure, []).append(position)
        return {measure: tuple(onsets) for measure, onsets in positions.items()}

    @cached_property
    def contents(self) -> Ints:
        """A number for each measure, the same for measures with the same notes: (K,)."""
        notes: list[list[tuple[int, ...]]] = [[] for _ in range(self.n_measures)]
        rows = np.stack([self.positions, self.durations, self.pitches], axis=1).tolist()
        for measure, note in zip(self.measures.tolist(), rows, strict=True):
            if measure >= 0:
                notes[measure].append(tuple(note))
        numbers: dict[tuple[tuple[int, ...], ...], int] = {}
        return np.array([numbers.setdefault(tuple(m), len(numbers)) for m in notes], np.int64)

    @cached_property
    def similarity(self) -> Floats:
        """Self-similarity of the measures: (K, K), from 0 (no note in common) to 1 (the same).

        Two measures share the notes that begin at the same place with the same pitch, divided by
        the number of notes of the fuller one. After Foote, "Visualizing music and audio using
        self-similarity", ACM Multimedia 1999, with notes in place of spectra.
        """
        inside = self.measures >= 0
        rows, pitches = self.measures[inside], self.pitches[inside]
        _, column = np.unique(self.positions[inside] * 128 + pitches, return_inverse=True)
        table = np.zeros((self.n_measures, column.max(initial=0) + 1))
        table[rows, column] = 1
        sizes = table.sum(axis=1)
        fuller = np.maximum(sizes[:, None], sizes[None, :])
        return np.where(fuller > 0, table @ table.T / np.maximum(fuller, 1), 1.0)


def _ticks(quarters: Fraction) -> int:
    ticks, rest = divmod(quarters.numerator * TICKS, quarters.denominator)
    return round(quarters * TICKS) if rest else ticks


def _skyline(notes: Sequence[PlayedNote]) -> list[PlayedNote]:
    """The first voice that has notes, of notes that begin together the highest."""
    first = min((note.voice for note in notes), default=0)
    highest: dict[Fraction, PlayedNote] = {}
    for note in notes:
        if note.voice == first:
            other = highest.get(note.onset)
            if other is None or note.midi > other.midi:
                highest[note.onset] = note
    return list(highest.values())


def _measures(bars: Sequence[PlayedBar]) -> tuple[Ints, Ints, int, int]:
    """Onsets and lengths of the measures, the usual length, and 1 if the first is a pickup."""
    starts: list[Fraction] = []
    lengths: list[Fraction] = []
    remaining = Fraction(0)  # time left in the open measure
    for bar in bars:
        if bar.duration <= 0:
            continue
        full = bar.meter.bar_duration or bar.duration
        if starts and bar.duration <= remaining and bar.duration < full:
            lengths[-1] += bar.duration
            remaining -= bar.duration
        else:
            starts.append(bar.onset)
            lengths.append(bar.duration)
            # A pickup is completed at the end, not by the next bar.
            remaining = full - bar.duration if len(starts) > 1 else Fraction(0)
    usual = [bar.meter.bar_duration or bar.duration for bar in bars]
    full = max(set(usual), key=usual.count)
    pickup = int(len(starts) > 1 and lengths[0] < full)
    starts_ticks, lengths_ticks = (
        np.array([_ticks(time) for time in times], np.int64) for times in (starts, lengths)
    )
    return starts_ticks, lengths_ticks, _ticks(full), pickup


def _sections(tune: Tune) -> tuple[int, ...]:
    """Lengths in whole bars of the written parts, second and later endings not counted."""
    bars = next((voice.bars for voice in tune.voices if any(voice.events)), ())
    sections, length, later_ending = [], Fraction(0), False
    for bar in bars:
        if bar.repeat_start and length:
            sections.append(length)
            length = Fraction(0)
        if bar.volta:
            later_ending = min(bar.volta) > 1
        full = tune.meter.bar_duration or bar.duration
        if not later_ending and full:
            length += bar.duration / full
        if bar.barline in SECTION_LINES or (bar.repeat_end and not later_ending):
            if length:
                sections.append(length)
            length, later_ending = Fraction(0), False
    if length:
        sections.append(length)
    return tuple(max(1, round(part)) for part in sections)
