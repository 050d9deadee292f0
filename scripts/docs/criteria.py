"""Train the networks that the guide compares, each for the same CPU time, and print its tables.

    python scripts/docs/criteria.py                     # trains what is missing: 8 CPU-minutes
    python scripts/docs/criteria.py --minutes 0.05      # to try it

All learn from the bare tokens of one bundled collection: no lookback features, no place in the bar,
nothing that would help a network to remember; so the bits are higher than those of the shipped
models. Models are kept in `runs/guide` and used again; `compared_figures.py` draws them. Seed 0.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # networks this small only wait for a second thread

import numpy as np
import torch
from numpy.typing import NDArray

from musicgen.config import override
from musicgen.corpus.cache import prepared
from musicgen.corpus.tokenset import EOS_ID, TokenSet
from musicgen.evaluation.likelihood import rate_of
from musicgen.models import KINDS, checkpoint
from musicgen.models.cost import nats
from musicgen.models.scoring import score_tunes
from musicgen.tokens.melody.table import parse_token
from musicgen.training import train
from musicgen.training.presets import preset

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.docs import baseline_networks

KINDS.update(baseline_networks.ROWS)
RUNS = Path(__file__).resolve().parents[2] / "runs" / "guide"
CORPUS = "airdsAirs"
MINUTES = 0.5  # of CPU time, for each network
N_TUNES = 40  # for the measures of order and place
FUTURE = 4  # bars whose cost is compared
FILLERS = (0, 8, 16, 32)  # bars by which a motif is moved
_NARROW = "model.d_model=128"
_SHALLOW = "model.n_layers=2"

Ids = NDArray[np.int64]


class Row(NamedTuple):
    """A network of the comparison: the preset that it starts from, settings, its name in print."""

    preset: str
    settings: str
    title: str


ROWS = {
    "bag": Row("rnn", f"model.kind=bag {_NARROW}", "bag of notes"),
    "concatenation": Row("rnn", "model.kind=concatenation model.d_model=64", "concatenation"),
    "window": Row(
        "rnn", f"model.kind=window {_NARROW}", f"window of {baseline_networks.WINDOW} tokens"
    ),
    "rnn": Row("rnn", _NARROW, "RNN"),
    "lstm": Row("lstm", _NARROW, "LSTM"),
    "transformer": Row("transformer", _SHALLOW, "transformer"),
    "lstm-2": Row("lstm", f"{_NARROW} {_SHALLOW}", "LSTM, two layers"),
    "bidirectional": Row("lstm", f"model.kind=bidirectional {_NARROW}", "bidirectional LSTM"),
    "rotary": Row("transformer", f"data.max_len=128 {_SHALLOW}", "rotary"),
    **{
        kind: Row("transformer", f"model.kind={kind} data.max_len=128 {_SHALLOW}", title)
        for kind, title in (
            ("sinusoidal", "sinusoidal, added"),
            ("learned", "learned, added"),
            ("no-positions", "none"),
        )
    },
}
COMPARED = ("bag", "concatenation", "window", "rnn", "lstm", "transformer")
POSITIONS = ("rotary", "sinusoidal", "learned", "no-positions")
LENGTHS = (0, 128, 256, 512)  # places in a tune; 128 were the most in training


@cache
def tokens() -> TokenSet:
    """The tunes of the collection as tokens without any feature."""
    return prepared(CORPUS).tokens.with_features(())


@cache
def trained(name: str, minutes: float = MINUTES) -> checkpoint.Checkpoint:
    """A network of `ROWS`, from `runs/guide` or trained now."""
    folder = RUNS / f"{name}-{minutes:g}"
    if not (folder / "model").exists():
        row = ROWS[name]
        config = preset(row.preset).with_budget(cpu_minutes=minutes)
        for setting in row.settings.split():
            config = override(config, setting)
        begin = time.process_time()
        train(config, tokens(), folder)
        print(f"{name}: {time.process_time() - begin:.0f} CPU-s", file=sys.stderr, flush=True)
    return checkpoint.load(folder / "model")


@torch.inference_mode()
def bits_of(network: torch.nn.Module, ids: Ids) -> NDArray[np.float64]:
    """What each token of a row costs after those before it: (T - 1,)."""
    row = torch.from_numpy(ids)[None]
    logits, _ = network(row[:, :-1], torch.zeros(1, len(ids) - 1, 0, dtype=torch.int64))
    return nats(logits, row[:, 1:])[0].double().numpy() / np.log(2)


def tunes() -> Iterator[tuple[Ids, list[Ids]]]:
    """Test tunes of at least 12 bars: bos with the heading, and the bars with their bar lines."""
    split, n_header = tokens().splits["test"], tokens().n_header
    closing = [i for i, text in enumerate(tokens().vocab) if parse_token(text).kind == "close"]
    found = 0
    for index in range(len(split)):
        ids = split.tune(index)[0].astype(np.int64)
        body = ids[1 + n_header : -1] if ids[-1] == EOS_ID else ids[1 + n_header :]
        ends = np.flatnonzero(np.isin(body, closing)) + 1
        bars = np.split(body, ends)[:-1]
        if len(bars) >= 3 * FUTURE and found < N_TUNES:
            found += 1
            yield ids[: 1 + n_header], bars


def order_costs(network: torch.nn.Module) -> tuple[float, float]:
    """Bits per token of the last bars of a tune after the bars before them, and after the same
    bars in another order."""
    random = np.random.default_rng(0)
    costs, n_tokens = np.zeros(2), 0
    for heading, bars in tunes():
        future = np.concatenate(bars[-FUTURE:])
        mixed = [bars[i] for i in random.permutation(len(bars) - FUTURE)]
        for k, past in enumerate((bars[:-FUTURE], mixed)):
            bits = bits_of(network, np.concatenate([heading, *past, future]))
            costs[k] += bits[-len(future) :].sum()
        n_tokens += len(future)
    ordered, reordered = costs / n_tokens
    return float(ordered), float(reordered)


def motif_costs(network: torch.nn.Module) -> list[float]:
    """Bits per token of bars 2 to 4 of a tune, moved by so many bars of other tunes (`FILLERS`)
    that are put before its first bar."""
    every = list(tunes())
    costs = []
    for n_bars in FILLERS:
        total, n_tokens = 0.0, 0
        for k, (heading, bars) in enumerate(every):
            others = [bar for _, own in every[k + 1 :] + every[:k] for bar in own]
            motif = np.concatenate(bars[1:4])
            row = np.concatenate([heading, *others[:n_bars], bars[0], motif])
            total += bits_of(network, row)[-len(motif) :].sum()
            n_tokens += len(motif)
        costs.append(float(total / n_tokens))
    return costs


def costs_by_place(network: torch.nn.Module) -> list[float]:
    """Bits per token of the test tunes, by the place in the tune: between each two of `LENGTHS`."""
    split = tokens().splits["test"]
    sums, counts = np.zeros(len(LENGTHS) - 1), np.zeros(len(LENGTHS) - 1)
    for index in range(len(split)):
        bits = bits_of(network, split.tune(index)[0].astype(np.int64))
        group = np.digitize(np.arange(1, len(bits) + 1), LENGTHS) - 1
        sums += np.bincount(group, weights=bits, minlength=len(sums))
        counts += np.bincount(group, minlength=len(sums))
    return (sums / counts).tolist()


def comparison(names: Sequence[str], minutes: float) -> Iterator[str]:
    """A Markdown table: bits per note on the test tunes, with intervals over tunes."""
    test = tokens().splits["test"]
    yield "| network | parameters | steps | bits per note (95 %) |\n|---|---:|---:|---|"
    for name in names:
        model = trained(name, minutes)
        rate = rate_of("note", score_tunes(model.network, test), test.notes.astype(float))
        steps, size = model.metrics["steps"], model.metrics["parameters"]
        yield (
            f"| {ROWS[name].title} | {size / 1e6:.2f} M | {steps:,.0f} "
            f"| {rate.bits:.3f} ({rate.low:.3f} to {rate.high:.3f}) |"
        )


def main(
    *,
    minutes: Annotated[float, "of CPU time, for each network"] = MINUTES,
    only: Annotated[Sequence[str], list(ROWS)] = list(ROWS),
) -> None:
    """Print the tables of the guide."""
    print(f"{time.strftime('%Y-%m-%d')}, {CORPUS}, {60 * minutes:g} CPU-seconds each, one thread\n")
    for line in comparison([name for name in ROWS if name in only], minutes):
        print(line, flush=True)
    print("\n| network | last bars | after another order |\n|---|--:|--:|")
    for name in (name for name in COMPARED if name in only):
        ordered, reordered = order_costs(trained(name, minutes).network)
        print(f"| {ROWS[name].title} | {ordered:.3f} | {reordered:.3f} |", flush=True)
    print(f"\n| network | {' | '.join(map(str, FILLERS))} |\n|---|{'--:|' * len(FILLERS)}")
    for name in (name for name in COMPARED if name in only):
        costs = motif_costs(trained(name, minutes).network)
        print(f"| {ROWS[name].title} | {' | '.join(f'{x:.3f}' for x in costs)} |", flush=True)
    print("\n| positions | to 128 | to 256 | later |\n|---|--:|--:|--:|")
    for name in (name for name in POSITIONS if name in only):
        costs = costs_by_place(trained(name, minutes).network)
        print(f"| {ROWS[name].title} | {' | '.join(f'{x:.3f}' for x in costs)} |", flush=True)


if __name__ == "__main__":
    command_line.run(main)
