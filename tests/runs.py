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


def losses(folder: Path, unit: str = "note") -> list[tuple[Any, ...]]:
    """What must not depend on interruptions: everything but the clock."""
    rows = parse_rows((folder / "history.csv").read_text(), unit)
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


def make_reels(folder: Path, n: int) -> None:
    """So many different reels as ABC files, always the same for a number."""
    folder.mkdir(exist_ok=True)
    for number in range(n):
        random = np.random.default_rng(number)
        bars = ["".join(random.choice(list("DEFGABcde"), 8)) for _ in range(8)]
        heading = f"X:1\nT:Reel {number}\nR:reel\nM:4/4\nL:1/8\nK:G\n"
        (folder / f"{number:02}.abc").write_text(f"{heading}{'|'.join(bars)}|]\n")


def train_for_comparison(folder: Path, devices: int) -> None:
    """50 steps in float64 without dropout, on so many processes; the losses go to a CSV log."""
    import pytorch_lightning as pl
    from pytorch_lightning.loggers import CSVLogger

    from musicgen.training import NextTokenModule, TuneDataModule

    pl.seed_everything(1, verbose=False)
    model = NextTokenModule("lstm", d_model=16, dropout=0.0, embedding_dropout=0.0)
    data = TuneDataModule.from_tokens(make_tokens(), DataConfig(batch_tokens=256, max_len=32))
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        precision="64-true",
        max_steps=50,
        log_every_n_steps=1,
        logger=CSVLogger(folder, name="log", version=""),
        enable_progress_bar=False,
        enable_checkpointing=False,
    )
    trainer.fit(model, data)
