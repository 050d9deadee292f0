"""Which network and batch suit a small corpus? Bits per note by size of the corpus and settings.

    python scripts/fitting/small_corpora.py --tunes 30 --tunes 150 --steps 600

Trains on the first so many training tunes of `celtic` (in an order drawn once) and scores the
validation tunes, of which none is in training; the test tunes are not touched. Every run has the
same number of steps and keeps its best score. `musicgen.training.presets.suited` follows the table.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from musicgen.corpus.cache import prepared
from musicgen.corpus.tokenset import TokenSet, TokenSplit
from musicgen.training import train
from musicgen.training.presets import PRESETS

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line


def some(split: TokenSplit, tunes: Sequence[int]) -> TokenSplit:
    """A split with these tunes alone."""
    rows = [split.tune(index) for index in tunes]
    return TokenSplit(
        ids=np.concatenate([ids for ids, _ in rows]),
        features=np.concatenate([features for _, features in rows]),
        offsets=np.cumsum([0, *(len(ids) for ids, _ in rows)]),
        notes=split.notes[list(tunes)],
        names=[split.names[index] for index in tunes],
    )


def main(
    *,
    tunes: Sequence[int] = (30, 150),
    widths: Sequence[int] = (64, 128, 256),
    dropouts: Sequence[float] = (0.15, 0.4),
    batches: Sequence[int] = (256, 512),
    steps: int = 600,
    seed: int = 0,
) -> None:
    """Print a Markdown table."""
    whole = prepared("celtic").tokens
    order = np.random.default_rng(seed).permutation(len(whole.splits["train"]))
    validation = some(whole.splits["val"], range(0, len(whole.splits["val"]), 4))
    print(
        "| tunes | tokens | d_model | dropout | batch_tokens | bits per note |\n|--|--|--|--|--|--|"
    )
    for n in tunes:
        part = some(whole.splits["train"], order[:n].tolist())
        splits = {"train": part, "val": validation, "test": whole.splits["test"]}
        tokens: TokenSet = dataclasses.replace(whole, splits=splits)
        for width in widths:
            for dropout in dropouts:
                for batch in batches:
                    config = PRESETS["lstm"].with_budget(steps=steps)
                    config = dataclasses.replace(
                        config,
                        seed=seed,
                        val_every=max(1, steps // 6),
                        data=dataclasses.replace(config.data, batch_tokens=batch),
                        model=dataclasses.replace(config.model, d_model=width, dropout=dropout),
                    )
                    with tempfile.TemporaryDirectory() as folder:
                        best = train(config, tokens, Path(folder) / "run").best_bits_per_note
                    row = (n, len(part.ids), width, dropout, batch, f"{best:.3f}")
                    print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    command_line.run(main)
