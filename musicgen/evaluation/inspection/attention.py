"""Which earlier notes each note attends to, for every layer and head of a transformer.

Vaswani et al., "Attention is all you need", 2017. A head's weights over the tokens are summed to
weights over the notes that the tokens encode, so that they can be shown on the score.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from musicgen.errors import CheckpointError, ControlError
from musicgen.evaluation.inspection.tokens import Place, TokenView, require_score, token_view
from musicgen.formats.engraving.annotation import AnnotatedScore, Arc
from musicgen.models.checkpoint import Checkpoint
from musicgen.models.networks.transformer import Transformer
from musicgen.music.tune import Tune
from musicgen.system.charts import chart
from musicgen.tokens.melody.encoding import pickup_of

Weights = NDArray[np.float64]
_STRONGEST = 3  # arcs of a note
_FAINTEST = 0.08  # share of the attention that is still drawn
MAX_TOKENS = 1500  # weights of more, for all heads, take too much memory and no picture shows them
_LANDMARKS = 12  # marks on an axis of more tokens than these, whose symbols all fit
_ALL_SYMBOLS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Attention:
    """`weights` (L, H, T, T): of layer, head and token, the shares that it gives to itself and
    the earlier ones; `positions` are those that distance alone would give, with every query and
    key replaced by the mean of its head's."""

    view: TokenView
    weights: Weights
    positions: Weights

    def among_notes(self, layer: int, head: int) -> tuple[list[Place], Weights]:
        """Places of the N notes and rests, and the shares (N, N) that each gives to the earlier
        ones, at the token of its pitch; the shares of headings and bar lines are left out."""
        sounding = self.view.sounding()
        number = {place: i for i, (_, place) in enumerate(sounding)}
        member = np.zeros((len(self.view.tokens), len(number)))
        for t, place in enumerate(self.view.places):
            if place in number:
                member[t, number[place]] = 1
        weights = self.weights[layer, head][[t for t, _ in sounding]]
        return [place for _, place in sounding], weights @ member

    def by_distance(self, longest: int = 64) -> tuple[Weights, Weights]:
        """Mean share given to the token at each distance 0 .. longest - 1, (L, H, longest), as it
        is and as positions alone would give."""
        longest = min(longest, self.weights.shape[2])
        curves = [
            np.stack(
                [np.diagonal(w, -d, axis1=2, axis2=3).mean(axis=2) for d in range(longest)], axis=2
            )
            for w in (self.weights, self.positions)
        ]
        return curves[0], curves[1]


@torch.inference_mode()
def measure(music: Tune | str, checkpoint: Checkpoint) -> Attention:
    """The attention of a model while it reads a tune or a text; see `token_view`.

    Raises:
        CheckpointError: the model has no attention, or reads music, and this is text.
        ControlError: the model's language cannot represent the tune, or it is too long.
    """
    network = checkpoint.network
    if not isinstance(network, Transformer):
        raise CheckpointError(
            f"this model is an '{checkpoint.model.kind}' and has no attention; "
            "name a transformer, such as --checkpoint celtic-transformer"
        )
    view = token_view(music, checkpoint)
    if len(view.ids) > MAX_TOKENS:
        raise ControlError(
            f"{len(view.ids)} tokens are too many to show what attends to what; "
            f"{MAX_TOKENS} at most, so cut it"
        )
    layers, alone = (
        torch.stack([w[0] for w in network.attention(*view.batch, positions_only=only)])
        for only in (False, True)
    )
    return Attention(view, layers.double().numpy(), alone.double().numpy())


def score(
    attention: Attention, tune: Tune, layer: int, head: int, note: int | None = None
) -> AnnotatedScore:
    """The tune engraved with arcs from each note, or from note number `note` (from 1) alone, to
    those that a head attends to most.

    Raises:
        CheckpointError: the model's tokens are not those of a melody.
        ControlError: there is no such layer, head or note.
    """
    require_score(attention.view)
    n_layers, n_heads = attention.weights.shape[:2]
    for name, value, most in (("layer", layer, n_layers), ("head", head, n_heads)):
        if not 1 <= value <= most:
            raise ControlError(f"{name} {value}: the model has {name}s 1 to {most}")
    places, shares = attention.among_notes(layer - 1, head - 1)
    if note is not None and not 1 <= note <= len(places):
        raise ControlError(f"note {note}: the tune has notes 1 to {len(places)}")
    arcs = [
        Arc(places[i], places[j], float(shares[i, j]))
        for i in (range(len(places)) if note is None else [note - 1])
        for j in np.argsort(-shares[i, :i], kind="stable")[:_STRONGEST]
        if shares[i, j] >= _FAINTEST
    ]
    colors = {places[note - 1]: "#d62728"} if note is not None else {}
    return AnnotatedScore(tune=tune, arcs=arcs, colors=colors)


