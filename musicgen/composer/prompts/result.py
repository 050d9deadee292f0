"""A tune put together again, and the files in which all that was given stands as it stood."""

from __future__ import annotations

from dataclasses import dataclass

from musicgen.music.tune import Tune


@dataclass(frozen=True, slots=True)
class Whole:
    """`exact` holds the contents of such files by extension."""

    tune: Tune
    exact: dict[str, bytes]
