"""FLAC: compressed sound, nothing lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from musicgen.formats.audio.recorder import OPTIONS, record
from musicgen.music.tune import Tune

__all__ = ["OPTIONS", "render"]


def render(tunes: Sequence[Tune], **options: Any) -> bytes:
    """A FLAC file; see `recorder.record`."""
    return record(tunes, ".flac", options)
