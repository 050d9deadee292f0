"""Read folk-song corpora, train next-note models on them, and write new tunes.

    import musicgen

    composer = musicgen.load()                       # the shipped model
    tune = composer.generate(key="D", meter="6/8", rhythm="jig", seed=7)
    musicgen.write(tune, "jig.mid")

files           read, scan, write; parse and dumps for text and bytes; show in a notebook
a tune          Tune, notes(), note_array(); transpose, validate, classify, harmonize, novelty
other libraries to_ and from_ music21, pretty_midi, mido, symusic, dict; dataset for torch
models          load, Composer, Controls, SamplingConfig, NextTokenModule, TuneDataModule

Every error that the input causes is a MusicgenError. Names that need torch or another large library
are imported when they are first used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from musicgen.config import OPTIONAL_TEXT, TEXT, WHOLE_NUMBER, Accepted, arguments
from musicgen.errors import MusicgenError
from musicgen.formats import TUNES, dumps, parse, read, scan, write
from musicgen.music.tune import Bar, Chord, Note, Rest, Tune, Voice, require_tune
from musicgen.system.lazy import lazy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from musicgen.composer import Composer, PolyphonicComposer
    from musicgen.composer.controls import Controls
    from musicgen.composer.sampling import SamplingConfig
    from musicgen.evaluation.classification import Classifier
    from musicgen.evaluation.classification.trained import TrainedClassifier
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
    from musicgen.music.similarity import Novelty, NoveltyIndex
    from musicgen.music.transposition import transpose
    from musicgen.music.validation import validate
    from musicgen.training import NextTokenModule, TuneDataModule
    from musicgen.training.tune_dataset import TuneDataset

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
    "classify",
    "dataset",
    "dumps",
    "from_dict",
    "from_mido",
    "from_music21",
    "from_pretty_midi",
    "from_symusic",
    "harmonize",
    "load",
    "novelty",
    "parse",
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


def _note_table(name: str, tune: Tune, repeats: bool) -> NDArray[np.void]:
    from musicgen.music import note_table

    make = note_table.notes if name == "notes" else note_table.note_array
    return make(tune, repeats=repeats)


Tune.display, Tune.note_table = _display, _note_table


@arguments(tunes=TUNES)
def show(tunes: Tune | Iterable[Tune]) -> Gallery:
    """Scores and players of tunes, for a notebook."""
    from musicgen.formats import webpage

    return webpage.show(tunes)


_OWN_MODEL = Accepted("the folder of a run or None", (str, Path, type(None)))


@arguments(
    checkpoint=Accepted("the name or folder of a model", (str, Path)), revision=OPTIONAL_TEXT
)
def load(
    checkpoint: str | Path = "celtic", *, revision: str | None = None
) -> Composer | PolyphonicComposer:
    """A composer with the model in a folder that `musicgen train` wrote, a shipped one by name, or
    one of the Hugging Face Hub as `user/name`, of a `revision` (see `models.hub.find`).

    Raises:
        CheckpointError: the model is damaged, or cannot be downloaded; `MissingModelError`, which
            is a FileNotFoundError, too: there is none of this name.
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


_PATHS = (str, Path)


@arguments(
    sources=Accepted(
        "the name of a corpus, a path, or several",
        test=lambda given: (
            isinstance(given, _PATHS)
            or (isinstance(given, Sequence) and all(isinstance(each, _PATHS) for each in given))
        ),
    ),
    split=OPTIONAL_TEXT,
    workers=WHOLE_NUMBER,
)
def dataset(
    sources: str | Path | Sequence[str | Path] = "celtic",
    *,
    split: Literal["train", "val", "test"] | None = None,
    workers: int = 1,
) -> TuneDataset:
    """The unique tunes of a named corpus, of files or of folders, as a torch Dataset of Tunes; see
    `musicgen.training.tune_dataset.TuneDataset`."""
    from musicgen.training.tune_dataset import TuneDataset

    return TuneDataset(sources, split=split, workers=workers)


@arguments(checkpoint=_OWN_MODEL)
def harmonize(
    tune: Tune,
    *,
    temperature: float = 0.0,
    beam: int = 4,
    seed: int = 0,
    checkpoint: str | Path | None = None,
) -> Tune:
    """The tune with chord symbols over its first voice, in place of its own, by the shipped model
    or by that of a run of `train --task harmonize`.

    `temperature` 0 is the most likely harmony, found with `beam` candidates; above it, chords are
    drawn with `seed`. `musicgen.composer.harmony.harmonize` gives the probabilities, too.

    Raises:
        ControlError: the tune has no bar for a chord, or is too long.
        ConfigError: an impossible temperature or beam.
        CheckpointError: the checkpoint is missing, damaged, or no harmonizer.
    """
    from musicgen.composer import harmony
    from musicgen.composer.harmony.decoding import DecodingConfig

    config = DecodingConfig(temperature=temperature, beam=beam, seed=seed)
    return harmony.harmonize(require_tune(tune), harmony.load(checkpoint), config).tune


@arguments(by=TEXT, checkpoint=_OWN_MODEL)
def classify(
    tune: Tune | str,
    *,
    by: Literal["head", "likelihood"] = "head",
    checkpoint: str | Path | None = None,
) -> dict[str, dict[str, float]]:
    """The probability of every rhythm, mode, meter and collection, from the notes alone:
    {"rhythm": {"jig": 0.97, ...}, ...}. See `musicgen.evaluation.classification.Classifier`. With
    the `checkpoint` of a run of `train --task classify` that of every label that it knows; a text
    is for one that was trained on texts.

    Raises:
        InvalidTuneError: the tune is no single line in one key and one meter.
        CheckpointError: the checkpoint is missing, damaged, or reads something else.
    """
    from musicgen.evaluation.classification import Classifier

    classifier = _classifier(checkpoint, by)
    if isinstance(classifier, Classifier):
        return classifier.classify(require_tune(tune), by=by)
    return classifier.classify(tune if isinstance(tune, str) else require_tune(tune))


@arguments()
def novelty(tune: Tune, against: str | Path | Iterable[Tune] | NoveltyIndex = "celtic") -> Novelty:
    """How close a tune is to the corpus of a model, or to other tunes: the nearest of them, shared
    bars, and a verdict. To compare many tunes with others, build a
    `musicgen.music.similarity.NoveltyIndex` of them once.

    Raises:
        CheckpointError: there is no such model, or it has no index of its corpus.
    """
    from musicgen.models import hub
    from musicgen.models.checkpoint import novelty_index
    from musicgen.music.similarity import NoveltyIndex

    tune = require_tune(tune)
    if against == "celtic":
        return _celtic().assess(tune)
    if isinstance(against, NoveltyIndex):
        return against.assess(tune)
    if isinstance(against, str | Path):
        return novelty_index(hub.find(against)).assess(tune)
    TUNES.require("against", against)
    return NoveltyIndex.build(map(require_tune, against)).assess(tune)


@cache
def _classifier(
    checkpoint: str | Path | None, by: Literal["head", "likelihood"]
) -> Classifier | TrainedClassifier:
    """The shipped one, or that of a folder."""
    from musicgen.evaluation.classification import load

    return load(checkpoint, by=by)


@cache
def _celtic() -> NoveltyIndex:
    """The index of the corpus of the shipped models."""
    from musicgen.models.checkpoint import locate, novelty_index

    return novelty_index(locate("celtic"))
