"""Make every figure of docs/guide.md, in docs/figures/, from the shipped models.

    python scripts/docs/figures.py                 # all of them, about a quarter of an hour
    python scripts/docs/figures.py temperature     # some, by name

The figures that a command makes are made by that command; the others are drawn here. All seeds are
0, so the same models give the same pictures.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # networks this small only wait for a second thread

import numpy as np
import torch
from PIL import Image

from musicgen.composer.sampling.config import SamplingConfig
from musicgen.composer.sampling.filters import filters_of, probabilities
from musicgen.models import ModelConfig, build_model
from musicgen.models.networks.rnn import Recurrence
from musicgen.models.networks.transformer import rotate, rotation_at
from musicgen.system.charts import COLORS, chart

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.docs import compared_figures
from scripts.docs.drawing import (
    DOCS,
    FIRST_PART,
    TUNE,
    along_tokens,
    command,
    heard_by,
    logits_at,
    shipped,
)

FIGURES = DOCS / "figures"
PLACE = 31  # token of the tune: its third bar, where the next note is far from certain


def next_note(path: Path) -> None:
    """What three networks expect at one place of the tune."""
    names = ("celtic-rnn", "celtic", "celtic-transformer")
    models = {name: shipped(name) for name in names}
    vocab = models["celtic"].vocab
    rows = {name: np.exp(log_softmax(logits_at(model, PLACE))) for name, model in models.items()}
    order = np.argsort(-sum(rows.values()))[:9]
    came = heard_by(models["celtic"]).tokens[PLACE + 1]
    with chart(path, width=8, height=3.6) as figure:
        axes = figure.subplots()
        for k, (name, p) in enumerate(rows.items()):
            axes.bar(np.arange(len(order)) + 0.27 * (k - 1), p[order], 0.25, label=name)
        axes.set_xticks(range(len(order)), [vocab[i] for i in order], fontfamily="monospace")
        for label in axes.get_xticklabels():
            if label.get_text() == came:
                label.set_fontweight("bold")
        axes.set_xlabel(f"next token, as scale degrees of D major; what came is {came}")
        axes.set_ylabel("probability")
        axes.legend(frameon=False)


def log_softmax(x: np.ndarray) -> np.ndarray:
    """Natural logarithms of probabilities."""
    return x - x.max() - np.log(np.exp(x - x.max()).sum())


def unrolled(path: Path) -> None:
    """A recurrent network over four notes: one cell, drawn once for each step."""
    notes = ("A", "D", "D", "F")
    box = {"boxstyle": "round,pad=0.5", "fc": "#DCEBF5", "ec": COLORS[0]}
    with chart(path, width=8, height=3.4) as figure:
        axes = figure.subplots()
        axes.axis("off")
        axes.set_xlim(-1.6, 8.2)
        axes.set_ylim(-0.4, 3.6)

        def arrow(
            start: tuple[float, float], end: tuple[float, float], text: str, **at: Any
        ) -> None:
            color = at.pop("color", "black")
            style = {"arrowstyle": "->", "color": color, "lw": 1.4, **at}
            axes.annotate("", end, start, arrowprops=style)
            x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
            axes.text(x + (0.1 if start[0] == end[0] else 0), y + 0.12, text, color=color,
                      ha="left" if start[0] == end[0] else "center", fontsize=10)  # fmt: skip

        for t, note in enumerate(notes):
            x = 2.0 * t
            axes.text(x, 1.6, rf"$h_{t + 1}$", ha="center", va="center", fontsize=13, bbox=box)
            axes.text(x, -0.15, rf"$x_{t + 1}$ = {note}", ha="center", fontsize=11)
            follows = notes[t + 1] if t + 1 < len(notes) else "?"
            axes.text(x, 3.2, rf"$\hat{{y}}_{t + 1}$: {follows}", ha="center", fontsize=11)
            arrow((x, 0.15), (x, 1.2), r"$W_{in}$")
            arrow((x, 2.0), (x, 3.05), r"$W_{out}$")
            arrow((x - 1.55, 1.68), (x - 0.45, 1.68), r"$W_{hidden}$")
            if t:
                arrow((x - 0.45, 1.4), (x - 1.55, 1.4), "", color=COLORS[1], linestyle="--")
        axes.text(-1.45, 1.9, r"$h_0$ = 0", ha="right", va="top", fontsize=10)
        axes.text(7.2, 1.35, "back-propagation\nthrough time", color=COLORS[1], va="center",
                  ha="center", fontsize=9)  # fmt: skip


@torch.no_grad()
def states(path: Path) -> None:
    """What the hidden units of the network from scratch say along the tune."""
    model = shipped("celtic-rnn")
    heard = heard_by(model)
    network: Any = model.network
    x = network.embedding(*heard.batch)  # (1, T, C)
    outputs, _ = network.layers[0](x, x.new_zeros(1, x.shape[2]))
    shown = outputs[0, :FIRST_PART].numpy()  # (T, C)
    changing = np.abs(np.diff(shown, axis=0)).mean(axis=0)
    chosen = np.argsort(changing)[np.linspace(0, len(changing) - 1, 60).astype(int)]
    with chart(path, width=11, height=4.2) as figure:
        axes = figure.subplots()
        drawn = axes.imshow(shown[:, chosen].T, cmap="PuOr", aspect="auto", vmin=-1, vmax=1)
        along_tokens(axes, heard)
        axes.set_ylabel(f"60 of {len(changing)} hidden units,\nfrom the steadiest to the liveliest")
        figure.colorbar(drawn, ax=axes, label="$h_t$")


def one_hot(path: Path) -> None:
    """One-hot vectors of seven pitches, and the rows of a table that they pick out."""
    model = shipped("celtic")
    degrees = [str(n) for n in range(1, 8)]
    rows = [model.vocab.index(text) for text in degrees]
    table = model.weights["embedding.token.weight"][rows]
    with chart(path, width=8, height=2.9) as figure:
        left, right = figure.subplots(1, 2, width_ratios=(1, 2.6))
        left.imshow(np.eye(7), cmap="Greys", vmax=1)
        left.set_title("one-hot", fontsize=10)
        shown = right.imshow(table[:, :40], cmap="PuOr", aspect="auto", vmin=-0.8, vmax=0.8)
        right.set_title("learned: 40 of 384 channels of the shipped LSTM", fontsize=10)
        figure.colorbar(shown, ax=right, label="weight")
        for axes in (left, right):
            axes.set_yticks(range(7), degrees)
            axes.set_xlabel("column")
        left.set_ylabel("scale degree")


def powers(path: Path) -> None:
    """What a hidden matrix does to a gradient in one, two, ... steps, without any activation."""
    torch.manual_seed(0)
    with chart(path, width=8, height=3.6) as figure:
        axes = figure.subplots()
        for gain, style in ((0.9, "o-"), (1.0, "s-"), (1.1, "^-")):
            layer = Recurrence(64, "tanh", hidden_init="orthogonal", hidden_gain=gain)
            gradient = torch.ones(64) / 8
            norms = []
            for _ in range(101):
                norms.append(float(gradient.norm()))
                gradient = gradient @ layer.w_hidden.detach()
            axes.plot(norms, style, markevery=10, label=f"every singular value {gain}")
        axes.set_yscale("log")
        axes.set_xlabel("steps back through $W_{hidden}$")
        axes.set_ylabel("norm of the gradient")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)


@torch.no_grad()
def gates(path: Path) -> None:
    """What the LSTM's cells forget along the tune."""
    model = shipped("celtic")
    heard = heard_by(model)
    network: Any = model.network
    x = network.embedding(*heard.batch)[0]  # (T, C)
    w_in, w_hidden, b_in, b_hidden = network.layers[0].lstm.all_weights[0]
    h = c = x.new_zeros(1, x.shape[1])
    forget = []
    for step in x:
        gate = (step[None] @ w_in.T + b_in + h @ w_hidden.T + b_hidden).chunk(4, dim=1)[1]
        forget.append(torch.sigmoid(gate)[0])
        h, c = network.layers[0].step(step[None], h, c)
    kept = torch.stack(forget).numpy()[:FIRST_PART]  # (T, C)
    order = np.argsort(kept.mean(axis=0))
    chosen = order[np.linspace(0, len(order) - 1, 60).astype(int)]
    with chart(path, width=11, height=4.2) as figure:
        axes = figure.subplots()
        shown = axes.imshow(kept[:, chosen].T, cmap="viridis", aspect="auto", vmin=0, vmax=1)
        along_tokens(axes, heard)
        axes.set_ylabel(f"60 of {len(order)} cells, from the most\nforgetful to the most faithful")
        figure.colorbar(shown, ax=axes, label="forget gate: share kept")


