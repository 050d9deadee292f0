"""A small synthesizer of our own: sums of sines, a click, a gentle room; needs numpy alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musicgen.formats.audio.sound import BLOCK_FRAMES, SAMPLE_RATE, Samples
from musicgen.music.performance import Performance, Player, SoundingNote

_NYQUIST = 0.45 * SAMPLE_RATE  # partials above are left out
_RELEASE_S = 0.08
_DECAYS = 4  # a struck note is over after so many of its decay times
_CLICK_HZ, _CLICK_S = 1_800.0, 0.04
_ROOM_S, _ROOM_SEED = 0.9, 1
_LOUDEST = 0.2  # of one note at full velocity


@dataclass(frozen=True, slots=True)
class Timbre:
    """Amplitudes of the partials from the fundamental on; seconds to swell; seconds to fade to
    1/e, or None for a sound that is kept up."""

    partials: tuple[float, ...]
    attack_s: float
    decay_s: float | None = None


_PLUCKED = Timbre((1.0, 0.5, 0.3, 0.18, 0.1, 0.06), 0.004, 0.5)
_STRUCK = Timbre((1.0, 0.4, 0.2, 0.12, 0.06), 0.003, 0.8)
_BOWED = Timbre((1.0, 0.55, 0.4, 0.25, 0.18, 0.1, 0.06), 0.03)
_BLOWN = Timbre((1.0, 0.3, 0.12, 0.05), 0.025)
_REEDS = Timbre((1.0, 0.6, 0.55, 0.3, 0.25, 0.15, 0.08), 0.02)
_BELL = Timbre((1.0, 0.25, 0.12), 0.002, 1.0)
# General MIDI's families, eight programs each.
FAMILIES = (
    *(_STRUCK, _BELL, _REEDS, _PLUCKED),  # piano, chromatic percussion, organ, guitar
    *(_PLUCKED, _BOWED, _BOWED, _REEDS),  # bass, strings, ensemble, brass
    *(_REEDS, _BLOWN, _REEDS, _BOWED),  # reed, pipe, lead, pad
    *(_BOWED, _PLUCKED, _BELL, _BOWED),  # effects, plucked and world, percussive, sound effects
)
_PLUCKED_OR_STRUCK_STRINGS = {45: _PLUCKED, 46: _PLUCKED, 47: _STRUCK}
_KEPT_UP = {109: _REEDS, 110: _BOWED, 111: _REEDS}


class AdditiveSynth:
    """Plays performances with sines."""

    def __init__(self, reverb: float) -> None:
        self._reverb = reverb

    def blocks(self, performance: Performance, n_frames: int) -> Iterator[Samples]:
        """The sound, as `Synthesizer` says."""
        room = _Room(self._reverb) if self._reverb > 0 else None
        waiting = [_Voice.of(note, performance.parts[note.part]) for note in performance.notes]
        waiting.sort(key=lambda voice: voice.start, reverse=True)
        sounding: list[_Voice] = []
        for start in range(0, n_frames, BLOCK_FRAMES):
            block = np.zeros((min(BLOCK_FRAMES, n_frames - start), 2), np.float32)
            stop = start + len(block)
            while waiting and waiting[-1].start < stop:
                sounding.append(waiting.pop())
            for voice in sounding:
                first, last = max(voice.start, start), min(voice.stop, stop)
                block[first - start : last - start] += voice.sound(first, last)
            sounding = [voice for voice in sounding if voice.stop > stop]
            yield block if room is None else room.add(block)


@dataclass(frozen=True, slots=True)
class _Voice:
    """A note that sounds from frame `start` to `stop`, release included."""

    note: SoundingNote
    part: Player
    start: int
    stop: int

    @staticmethod
    def of(note: SoundingNote, part: Player) -> _Voice:
        start = round(note.onset_s * SAMPLE_RATE)
        length_s = _CLICK_S if part.percussion else _held_s(note, part) + _RELEASE_S
        return _Voice(note, part, start, start + round(length_s * SAMPLE_RATE))

    def sound(self, first: int, last: int) -> Samples:
        """Frames [first, last) of the recording, for both ears."""
        seconds = np.arange(first - self.start, last - self.start) / SAMPLE_RATE
        mono = _click(self.note, seconds) if self.part.percussion else self._tone(seconds)
        angle = (self.part.pan + 1) * np.pi / 4
        loudness = _LOUDEST * self.part.level * (self.note.velocity / 127) ** 2
        sides = np.array([np.cos(angle), np.sin(angle)]) * loudness
        sound: Samples = (mono[:, None] * sides).astype(np.float32)
        return sound

    def _tone(self, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        kind = timbre(self.part.program)
        tone = _partials(self.note.midi, kind, seconds)
        tone *= np.minimum(seconds / kind.attack_s, 1.0)
        if kind.decay_s is not None:
            tone *= np.exp(-seconds / kind.decay_s)
        left = (_held_s(self.note, self.part) + _RELEASE_S - seconds) / _RELEASE_S
        tone *= np.clip(left, 0.0, 1.0)
        return tone


def timbre(program: int) -> Timbre:
    """The sound that comes nearest to a General MIDI program."""
    exceptions = _PLUCKED_OR_STRUCK_STRINGS | _KEPT_UP
    return exceptions.get(program, FAMILIES[program // 8])


def _held_s(note: SoundingNote, part: Player) -> float:
    """How long a note sounds before it is released."""
    decay_s = timbre(part.program).decay_s
    return note.duration_s if decay_s is None else min(note.duration_s, _DECAYS * decay_s)


def _partials(midi: int, timbre: Timbre, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    frequency = 440.0 * 2.0 ** ((midi - 69) / 12)
    phase = 2 * np.pi * frequency * seconds
    before, partial, twice_cos = np.zeros_like(phase), np.sin(phase), 2 * np.cos(phase)
    tone: NDArray[np.float64] = np.zeros(len(seconds))
    for number, amplitude in enumerate(timbre.partials, start=1):
        if number * frequency > _NYQUIST:
            break
        tone += amplitude / sum(timbre.partials) * partial
        before, partial = partial, twice_cos * partial - before  # sine of the next multiple
    return tone


def _click(note: SoundingNote, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    pitch = _CLICK_HZ * 2.0 ** ((76 - note.midi) / 3)  # the low wood block is a third lower
    click: NDArray[np.float64] = np.sin(2 * np.pi * pitch * seconds) * np.exp(-seconds / 0.008)
    return click


class _Room:
    """Reverberation: noise that dies away, a different one for each ear, by fast convolution."""

    def __init__(self, level: float) -> None:
        n = round(_ROOM_S * SAMPLE_RATE)
        noise = np.random.default_rng(_ROOM_SEED).standard_normal((n, 2))
        fading = noise * np.exp(-6.0 * np.arange(n) / n)[:, None]
        self._size = 2 * BLOCK_FRAMES  # room for a block and its echo
        self._echo = (
            level * 0.4 * np.fft.rfft(fading / np.sqrt((fading**2).sum(axis=0)), self._size, axis=0)
        )
        self._tail = np.zeros((n, 2))

    def add(self, block: Samples) -> Samples:
        """A block with the echo of it and of those before."""
        wet = np.fft.irfft(np.fft.rfft(block, self._size, axis=0) * self._echo, self._size, axis=0)
        wet[: len(self._tail)] += self._tail
        self._tail = wet[len(block) : len(block) + len(self._tail)]
        return (block + wet[: len(block)]).astype(np.float32)
