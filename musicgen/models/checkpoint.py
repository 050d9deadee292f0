"""A trained model as a folder that a person can read: weights, config, vocabulary, card.

    model.safetensors  config.json  vocab.json  openings.json  metrics.json  README.md
    novelty.npz, critic.json (optional)  manifest.json

manifest.json holds the format version and the SHA-256 of every other file but README.md, the card,
which may be edited. Nothing is a pickle, and everything is checked before a network is built, so a
folder from a stranger is safe to load. The folder is also a repository of the Hugging Face Hub
(see `models.hub`); files that the Hub adds to it are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from musicgen.config import from_dict, suggestion, to_dict
from musicgen.errors import (
    CheckpointError,
    CorpusError,
    MissingModelError,
    printable,
)
from musicgen.models import ModelConfig, build_model, weight_shapes, with_weights
from musicgen.models.card import FRONT_MATTER, UNKNOWN_LICENCE, front_matter
from musicgen.models.sealed_folder import (
    MANIFEST,
    arrays_from,
    arrays_to,
    as_json,
    model_json,
    unseal,
    with_manifest,
    write_whole,
)
from musicgen.music.metrics import critic as critics
from musicgen.music.metrics.critic import Critic
from musicgen.music.similarity import FILE_NAME, NoveltyIndex
from musicgen.system.json_content import JsonContent
from musicgen.tokens.lookback.features import Lookback
from musicgen.tokens.melody.grammar import Outline, PartPlan, may_be_new
from musicgen.tokens.vocabulary import SPECIALS

if TYPE_CHECKING:
    from torch import nn

# Since 2 openings may come with outlines, since 3 there may be a critic; since 4 the card is not
# sealed, and the weights have the name that the Hub knows.
FORMAT = "musicgen-checkpoint-4"
CARD, WEIGHTS, WEIGHTS_UP_TO_3 = "README.md", "model.safetensors", "weights.safetensors"
MAX_BYTES = {".json": 32 << 20, ".md": 1 << 20, ".safetensors": 16 << 30, ".npz": 1 << 30}
MAX_COUNT = 10**9  # of tunes with an opening or an outline
_FILES = (WEIGHTS, "config.json", "vocab.json", "openings.json", "metrics.json")
_FILES_UP_TO_3 = (WEIGHTS_UP_TO_3, *_FILES[1:], CARD)
_OPTIONAL = (FILE_NAME, critics.FILE_NAME)
EVERY_FILE = (MANIFEST, CARD, WEIGHTS_UP_TO_3, *_FILES, *_OPTIONAL)

Opening = tuple[tuple[int, ...], int]
Outlines = tuple[tuple[Outline, int], ...]
Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """A trained network with all that is needed to use it and to know where it came from.

    `weights` are its parameters, named as in `models.weight_shapes`; `network`, the torch module
    on `device`, is built at its first use, which composing on a CPU does not need.
    `openings` are the header ids of the training tunes with their counts, and `outlines`, where
    they are known, the parts of the tunes with each opening, with their counts; `training` is the
    TrainConfig as a dict; `metrics` are numbers by name; `fingerprint` is that of the token set;
    `card` is README.md in Markdown, to which `save` adds the front matter; `novelty` is the index
    of the training corpus and `critic` the classifier of its tunes against real ones, if it has
    them.
    """

    weights: Weights
    model: ModelConfig
    vocab: tuple[str, ...]
    feature_sizes: dict[str, int]
    tokenizer: str
    fingerprint: str = ""
    openings: tuple[Opening, ...] = ()
    outlines: tuple[Outlines, ...] = ()
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    card: str = ""
    novelty: NoveltyIndex | None = None
    critic: Critic | None = None
    device: str = "cpu"

    @cached_property
    def network(self) -> nn.Module:
        """The network in evaluation mode."""
        return with_weights(lambda: build_model(self.model).to(self.device), self.weights)

    @property
    def lookback(self) -> Lookback | None:
        """The last of the feature columns, where they are those of lookback."""
        return Lookback.of(self.feature_sizes, self.vocab)


def save(folder: str | Path, checkpoint: Checkpoint, *, overwrite: bool = False) -> None:
    """Write the whole folder or nothing: to a temporary one beside it, then renamed.

    Raises:
        CheckpointError: the folder holds a model and `overwrite` is False, it holds something
            else, or it cannot be written.
    """
    if is_checkpoint(folder) and not overwrite:
        raise CheckpointError(f"{folder}: holds a model already; choose another place")
    write_whole(folder, files_of(checkpoint))


def files_of(checkpoint: Checkpoint) -> dict[str, bytes]:
    """The files of a model folder by name."""
    return {
        **with_manifest(_contents(checkpoint), FORMAT),
        CARD: complete_card(checkpoint).encode(),
    }


def load(folder: str | Path, *, device: str = "cpu") -> Checkpoint:
    """The checkpoint in a folder or in the folder of a run; `device` is where its network goes.

    Raises:
        CheckpointError: it is missing, damaged, of another version, or not a model.
    """
    folder = _model_folder(Path(folder))
    files = unseal(
        folder,
        _FILES,
        kind=FORMAT,
        older={3: _FILES_UP_TO_3},
        optional=_OPTIONAL,
        unsealed=(CARD,),
        max_bytes=MAX_BYTES,
        advice="name the folder that train wrote",
    )
    where = printable(str(folder))
    checkpoint = _without_weights(files, where)
    _require_consistent(checkpoint, where)
    weights = WEIGHTS if WEIGHTS in files else WEIGHTS_UP_TO_3
    return replace(
        checkpoint,
        weights=arrays_from(files[weights], weight_shapes(checkpoint.model), f"{where}/{weights}"),
        novelty=_index(files, where),
        critic=Critic.from_bytes(files[critics.FILE_NAME], f"{where}/{critics.FILE_NAME}")
        if critics.FILE_NAME in files
        else None,
        device=device,
    )


def _without_weights(files: Mapping[str, bytes], where: str) -> Checkpoint:
    """The checkpoint of the JSON files and the card.

    Raises:
        CheckpointError: one of them is not as it should be.
    """

    def content(name: str) -> JsonContent:
        return model_json(files[name], f"{where}/{name}")

    with content("openings.json") as rows:
        openings, outlines = _read_openings(rows)
    with content("vocab.json") as tokens:
        vocab = tuple(tokens)
    with content("metrics.json") as scores:
        metrics = {name: float(value) for name, value in scores.items()}
    with content("config.json") as config:
        return Checkpoint(
            weights={},
            vocab=vocab,
            model=from_dict(ModelConfig, config["model"], where="model"),
            feature_sizes={name: int(size) for name, size in config["feature_sizes"].items()},
            tokenizer=str(config["tokenizer"]),
            fingerprint=str(config["fingerprint"]),
            openings=openings,
            outlines=outlines,
            training=dict(config["training"]),
            metrics=metrics,
            card=files.get(CARD, b"").decode("utf-8", "replace"),
        )


def _require_consistent(checkpoint: Checkpoint, where: str) -> None:
    """Raise CheckpointError unless the settings fit each other."""
    vocab, model = checkpoint.vocab, checkpoint.model
    if not all(isinstance(token, str) for token in vocab) or len(set(vocab)) != len(vocab):
        raise CheckpointError(f"{where}/vocab.json: is not a list of different texts")
    if vocab[: len(SPECIALS)] != SPECIALS or len(vocab) != model.vocab_size:
        raise CheckpointError(f"{where}/vocab.json: does not fit the model; get it again")
    if tuple(checkpoint.feature_sizes.values()) != model.feature_sizes:
        raise CheckpointError(f"{where}/config.json: feature_sizes do not fit the model")
    if not all(0 <= i < len(vocab) for ids, _ in checkpoint.openings for i in ids):
        raise CheckpointError(f"{where}/openings.json: does not fit the vocabulary")


def _read_openings(rows: list[Any]) -> tuple[tuple[Opening, ...], tuple[Outlines, ...]]:
    """Rows of [ids, count], or of [ids, count, outlines with counts], where an outline is a list of
    [bars, repeated, ends_on_tonic], without the last in older models."""
    openings = tuple((tuple(int(i) for i in row[0]), _count(row[1])) for row in rows)
    outlines = tuple(
        tuple((tuple(_read_part(*part) for part in outline), _count(n)) for outline, n in row[2])
        for row in rows
        if len(row) > 2
    )
    if len(dict(openings)) < len(openings):
        raise ValueError("an opening twice")
    if outlines and len(outlines) != len(openings):
        raise ValueError("outlines of some openings only")
    if not all(may_be_new(outline) for each in outlines for outline, _ in each):
        raise ValueError("an outline that no tune may have")
    return openings, outlines


def _count(value: Any) -> int:
    if type(value) is not int or not 0 < value <= MAX_COUNT:
        raise ValueError(f"a count outside 1 to {MAX_COUNT:,}")
    return value


def _read_part(bars: int, repeated: bool, on_tonic: bool | None = None) -> PartPlan:
    return PartPlan(
        bars=int(bars),
        repeated=bool(repeated),
        ends_on_tonic=None if on_tonic is None else bool(on_tonic),
    )


def _opening_rows(checkpoint: Checkpoint) -> list[tuple[Any, ...]]:
    if not checkpoint.outlines:
        return list(checkpoint.openings)
    pairs = zip(checkpoint.openings, checkpoint.outlines, strict=True)
    return [
        (
            ids,
            count,
            [([(p.bars, p.repeated, p.ends_on_tonic) for p in parts], n) for parts, n in outlines],
        )
        for (ids, count), outlines in pairs
    ]


def is_checkpoint(folder: str | Path) -> bool:
    """Whether the folder holds the manifest of a model; the content is not checked."""
    return (Path(folder) / MANIFEST).is_file()


def complete_card(checkpoint: Checkpoint, *, licence: str = UNKNOWN_LICENCE) -> str:
    """The card with the front matter that the Hugging Face Hub reads; one that it has is kept."""
    if FRONT_MATTER.match(checkpoint.card):
        return checkpoint.card
    places = () if checkpoint.novelty is None else checkpoint.novelty.places
    data = front_matter(
        title=checkpoint.card.partition("\n")[0].strip("# ") or "A model",
        licence=licence,
        tags=(checkpoint.model.kind, checkpoint.tokenizer),
        places=places,
        metrics=checkpoint.metrics,
    )
    return f"{data}\n{checkpoint.card}"


def _contents(checkpoint: Checkpoint) -> dict[str, bytes]:
    config = {
        "model": to_dict(checkpoint.model),
        "feature_sizes": checkpoint.feature_sizes,
        "tokenizer": checkpoint.tokenizer,
        "fingerprint": checkpoint.fingerprint,
        "training": checkpoint.training,
    }
    optional = {}
    if checkpoint.novelty is not None:
        optional[FILE_NAME] = checkpoint.novelty.to_bytes()
    if checkpoint.critic is not None:
        optional[critics.FILE_NAME] = checkpoint.critic.to_bytes()
    return {
        **optional,
        WEIGHTS: arrays_to(checkpoint.weights),
        "config.json": as_json(config),
        "vocab.json": as_json(checkpoint.vocab),
        "openings.json": as_json(_opening_rows(checkpoint)),
        "metrics.json": as_json(checkpoint.metrics),
    }


def _index(files: Mapping[str, bytes], where: str) -> NoveltyIndex | None:
    if FILE_NAME not in files:
        return None
    try:
        return NoveltyIndex.from_bytes(files[FILE_NAME], f"{where}/{FILE_NAME}")
    except CorpusError as error:
        raise CheckpointError(str(error)) from None


def shipped_folder() -> Path:
    """The folder of the models that come with musicgen: inside the installed package, beside the
    package in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "checkpoints"
    return installed if installed.is_dir() else package.parent / "checkpoints"


