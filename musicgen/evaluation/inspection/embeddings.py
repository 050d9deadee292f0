"""The learned vectors of tokens: the rows of a network's tables at its input and its output.

One-hot vectors are all equally far from one another, so they know nothing of music; a learned
table may put tokens near each other that mean something similar. How much it does is tested by
comparing distances in the table with distances in music, against shuffled tables (Mantel, "The
detection of disease clustering and a generalized regression approach", 1967).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen.config import suggestion
from musicgen.errors import CheckpointError, ControlError
from musicgen.evaluation.inspection.token_kinds import KINDS, TokenKind
from musicgen.evaluation.inspection.tokens import shown
from musicgen.models.checkpoint import Checkpoint
from musicgen.system.charts import COLORS, chart

Floats = NDArray[np.float64]
ENDS = ("input", "output")
SHUFFLES = 2000
MOST_COMPARED = 1000  # tokens of a group, the first in the vocabulary: of words the most frequent
MOST_DRAWN = 80  # of them on a map, and in questions; in a table of neighbours a third


@dataclass(frozen=True, slots=True)
class DistanceProbe:
    """Whether distance in the table goes with another distance (`what`). `correlation` is
    Spearman's, of all pairs; `p` the share of shuffled tables with one as high."""

    group: str
    what: str
    correlation: float
    p: float


@dataclass(frozen=True, slots=True, eq=False)
class TokenGroup:
    """Tokens of one kind: their texts, rows of the table (n, C), and the same in the two
    dimensions in which they differ most, (n, 2)."""

    kind: TokenKind
    tokens: tuple[str, ...]
    vectors: Floats
    flat: Floats

    @property
    def name(self) -> str:
        """The name of the kind."""
        return self.kind.name

    @property
    def first(self) -> TokenGroup:
        """The first `MOST_DRAWN` tokens."""
        n = MOST_DRAWN
        return TokenGroup(self.kind, self.tokens[:n], self.vectors[:n], self.flat[:n])

    def neighbours(self, token: str, n: int = 3) -> list[tuple[str, float]]:
        """The n nearest tokens of the group with their cosine similarities.

        Raises:
            ControlError: the token is not of the group.
        """
        if token not in self.tokens:
            near = suggestion(token, self.tokens) or f"such as {', '.join(self.tokens[:20])}"
            raise ControlError(f"'{token}' is none of the {len(self.tokens)} {self.name}; {near}")
        unit = _unit(self.vectors)
        similar = unit @ unit[self.tokens.index(token)]
        order = [i for i in np.argsort(-similar, kind="stable") if self.tokens[i] != token]
        return [(self.tokens[i], float(similar[i])) for i in order[:n]]


def measure(checkpoint: Checkpoint, *, end: str = "input") -> list[TokenGroup]:
    """The learned vectors of the kinds of tokens that a language has (`KINDS`): the input
    embedding, or the weights of the readout ("output").

    Raises:
        CheckpointError: the model's tokens are not known here, or its input is one-hot.
    """
    if checkpoint.tokenizer not in KINDS:
        raise CheckpointError(f"tokens of the language '{checkpoint.tokenizer}' have no kinds here")
    if end == "input" and checkpoint.model.embedding == "one-hot":
        raise CheckpointError("this model has one-hot inputs: their vectors are not learned")
    network: Any = checkpoint.network
    module = network.embedding.token if end == "input" else network.readout.output
    weights = module.weight.detach().double().cpu().numpy()  # (V, C)
    groups = []
    for kind in KINDS[checkpoint.tokenizer]:
        ids = [i for i, text in enumerate(checkpoint.vocab) if kind.order(text) is not None]
        ids = ids[:MOST_COMPARED]
        texts = tuple(checkpoint.vocab[i] for i in ids)
        if texts:
            groups.append(TokenGroup(kind, texts, weights[ids], _two_dimensions(weights[ids])))
    return groups


