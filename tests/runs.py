"""A toy corpus and small training runs on it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np

from musicgen.corpus.tokenset import BOS_ID, EOS_ID, TokenRow, TokenSet, build_tokenset
from musicgen.models import ModelConfig
from musicgen.tokens.vocabulary import SPECIALS
from musicgen.training import Progress, Report, TrainConfig
from musicgen.training.config import DataConfig
from musicgen.training.run_folder import parse_rows

VOCAB = (*SPECIALS, *"ABCDEFGH")
SMALL = TrainConfig(
    steps=12,
    data=DataConfig(batch_tokens=128, max_len=32),
    model=ModelConfig(d_model=16, n_heads=2),
    val_every=4,
    log_every=2,
    learning_rate=0.02,
    save_minutes=0.0,
)


def make_tokens(seed: int = 0, n: int = 40) -> TokenSet:
    """Tunes that go up the scale from a random note, again and again."""
    random = np.random.default_rng(seed)

    def row(index: int) -> TokenRow:
        length = int(random.integers(6, 45))
        ids = 4 + (random.integers(8) + np.arange(length)) % 8
        split = ("val", "test")[index % 2] if index < 8 else "train"
        whole = np.array([BOS_ID, *ids, EOS_ID])
        return split, f"tune {index}", whole, np.arange(len(whole)) % 4, length

    rows = [row(index) for index in range(n)]
    return build_tokenset(rows, vocab=VOCAB, feature_sizes={"beat": 4}, tokenizer="toy")


def losses(folder: Path) -> list[tuple[Any, ...]]:
    """What must not depend on interruptions: everything but the clock."""
    rows = parse_rows((folder / "history.csv").read_text())
    return [
        (r.step, r.epoch, r.learning_rate, r.train_bits_per_token, r.val_bits_per_note)
        for r in rows
    ]


def signal_at(step: int, number: signal.Signals) -> Report:
    """A report that raises a signal in this process at a step."""

    def report(progress: Progress) -> None:
        if progress.step == step:
            signal.raise_signal(number)

    return report
