"""A small head on a network that is left as it is: its states of a tune, pooled, to answers.

    pooled = mean, spread and last of the states, mean and maximum of K learned features of each
    logits = pooled @ output + bias, one softmax for each question

The states are those of the network's last layer after each token, with every token of the heading
replaced by `<unk>`, as the heading holds the answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import CheckpointError
from musicgen.evaluation.classification.questions import N_ANSWERS, QUESTIONS, Question
from musicgen.models.checkpoint import shipped_folder
from musicgen.models.sealed_folder import arrays_from, arrays_to, as_json, model_json, seal, unseal

FORMAT = "musicgen-head-1"
SHIPPED = shipped_folder() / "classifiers" / "celtic"
_FILES = ("weights.safetensors", "config.json", "README.md")
Floats = NDArray[np.float32]
Answers = dict[str, dict[str, float]]


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassifierHead:
    """`weights` as in `shapes`; `checkpoint` names the network it was fitted on, `fingerprint` the
    SHA-256 of that network's weights; `scores` are accuracies on held-out families."""

    weights: Mapping[str, Floats]
    checkpoint: str
    fingerprint: str
    scores: Mapping[str, float]
    card: str = ""

    def answer(self, states: Floats) -> Answers:
        """Probability of every answer to every question, from the states (T, C) of a tune.

        Raises:
            CheckpointError: the weights give values that are not finite.
        """
        with np.errstate(all="ignore"):
            logits = self.logits(states)
        if not np.isfinite(logits).all():
            raise CheckpointError("the classifier gives values that are not finite; get another")
        answers: Answers = {}
        begin = 0
        for question in QUESTIONS:
            scores = logits[begin : begin + len(question.classes)]
            begin += len(scores)
            answers[question.name] = probabilities(question, scores)
        return answers

    def logits(self, states: Floats) -> NDArray[np.float64]:
        """(N_ANSWERS,)."""
        w = self.weights
        x = (states - w["centre"]) / w["scale"]  # (T, C)
        features = np.maximum(x @ w["feature"] + w["feature_bias"], 0)  # (T, K)
        pooled = [x.mean(0), x.std(0), x[-1], features.mean(0), features.max(0)]
        return np.asarray(np.concatenate(pooled) @ w["output"] + w["output_bias"], np.float64)


def probabilities(question: Question, scores: NDArray[np.float64]) -> dict[str, float]:
    """Softmax: the probability of every answer to a question from a score of each."""
    odds = np.exp(scores - scores.max())
    return dict(zip(question.classes, (odds / odds.sum()).tolist(), strict=True))


def shapes(width: int, n_features: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a head's weights, on states of `width` channels."""
    return {
        "centre": (width,),
        "scale": (width,),
        "feature": (width, n_features),
        "feature_bias": (n_features,),
        "output": (3 * width + 2 * n_features, N_ANSWERS),
        "output_bias": (N_ANSWERS,),
    }


def save(folder: str | Path, head: ClassifierHead) -> None:
    """Write the folder of a head.

    Raises:
        CheckpointError: it cannot be written there.
    """
    config = {
        "checkpoint": head.checkpoint,
        "fingerprint": head.fingerprint,
        "width": len(head.weights["centre"]),
        "n_features": len(head.weights["feature_bias"]),
        "questions": {q.name: q.classes for q in QUESTIONS},
        "scores": dict(head.scores),
    }
    contents = (arrays_to(head.weights), as_json(config), head.card.encode())
    seal(folder, dict(zip(_FILES, contents, strict=True)), kind=FORMAT)


def load(folder: str | Path = SHIPPED) -> ClassifierHead:
    """The head in a folder.

    Raises:
        CheckpointError: it is missing, damaged, or answers other questions.
    """
    files = unseal(folder, _FILES, kind=FORMAT)
    with model_json(files["config.json"], f"{folder}/config.json") as config:
        questions = {name: tuple(classes) for name, classes in config["questions"].items()}
        shape = shapes(int(config["width"]), int(config["n_features"]))
        scores = {str(name): float(value) for name, value in config["scores"].items()}
        checkpoint, fingerprint = str(config["checkpoint"]), str(config["fingerprint"])
    if questions != {q.name: q.classes for q in QUESTIONS}:
        raise CheckpointError(f"{folder}: answers other questions; fit it again")
    data = files["weights.safetensors"]
    return ClassifierHead(
        weights=arrays_from(data, shape, f"{folder}/weights.safetensors"),
        checkpoint=checkpoint,
        fingerprint=fingerprint,
        scores=scores,
        card=files["README.md"].decode("utf-8", "replace"),
    )