def shipped() -> dict[str, Path]:
    """The models that come with musicgen, by name."""
    return {path.name: path for path in sorted(shipped_folder().iterdir()) if is_checkpoint(path)}


def _model_folder(path: Path) -> Path:
    """The folder itself, or the best model in the folder of a training run."""
    return path / "model" if not is_checkpoint(path) and is_checkpoint(path / "model") else path


def locate(name: str | Path) -> Path:
    """Folder of a model, given by its path or else by the name of a shipped one.

    Raises:
        CheckpointError: it is neither.
    """
    path = _model_folder(Path(name))
    if path.exists() or len(path.parts) > 1:
        return path
    models = shipped()
    if str(name) not in models:
        advice = suggestion(str(name), models)
        raise MissingModelError(
            f"{name}: no such model folder; {advice}{advice and ' '}"
            f"shipped models: {', '.join(models) or 'none'}"
        )
    return models[str(name)]


def novelty_index(folder: Path) -> NoveltyIndex:
    """The index of the corpus of the model in a folder, without the model.

    Raises:
        CheckpointError: there is none.
        CorpusError: it is damaged.
    """
    if not (folder / FILE_NAME).exists():
        raise CheckpointError(f"{folder}: has no index of its corpus; name one with --corpus")
    return NoveltyIndex.load(folder / FILE_NAME)
