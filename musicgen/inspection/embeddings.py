"""What a network has learned about its tokens: the rows of its tables at both ends.

One-hot vectors are all equally far from one another, so they know nothing of music; a learned
table may put tokens near each other that mean something similar. How much it does is tested by
comparing distances in the table with distances in music, against shuffled tables (Mantel, "The
detection of disease clustering and a generalized regression approach", 1967).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen.charts import chart
from musicgen.checkpoint import Checkpoint
from musicgen.errors import CheckpointError, ControlError
from musicgen.theory import Key
from musicgen.tokenizer.melody import NAME
from musicgen.tokenizer.tokens import Token, parse_token

Floats = NDArray[np.float64]
ENDS = ("input", "output")
SHUFFLES = 2000
_MAJOR = (0, 2, 4, 5, 7, 9, 11)  # semitones of the scale degrees above the tonic


@dataclass(frozen=True, slots=True)
class Question:
    """Whether distance in the table goes with distance in music. `correlation` is Spearman's, of
    all pairs; `p` the share of shuffled tables with one as high."""

    group: str
    what: str
    correlation: float
    p: float


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Tokens of one kind: their texts, rows of the table (n, C), and the same in the two
    dimensions in which they differ most, (n, 2)."""

    name: str
    tokens: tuple[str, ...]
    vectors: Floats
    flat: Floats

    def neighbours(self, token: str, n: int = 3) -> list[tuple[str, float]]:
        """The n nearest tokens of the group with their cosine similarities.

        Raises:
            ControlError: the token is not of the group.
        """
        if token not in self.tokens:
            raise ControlError(f"'{token}' is none of {', '.join(self.tokens)}")
        unit = self.vectors / np.linalg.norm(self.vectors, axis=1, keepdims=True)
        similar = unit @ unit[self.tokens.index(token)]
        order = [i for i in np.argsort(-similar, kind="stable") if self.tokens[i] != token]
        return [(self.tokens[i], float(similar[i])) for i in order[:n]]


_KINDS = {"pitches": "pitch", "durations": "length", "keys": "tonic"}


def _semitones(token: Token) -> float:
    steps, alter = token.value
    octave, degree = divmod(steps, 7)
    return float(12 * octave + _MAJOR[degree] + alter)


def _fifths(token: Token) -> float:
    return float(Key(token.value).fifths)


def _around(a: float, b: float) -> float:
    """Steps between two keys on the circle of fifths."""
    apart = (a - b) % 12
    return min(apart, 12 - apart)


Measure = Callable[[Token], float]
Distance = Callable[[float, float], float]
_QUESTIONS: tuple[tuple[str, str, Measure, Distance], ...] = (
    ("pitches", "height in semitones", _semitones, lambda a, b: abs(a - b)),
    ("pitches", "pitch class on the circle of fifths", lambda t: 7 * _semitones(t), _around),
    ("durations", "ratio of lengths", lambda t: math.log2(t.value), lambda a, b: abs(a - b)),
    ("keys", "steps on the circle of fifths", _fifths, _around),
)


def measure(checkpoint: Checkpoint, *, end: str = "input") -> list[Group]:
    """The learned vectors of pitches, durations and keys: those that tokens become on their way
    in, or those that the state is compared with to guess the next ("output").

    Raises:
        CheckpointError: the model does not read melody tokens.
    """
    if checkpoint.tokenizer != NAME:
        raise CheckpointError(f"this model reads '{checkpoint.tokenizer}' tokens, not '{NAME}'")
    network: Any = checkpoint.network
    module = network.embedding.token if end == "input" else network.readout.output
    weights = module.weight.detach().double().cpu().numpy()  # (V, C)
    groups = []
    for name, kind in _KINDS.items():
        chosen = [i for i, text in enumerate(checkpoint.vocab) if parse_token(text).kind == kind]
        vectors = weights[chosen]
        texts = tuple(checkpoint.vocab[i] for i in chosen)
        groups.append(Group(name, texts, vectors, _two_dimensions(vectors)))
    return groups


def _two_dimensions(vectors: Floats) -> Floats:
    """Principal components: the plane in which the vectors (n, C) differ most, (n, 2)."""
    centred = vectors - vectors.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    flat = np.zeros((len(vectors), 2))
    flat[:, : min(2, len(s))] = (u * s)[:, :2]
    return flat


def questions(groups: Sequence[Group], *, seed: int = 0) -> list[Question]:
    """Whether the table knows heights, lengths and the circle of fifths; groups of fewer than
    four tokens are not asked."""
    by_name = {group.name: group for group in groups}
    answers = []
    for name, what, value, distance in _QUESTIONS:
        group = by_name[name]
        if len(group.tokens) >= 4:
            values = [value(parse_token(text)) for text in group.tokens]
            musical = np.array([[distance(a, b) for b in values] for a in values])
            answers.append(Question(name, what, *_mantel(group.vectors, musical, seed)))
    return answers


def _mantel(vectors: Floats, musical: Floats, seed: int) -> tuple[float, float]:
    gaps = vectors[:, None] - vectors[None]
    learned = np.sqrt((gaps**2).sum(axis=2))
    pairs = np.triu_indices(len(vectors), 1)
    target = _ranks(musical[pairs])
    rng = np.random.default_rng(seed)

    def correlation(order: NDArray[np.int64]) -> float:
        return float(np.corrcoef(_ranks(learned[np.ix_(order, order)][pairs]), target)[0, 1])

    found = correlation(np.arange(len(vectors)))
    as_high = sum(correlation(rng.permutation(len(vectors))) >= found for _ in range(SHUFFLES))
    return found, (as_high + 1) / (SHUFFLES + 1)


def _ranks(values: Floats) -> Floats:
    """Ranks from 0, equal values sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    ranks: Floats = (last - (counts + 1) / 2)[inverse]
    return ranks


def draw(ends: Mapping[str, Sequence[Group]], path: str | Path) -> None:
    """A map of each group, a row for each end; keys are joined along the circle of fifths."""
    with chart(path, width=14.0, height=4.6 * len(ends)) as figure:
        panels = figure.subplots(len(ends), len(_KINDS), squeeze=False)
        for row, (end, groups) in zip(panels, ends.items(), strict=True):
            for axes, group in zip(row, groups, strict=True):
                _draw_map(axes, group, f"{end}: {group.name}")


def _draw_map(axes: Any, group: Group, title: str) -> None:
    x, y = group.flat.T
    axes.scatter(x, y, s=12, color="#1f77b4")
    for text, at in zip(group.tokens, group.flat, strict=True):
        axes.annotate(
            text.removeprefix("K:"), at, fontsize=7, xytext=(2, 2), textcoords="offset points"
        )
    if group.name == "keys":
        order = np.argsort([_fifths(parse_token(text)) for text in group.tokens])
        axes.plot(x[order], y[order], linewidth=0.6, color="#999")
    axes.set_title(f"{title}, in the plane in which they differ most", fontsize=9)
    axes.tick_params(labelsize=6)


def rows(
    ends: Mapping[str, Sequence[Group]],
) -> list[tuple[str, str, str, float, float, str]]:
    """The numbers as a table: end, group, token, two coordinates, nearest tokens with their
    similarities."""
    table = []
    for end, groups in ends.items():
        for group in groups:
            for token, (x, y) in zip(group.tokens, group.flat.tolist(), strict=True):
                near = " ".join(f"{text}({value:.2f})" for text, value in group.neighbours(token))
                table.append((end, group.name, token, x, y, near))
    return table
