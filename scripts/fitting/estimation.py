"""Count rhythms and fit keys on the bundled tunes' training split, for `musicgen.music.estimation`.

    python scripts/fitting/estimation.py            # writes musicgen/music/estimation/tables.json

Takes about three minutes on one core. Validation figures are printed; the test split is left alone
(`scripts/benchmarks/key.py` measures on it).
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from musicgen import corpus
from musicgen.errors import MusicgenError
from musicgen.music.estimation import GRID, METERS, NoteLine, estimate_key, estimate_meter, tables
from musicgen.music.estimation.key import MODES, key_features
from musicgen.music.estimation.meter import bar_length, best_phase, meter_features, steps
from musicgen.music.estimation.rhythm import LONGEST, previous_class
from musicgen.music.playback import timeline
from musicgen.music.theory import KEY_PROFILES
from musicgen.music.tune import Change, Tune
from musicgen.tokens.melody.encoding import pickup_of

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

TARGET = Path(tables.__file__).with_suffix(".json")
SEED = 1
FEWEST = 3  # counts below are left out: they are odd tunes and misprints
N_METER_TUNES = 800
MINIMUM_FRAGMENT = 8  # notes
N_STYLES, EM_ROUNDS, STYLE_BACKING = 8, 60, 20.0


class Sample:
    """A tune as it is heard and as it is written."""

    def __init__(self, tune: Tune, split: str) -> None:
        self.split, self.key = split, tune.key
        self.heard = NoteLine.of(
            (n.onset, n.onset + n.duration, n.midi) for n in timeline(tune).notes
        )
        text = {"C": "4/4", "C|": "4/4"}.get(str(tune.meter), str(tune.meter))
        self.meter, self.pickup = text, round(pickup_of(tune) * GRID)


def samples() -> list[Sample]:
    """All bundled tunes of one voice, one key and one meter."""
    found = []
    for entry, tune in corpus.load(["celtic"]).tunes():
        events = [e for bar in tune.bars for e in bar.events]
        changing = any(isinstance(e, Change) and (e.key or e.meter) for e in events)
        if len(tune.voices) == 1 and not changing and tune.meter.beats:
            try:
                found.append(Sample(tune, entry.split))
            except MusicgenError as error:
                print(f"left out: {entry.id}: {error}")
    return found


# --- rhythm and meter ------------------------------------------------------------------------


def count(train: Sequence[Sample]) -> dict[str, Any]:
    """How rhythms go on from each place: by meter, and by place in the quarter for all."""
    everything: dict[str, Counter[int]] = {}
    by_meter: dict[str, dict[int, Counter[int]]] = {m: {} for m in METERS}
    pickups: dict[str, Counter[int]] = {m: Counter() for m in METERS}
    lasts: dict[str, Counter[int]] = {m: Counter() for m in METERS}
    for sample in train:
        bar = bar_length(sample.meter)
        place, before = 0, LONGEST
        for place, length in steps(sample.heard, sample.pickup, bar):
            name = f"{place % GRID},{previous_class(before)}"
            everything.setdefault(name, Counter())[length] += 1
            before = length
            if sample.meter in METERS:
                by_meter[sample.meter].setdefault(place, Counter())[length] += 1
        if sample.meter in METERS:
            pickups[sample.meter][sample.pickup] += 1
            lasts[sample.meter][place] += 1
    return {
        "rhythm": plain(everything),
        "meter": {
            "counts": {name: plain(rows) for name, rows in by_meter.items()},
            "pickups": plain(pickups),
            "lasts": plain(lasts),
        },
    }


def plain(rows: dict[Any, Counter[int]]) -> dict[str, dict[str, int]]:
    """For JSON, in order, without what is rare."""
    kept = {
        str(place): {str(k): n for k, n in sorted(row.items()) if n >= FEWEST}
        for place, row in sorted(rows.items())
    }
    return {place: row for place, row in kept.items() if row}


def fit_meter(train: Sequence[Sample]) -> list[float]:
    """Weights of `meter_features`, by maximum likelihood."""
    features = torch.tensor(
        np.array(
            [
                [meter_features(s.heard, m, best_phase(s.heard, m, None)[0]) for m in METERS]
                for s in train
            ]
        )
    )
    wanted = torch.tensor([METERS.index(s.meter) for s in train])
    weights = torch.zeros(features.shape[2], dtype=torch.double, requires_grad=True)
    maximise(
        [weights],
        lambda: cross_entropy(features @ weights, wanted) + 0.003 * (weights**2).sum(),
    )
    return [round(w, 3) for w in weights.tolist()]


def fit_styles(train: Sequence[Sample]) -> dict[str, Any]:
    """Rhythms of several kinds of tunes: a mixture of the Markov chains of `count`, by EM."""
    names: dict[str, int] = {}
    rows, columns = [], []
    for number, sample in enumerate(train):
        before = LONGEST
        for place, length in steps(sample.heard, sample.pickup, bar_length(sample.meter)):
            name = f"{place % GRID},{previous_class(before)},{length}"
            rows.append(number)
            columns.append(names.setdefault(name, len(names)))
            before = length
    counts = np.zeros((len(train), len(names)))
    np.add.at(counts, (rows, columns), 1)
    contexts = [name.rpartition(",")[0] for name in names]
    context = np.unique(contexts, return_inverse=True)[1]
    share = np.random.default_rng(SEED).dirichlet(np.ones(N_STYLES), len(train))
    everything = counts.sum(axis=0)
    usual = everything / np.bincount(context, everything)[context]
    for _ in range(EM_ROUNDS):
        of_style = share.T @ counts  # (K, names)
        totals = np.stack([np.bincount(context, each)[context] for each in of_style])
        chance = (of_style + STYLE_BACKING * usual) / (totals + STYLE_BACKING)
        weights = share.mean(axis=0)
        nats = counts @ np.log(chance).T + np.log(weights)
        best = nats.max(axis=1, keepdims=True)
        share = np.exp(nats - best)
        total = share.sum(axis=1, keepdims=True)
        share /= total
    print(
        f"styles: {-(best + np.log(total)).sum() / counts.sum():.4f} nats a note, "
        f"{weights.round(3)}"
    )
    tables_of = []
    for each in share.T @ counts:
        found: dict[str, Counter[int]] = {}
        for name, n in zip(names, each.tolist(), strict=True):
            place, _, length = name.rpartition(",")
            found.setdefault(place, Counter())[int(length)] += round(n)
        tables_of.append(plain(found))
    return {"weights": [round(w, 3) for w in weights.tolist()], "counts": tables_of}


# --- key -------------------------------------------------------------------------------------


def fit_key(train: Sequence[Sample]) -> dict[str, Any]:
    """Weights of `key_features` for each mode, on whole tunes and as many fragments.

    They are drawn towards Krumhansl and Kessler's profiles where tunes say little.
    """
    rng = random.Random(SEED)
    known = [s for s in train if s.key.mode in MODES and s.key.tonic]
    heard = [s.heard for s in known] + [fragment(s.heard, rng) for s in known]
    features = torch.tensor(np.array([key_features(h) for h in heard]))
    classes = [MODES.index(s.key.mode) * 12 + s.key.tonic_pitch_class for s in known]
    wanted = torch.tensor(classes * 2)
    start = torch.tensor(np.array([profile(mode) for mode in MODES]))
    # Modes by the square root of how many tunes they have, or the rare ones would never be heard.
    frequency = np.bincount(wanted.numpy() // 12, minlength=len(MODES))
    emphasis = torch.tensor(1 / np.sqrt(frequency))[wanted // 12]
    emphasis /= emphasis.mean()
    weights = start.clone().requires_grad_()
    bias = torch.zeros(len(MODES), dtype=torch.double, requires_grad=True)

    def loss() -> torch.Tensor:
        scores = torch.einsum("ntf,mf->nmt", features, weights) + bias[:, None]
        drawn = ((weights - start) ** 2).sum()
        nats = cross_entropy(scores.flatten(1), wanted, reduction="none")
        return (emphasis * nats).mean() + 2e-4 * drawn

    maximise([weights, bias], loss)
    return {
        "weights": [[round(w, 2) for w in row] for row in weights.tolist()],
        "bias": [round(b, 2) for b in bias.tolist()],
    }


def profile(mode: str) -> np.ndarray:
    """Where the weights of a mode start: Krumhansl and Kessler's, the changed degree exchanged."""
    ratings = list(KEY_PROFILES["major" if mode in ("major", "mixolydian") else "minor"])
    if mode == "dorian":
        ratings[8], ratings[9] = ratings[9], ratings[8]
    if mode == "mixolydian":
        ratings[10], ratings[11] = ratings[11], ratings[10]
    return np.concatenate([4 * (np.array(ratings) - np.mean(ratings)), np.zeros(24)])