def _unit(vectors: Floats) -> Floats:
    """Vectors (n, C) at length 1, or 0."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _two_dimensions(vectors: Floats) -> Floats:
    """Principal components: the plane in which the vectors (n, C) differ most, (n, 2)."""
    u, s, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    flat = np.zeros((len(vectors), 2))
    flat[:, : min(2, len(s))] = (u * s)[:, :2]
    return flat


def questions(groups: Sequence[TokenGroup], *, seed: int = 0) -> list[DistanceProbe]:
    """Whether the table encodes heights, lengths, the circle of fifths and the like; groups of
    fewer than four tokens are left out, and values that are all equally far apart."""
    probes = []
    for group in (group.first for group in groups if len(group.tokens) >= 4):
        for question in group.kind.questions:
            values = [question.value(text) for text in group.tokens]
            asked = np.array([[question.distance(a, b) for b in values] for a in values])
            if len(np.unique(asked[np.triu_indices(len(values), 1)])) > 1:
                correlation = _mantel(group.vectors, asked, seed)
                probes.append(DistanceProbe(group.name, question.what, *correlation))
    return probes


def _mantel(vectors: Floats, musical: Floats, seed: int) -> tuple[float, float]:
    learned = np.sqrt(((vectors[:, None] - vectors[None]) ** 2).sum(axis=2))
    pairs = np.triu_indices(len(vectors), 1)
    target = _ranks(musical[pairs])
    rng = np.random.default_rng(seed)

    def correlation(order: NDArray[np.int64]) -> float:
        return float(np.corrcoef(_ranks(learned[np.ix_(order, order)][pairs]), target)[0, 1])

    actual = correlation(np.arange(len(vectors)))
    as_high = sum(correlation(rng.permutation(len(vectors))) >= actual for _ in range(SHUFFLES))
    return actual, (as_high + 1) / (SHUFFLES + 1)


def _ranks(values: Floats) -> Floats:
    """Ranks from 0, equal values sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts + 1) / 2)[inverse]


def draw(
    ends: Mapping[str, Sequence[TokenGroup]],
    probes: Mapping[str, Sequence[DistanceProbe]],
    path: str | Path,
) -> None:
    """A map of each group with its `probes`, a row for each end, keys joined along the circle of
    fifths; below them the similarity of the vectors of a group, learned and one-hot."""
    with chart(
        path, width=5.0 * max(2, len(next(iter(ends.values())))), height=5.0 * len(ends) + 5.0
    ) as figure:
        n_groups = len(next(iter(ends.values())))
        panels = figure.subplots(len(ends) + 1, n_groups, squeeze=False)
        for row, (end, groups) in zip(panels, ends.items(), strict=False):
            for axes, group in zip(row, (group.first for group in groups), strict=True):
                lines = [
                    f"{q.what}: correlation {q.correlation:+.2f}, p {q.p:.2g}"
                    for q in probes[end]
                    if q.group == group.name
                ]
                _draw_map(axes, group, "\n".join([f"{end}: {group.name}", *lines]))
        end, groups = next(iter(ends.items()))
        for axes, group in zip(panels[-1], (group.first for group in groups), strict=True):
            image = _draw_likeness(axes, group, end)
        figure.colorbar(image, ax=panels[-1], label="cosine similarity", pad=0.01)


def _draw_map(axes: Any, group: TokenGroup, title: str) -> None:
    x, y = group.flat.T
    axes.scatter(x, y, s=14, color=[COLORS[group.kind.is_marked(text)] for text in group.tokens])
    axes.margins(0.07)
    if group.kind.joined:
        axes.plot(*group.flat[_in_order(group)].T, linewidth=0.6, color="#999")
    _put_labels(axes, [group.kind.label(text) for text in group.tokens], group.flat)
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(f"first principal component{group.kind.note}", fontsize=8)
    axes.set_ylabel("second", fontsize=8)
    axes.tick_params(labelsize=7)


