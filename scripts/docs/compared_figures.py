"""Figures of the guide that compare networks: what each keeps, can tell, and takes.

`figures.py` makes them with the others; they are drawn from what `criteria.py`, `padding.py`,
`recall.py` and `parallel.py` measure.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # networks this small only wait for a second thread

import numpy as np
import torch

from musicgen.corpus.tokenset import PAD_ID
from musicgen.models.networks.transformer import rotate, rotation_at
from musicgen.models.scoring import score_tunes
from musicgen.system.charts import COLORS, chart
from musicgen.training.run_folder import parse_rows
from scripts.docs import criteria, padding, parallel, recall
from scripts.docs.drawing import FIRST_PART, along_tokens, command, heard_by, shipped

_NAMES = {"rnn": "RNN", "lstm": "LSTM", "transformer": "transformer"}
LAYER, HEAD = 0, 3  # head 4 of layer 1, which follows repeats
QUERY = 108  # token of the tune: in its last line, which repeats the one above it


def padded(path: Path) -> None:
    """A batch of tunes as they come, and one of tunes of like length."""
    ways = {
        "tunes as they come": padding.epoch(as_they_come=True),
        "tunes of like length": padding.epoch(as_they_come=False),
    }
    middle = len(ways["tunes as they come"]) // 2
    with chart(path, width=9, height=3.2) as figure:
        for axes, (name, batches) in zip(figure.subplots(1, 2), ways.items(), strict=True):
            axes.imshow(batches[middle].targets != PAD_ID, cmap="Blues", aspect="auto", vmin=0,
                        vmax=1.4, interpolation="nearest")  # fmt: skip
            share = padding.padded_share(batches)
            axes.set_title(f"{name}: {share:.0%} of an epoch is padding", fontsize=10)
            axes.set_xlabel("place in the row")
            axes.set_ylabel("row of the batch")


def gibberish(path: Path) -> None:
    """What the lecture's network writes while it learns, beside its loss."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command("train", "--preset", "lecture", "--corpus", "airdsAirs", "--cpu-minutes", "3",
                "--sample-every", "1000", "--out", str(run))  # fmt: skip
        rows = parse_rows((run / "history.csv").read_text("utf-8"), "character")
        samples = {int(file.stem.partition("-")[2]): file.read_text("utf-8")
                   for file in sorted((run / "samples").iterdir())}  # fmt: skip
    steps = sorted(samples)
    shown = [steps[0], steps[1], steps[len(steps) // 3], steps[-1]]
    with chart(path, width=11, height=7) as figure:
        left, right = figure.subfigures(1, 2, width_ratios=(1, 2))
        axes = left.subplots()
        axes.plot([row.step for row in rows], [row.train_bits_per_token for row in rows])
        axes.set_xlabel("step")
        axes.set_ylabel("bits per character, training")
        for step, panel in zip(shown, right.subplots(len(shown), 1), strict=True):
            lines = [line[:90] for line in samples[step].splitlines() if line.strip()][:8]
            panel.text(0, 1, "\n".join(lines), family="monospace", fontsize=7, va="top")
            panel.set_title(f"after {step:,} steps", fontsize=9, loc="left")
            panel.axis("off")


def kept(path: Path) -> None:
    """Bits of a random symbol that a state still holds, by how long ago it was read."""
    with chart(path, width=10, height=3.6) as figure:
        axes = figure.subplots()
        for kind, style in zip(recall.KINDS_READ, ("-", "--"), strict=True):
            for width, color in zip(recall.WIDTHS, COLORS, strict=False):
                bits = recall.bits_kept(kind, width)
                label = f"{_NAMES[kind]}, {width} units: {bits.sum():.0f} bits"
                axes.plot(bits, style, color=color, label=label)
        axes.axhline(np.log2(recall.SYMBOLS), color="grey", linestyle=":", linewidth=1)
        axes.set_xlabel("steps since the symbol was read")
        axes.set_ylabel(f"bits known, of {np.log2(recall.SYMBOLS):.0f}")
        figure.legend(frameon=False, loc="outside right upper")


def compared(path: Path) -> None:
    """Bits per note, the cost of another order, and that of another place, of six networks."""
    models = {name: criteria.trained(name).network for name in criteria.COMPARED}
    titles = [criteria.ROWS[name].title for name in models]
    test = criteria.tokens().splits["test"]
    bits = [score_tunes(network, test).sum() / test.notes.sum() for network in models.values()]
    order = np.array([criteria.order_costs(network) for network in models.values()])
    motif = [criteria.motif_costs(network) for network in models.values()]
    with chart(path, width=12, height=3.6) as figure:
        left, middle, right = figure.subplots(1, 3)
        left.barh(titles, bits, color=COLORS[: len(titles)])
        for i, value in enumerate(bits):
            left.text(value, i, f" {value:.2f}", va="center", fontsize=9)
        left.set_xlim(0, 1.2 * max(bits))
        left.invert_yaxis()
        left.set_xlabel("bits per note, test tunes")
        middle.barh(titles, order[:, 1] - order[:, 0], color=COLORS[: len(titles)])
        middle.invert_yaxis()
        middle.axvline(0, color="grey", linewidth=1)
        middle.set_yticks([])
        middle.set_xlabel("what the last 4 bars cost more\nafter the same bars in another order,\n"
                          "bits per token")  # fmt: skip
        for title, row in zip(titles, motif, strict=True):
            right.plot(criteria.FILLERS, row, "o-", label=title)
        right.set_xticks(criteria.FILLERS)
        right.set_xlabel("bars by which a motif of 3 bars is moved;\ncolours as on the left")
        right.set_ylabel("its bits per token")


def added_positions(path: Path) -> None:
    """Bits per token by the place in the tune, for four ways to tell positions."""
    spans = [f"tokens {a} to {b}" for a, b in itertools.pairwise(criteria.LENGTHS)]
    with chart(path, width=8, height=3.4) as figure:
        axes = figure.subplots()
        for name, marker in zip(criteria.POSITIONS, "os^v", strict=True):
            costs = criteria.costs_by_place(criteria.trained(name).network)
            axes.plot(spans, costs, marker + "-", label=criteria.ROWS[name].title)
        axes.set_xlabel("place in the tune; training showed pieces of at most 128 tokens")
        axes.set_ylabel("bits per token")
        axes.grid(alpha=0.3)
        figure.legend(title="positions", frameon=False, loc="outside right upper")


def parallelism(path: Path) -> None:
    """Time on one core, and the longest chain of operations, by the length of the sequence."""
    with chart(path, width=9, height=3.4) as figure:
        left, right = figure.subplots(1, 2)
        for kind, row in parallel.measured().items():
            seconds, chains = zip(*row, strict=True)
            left.plot(parallel.LENGTHS, [1000 * s for s in seconds], "o-", label=_NAMES[kind])
            right.plot(parallel.LENGTHS, chains, "o-", label=_NAMES[kind])
        for axes, name in ((left, "CPU-milliseconds, one core"), (right, "operations in a row")):
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xticks(parallel.LENGTHS, [str(n) for n in parallel.LENGTHS])
            axes.set_xlabel("tokens, forward and backward")
            axes.set_ylabel(name)
        left.legend(frameon=False)


@torch.no_grad()
def search(path: Path) -> None:
    """One query of a real head: the keys that it finds, and with what weight."""
    model = shipped("celtic-transformer")
    heard = heard_by(model)
    network: Any = model.network
    x = network.embedding(*heard.batch)
    rotation = rotation_at(0, x.shape[1], x.shape[2] // model.model.n_heads, x)
    block = network.blocks[LAYER]
    q, k, _ = (each[0, HEAD] for each in block.project(x))  # (T, D)
    turned_q, turned_k = (rotate(each, *rotation) for each in (q, k))
    scores = (turned_q @ turned_k.T)[QUERY, : QUERY + 1] * q.shape[1] ** -0.5
    weights = block.weights(x, rotation)[0, HEAD, QUERY, : QUERY + 1]
    first = QUERY - 72
    places = range(first, QUERY + 1)
    with chart(path, width=11, height=4.0) as figure:
        above, below = figure.subplots(2, 1, sharex=True)
        above.bar(places, scores[first:], color=COLORS[0])
        above.axhline(0, color="grey", linewidth=1)
        above.set_ylabel(r"query · key / $\sqrt{d}$")
        below.bar(places, weights[first:], color=COLORS[1])
        below.set_ylabel("weight of the value")
        below.set_xticks(places, heard.tokens[first : QUERY + 1], rotation=90, fontsize=7)
        below.set_xlim(first - 1, QUERY + 1)
        below.set_xlabel(f"keys; the query is that of the last token, {heard.tokens[QUERY]}; "
                         f"what came next is {heard.tokens[QUERY + 1]}")  # fmt: skip


@torch.no_grad()
def four_steps(path: Path) -> None:
    """One cell of the shipped LSTM along the tune: forget, store, update, output."""
    model = shipped("celtic")
    heard = heard_by(model)
    network: Any = model.network
    layer = network.layers[0]
    x = network.embedding(*heard.batch)[0, :FIRST_PART]  # (T, C)
    w_in, w_hidden, b_in, b_hidden = layer.lstm.all_weights[0]
    h = c = x.new_zeros(1, x.shape[1])
    rows = []
    for step in x:
        i, f, g, o = (step[None] @ w_in.T + b_in + h @ w_hidden.T + b_hidden).chunk(4, dim=1)
        h, c = layer.step(step[None], h, c)
        rows.append(torch.cat([f.sigmoid(), i.sigmoid() * g.tanh(), c, o.sigmoid() * c.tanh()]))
    along = torch.stack(rows).numpy()  # (T, 4, C)
    steady = np.median(along[:, 0], axis=0) > 0.7  # keeps much, but not always
    cell = int(np.argmax(np.where(steady, along[:, 0].std(axis=0) * along[:, 2].std(axis=0), 0)))
    names = ("1 forget:\nshare kept, f", "2 store:\nnew content, i·g",
             "3 update:\nthe cell, c", "4 output:\nthe state, h")  # fmt: skip
    with chart(path, width=11, height=5.2) as figure:
        for axes, values, name, color in zip(
            figure.subplots(4, 1, sharex=True), along[:, :, cell].T, names, COLORS, strict=False
        ):
            axes.bar(range(len(values)), values, color=color)
            axes.axhline(0, color="grey", linewidth=1)
            along_tokens(axes, heard)
            axes.set_yticks(np.unique([0, np.round(values.min(), 1), np.round(values.max(), 1)]))
            axes.set_ylabel(name, fontsize=8)
            axes.set_xlabel("")
            axes.set_xlim(-1, len(values))
        axes.set_xlabel(f"token read; cell {cell} of {len(x[0])} of the shipped LSTM")


MAKERS: dict[str, Callable[[Path], None]] = {
    "padding": padded,
    "compared": compared,
    "gibberish": gibberish,
    "kept": kept,
    "four-steps": four_steps,
    "search": search,
    "added-positions": added_positions,
    "parallel": parallelism,
}
