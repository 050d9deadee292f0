"""Player, SoundingNote, Performance: the input of a synthesizer; NoteTiming for a display."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Player:
    """One player. `program` is General MIDI's, `pan` is -1 (left) to 1 (right), `level` how loud,
    0 to 1. With `percussion`, pitches are General MIDI percussion keys."""

    name: str
    program: int = 0
    pan: float = 0.0
    level: float = 1.0
    percussion: bool = False


@dataclass(frozen=True, slots=True)
class SoundingNote:
    """One note as it sounds: MIDI pitch, velocity 1 to 127, number of its part from 0."""

    onset_s: float
    duration_s: float
    midi: int
    velocity: int
    part: int

    @property
    def end_s(self) -> float:
        """When it is released."""
        return self.onset_s + self.duration_s


@dataclass(frozen=True, slots=True)
class Performance:
    """Everything that sounds, by onset. `duration_s` lasts to the end of the last bar; `warnings`
    name what could not be played."""

    parts: tuple[Player, ...]
    notes: tuple[SoundingNote, ...]
    duration_s: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoteTiming:
    """When a written note sounds, in seconds, without ornaments: MIDI pitch, number of its voice
    and `place` (bar and timed event, from 0; None for a note of an overlay)."""

    onset_s: float
    duration_s: float
    midi: int
    voice: int
    place: tuple[int, int] | None