def draw(attention: Attention, path: str | Path) -> None:
    """Heat maps: for each layer (row) and head, the shares that each token gives to earlier ones.
    The last row: mean share by distance, as it is (lines) and by positions alone (dashed)."""
    from matplotlib.colors import PowerNorm

    n_layers, n_heads = attention.weights.shape[:2]
    # The square root shows faint attention beside strong.
    scale = PowerNorm(0.5, vmin=0, vmax=0.64)
    ticks, labels, unit = _landmarks(attention.view)
    with chart(path, width=2.6 * n_heads + 1.2, height=2.5 * n_layers + 2.6) as figure:
        panels = figure.subplots(n_layers + 1, n_heads, squeeze=False)
        for (layer, head), axes in np.ndenumerate(panels[:n_layers]):
            weights = attention.weights[layer, head]
            future = np.triu(np.ones_like(weights, np.bool_), 1)
            shown = axes.imshow(np.ma.array(weights, mask=future), cmap="magma_r", norm=scale)
            axes.set_title(f"layer {layer + 1}, head {head + 1}", fontsize=8)
            size = 6 if unit != "symbol" else min(6.0, 160 / len(ticks))
            axes.set_xticks(ticks, labels, fontsize=size, rotation=90)
            axes.set_yticks(ticks, labels, fontsize=size)
            if head == 0:
                axes.set_ylabel(f"token that attends, by {unit}", fontsize=7)
            if layer == n_layers - 1:
                axes.set_xlabel(f"token attended to, by {unit}", fontsize=7)
        bar = figure.colorbar(shown, ax=panels[:n_layers], extend="max", aspect=60, pad=0.01)
        bar.set_label("share of the attention", fontsize=8)
        bar.ax.tick_params(labelsize=7)
        for head, axes in enumerate(panels[n_layers]):
            _draw_distances(axes, attention, head)
        panels[n_layers, 0].set_ylabel("mean share of attention", fontsize=7)
        panels[n_layers, 0].legend(fontsize=6)


def _draw_distances(axes: Any, attention: Attention, head: int) -> None:
    """The mean share that a head of each layer gives to the token at each distance."""
    actual, alone = attention.by_distance()
    for layer in range(len(actual)):
        (line,) = axes.plot(actual[layer, head], linewidth=1, label=f"layer {layer + 1}")
        axes.plot(alone[layer, head], "--", linewidth=0.8, color=line.get_color())
    axes.set_yscale("log")
    axes.set_ylim(1e-4, 1)
    axes.set_title(f"head {head + 1}", fontsize=8)
    axes.tick_params(labelsize=6)
    axes.set_xlabel("tokens back; dashed: by positions alone", fontsize=7)


def _landmarks(view: TokenView) -> tuple[list[int], list[str], str]:
    """The marks of an axis of tokens: every token of a few; else the first notes of some bars (a
    pickup at the beginning is bar 0), or the beginnings of lines of a text, each with its number
    and its token. Positions, labels, unit."""
    if len(view.tokens) <= _ALL_SYMBOLS:
        return [*range(len(view.tokens))], list(view.symbols), "symbol"
    firsts: dict[int, int] = {}
    for t, place in enumerate(view.places):
        if place is not None:
            firsts.setdefault(place[0], t)
    pickup = view.tune is not None and pickup_of(view.tune) > 0
    numbers = {bar: bar + 1 - pickup for bar in firsts}
    every = 1
    while len(firsts) > _LANDMARKS * every:
        every *= 2
    marked = [bar for bar, number in numbers.items() if (number - 1) % every == 0]
    unit = "line" if view.tune is None else "bar"
    labels = [f"{numbers[i]} {view.symbols[firsts[i]]}" for i in marked]
    return [firsts[i] for i in marked], labels, unit


def rows(attention: Attention) -> list[tuple[int, int, int, int, float]]:
    """The numbers as a table: layer, head, note, earlier note (all from 1; without a score tokens),
    share; shares under 1 % left out."""
    table: list[tuple[int, int, int, int, float]] = []
    for layer, head in heads(attention):
        _, shares = attention.among_notes(layer - 1, head - 1)
        table += [
            (layer, head, int(i) + 1, int(j) + 1, float(shares[i, j]))
            for i, j in zip(*np.nonzero(shares >= 0.01), strict=True)
        ]
    return table


def heads(attention: Attention) -> list[tuple[int, int]]:
    """Every layer and head, from 1."""
    n_layers, n_heads = attention.weights.shape[:2]
    return [(layer + 1, head + 1) for layer, head in np.ndindex(n_layers, n_heads)]


def furthest_head(attention: Attention) -> tuple[int, int]:
    """The layer and head with the longest memory, which are the most telling to draw: those whose
    notes give the greatest share to a single one at least eight back."""

    def far(pair: tuple[int, int]) -> float:
        _, shares = attention.among_notes(pair[0] - 1, pair[1] - 1)
        return float(np.tril(shares, -8).max(axis=1).sum())

    return max(heads(attention), key=far)
