"""FluidSynth, tuned key by key: called through ctypes, in the child process only.

The library is the one inside the pygame-ce package (Linux, macOS), or else the system's.
Soundfonts are not always in tune (the accordion of TimGM6mb is up to 68 cents flat), so every key
that is played is measured first and corrected by the synthesizer's own key tuning.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import ConfigError, InvalidTuneError
from musicgen.formats.audio.pitch import cents_off
from musicgen.formats.audio.sound import BLOCK_FRAMES, SAMPLE_RATE, Samples
from musicgen.music.performance import Performance, Player

_POINTER, _TEXT, _INT, _DOUBLE = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_double
_DOUBLES = ctypes.POINTER(ctypes.c_double)
# The functions we call, from the headers of FluidSynth 2: name, result, arguments.
_FUNCTIONS: tuple[tuple[str, object, tuple[object, ...]], ...] = (
    ("new_fluid_settings", _POINTER, ()),
    ("delete_fluid_settings", None, (_POINTER,)),
    ("fluid_settings_setnum", _INT, (_POINTER, _TEXT, _DOUBLE)),
    ("fluid_settings_setint", _INT, (_POINTER, _TEXT, _INT)),
    ("new_fluid_synth", _POINTER, (_POINTER,)),
    ("delete_fluid_synth", None, (_POINTER,)),
    ("fluid_synth_sfload", _INT, (_POINTER, _TEXT, _INT)),
    ("fluid_synth_set_channel_type", _INT, (_POINTER, _INT, _INT)),
    ("fluid_synth_program_select", _INT, (_POINTER, _INT, _INT, _INT, _INT)),
    ("fluid_synth_cc", _INT, (_POINTER, _INT, _INT, _INT)),
    ("fluid_synth_pitch_bend", _INT, (_POINTER, _INT, _INT)),
    ("fluid_synth_noteon", _INT, (_POINTER, _INT, _INT, _INT)),
    ("fluid_synth_noteoff", _INT, (_POINTER, _INT, _INT)),
    ("fluid_synth_all_sounds_off", _INT, (_POINTER, _INT)),
    (
        "fluid_synth_activate_key_tuning",
        _INT,
        (_POINTER, _INT, _INT, _TEXT, _DOUBLES, _INT),
    ),
    ("fluid_synth_activate_tuning", _INT, (_POINTER, _INT, _INT, _INT, _INT)),
    (
        "fluid_synth_write_float",
        _INT,
        (_POINTER, _INT, _POINTER, _INT, _INT, _POINTER, _INT, _INT),
    ),
)
_NAMES = ("fluidsynth", "fluidsynth-3", "libfluidsynth", "libfluidsynth-3")
_BUNDLED = (("../pygame_ce.libs", "libfluidsynth*.so*"), (".dylibs", "libfluidsynth*.dylib"))
_PAN, _VOLUME, _REVERB_SEND = 10, 7, 91  # MIDI controllers
_MELODIC, _DRUMS = 0, 1
_DRUM_BANK = 128
_WHEEL_CENTRE, _WHEEL_CENTS = 8192, 200  # the pitch wheel's middle, and its range each way
_GAIN = 0.2
# A key is measured over a short, a usual and a long note, without its attack: the flute of TimGM6mb
# moves by 17 cents in a second.
_PROBES_S, _ATTACK_S = (0.14, 0.4, 1.2), 0.06
_PROBE_VELOCITY = 90
_SILENCE = 1e-5
_FADE = 4096  # frames in which a note that was cut off dies away
_BUFFER = 64  # frames that FluidSynth synthesizes at a time; a note begins with the next of them


@cache
def library() -> ctypes.CDLL | None:
    """FluidSynth with its prototypes declared; None where it is not installed."""
    for path in _library_paths():
        try:
            fluidsynth = ctypes.CDLL(path)
            for name, result, arguments in _FUNCTIONS:
                function = getattr(fluidsynth, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError):  # not for this machine, or version 1
            continue
        return fluidsynth
    return None


def _library_paths() -> Iterator[str]:
    package = importlib.util.find_spec("pygame")  # located, not imported
    if package is not None and package.origin is not None:
        folder = Path(package.origin).parent
        for place, name in _BUNDLED:
            yield from sorted(map(str, (folder / place).glob(name)))
    # Slow to find: on Linux, this asks the compiler.
    yield from filter(None, map(ctypes.util.find_library, _NAMES))


def synthesize(
    performance: Performance, n_frames: int, *, soundfont: str, reverb: float
) -> Iterator[Samples]:
    """Stereo blocks of at most `BLOCK_FRAMES`, `n_frames` in all.

    Raises:
        ConfigError: the soundfont cannot be read, or lacks an instrument.
        InvalidTuneError: an instrument has no sound at a pitch.
    """
    with closing(_Engine(soundfont, reverb)) as engine:
        loudness = {}
        for channel, part in enumerate(performance.parts):
            if keys := sorted({note.midi for note in performance.notes if note.part == channel}):
                loudness[channel] = _prepare(engine, channel, part, keys)
        _balance(engine, performance.parts, loudness)
        yield from _play(engine, performance, n_frames)


def _prepare(engine: _Engine, channel: int, part: Player, keys: list[int]) -> float:
    """Set up a channel, in tune; returns the loudness (RMS) of its keys, at least one, by
    themselves."""
    engine.select(channel, part.program, drums=part.percussion)
    engine.control(channel, _PAN, round(64 + 63 * part.pan))
    engine.control(channel, _REVERB_SEND, round(127 * engine.reverb))
    probes = [_probe(engine.soundfont, part.program, part.percussion, key) for key in keys]
    if not part.percussion:
        engine.tune(channel, {k: -probe.cents for k, probe in zip(keys, probes, strict=True)})
    return float(np.median([probe.rms for probe in probes]))


class _Engine:
    """One synthesizer of the library."""

    def __init__(self, soundfont: str, reverb: float) -> None:
        fluidsynth = library()
        if fluidsynth is None:
            raise ConfigError(
                "FluidSynth is not installed; install pygame-ce or use the additive synthesizer"
            )
        self._library, self.soundfont, self.reverb = fluidsynth, soundfont, reverb
        self._settings = fluidsynth.new_fluid_settings()
        for name, number in (
            ("synth.sample-rate", float(SAMPLE_RATE)),
            ("synth.gain", _GAIN),
            ("synth.reverb.room-size", 0.5),
            ("synth.reverb.damp", 0.3),
            ("synth.reverb.level", 0.7),
        ):
            fluidsynth.fluid_settings_setnum(self._settings, name.encode(), number)
        for name, value in (
            ("synth.midi-channels", 64),
            ("synth.chorus.active", 0),
            ("synth.reverb.active", int(reverb > 0)),
        ):
            fluidsynth.fluid_settings_setint(self._settings, name.encode(), value)
        self._synth = fluidsynth.new_fluid_synth(self._settings)
        self._font = fluidsynth.fluid_synth_sfload(self._synth, soundfont.encode(), 0)
        if self._font < 0:
            self.close()
            raise ConfigError(f"{soundfont}: is not a soundfont that FluidSynth can read")

    def close(self) -> None:
        self._library.delete_fluid_synth(self._synth)
        self._library.delete_fluid_settings(self._settings)

    def select(self, channel: int, program: int, *, drums: bool = False) -> None:
        kind, bank = (_DRUMS, _DRUM_BANK) if drums else (_MELODIC, 0)
        self._library.fluid_synth_set_channel_type(self._synth, channel, kind)
        if self._library.fluid_synth_program_select(
            self._synth, channel, self._font, bank, program
        ):
            what = "percussion" if drums else f"instrument {program}"
            raise ConfigError(f"{self.soundfont}: has no {what}; choose another")

    def control(self, channel: int, controller: int, value: int) -> None:
        self._library.fluid_synth_cc(self._synth, channel, controller, min(max(value, 0), 127))

    def tune(self, channel: int, corrections: dict[int, float]) -> None:
        """Move keys by cents.

        FluidSynth takes the sample of the key that is nearest to the tuned pitch. Half a semitone
        would be another key's, so what all corrections have in common is done by the pitch wheel.
        """
        common = (min(corrections.values()) + max(corrections.values())) / 2
        bend = round(_WHEEL_CENTRE * (1 + common / _WHEEL_CENTS))
        self._library.fluid_synth_pitch_bend(self._synth, channel, bend)
        pitches = (ctypes.c_double * 128)(
            *(100.0 * key + corrections.get(key, common) - common for key in range(128))
        )
        self._library.fluid_synth_activate_key_tuning(
            self._synth, 0, channel, b"measured", pitches, 1
        )
        self._library.fluid_synth_activate_tuning(self._synth, channel, 0, channel, 1)

    def note_on(self, channel: int, key: int, velocity: int) -> None:
        self._library.fluid_synth_noteon(self._synth, channel, key, velocity)

    def note_off(self, channel: int, key: int) -> None:
        self._library.fluid_synth_noteoff(self._synth, channel, key)

    def all_sounds_off(self) -> None:
        self._library.fluid_synth_all_sounds_off(self._synth, -1)

    def write(self, block: Samples, start: int, stop: int) -> None:
        """Synthesize the next frames into block[start:stop]."""
        address = block.ctypes.data
        self._library.fluid_synth_write_float(
            self._synth, stop - start, address, 2 * start, 2, address, 2 * start + 1, 2
        )


def _play(engine: _Engine, performance: Performance, n_frames: int) -> Iterator[Samples]:
    commands = _commands(performance)
    started = done = 0  # commands given, frames synthesized
    while done < n_frames:
        block = np.zeros((min(BLOCK_FRAMES, n_frames - done), 2), np.float32)
        start = 0
        while start < len(block):
            while started < len(commands) and commands[started][0] <= done + start:
                _, velocity, channel, key = commands[started]
                if velocity:
                    engine.note_on(channel, key, velocity)
                else:
                    engine.note_off(channel, key)
                started += 1
            stop = len(block)
            if started < len(commands):
                stop = min(stop, commands[started][0] - done)
            engine.write(block, start, stop)
            start = stop
        done += len(block)
        yield block


def _commands(performance: Performance) -> list[tuple[int, int, int, int]]:
    """(frame, velocity, channel, key) in order; velocity 0 releases the key."""
    commands: list[tuple[int, int, int, int]] = []
    for note in performance.notes:
        first, last = round(note.onset_s * SAMPLE_RATE), round(note.end_s * SAMPLE_RATE)
        commands += [
            (first, note.velocity, note.part, note.midi),
            (max(last, first + 1), 0, note.part, note.midi),
        ]
    return sorted(commands, key=itemgetter(0, 1))  # releases first


def _balance(engine: _Engine, parts: tuple[Player, ...], loudness: dict[int, float]) -> None:
    """Bring the channels that sound to the levels of their parts, however loud the instruments are
    by themselves."""
    wanted = {channel: parts[channel].level / rms for channel, rms in loudness.items()}
    loudest = max(wanted.values(), default=1.0)
    for channel, amplitude in wanted.items():  # the controller's square is the amplitude
        engine.control(channel, _VOLUME, max(round(127 * (amplitude / loudest) ** 0.5), 1))


@dataclass(frozen=True, slots=True)
class _Probe:
    """One key by itself: its distance from its pitch in cents, and its loudness."""

    cents: float
    rms: float


@cache  # for the next tunes
def _probe(soundfont: str, program: int, percussion: bool, key: int) -> _Probe:
    """Measure one key of an instrument by itself.

    Raises:
        ConfigError: the soundfont has no such instrument.
        InvalidTuneError: the key is silent.
    """
    engine = _probe_engine(soundfont)
    engine.select(0, program, drums=percussion)
    engine.note_on(0, key, _PROBE_VELOCITY)
    # A key sounds the same, whatever was measured before it, if it begins with a buffer; within
    # the first one, a note rises otherwise where it is the first of its synthesizer.
    n_frames = -(-round(max(_PROBES_S) * SAMPLE_RATE) // _BUFFER) * _BUFFER
    block = np.zeros((n_frames, 2), np.float32)
    engine.write(block, 0, n_frames)
    engine.all_sounds_off()
    engine.write(np.zeros((_FADE, 2), np.float32), 0, _FADE)
    mono = block.mean(axis=1)
    rms = float(np.sqrt(np.mean(mono[_BUFFER:] ** 2)))
    if rms < _SILENCE:
        raise InvalidTuneError(
            f"instrument {program} has no sound at pitch {key}; choose another or transpose"
        )
    return _Probe(0.0 if percussion else _middle_cents(mono, key), rms)


@cache
def _probe_engine(soundfont: str) -> _Engine:
    return _Engine(soundfont, 0.0)


def _middle_cents(mono: NDArray[np.float32], key: int) -> float:
    """The middle between the smallest and the largest error of short and long notes, in cents."""
    attack = round(_ATTACK_S * SAMPLE_RATE)
    cents = [
        cents_off(mono[attack : round(length_s * SAMPLE_RATE)], key, SAMPLE_RATE)
        for length_s in _PROBES_S
    ]
    known = [error for error in cents if error is not None]
    return (min(known) + max(known)) / 2 if known else 0.0
