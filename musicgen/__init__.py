"""Read folk-song corpora, train next-note models on them, and write new tunes.

    import musicgen

    composer = musicgen.load()                       # the shipped model
    tune = composer.generate(key="D", meter="6/8", rhythm="jig", seed=7)
    musicgen.write(tune, "jig.mid")

Names that need torch or another large library are imported when they are first used.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from musicgen.errors import MusicgenError
from musicgen.formats import read, scan, write
from musicgen.music.tune import Bar, Chord, Note, Rest, Tune, Voice
from musicgen.system.lazy import lazy

if TYPE_CHECKING:
    from musicgen.composer import Composer, PolyphonicComposer
    from musicgen.composer.controls import Controls
    from musicgen.composer.sampling import SamplingConfig
    from musicgen.formats.interop import (
        from_mido,
        from_music21,
        from_pretty_midi,
        from_symusic,
        to_mido,
        to_music21,
        to_pretty_midi,
        to_symusic,
    )
    from musicgen.formats.plain import from_dict, to_dict
    from musicgen.formats.webpage import Gallery
    from musicgen.music.transposition import transpose
    from musicgen.music.validation import validate
    from musicgen.training import NextTokenModule, TuneDataModule

__version__ = "0.1.0"
__all__ = [
    "Bar",
    "Chord",
    "Composer",
    "Controls",
    "MusicgenError",
    "NextTokenModule",
    "Note",
    "Rest",
    "SamplingConfig",
    "Tune",
    "TuneDataModule",
    "Voice",
    "from_dict",
    "from_mido",
    "from_music21",
    "from_pretty_midi",
    "from_symusic",
    "load",
    "read",
    "scan",
    "show",
    "to_dict",
    "to_mido",
    "to_music21",
    "to_pretty_midi",
    "to_symusic",
    "transpose",
    "validate",
    "write",
]

__getattr__ = lazy(
    __name__,
    {
        "Composer": "composer",
        "Controls": "composer.controls",
        "NextTokenModule": "training",
        "SamplingConfig": "composer.sampling",
        "TuneDataModule": "training",
        "from_dict": "formats.plain",
        "from_mido": "formats.interop",
        "from_music21": "formats.interop",
        "from_pretty_midi": "formats.interop",
        "from_symusic": "formats.interop",
        "to_dict": "formats.plain",
        "to_mido": "formats.interop",
        "to_music21": "formats.interop",
        "to_pretty_midi": "formats.interop",
        "to_symusic": "formats.interop",
        "transpose": "music.transposition",
        "validate": "music.validation",
    },
)


def _display(tune: Tune) -> dict[str, str]:
    from musicgen.formats import webpage

    return webpage.mimebundle(tune)


Tune.display = _display


def show(tunes: Tune | Iterable[Tune]) -> Gallery:
    """Scores and players of tunes, for a notebook."""
    from musicgen.formats import webpage

    return webpage.show(tunes)


def load(
    checkpoint: str | Path = "celtic", *, revision: str | None = None
) -> Composer | PolyphonicComposer:
    """A composer with the model in a folder that `musicgen train` wrote, a shipped one by name, or
    one of the Hugging Face Hub as `user/name`, of a `revision` (see `models.hub.find`).

    Raises:
        CheckpointError: there is no such model, it is damaged, or it cannot be downloaded.
    """
    from musicgen.composer import composer_of
    from musicgen.errors import CheckpointError, printable
    from musicgen.models import checkpoint as checkpoints
    from musicgen.models import hub

    folder = hub.find(checkpoint, revision=revision)
    loaded = checkpoints.load(folder)
    try:
        return composer_of(loaded)
    except CheckpointError as error:
        raise CheckpointError(f"{printable(str(folder))}: {error}") from None
