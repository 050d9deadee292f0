"""How unexpected a model finds each note of a tune, in bits.

The bits of a note are those of all its tokens: its length where it has one, the tuplet it
opens, its pitch, its tie. Bar lines and repeats cost bits too and are counted apart; the heading
is given to the model. Shannon's information content, -log2 p; as a model of what listeners
expect: Pearce, "Statistical learning and probabilistic prediction in music cognition", 2018.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from musicgen.evaluation.inspection.tokens import Place, TokenView, require_score, token_view
from musicgen.formats.engraving.annotation import AnnotatedScore
from musicgen.models.checkpoint import Checkpoint
from musicgen.models.cost import nats
from musicgen.music.tune import Tune
from musicgen.system.charts import chart
from musicgen.tokens import char

COLORS = ((1.0, "#2c7fb8", "under 1 bit"), (3.0, "#41b6c4", "1 to 3"), (5.0, "#fd8d3c", "3 to 5"),
          (math.inf, "#d7191c", "5 bits and more"))  # fmt: skip

_LINES = 60  # of a text that are drawn


@dataclass(frozen=True, slots=True)
class Surprise:
    """`bits` of each token after `<bos>`, in order, 0 for the heading; `of_note` those of each
    note or rest; `bits_per_note` everything but the heading, over the notes."""

    view: TokenView
    bits: tuple[float, ...]
    of_note: dict[Place, float]

    @property
    def bits_per_note(self) -> float:
        """Bits of notes, bar lines and the end, over the number of notes (or of other units)."""
        return sum(self.bits) / self.view.n_units


@torch.inference_mode()
def measure(music: Tune | str, checkpoint: Checkpoint) -> Surprise:
    """Bits of every token of a tune or a text under a model; see `token_view`.

    Raises:
        CheckpointError: the model reads music, and this is text.
        ControlError: the model's language cannot represent the tune.
    """
    view = token_view(music, checkpoint)
    tokens, features = view.batch
    logits, _ = checkpoint.network(tokens[:, :-1], features[:, :-1])
    cost = nats(logits, tokens[:, 1:])[0].double() / math.log(2)  # (T - 1,)
    cost[: view.n_header] = 0
    bits = tuple(cost.tolist())
    of_note: dict[Place, float] = {}
    for place, value in zip(view.places[1:], bits, strict=True):
        if place is not None:
            of_note[place] = of_note.get(place, 0.0) + value
    return Surprise(view, bits, of_note)


def score(surprise: Surprise, tune: Tune) -> AnnotatedScore:
    """The tune engraved, each note in the colour of its surprise and with its bits above it.

    Raises:
        CheckpointError: the model's tokens are not those of a melody.
    """
    require_score(surprise.view)
    return AnnotatedScore(
        tune=tune,
        colors={place: _color(bits) for place, bits in surprise.of_note.items()},
        words={place: f"{bits:.1f}" for place, bits in surprise.of_note.items()},
        legend=[(color, meaning) for _, color, meaning in COLORS],
    )


def draw_text(surprise: Surprise, path: str | Path) -> None:
    """The text or the tokens of music, each token on the colour of its surprise."""
    view = surprise.view
    placed = view.sounding()
    symbols = view.symbols
    width = 1 + max(column + len(symbols[t]) for t, (_, column) in placed)
    n_lines = 1 + max(line for _, (line, _) in placed)
    shown = min(n_lines, _LINES)
    size = 8 if view.unit == char.UNIT else 11  # long tokens fill their columns
    with chart(path, width=0.1 * max(60, width) + 0.4, height=0.21 * shown + 0.7) as figure:
        axes = figure.subplots()
        axes.axis("off")
        axes.set_xlim(-0.5, max(60, width))
        axes.set_ylim(shown, -1.6)
        for t, (line, column) in placed:
            if line < shown:
                axes.text(column + (len(symbols[t]) - 1) / 2, line, symbols[t],
                          family="monospace", fontsize=size, ha="center", va="center",
                          color="white", fontweight="bold",
                          bbox={"fc": _color(surprise.of_note[line, column]), "ec": "none",
                                "pad": 1.6})  # fmt: skip
        for k, (_, color, meaning) in enumerate(COLORS):
            axes.text(15 * k, -1.2, meaning, fontsize=8, color=color, fontweight="bold")
        if shown < n_lines:
            axes.text(0, shown - 0.3, f"{shown} of {n_lines} lines", fontsize=7)


def _color(bits: float) -> str:
    return next(color for below, color, _ in COLORS if bits < below)


def rows(surprise: Surprise) -> list[tuple[str, int, int, float]]:
    """The numbers as a table: token, number of the bar from 1 and of the note in it (0: a bar
    line or the heading), bits; without a score line and column from 1."""
    table, bar = [], 1
    places = surprise.view.places[1:]
    for token, place, bits in zip(surprise.view.tokens[1:], places, surprise.bits, strict=True):
        bar = place[0] + 1 if place is not None else bar
        table.append((token, bar, 0 if place is None else place[1] + 1, bits))
    return table
