"""WAV: uncompressed sound, 16 bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from musicgen.formats.audio.recorder import OPTIONS, record
from musicgen.music.tune import Tune

__all__ = ["OPTIONS", "render"]


def render(tunes: Sequence[Tune], **options: Any) -> bytes:
    """A WAV file; see `recorder.record`."""
    return record(tunes, ".wav", options)
