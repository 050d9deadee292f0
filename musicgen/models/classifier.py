"""A sequence to one label: a recurrent network, its last state to a softmax, and its folder.

    tokens (B, T) -> embedding -> layers -> last state (B, C) -> logits (B, 1, 1 + K)

The network is any of `models.KINDS` without its readout; the last state is that after the last
token. Logit 0 is that of padding, minus infinity: labels count from 1, as ids of tokens do, so that
training and scores need no case of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from musicgen.config import from_dict, to_dict
from musicgen.corpus.tokenset import PAD_ID
from musicgen.models import ModelConfig, build_model, weight_shapes, weights_of, with_weights
from musicgen.models.batches import Batch
from musicgen.models.sealed_folder import (
    arrays_from,
    arrays_to,
    as_json,
    model_json,
    unseal,
    with_manifest,
)
from musicgen.tokens.languages import LANGUAGES
from musicgen.tokens.sequences import IdSequence
from musicgen.tokens.vocabulary import SPECIALS

FORMAT = "musicgen-classifier-1"
_FILES = ("weights.safetensors", "config.json", "README.md")
_BATCH = 32  # sequences that are classified at once


class _States(nn.Module):
    """In place of a readout: the states themselves."""

    def forward(self, x: Tensor, _features: Tensor | None) -> Tensor:
        return x


class SequenceClassifier(nn.Module):
    """tokens (B, T), features (B, T, F) -> logits (B, 1, 1 + K), None."""

    def __init__(self, config: ModelConfig, n_classes: int) -> None:
        super().__init__()
        self.config = config
        self.body = build_model(config)
        self.body.readout = _States()
        self.output = nn.Linear(config.d_model, n_classes)

    def forward(self, tokens: Tensor, features: Tensor) -> tuple[Tensor, None]:
        """Logits of the labels."""
        states, _ = self.body(tokens, features if features.shape[2] else None)
        last = (tokens != PAD_ID).sum(dim=1).clamp(min=1) - 1
        x = states[torch.arange(len(states), device=states.device), last]  # (B, C)
        logits = self.output(F.dropout(x, self.config.dropout, self.training))
        return F.pad(logits, (1, 0), value=-torch.inf)[:, None], None


def collate_labelled(
    sequences: Sequence[IdSequence], labels: NDArray[np.int64], *, n_targets: float = 1.0
) -> Batch:
    """Sequences side by side, padded on the right; `labels` (B,) are 0 where none is known. Without
    any there is a row of padding."""
    rows, longest = max(1, len(sequences)), max((len(s.ids) for s in sequences), default=1)
    n_columns = sequences[0].features.shape[1] if sequences else 0
    tokens = np.full((rows, longest), PAD_ID, np.int64)
    features = np.zeros((rows, longest, n_columns), np.int64)
    for row, sequence in enumerate(sequences):
        n = len(sequence.ids)
        tokens[row, :n], features[row, :n] = sequence.ids, sequence.features
    known = labels if len(labels) else np.zeros(1, np.int64)
    return Batch(
        tokens=torch.from_numpy(tokens),
        features=torch.from_numpy(features),
        targets=torch.from_numpy(known)[:, None],
        n_targets=torch.tensor(n_targets, dtype=torch.float32),
        notes=torch.from_numpy((known > 0).astype(np.int64)),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassifierModel:
    """A trained classifier. `question` is what the labels are called and `counts` how many training
    sequences each class has; `origin` says where the examples were from, as JSON values; `training`
    is the TrainConfig as a dict."""

    network: SequenceClassifier
    vocab: tuple[str, ...]
    tokenizer: str
    question: str
    counts: Mapping[str, int]
    origin: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    card: str = ""

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, in the order of the probabilities."""
        return tuple(self.counts)

    def probabilities(self, sequences: Sequence[IdSequence]) -> NDArray[np.float64]:
        """(n, K): the probability of each class for each sequence."""
        table = np.zeros((len(sequences), len(self.counts)))
        order = np.argsort([len(s.ids) for s in sequences], kind="stable")
        network = self.network.eval()
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            chosen = [sequences[i] for i in rows]
            batch = collate_labelled(chosen, np.zeros(len(rows), np.int64))
            with torch.inference_mode():
                logits, _ = network(*batch.inputs)
            table[rows] = logits[:, 0, 1:].double().softmax(dim=1).numpy()
        return table


def files_of(model: ClassifierModel) -> dict[str, bytes]:
    """The files of its folder by name."""
    config = {
        "model": to_dict(model.network.config),
        "tokenizer": model.tokenizer,
        "vocab": model.vocab,
        "question": model.question,
        "classes": dict(model.counts),
        "origin": model.origin,
        "training": model.training,
        "metrics": dict(model.metrics),
    }
    contents = (arrays_to(weights_of(model.network)), as_json(config), model.card.encode())
    return with_manifest(dict(zip(_FILES, contents, strict=True)), FORMAT)


def load(folder: str | Path) -> ClassifierModel:
    """The classifier in a folder.

    Raises:
        CheckpointError: it is missing, damaged, or no classifier.
    """
    files = unseal(folder, _FILES, kind=FORMAT)
    with model_json(files["config.json"], f"{folder}/config.json") as config:
        shape = from_dict(ModelConfig, config["model"], where="model")
        vocab = _different_texts(config["vocab"])
        counts = {str(name): int(n) for name, n in config["classes"].items()}
        if vocab[: len(SPECIALS)] != SPECIALS or len(vocab) != shape.vocab_size or len(counts) < 2:
            raise ValueError("vocab or classes: do not fit the model")
        if config["tokenizer"] not in LANGUAGES:
            raise ValueError("tokenizer: is not known here")
        facts: dict[str, Any] = {
            "tokenizer": str(config["tokenizer"]),
            "question": str(config["question"]),
            "origin": dict(config["origin"]),
            "training": dict(config["training"]),
            "metrics": {str(name): float(value) for name, value in config["metrics"].items()},
        }
    weights = arrays_from(
        files["weights.safetensors"], _shapes(shape, len(counts)), f"{folder}/weights.safetensors"
    )
    return ClassifierModel(
        network=with_weights(lambda: SequenceClassifier(shape, len(counts)), weights),
        vocab=vocab,
        counts=counts,
        card=files["README.md"].decode("utf-8", "replace"),
        **facts,
    )


def _different_texts(values: Iterable[Any]) -> tuple[str, ...]:
    texts = tuple(values)
    if not all(isinstance(text, str) for text in texts) or len(set(texts)) != len(texts):
        raise ValueError("not a list of different texts")
    return texts


def _shapes(config: ModelConfig, n_classes: int) -> dict[str, tuple[int, ...]]:
    """The shapes of the weights, known before a network is built."""
    body = weight_shapes(config).items()
    shapes = {f"body.{name}": shape for name, shape in body if not name.startswith("readout.")}
    return {**shapes, "output.weight": (n_classes, config.d_model), "output.bias": (n_classes,)}
