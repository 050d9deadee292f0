"""How a recording is made: the options, the numbers that all synthesizers share, the JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import ConfigError
from musicgen.music.performance import Performance, Player, SoundingNote

SAMPLE_RATE = 44_100
BLOCK_FRAMES = 65_536  # a long recording is never in memory as a whole

Samples = NDArray[np.float32]  # (frames, 2), full scale is 1


class Synthesizer(Protocol):
    """Turns a performance into sound."""

    def blocks(self, performance: Performance, n_frames: int) -> Iterator[Samples]:
        """Stereo blocks of at most `BLOCK_FRAMES`, `n_frames` in all."""
        ...


@dataclass(frozen=True, kw_only=True)
class RecordingOptions:
    """How a recording is made.

    Attributes:
        synthesizer: "fluidsynth", "additive" (our own, plainer), "auto" for the best there is.
        soundfont: an .sf2 or .sf3 file for FluidSynth; "" is TimGM6mb, which pretty_midi brings.
        reverb: 0 (none) to 1.
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
    """Performances for the child process; `from_json` is the way back."""
    return json.dumps([asdict(performance) for performance in performances]).encode()


def from_json(data: bytes) -> list[Performance]:
    """The performances that `to_json` was given."""
    return [
        Performance(
            parts=tuple(Player(**part) for part in fields["parts"]),
            notes=tuple(SoundingNote(**note) for note in fields["notes"]),
            duration_s=fields["duration_s"],
        )
        for fields in json.loads(data)
    ]
