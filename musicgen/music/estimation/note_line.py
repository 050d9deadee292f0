"""A line of timed notes without key, meter or bar lines: the input of all estimates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from musicgen.music.tune import Voice, highest

GRID = 24  # places of a quarter note: thirty-seconds and sixteenth triplets


@dataclass(frozen=True, slots=True)
class NoteLine:
    """A line of notes by onset: (onset, end, MIDI pitch), times in `GRID`-ths of a quarter note."""

    notes: tuple[tuple[int, int, int], ...]

    @staticmethod
    def of(notes: Iterable[tuple[int | Fraction, int | Fraction, int]], units: int = 1) -> NoteLine:
        """From onsets and ends in `units` to a quarter note, rounded to the grid."""
        rounded = ((round(on * GRID / units), round(end * GRID / units), p) for on, end, p in notes)
        return NoteLine(tuple(sorted(rounded)))

    @staticmethod
    def of_voice(voice: Voice) -> NoteLine:
        """The main line of a voice as written, chords by their highest note, ties not joined."""
        return NoteLine.of(
            (onset, onset + event.duration, top.midi)
            for onset, event in voice.placed
            if (top := highest(event)) is not None
        )

    @property
    def end(self) -> int:
        """Where the last note ends; 0 without notes."""
        return max((end for _, end, _ in self.notes), default=0)

    def pitch_classes(self) -> list[int]:
        """Time spent on each pitch class, from C up, in `GRID`-ths."""
        times = [0] * 12
        for onset, end, midi in self.notes:
            times[midi % 12] += end - onset
        return times
