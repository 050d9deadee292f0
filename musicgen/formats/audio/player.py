"""Play a tune through the audio device of the machine."""

from __future__ import annotations

import io
import os
import time
from typing import Any

from musicgen.errors import MusicgenError
from musicgen.formats.audio.recorder import read_options, record_performances
from musicgen.music.performance import Performance, perform
from musicgen.music.tune import Tune
from musicgen.system.sandbox import ResourceLimits, run

_POLL_S = 0.02
_PATIENCE_S = 30.0  # beyond the length of the music, for a slow device


def prepare(tune: Tune, **options: Any) -> tuple[Performance, bytes]:
    """The performance and its sound as a WAV file; options as for writing sound files.

    Raises:
        MusicgenError: the tune cannot be played, or an option is unknown or out of its range.
    """
    style, sound = read_options(options)
    performance = perform(tune, style)
    return performance, record_performances([performance], ".wav", sound)


def play(wav: bytes, *, duration_s: float) -> None:
    """Play a WAV file to its end.

    Raises:
        MusicgenError: this machine has no audio device.
    """
    limits = ResourceLimits(cpu_s=round(60 + duration_s), wall_s=duration_s + _PATIENCE_S)
    run(f"{__name__}:sound_out", wav, what="the player", limits=limits)


def sound_out(wav: bytes) -> bytes:
    """The child's side of `play`: SDL, which pygame-ce brings, drives the device.

    Raises:
        MusicgenError: there is no audio device.
    """
    os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"  # only this child process
    import pygame

    try:
        pygame.mixer.init()
        pygame.mixer.music.load(io.BytesIO(wav), "wav")
        pygame.mixer.music.play()
        while pygame.mixer.music.get_busy():
            time.sleep(_POLL_S)
    except pygame.error as error:
        raise MusicgenError(
            f"there is no audio device to play on ({error}); "
            "write a file instead, as with musicgen render FILE -o tune.mp3"
        ) from None
    finally:
        pygame.mixer.quit()
    return b""
