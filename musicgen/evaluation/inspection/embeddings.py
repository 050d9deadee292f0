"""The learned vectors of tokens: the rows of a network's tables at its input and its output.

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

from musicgen.errors import CheckpointError, ControlError
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.theory import Key
from musicgen.system.charts import COLORS, chart
from musicgen.tokens.melody.encoding import NAME
from musicgen.tokens.melody.table import Token, parse_token

Floats = NDArray[np.float64]
ENDS = ("input", "output")
SHUFFLES = 2000
_MAJOR = (0, 2, 4, 5, 7, 9, 11)  # semitones of the scale degrees above the tonic


@dataclass(frozen=True, slots=True)
class DistanceProbe:
    """Whether distance in the table goes with distance in music. `correlation` is Spearman's, of
    all pairs; `p` the share of shuffled tables with one as high."""

    group: str
    what: str
    correlation: float
    p: float


@dataclass(frozen=True, slots=True, eq=False)
class TokenGroup:
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
    return min((a - b) % 12, (b - a) % 12)


Measure = Callable[[Token], float]
Distance = Callable[[float, float], float]
_QUESTIONS: tuple[tuple[str, str, Measure, Distance], ...] = (
    ("pitches", "height in semitones", _semitones, lambda a, b: abs(a - b)),
    ("pitches", "pitch class on the circle of fifths", lambda t: 7 * _semitones(t), _around),
    ("durations", "ratio of lengths", lambda t: math.log2(t.value), lambda a, b: abs(a - b)),
    ("keys", "steps on the circle of fifths", _fifths, _around),
)


def measure(checkpoint: Checkpoint, *, end: str = "input") -> list[TokenGroup]:
    """The learned vectors of pitches, durations and keys: the input embedding, or
    the weights of the readout ("output").

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
        ids = [i for i, text in enumerate(checkpoint.vocab) if parse_token(text).kind == kind]
        texts = tuple(checkpoint.vocab[i] for i in ids)
        groups.append(TokenGroup(name, texts, weights[ids], _two_dimensions(weights[ids])))
    return groups


def _two_dimensions(vectors: Floats) -> Floats:
    """Principal components: the plane in which the vectors (n, C) differ most, (n, 2)."""
    u, s, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    flat = np.zeros((len(vectors), 2))
    flat[:, : min(2, len(s))] = (u * s)[:, :2]
    return flat


def questions(groups: Sequence[TokenGroup], *, seed: int = 0) -> list[DistanceProbe]:
    """Whether the table encodes heights, lengths and the circle of fifths; groups of fewer than
    four tokens are left out."""
    by_name = {group.name: group for group in groups if len(group.tokens) >= 4}
    probes = []
    for name, what, value, distance in _QUESTIONS:
        if name in by_name:
            values = [value(parse_token(text)) for text in by_name[name].tokens]
            musical = np.array([[distance(a, b) for b in values] for a in values])
            probes.append(DistanceProbe(name, what, *_mantel(by_name[name].vectors, musical, seed)))
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
    with chart(path, width=15.0, height=5.0 * len(ends) + 5.0) as figure:
        panels = figure.subplots(len(ends) + 1, len(_KINDS), squeeze=False)
        for row, (end, groups) in zip(panels, ends.items(), strict=False):
            for axes, group in zip(row, groups, strict=True):
                lines = [
                    f"{q.what}: correlation {q.correlation:+.2f}, p {q.p:.2g}"
                    for q in probes[end]
                    if q.group == group.name
                ]
                _draw_map(axes, group, "\n".join([f"{end}: {group.name}", *lines]))
        end, groups = next(iter(ends.items()))
        for axes, group in zip(panels[-1], groups, strict=True):
            shown = _draw_likeness(axes, group, end)
        figure.colorbar(shown, ax=panels[-1], label="cosine similarity", pad=0.01)


def _draw_map(axes: Any, group: TokenGroup, title: str) -> None:
    x, y = group.flat.T
    values = [parse_token(text).value for text in group.tokens]
    altered = [group.name == "pitches" and value[1] != 0 for value in values]
    axes.scatter(x, y, s=14, color=[COLORS[each] for each in altered])
    axes.margins(0.07)
    if group.name == "keys":
        axes.plot(*group.flat[_in_order(group)].T, linewidth=0.6, color="#999")
    _put_labels(axes, [text.removeprefix("K:") for text in group.tokens], group.flat)
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(f"first principal component{_NOTE.get(group.name, '')}", fontsize=8)
    axes.set_ylabel("second", fontsize=8)
    axes.tick_params(labelsize=7)


_NOTE = {"pitches": "; orange: altered degrees", "keys": "; line: round the circle of fifths"}


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


_ORDER: Mapping[str, Measure] = {
    "pitches": _semitones, "durations": lambda token: float(token.value), "keys": _fifths
}  # fmt: skip


def _in_order(group: TokenGroup) -> NDArray[np.int64]:
    """Positions of the tokens from low to high, short to long, or along the circle of fifths."""
    return np.argsort(
        [_ORDER[group.name](parse_token(text)) for text in group.tokens], kind="stable"
    )


def _draw_likeness(axes: Any, group: TokenGroup, end: str) -> Any:
    """Cosines between the vectors of a group in musical order: learned below the diagonal,
    one-hot above it, where all are 0."""
    order = _in_order(group)
    unit = group.vectors[order] / np.linalg.norm(group.vectors[order], axis=1, keepdims=True)
    shown = axes.imshow(np.tril(unit @ unit.T), cmap="PuOr_r", vmin=-1, vmax=1)
    names = [group.tokens[i].removeprefix("K:") for i in order]
    size = 7 if len(names) < 25 else 4.5
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set_title(f"{group.name}: {end}, learned, below the diagonal; one-hot above", fontsize=9)
    return shown


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


def nearest(ends: Mapping[str, Sequence[TokenGroup]]) -> list[tuple[str, ...]]:
    """The plain degrees of the middle octave, the durations and the keys, each with the tokens
    that are nearest to it at each end."""
    table = []
    for groups in zip(*ends.values(), strict=True):
        for i in _in_order(groups[0]).tolist():
            token = groups[0].tokens[i]
            if groups[0].name != "pitches" or token.isdigit():
                table.append((token, *(_near(group, token) for group in groups)))
    return table


def _near(group: TokenGroup, token: str) -> str:
    return " ".join(f"{text}({value:.2f})" for text, value in group.neighbours(token))
