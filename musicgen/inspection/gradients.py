"""How the gradient of a loss reaches back through time, and what makes it fade or explode.

The loss is that of the last of T tokens alone. Its gradient with respect to the input at an
earlier time, k steps back, has passed through the recurrence k times: the k-th power of what one
step does to it (Bengio, Simard and Frasconi, "Learning long-term dependencies with gradient
descent is difficult", 1994).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from musicgen.charts import chart
from musicgen.models import ModelConfig, build_model
from musicgen.stepping.threads import torch_single_threaded

# What stands for each idea. The random weights of "relu, random" are half as large again as those
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


@dataclass(frozen=True, slots=True)
class Reach:
    """One network's gradients. `by_lag` is the norm of the gradient of the last loss with respect
    to the input `lag` steps before it, averaged over sequences; `by_length` the norm of the
    gradient of all parameters when sequences have that length, and the same once clipped."""

    name: str
    by_lag: dict[int, float]
    by_length: dict[int, tuple[float, float]]


@torch_single_threaded()
def measure(
    ids: Tensor, vocab_size: int, *, d_model: int = 64, seed: int = 0, clip: float = CLIP
) -> list[Reach]:
    """Gradients of every variant, untrained, on sequences of ids (B, T), T at least 2."""
    reaches = []
    for name, config in VARIANTS.items():
        torch.manual_seed(seed)
        network = build_model(replace(config, vocab_size=vocab_size, d_model=d_model))
        network.double()  # an exploding state passes float32's range within 200 steps
        reaches.append(measure_network(name, network, ids, clip=clip))
    return reaches


def measure_network(
    name: str, network: nn.Module, ids: Tensor, features: Tensor | None = None, *, clip: float
) -> Reach:
    """Gradients of one network on ids (B, T) and, where it needs them, features (B, T, F)."""
    network.eval()
    time = ids.shape[1] - 1
    inputs, _ = _backward(network, ids, features)
    norms = inputs.norm(dim=2).mean(dim=0)  # (T,)
    by_lag = {lag: float(norms[time - 1 - lag]) for lag in LAGS if lag < time}
    by_length = {}
    for length in (n for n in LENGTHS if n <= time):
        end = slice(ids.shape[1] - length - 1, None)
        given = None if features is None else features[:, end]
        _, norm = _backward(network, ids[:, end], given)
        by_length[length] = (norm, min(norm, clip))
    return Reach(name, by_lag, by_length)


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
    parameters = [p.grad.norm() for p in network.parameters() if p.grad is not None]
    norm = float(torch.stack(parameters).norm())
    network.zero_grad(set_to_none=True)
    # Each sequence's own gradient: cross_entropy has divided by their number.
    return gradient * len(ids), norm


def rows(reaches: Iterable[Reach]) -> list[tuple[str, str, int, float]]:
    """The numbers as a table: network, what (input, parameters, parameters clipped), steps,
    norm of the gradient."""
    table: list[tuple[str, str, int, float]] = []
    for reach in reaches:
        table += [(reach.name, "input", lag, norm) for lag, norm in reach.by_lag.items()]
        for length, (norm, clipped) in reach.by_length.items():
            table.append((reach.name, "parameters", length, norm))
            table.append((reach.name, "parameters, clipped", length, clipped))
    return table


def draw(reaches: Sequence[Reach], path: str | Path, *, clip: float = CLIP) -> None:
    """Two charts: how the gradient fades or grows with the distance, and what clipping does."""
    with chart(path, width=11.0, height=4.6) as figure:
        left, right = figure.subplots(1, 2)
        for reach in reaches:
            (line,) = left.plot(*_shown(reach.by_lag.items()), ".-", label=reach.name)
            color = line.get_color()
            raw = [(n, norm) for n, (norm, _) in reach.by_length.items()]
            clipped = [(n, after) for n, (_, after) in reach.by_length.items()]
            right.plot(*_shown(raw), ".-", color=color, label=reach.name)
            right.plot(*_shown(clipped), "--", color=color, linewidth=1)
        left.set_title("gradient of the last loss at an earlier input")
        left.set_xlabel("steps back")
        right.set_title(f"gradient of all parameters; dashed: clipped at {clip:g}")
        right.set_xlabel("length of the sequence")
        for axes in (left, right):
            axes.set_yscale("log")
            axes.set_xscale("log")
            axes.set_ylim(1e-12, 1e12)
            axes.set_ylabel("norm")
            axes.grid(alpha=0.3)
        left.legend(fontsize=8, loc="lower left")


def _shown(points: Iterable[tuple[int, float]]) -> tuple[list[int], list[float]]:
    """Points that a logarithmic axis can show: a gradient of 0 is drawn at its lower end."""
    pairs = [(x, min(max(y, 1e-12), 1e12)) for x, y in points]
    return [x for x, _ in pairs], [y for _, y in pairs]