def temperature(path: Path) -> None:
    """The same distribution at four temperatures, and cut by top-p."""
    model = shipped("celtic")
    logits = logits_at(model, PLACE)[None]
    order = np.argsort(-logits[0])[:8]
    settings = [SamplingConfig(temperature=t) for t in (0.5, 1.0, 1.5)]
    settings.append(SamplingConfig(top_p=0.8))
    names = ("temperature 0.5", "temperature 1", "temperature 1.5", "temperature 1, top-p 0.8")
    with chart(path, width=8, height=3.6) as figure:
        axes = figure.subplots()
        for k, (config, name) in enumerate(zip(settings, names, strict=True)):
            p = probabilities(logits, np.ones(logits.shape, bool), filters_of(config))[0]
            bits = -np.sum(p[p > 0] * np.log2(p[p > 0]))
            label = f"{name}: {bits:.1f} bits"
            axes.bar(np.arange(len(order)) + 0.2 * (k - 1.5), p[order], 0.19, label=label)
        axes.set_xticks(range(len(order)), [model.vocab[i] for i in order], fontfamily="monospace")
        axes.set_xlabel("next token, the same place as before")
        axes.set_ylabel("probability")
        axes.legend(frameon=False, title="entropy")


def positions(path: Path) -> None:
    """Rotary positions: the product of a query and a key depends on their distance alone."""
    torch.manual_seed(0)
    q = torch.randn(32)
    k = q + 0.3 * torch.randn(32)
    cos, sin = rotation_at(0, 100, 32, q)
    same_q, same_k = (v.expand(1, 1, 100, 32) for v in (q, k))
    products = (rotate(same_q, cos, sin)[0, 0] @ rotate(same_k, cos, sin)[0, 0].T).numpy()
    with chart(path, width=8, height=3.2) as figure:
        left, right = figure.subplots(1, 2)
        shown = left.imshow(products, cmap="viridis")
        figure.colorbar(shown, ax=left, label="query times key")
        left.set_xlabel("position of the key")
        left.set_ylabel("position of the query")
        for at, style in ((99, "-"), (60, "--")):
            label = f"query at {at}"
            right.plot(np.arange(at + 1), products[at, at::-1], style, label=label)
        right.set_xlabel("distance back")
        right.set_ylabel("query times key")
        right.legend(frameon=False)


