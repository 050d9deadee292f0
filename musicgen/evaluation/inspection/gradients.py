"""Gradients of a loss with respect to earlier inputs: why they vanish or explode.

The loss is that of the last of T tokens alone. Its gradient with respect to the input at an
earlier time, k steps back, has passed through the recurrence k times: the k-th power of what one
step does to it (Bengio, Simard and Frasconi, "Learning long-term dependencies with gradient
descent is difficult", 1994).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from musicgen.errors import ControlError
from musicgen.evaluation.inspection.tokens import token_view
from musicgen.models import ModelConfig, build_model
from musicgen.models.checkpoint import Checkpoint
from musicgen.models.inference.threads import torch_single_threaded
from musicgen.music.tune import Tune
from musicgen.system.charts import chart

# A network for each idea. The random weights of "relu, random" are half as large again as those
# that would keep a signal's size on average (He et al., 2015).
VARIANTS = {
    "tanh": ModelConfig(kind="rnn", activation="tanh", hidden_init="normal"),
    "tanh, large weights": ModelConfig(
        kind="rnn", activation="tanh", hidden_init="normal", hidden_gain=2.5
    ),
    "relu, random": ModelConfig(
        kind="rnn", activation="relu", hidden_init="normal", hidden_gain=1.5 * 2**0.5
    ),
    "relu, identity": ModelConfig(kind="rnn", activation="relu", hidden_init="identity"),
    "lstm": ModelConfig(kind="lstm"),
    "transformer": ModelConfig(kind="transformer"),
}
LAGS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 400, 500)
LENGTHS = (10, 20, 50, 100, 200, 500)
CLIP = 1.0  # the norm at which training clips by default
_FEWEST_LAGS = 6  # of a trained network
_PLACES = 8  # of a tune at which a trained network's loss is taken
_SHOWN = (1e-12, 1e12)


@dataclass(frozen=True, slots=True)
class GradientReach:
    """One network's gradients. `by_lag` is the norm of the gradient of the last loss with respect
    to the input `lag` steps before it, averaged over sequences, and `clipped` the same once the
    gradient of all parameters is scaled down to the bound; `by_length` the norm of that gradient
    when sequences have that length, and the same clipped. Of a trained network there is `by_lag`
    alone, and `like` names the variant that it began as."""

    name: str
    by_lag: dict[int, float]
    clipped: dict[int, float] = field(default_factory=dict)
    by_length: dict[int, tuple[float, float]] = field(default_factory=dict)
    like: str = ""


@torch_single_threaded()
def measure(
    ids: Tensor, vocab_size: int, *, d_model: int = 64, seed: int = 0, clip: float = CLIP
) -> list[GradientReach]:
    """Gradients of every variant, untrained, on sequences of ids (B, T), T at least 2."""
    reaches = []
    for name, config in VARIANTS.items():
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            network = build_model(replace(config, vocab_size=vocab_size, d_model=d_model))
        network.double()  # an exploding state passes float32's range within 200 steps
        reaches.append(measure_network(name, network, ids, clip=clip))
    return reaches


def measure_network(
    name: str, network: nn.Module, ids: Tensor, features: Tensor | None = None, *, clip: float
) -> GradientReach:
    """Gradients of one network on ids (B, T) and, where it needs them, features (B, T, F)."""
    network.eval()
    time = ids.shape[1] - 1
    inputs, total = _backward(network, ids, features)
    norms = inputs.norm(dim=2).mean(dim=0)  # (T,)
    by_lag = {lag: float(norms[time - 1 - lag]) for lag in LAGS if lag < time}
    kept = min(1.0, clip / total) if total > 0 else 1.0
    by_length = {}
    for length in (n for n in LENGTHS if n <= time):
        end = slice(ids.shape[1] - length - 1, None)
        _, norm = _backward(network, ids[:, end], None if features is None else features[:, end])
        by_length[length] = (norm, min(norm, clip))
    return GradientReach(
        name, by_lag, {lag: kept * norm for lag, norm in by_lag.items()}, by_length
    )


@torch_single_threaded()
def measure_trained(checkpoint: Checkpoint, music: Tune | str) -> GradientReach:
    """How far back a trained network's loss reaches at some places of a tune or a text, each with
    all that comes before it in view; of `LAGS` those that fit into it.

    Raises:
        CheckpointError: the model reads music, and this is text.
        ControlError: the model's language cannot represent the tune, or it is too short.
    """
    ids, features = token_view(music, checkpoint).batch
    lags = [lag for lag in LAGS if lag + 2 <= ids.shape[1]]
    if len(lags) < _FEWEST_LAGS:
        least = LAGS[_FEWEST_LAGS - 1] + 2
        raise ControlError(f"the music is too short: {ids.shape[1]} tokens of {least} at least")
    network = copy.deepcopy(checkpoint.network).double().eval()
    norms = []
    for end in np.linspace(lags[-1] + 2, ids.shape[1], _PLACES).round().astype(int).tolist():
        inputs, _ = _backward(network, ids[:, :end], features[:, :end])
        at_end = inputs[0].norm(dim=1)  # (T,)
        norms.append([float(at_end[end - 2 - lag]) for lag in lags])
    by_lag = dict(zip(lags, np.mean(norms, axis=0).tolist(), strict=True))
    kind = checkpoint.model.kind
    like = checkpoint.model.activation if kind == "rnn" else kind
    return GradientReach(f"{kind}, trained", by_lag, like=like)


def _backward(network: nn.Module, ids: Tensor, features: Tensor | None) -> tuple[Tensor, float]:
    """Gradient of the last token's loss with respect to the inputs (B, T, C), and the norm of
    that of all parameters."""
    caught: list[Tensor] = []

    def catch(_module: nn.Module, _args: object, output: Tensor) -> None:
        output.retain_grad()
        caught.append(output)

    network.zero_grad(set_to_none=True)
    handle = network.embedding.register_forward_hook(catch)  # type: ignore[union-attr]
    try:
        logits, _ = network(ids[:, :-1], None if features is None else features[:, :-1])
    finally:
        handle.remove()
    F.cross_entropy(logits[:, -1], ids[:, -1]).backward()  # type: ignore[no-untyped-call]
    gradient = caught[0].grad
    assert gradient is not None
    norms = [p.grad.norm() for p in network.parameters() if p.grad is not None]
    norm = float(torch.stack(norms).norm())
    network.zero_grad(set_to_none=True)
    # Each sequence's own gradient: cross_entropy has divided by their number.
    return gradient * len(ids), norm


def rows(reaches: Iterable[GradientReach]) -> list[tuple[str, str, int, float]]:
    """The numbers as a table: network, what (input or parameters, clipped or not), steps, norm of
    the gradient."""
    table: list[tuple[str, str, int, float]] = []
    for reach in reaches:
        table += [(reach.name, "input", lag, norm) for lag, norm in reach.by_lag.items()]
        table += [(reach.name, "input, clipped", lag, norm) for lag, norm in reach.clipped.items()]
        for length, (norm, clipped) in reach.by_length.items():
            table += [
                (reach.name, "parameters", length, norm),
                (reach.name, "parameters, clipped", length, clipped),
            ]
    return table


def draw(
    reaches: Sequence[GradientReach],
    trained: Sequence[GradientReach],
    path: str | Path,
    *,
    clip: float = CLIP,
) -> None:
    """Four charts: how the gradient fades or grows with the distance, the same once clipped, what
    clipping does to the gradient of all parameters, and what training has made of it."""
    with chart(path, width=11.0, height=8.6) as figure:
        panels = figure.subplots(2, 2)
        (back, clipped), (total, learned) = panels
        colors = {}
        for reach in reaches:
            colors[reach.name] = _plot(back, reach.by_lag, label=reach.name)
            _plot(clipped, reach.clipped)
            lengths = reach.by_length.items()
            _plot(total, {n: norm for n, (norm, _) in lengths})
            bounded = {n: after for n, (_, after) in lengths}
            _plot(total, bounded, "--", color=colors[reach.name], linewidth=1)
        for reach in trained:
            _plot(learned, reach.by_lag, label=reach.name, color=colors.get(reach.like))
        back.set_title("gradient of the last loss at an earlier input, untrained")
        clipped.set_title(f"the same, all gradients clipped at {clip:g}")
        total.set_title(f"gradient of all parameters; dashed: clipped at {clip:g}")
        learned.set_title("trained networks: gradient of a loss at an earlier input")
        for axes in panels.flat:
            axes.set_xlabel("steps back")
            axes.set_ylabel("norm of the gradient")
            axes.set_xscale("log")
            axes.set_yscale("log")
            ticks = (10, 30, 100, 500) if axes is total else (1, 3, 10, 30, 100, 500)
            axes.set_xticks(ticks, [str(n) for n in ticks])
            axes.set_ylim(*_SHOWN)
            axes.grid(alpha=0.3)
        total.set_xlabel("length of the sequence, steps")
        back.legend(fontsize=8, loc="lower left")
        learned.legend(fontsize=8, loc="upper right")


def _plot(axes: Any, points: Mapping[int, float], style: str = ".-", **look: Any) -> str:
    """A line over points, those beyond a logarithmic axis at its ends; its colour."""
    (line,) = axes.plot(list(points), np.clip(list(points.values()), *_SHOWN), style, **look)
    return line.get_color()