_AROUND = [(r * math.cos(a), r * math.sin(a)) for r in (13, 22, 34, 48)
           for a in np.linspace(0.5, 6.78, 16).tolist()]  # fmt: skip


def _put_labels(axes: Any, texts: Sequence[str], points: Floats) -> None:
    """A name beside each point where it hides least; thin lines lead to those further off."""
    axes.figure.draw_without_rendering()  # the layout is settled before places are compared
    taken: list[tuple[float, float]] = axes.transData.transform(points).tolist()  # in pixels
    points_per_pixel = 72 / axes.figure.dpi
    for text, (x, y), point in zip(texts, list(taken), points, strict=True):
        wide = 9 + 3.0 * len(text)
        crowding = {
            offset: 0.01 * math.hypot(*offset)
            + sum(abs(x + offset[0] - u) < wide and abs(y + offset[1] - v) < 11 for u, v in taken)
            for offset in _AROUND
        }
        right, up = min(crowding, key=crowding.__getitem__)
        taken.append((x + right, y + up))
        lead = {"arrowstyle": "-", "lw": 0.3, "color": "#888", "shrinkA": 0, "shrinkB": 1}
        axes.annotate(
            text, point, (right * points_per_pixel, up * points_per_pixel), fontsize=7,
            textcoords="offset points", ha="center", va="center",
            arrowprops=lead if math.hypot(right, up) > 20 else None,
        )  # fmt: skip


def _in_order(group: TokenGroup) -> NDArray[np.int64]:
    """Positions of the tokens in the order of their kind: from low to high, short to long, or along
    the circle of fifths."""
    order = [group.kind.order(text) or 0.0 for text in group.tokens]
    return np.argsort(order, kind="stable")


def _draw_likeness(axes: Any, group: TokenGroup, end: str) -> Any:
    """Cosines between the vectors of a group in musical order: learned below the diagonal,
    one-hot above it, where all are 0."""
    order = _in_order(group)
    unit = _unit(group.vectors[order])
    image = axes.imshow(np.tril(unit @ unit.T), cmap="PuOr_r", vmin=-1, vmax=1)
    names = [group.kind.label(group.tokens[i]) for i in order]
    size = 7 if len(names) < 25 else 4.5 if len(names) < 60 else 2.5
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set_title(f"{group.name}: {end}, learned, below the diagonal; one-hot above", fontsize=9)
    return image


def rows(
    ends: Mapping[str, Sequence[TokenGroup]],
) -> list[tuple[str, str, str, float, float, str]]:
    """The numbers as a table: end, group, token, two coordinates, nearest tokens with their
    similarities."""
    return [
        (end, group.name, token, x, y, _near(group, token))
        for end, groups in ends.items()
        for group in groups
        for token, (x, y) in zip(group.tokens, group.flat.tolist(), strict=True)
    ]


def nearest(
    ends: Mapping[str, Sequence[TokenGroup]], tokens: Sequence[str] = ()
) -> list[tuple[str, ...]]:
    """Some tokens of each kind (of pitches the plain degrees of the middle octave), or those asked
    for, each with the tokens that are nearest to it at each end.

    Raises:
        ControlError: one that is asked for is in no group.
    """
    first, *_ = ends.values()
    for token in tokens:
        if not any(token in group.tokens for group in first):
            first[0].neighbours(token)
    table = []
    for groups in zip(*ends.values(), strict=True):
        kind, known = groups[0].kind, groups[0].tokens
        listed = [known[i] for i in _in_order(groups[0].first).tolist()]
        chosen = [t for t in tokens if t in known] if tokens else filter(kind.is_listed, listed)
        for token in list(chosen)[: MOST_DRAWN // 3 if len(known) > MOST_DRAWN else None]:
            table.append((shown(token), *(_near(group, token) for group in groups)))
    return table


def _near(group: TokenGroup, token: str) -> str:
    return " ".join(f"{shown(text)}({value:.2f})" for text, value in group.neighbours(token))