def block(path: Path) -> None:
    """A block of the transformer: two branches, each added to the stream that goes past them."""
    box = {"boxstyle": "round,pad=0.45", "fc": "#DCEBF5", "ec": COLORS[0]}
    circle = {"boxstyle": "circle,pad=0.2", "fc": "#FBE6D6", "ec": COLORS[1]}
    style = {"arrowstyle": "->", "lw": 1.4}
    branches = (
        (0.9, "attention: queries,\nkeys, values, softmax", 0.85),
        (5.2, "feed-forward:\nup, gate, down", 0.65),
    )
    with chart(path, width=10, height=2.6) as figure:
        axes = figure.subplots()
        axes.axis("off")
        axes.set_xlim(-1.2, 10.0)
        axes.set_ylim(-0.7, 1.6)
        axes.annotate("", (9.1, 0), (0, 0), arrowprops=style)
        axes.text(-0.1, 0, "x: one vector\nfor each token", ha="right", va="center", fontsize=9)
        axes.text(9.2, 0, "to the next\nblock", va="center", fontsize=9)
        axes.text(4.5, -0.55, "the stream goes straight through, and so do gradients",
                  ha="center", fontsize=9, color=COLORS[1])  # fmt: skip
        for at, work, half in branches:
            middle, end = at + 0.95 + half, at + 3.2
            for x, y, text, look in ((at, 1.1, "RMSNorm", box), (middle, 1.1, work, box),
                                     (end, 0, "+", circle)):  # fmt: skip
                axes.text(x, y, text, ha="center", va="center", fontsize=9, bbox=look)
            axes.annotate("", (at, 0.85), (at, 0), arrowprops=style)
            axes.annotate("", (middle - half - 0.05, 1.1), (at + 0.5, 1.1), arrowprops=style)
            axes.plot((middle + half + 0.1, end), (1.1, 1.1), color="black", linewidth=1.4)
            axes.annotate("", (end, 0.2), (end, 1.1), arrowprops=style)


def chords(path: Path) -> None:
    """Which notes each chord attended to, by the command that finds the chords."""
    with tempfile.TemporaryDirectory() as folder:
        command("harmonize", str(TUNE), "-o", f"{folder}/tune.abc", "--attention", str(path),
                "--force")  # fmt: skip