def fragment(heard: NoteLine, rng: random.Random) -> NoteLine:
    """A random run of notes."""
    n = len(heard.notes)
    length = rng.randint(min(MINIMUM_FRAGMENT, n), n)
    start = rng.randint(0, n - length)
    return NoteLine(heard.notes[start : start + length])


def maximise(parameters: list[torch.Tensor], loss: Callable[[], torch.Tensor]) -> None:
    """Minimise a loss to the end by L-BFGS."""
    optimiser = torch.optim.LBFGS(parameters, max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    optimiser.step(closure)


def main() -> None:
    """Fit, write, and say how well it does on the validation split."""
    torch.set_num_threads(1)
    everything = samples()
    train = [s for s in everything if s.split == "train"]
    val = [s for s in everything if s.split == "val"]
    content = count(train)
    content["styles"] = fit_styles(train)
    content["meter"]["weights"] = [0.0] * (5 + len(METERS))
    content["key"] = fit_key(train)
    save(content)
    rng = random.Random(SEED)
    usual = [s for s in train if s.meter in METERS]
    content["meter"]["weights"] = fit_meter(rng.sample(usual, N_METER_TUNES))
    save(content)
    known = [s for s in val if s.key.mode in MODES]
    right = sum(estimate_key(s.heard) == s.key for s in known)
    print(f"key: {right} of {len(known)} validation tunes")
    usual = [s for s in val if s.meter in METERS]
    found = [estimate_meter(s.heard) for s in usual]
    right = sum(str(e.meter) == s.meter for e, s in zip(found, usual, strict=True))
    both = sum(
        str(e.meter) == s.meter and e.pickup * GRID == s.pickup
        for e, s in zip(found, usual, strict=True)
    )
    print(f"meter: {right}, with pickup {both} of {len(usual)} validation tunes")


def save(content: dict[str, Any]) -> None:
    """Write the tables, one line each."""
    lines = [f"{json.dumps(name)}: {json.dumps(table)}" for name, table in content.items()]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    tables.tables.cache_clear()


if __name__ == "__main__":
    command_line.run(main)
