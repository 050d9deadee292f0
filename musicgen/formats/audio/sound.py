"""Options of a recording, the constants of both synthesizers, performances as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import ConfigError
from musicgen.music.performance import Performance, Player, SoundingNote

SAMPLE_RATE = 44_100
BLOCK_FRAMES = 65_536  # so that a long recording is never in memory as a whole

Samples = NDArray[np.float32]  # (frames, 2), full scale is 1


@dataclass(frozen=True, kw_only=True)
class RecordingOptions:
    """How a recording is made.

    Attributes:
        synthesizer: "fluidsynth", "additive" (sine tones, see `sines`), or "auto": FluidSynth
            where it is installed.
        soundfont: an .sf2 or .sf3 file for FluidSynth; "" is TimGM6mb, which pretty_midi brings.
        reverb: 0 (none) to 1; FluidSynth only.
        loudness: LUFS of the whole, as far as the peaks allow; broadcasters take -23, streaming
            services -14.
    """

    synthesizer: Literal["auto", "fluidsynth", "additive"] = "auto"
    soundfont: str = ""
    reverb: float = 0.3
    loudness: float = -18.0

    def __post_init__(self) -> None:
        if not 0 <= self.reverb <= 1:
            raise ConfigError(f"reverb: {self.reverb} is not from 0 to 1")
        if not -50 <= self.loudness <= -10:
            raise ConfigError(f"loudness: {self.loudness} is not from -50 to -10 LUFS")


def to_json(performances: Sequence[Performance]) -> bytes:
    """Performances for the child process; `from_json` reads them."""
    return json.dumps([asdict(performance) for performance in performances]).encode()


def from_json(data: bytes) -> list[Performance]:
    """Performances as `to_json` writes them, without their warnings."""
    return [
        Performance(
            parts=tuple(Player(**part) for part in fields["parts"]),
            notes=tuple(SoundingNote(**note) for note in fields["notes"]),
            duration_s=fields["duration_s"],
        )
        for fields in json.loads(data)
    ]
