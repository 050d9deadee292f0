"""A trained harmonizer as a folder: weights, config, card, each with its SHA-256; save, load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from musicgen.config import from_dict, to_dict
from musicgen.errors import CheckpointError
from musicgen.models import weights_of, with_weights
from musicgen.models.checkpoint import locate, shipped_folder
from musicgen.models.harmony.network import Harmonizer, HarmonizerConfig
from musicgen.models.sealed_folder import (
    arrays_from,
    arrays_to,
    as_json,
    model_json,
    unseal,
    with_manifest,
    write_whole,
)
from musicgen.tokens.harmony.chords import KINDS
from musicgen.tokens.harmony.features import MELODY_SIZES, SLOT_SIZES

FORMAT = "musicgen-harmonizer-1"
SHIPPED = shipped_folder() / "harmonizers" / "hymns"
_FILES = ("weights.safetensors", "config.json", "README.md")


@dataclass(frozen=True, eq=False, kw_only=True)
class HarmonyModel:
    """A network in evaluation mode, numbers by name, where its examples were from (JSON values),
    and README.md for people."""

    network: Harmonizer
    metrics: Mapping[str, float]
    origin: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""


def save(folder: str | Path, model: HarmonyModel) -> None:
    """Write the folder of a harmonizer.

    Raises:
        CheckpointError: it cannot be written there.
    """
    write_whole(folder, files_of(model))


def files_of(model: HarmonyModel) -> dict[str, bytes]:
    """The files of its folder by name."""
    config = {
        "model": to_dict(model.network.config),
        "language": _language(),
        "metrics": dict(model.metrics),
        "origin": dict(model.origin),
    }
    contents = {
        "weights.safetensors": arrays_to(weights_of(model.network)),
        "config.json": as_json(config),
        "README.md": model.card.encode(),
    }
    return with_manifest(contents, FORMAT)


def load(folder: str | Path | None = None) -> HarmonyModel:
    """The harmonizer in a folder, or the shipped one.

    Raises:
        CheckpointError: it is missing or damaged, or was trained on other chords or features.
    """
    folder = SHIPPED if folder is None else locate(folder)
    files = unseal(folder, _FILES, kind=FORMAT)
    with model_json(files["config.json"], f"{folder}/config.json") as config:
        shape = from_dict(HarmonizerConfig, config["model"], where="model")
        metrics = {str(name): float(value) for name, value in config["metrics"].items()}
        language, origin = config["language"], dict(config.get("origin", {}))
    if language != _language():
        raise CheckpointError(
            f"{folder}: was trained on other chords or melody features; train it again"
        )
    with torch.device("meta"):  # no memory for weights that the file may not have
        expected = {name: tuple(p.shape) for name, p in Harmonizer(shape).named_parameters()}
    contents = files["weights.safetensors"]
    weights = arrays_from(contents, expected, f"{folder}/weights.safetensors")
    return HarmonyModel(
        network=with_weights(lambda: Harmonizer(shape), weights),
        metrics=metrics,
        origin=origin,
        card=files["README.md"].decode("utf-8", "replace"),
    )


def _language() -> dict[str, object]:
    """The chords and columns that a network was trained on."""
    return {"kinds": list(KINDS), "melody": MELODY_SIZES, "slots": SLOT_SIZES}
