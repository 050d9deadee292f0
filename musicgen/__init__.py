"""Read folk-song corpora, train next-note models on them, and write new tunes.

    import musicgen

    composer = musicgen.load()                       # the shipped model
    tune = composer.generate(key="D", meter="6/8", rhythm="jig", seed=7)
    musicgen.write(tune, "jig.mid")

`load` alone needs torch; reading and writing tunes does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from musicgen.errors import MusicgenError
from musicgen.formats import read, scan, write
from musicgen.music.tune import Bar, Chord, Note, Rest, Tune, Voice

if TYPE_CHECKING:
    from musicgen.composer import Composer, PolyphonicComposer
    from musicgen.formats.webpage import Gallery

__version__ = "0.1.0"
__all__ = [
    "Bar",
    "Chord",
    "MusicgenError",
    "Note",
    "Rest",
    "Tune",
    "Voice",
    "load",
    "read",
    "scan",
    "show",
    "write",
]


def _display(tune: Tune) -> dict[str, str]:
    from musicgen.formats import webpage

    return webpage.mimebundle(tune)


Tune.display = _display


def show(tunes: Tune | Iterable[Tune]) -> Gallery:
    """Scores and players of tunes, for a notebook."""
    from musicgen.formats import webpage

    return webpage.show(tunes)


def load(checkpoint: str | Path = "celtic") -> Composer | PolyphonicComposer:
    """A composer with the model in a folder that `musicgen train` wrote, or a shipped one by name.

    Raises:
        CheckpointError: there is no such model, or it is damaged.
    """
    from musicgen.composer import composer_of
    from musicgen.errors import CheckpointError, printable
    from musicgen.models import checkpoint as checkpoints

    folder = checkpoints.locate(checkpoint)
    loaded = checkpoints.load(folder)
    try:
        return composer_of(loaded)
    except CheckpointError as error:
        raise CheckpointError(f"{printable(str(folder))}: {error}") from None