def confusion(path: Path) -> None:
    """What `classify` takes for what, on the test families; most of the minutes of all figures."""
    program = DOCS.parent / "scripts" / "benchmarks" / "classify.py"
    subprocess.run([sys.executable, program, "--picture", path], check=True)


def networks(path: Path) -> None:
    """Bits per note of the shipped models on the test families, from their cards' metrics."""
    names = ("celtic-rnn", "celtic", "celtic-transformer")
    kinds = ("rnn, from scratch", "LSTM", "transformer")
    models = [shipped(name) for name in names]
    bits = [model.metrics["test_bits_per_note"] for model in models]
    with chart(path, width=7, height=2.4) as figure:
        axes = figure.subplots()
        axes.barh(range(3), bits, color=COLORS[:3], height=0.6)
        for i, (model, value) in enumerate(zip(models, bits, strict=True)):
            size = model.metrics["parameters"] / 1e6
            axes.text(value + 0.03, i, f"{value:.3f} ({size:.2f} M parameters)", va="center")
        axes.set_yticks(range(3), kinds)
        axes.set_xlim(0, max(bits) * 1.55)
        axes.invert_yaxis()
        axes.set_xlabel("bits per note, 430 tunes of held-out families; lower is better")


def learning(path: Path) -> None:
    """One small network, three optimisers, the same 150 steps on the guide's tune."""
    model = shipped("celtic-rnn")
    heard = heard_by(model)
    ids = heard.batch[0]
    optimisers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "SGD, rate 0.5": lambda p: torch.optim.SGD(p, 0.5),
        "Adagrad, rate 0.05": lambda p: torch.optim.Adagrad(p, 0.05),
        "AdamW, rate 0.01": lambda p: torch.optim.AdamW(p, 0.01),
    }
    with chart(path, width=8, height=3.4) as figure:
        axes = figure.subplots()
        for name, make in optimisers.items():
            torch.manual_seed(0)
            network = build_model(ModelConfig(kind="rnn", vocab_size=len(model.vocab), d_model=64,
                                              dropout=0, embedding_dropout=0))  # fmt: skip
            optimiser = make(network.parameters())
            losses = []
            for _ in range(150):
                logits, _ = network(ids[:, :-1])
                loss = torch.nn.functional.cross_entropy(logits[0], ids[0, 1:])
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
                losses.append(loss.item() / np.log(2))
            axes.plot(losses, label=name)
        axes.axhline(np.log2(len(model.vocab)), color="grey", linestyle=":", linewidth=1)
        axes.text(150, np.log2(len(model.vocab)), "every token as likely", ha="right", va="bottom")
        axes.set_xlabel("step: the whole tune, forward and back")
        axes.set_ylabel("loss, bits per token")
        axes.legend(frameon=False)


def inspected(*words: str) -> Callable[[Path], None]:
    """A figure that an `inspect` command makes; its CSV is not kept."""

    def make(path: Path) -> None:
        command("inspect", *words, "-o", str(path), "--force")
        path.with_suffix(".csv").unlink()

    return make


def shrink(path: Path) -> None:
    """The same picture in 256 colours, half the bytes."""
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(256, kmeans=3, dither=0)
    small.save(path, optimize=True)


MAKERS: dict[str, Callable[[Path], None]] = {
    "next-note": next_note,
    "one-hot": one_hot,
    "embeddings": inspected("embeddings"),
    "states": states,
    "unrolled": unrolled,
    "learning": learning,
    "powers": powers,
    "gradients": inspected("gradients"),
    "gates": gates,
    "temperature": temperature,
    "memory": inspected("memory"),
    "positions": positions,
    "attention": inspected("attention", str(TUNE)),
    "block": block,
    "surprise": inspected("surprise", str(TUNE)),
    "chords": chords,
    "networks": networks,
    "confusion": confusion,
    **compared_figures.MAKERS,
}


def main(names: Annotated[Sequence[str], f"of {', '.join(MAKERS)}"] = ()) -> None:
    """Make the figures asked for."""
    if unknown := set(names) - set(MAKERS):
        sys.exit(f"{min(unknown)}: no such figure")
    FIGURES.mkdir(parents=True, exist_ok=True)
    for name in names or MAKERS:
        MAKERS[name](FIGURES / f"{name}.png")
        for path in FIGURES.glob(f"{name}*.png"):
            shrink(path)
        print(FIGURES / f"{name}.png", flush=True)


if __name__ == "__main__":
    command_line.run(main)
