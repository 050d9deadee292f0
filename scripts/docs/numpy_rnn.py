"""A recurrent network in numpy, backward too: what the guide derives and a benchmark times.

One-hot symbols in, one layer of tanh, a softmax out, trained on windows of a text whose state is
carried on:

    h_t = tanh(W_xh x_t + W_hh h_{t-1} + b_h),   p_t = softmax(W_hy h_t + b_y)

The package does not use it: its own networks are in `musicgen/models/networks/`, and the guide
compares every gradient with theirs. Letters: V symbols, H hidden units, T steps of a window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Arrays = dict[str, Array]  # weights, or what belongs to each, by name
Ids = Sequence[int]


def new_weights(n_symbols: int, n_hidden: int, seed: int = 0) -> Arrays:
    """Small random matrices and biases of 0."""
    random = np.random.default_rng(seed)
    return {
        "W_xh": 0.01 * random.standard_normal((n_hidden, n_symbols)),
        "W_hh": 0.01 * random.standard_normal((n_hidden, n_hidden)),
        "W_hy": 0.01 * random.standard_normal((n_symbols, n_hidden)),
        "b_h": np.zeros(n_hidden),
        "b_y": np.zeros(n_symbols),
    }


def forward(w: Arrays, inputs: Ids, targets: Ids, h: Array) -> tuple[float, list[Array], Array]:
    """The loss in nats, summed over T steps; T + 1 states (H,), `h` first; predictions (T, V)."""
    loss, states, predictions = 0.0, [h], []
    for x, y in zip(inputs, targets, strict=True):
        h = np.tanh(w["W_xh"][:, x] + w["W_hh"] @ h + w["b_h"])  # W_xh times one-hot: a column
        scores = w["W_hy"] @ h + w["b_y"]
        odds = np.exp(scores - scores.max())
        p = odds / odds.sum()
        loss -= np.log(p[y])
        states.append(h)
        predictions.append(p)
    return loss, states, np.array(predictions)


def backward(
    w: Arrays, inputs: Ids, targets: Ids, states: list[Array], predictions: Array
) -> Arrays:
    """The gradients of the loss of `forward`, which gave `states` and `predictions`."""
    d = {name: np.zeros_like(weights) for name, weights in w.items()}
    d_later = np.zeros_like(states[0])  # dL/dh_t by way of h_{t+1}
    for t in reversed(range(len(inputs))):
        d_scores = predictions[t].copy()
        d_scores[targets[t]] -= 1  # softmax and cross-entropy: p - y
        d["W_hy"] += np.outer(d_scores, states[t + 1])
        d["b_y"] += d_scores
        d_h = w["W_hy"].T @ d_scores + d_later
        d_sum = (1 - states[t + 1] ** 2) * d_h  # through tanh
        d["W_xh"][:, inputs[t]] += d_sum
        d["W_hh"] += np.outer(d_sum, states[t])
        d["b_h"] += d_sum
        d_later = w["W_hh"].T @ d_sum
    return d


def adagrad(
    w: Arrays, squares: Arrays, gradients: Arrays, rate: float = 0.1, bound: float = 5.0
) -> None:
    """One step, in place, with each number of the gradients clipped to [-bound, bound]."""
    for name, gradient in gradients.items():
        clipped = gradient.clip(-bound, bound)
        squares[name] += clipped**2
        w[name] -= rate * clipped / np.sqrt(squares[name] + 1e-8)


def sample(w: Arrays, x: int, h: Array, length: int, random: np.random.Generator) -> list[int]:
    """So many symbols drawn one after the other, after symbol `x` in state `h`."""
    symbols = []
    for _ in range(length):
        _, (_, h), (p,) = forward(w, [x], [x], h)
        x = int(random.choice(len(p), p=p))
        symbols.append(x)
    return symbols


def train(w: Arrays, ids: Ids, n_windows: int, length: int = 25) -> Iterator[float]:
    """Learn from windows of a text in order, the state carried from each to the next; give the
    smoothed loss after each, in bits per symbol: 0.999 of what it was and 0.001 of the window's."""
    squares = {name: np.zeros_like(weights) for name, weights in w.items()}
    start, smooth = len(ids), float(np.log2(len(w["b_y"])))
    for _ in range(n_windows):
        if start + length >= len(ids):
            start, h = 0, np.zeros_like(w["b_h"])
        inputs, targets = ids[start : start + length], ids[start + 1 : start + length + 1]
        loss, states, predictions = forward(w, inputs, targets, h)
        adagrad(w, squares, backward(w, inputs, targets, states, predictions))
        start, h = start + length, states[-1]
        smooth = 0.999 * smooth + 0.001 * loss / length / np.log(2)
        yield float(smooth)
