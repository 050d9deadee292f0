"""Bach's chorales as the field measures them: our networks on the canonical JSB splits.

    python scripts/benchmarks/jsb.py DIR --grid quarter --kind lstm

Two units that must not be mixed:

quarter    Nats per quarter-note frame. A frame is the set of pitches that sound, at most four of
           88. We write it from the highest down, with "/" where there are fewer than four, so the
           product of the probabilities of its tokens is exactly that of the set. The temporal
           convolutional network of Bai, Kolter and Koltun (2018) has 8.10.
sixteenth  Nats per token on the 16th-note grid, four tokens (soprano, alto, tenor, bass) a step,
           "." for a voice that rests. The Music Transformer of Huang et al. (2019) has 0.335.

Only training pieces are transposed, only validation pieces decide when to stop, and the test
pieces are scored once, by the model that validation chose. The end of a piece is not scored; its
first frame is. DIR holds the JSON files of github.com/czhuang/JSB-Chorales-dataset.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from musicgen.corpus.tokenset import TokenRow, TokenSet, TokenSplit, build_tokenset
from musicgen.models import ModelConfig, checkpoint
from musicgen.models.batches import collate, pack
from musicgen.models.cost import nats
from musicgen.tokens.vocabulary import BOS, EOS, Vocabulary
from musicgen.training import TrainConfig, train
from musicgen.training.config import DataConfig

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

FILES = {"quarter": "jsb-chorales-quarter.json", "sixteenth": "jsb-chorales-16th.json"}
SPLITS = {"train": "train", "valid": "val", "test": "test"}
STEPS_A_BAR = {"quarter": 4, "sixteenth": 16}
PUBLISHED = {"quarter": "TCN 8.10 nats per frame", "sixteenth": "Music Transformer 0.335 per token"}
VOICES = 4
MAX_AGE = 24

Piece = list[list[int]]

MODELS = {
    "lstm": ModelConfig(
        kind="lstm",
        d_model=256,
        n_layers=1,
        dropout=0.5,
        embedding_dropout=0.2,
        weight_dropout=0.2,
        tie_embeddings=False,
    ),
    "transformer": ModelConfig(
        kind="transformer", d_model=128, n_layers=3, n_heads=4, dropout=0.25, embedding_dropout=0.1
    ),
}
LEARNING_RATE = {"lstm": 4e-3, "transformer": 2e-3}


def write_frame(frame: Sequence[float], grid: str) -> list[str]:
    """The tokens of one frame."""
    pitches = [int(pitch) for pitch in frame]
    if grid == "sixteenth":
        return [str(p) for p in pitches] + ["."] * (VOICES - len(pitches))
    highest_first = [str(p) for p in sorted(set(pitches), reverse=True)]
    return highest_first + ["/"] * (len(highest_first) < VOICES)


def rows(
    pieces: dict[str, list[Piece]], vocabulary: Vocabulary, grid: str, *, semitones: int
) -> Iterator[TokenRow]:
    """Every piece with its features; training pieces also transposed, within the pitches that
    training pieces have."""
    for split, ours in SPLITS.items():
        for number, piece in enumerate(pieces[split]):
            for shift in range(-semitones, semitones + 1) if ours == "train" else [0]:
                moved = [[p + shift for p in frame] for frame in piece]
                frames = [write_frame(frame, grid) for frame in moved]
                if any(t not in vocabulary.ids for f in frames for t in f) and ours == "train":
                    continue
                ids = vocabulary.encode([BOS, *(t for f in frames for t in f), EOS])
                unit = len(frames) * (VOICES if grid == "sixteenth" else 1)
                name = f"{split} {number} {shift:+d}"
                yield ours, name, np.array(ids), _features(frames, vocabulary, grid), unit


def _features(frames: list[list[str]], vocabulary: Vocabulary, grid: str) -> np.ndarray:
    """After each token, of the place that comes next: number in the frame, step in the bar, what
    stood there in the last frame and for how long."""
    bar = STEPS_A_BAR[grid]
    before, ages = [0] * VOICES, [0] * VOICES
    table = []
    for step, frame in enumerate([*frames, [EOS]]):
        for place in range(len(frame)):
            table.append((place, step % bar, before[place], min(ages[place], MAX_AGE)))
        ids = [*vocabulary.encode(frame), *[0] * VOICES][:VOICES]
        ages = [a + 1 if i == b else 1 for a, i, b in zip(ages, ids, before, strict=True)]
        before = ids
    return np.array([*table, (0, 0, 0, 0)])


def prepare(data: Path, grid: str, *, semitones: int) -> TokenSet:
    """Token files of the canonical splits."""
    pieces: dict[str, list[Piece]] = json.loads((data / FILES[grid]).read_text())
    vocabulary = Vocabulary.build(write_frame(f, grid) for piece in pieces["train"] for f in piece)
    sizes = {"place": VOICES, "step": STEPS_A_BAR[grid], "held_next": len(vocabulary)}
    return build_tokenset(
        rows(pieces, vocabulary, grid, semitones=semitones),
        vocab=vocabulary.tokens,
        feature_sizes={**sizes, "age": MAX_AGE + 1},
        tokenizer=f"jsb {grid}",
    )


@torch.inference_mode()
def nats_per_unit(network: torch.nn.Module, split: TokenSplit) -> tuple[float, float]:
    """Mean over all frames or tokens of a split, and its standard error over pieces."""
    network.eval()
    lengths = np.diff(split.offsets) - 2  # the end of the piece is not scored
    order = np.argsort(-lengths, kind="stable")
    costs = np.zeros(len(split))
    for run in pack(lengths[order], 16384):
        own = order[run]
        batch = collate(split, split.offsets[own], lengths[own])
        logits, _ = network(batch.tokens, batch.features)
        costs[own] = nats(logits, batch.targets).double().sum(dim=1).numpy()
    mean = costs.sum() / split.notes.sum()
    residuals = costs - mean * split.notes
    error = math.sqrt((residuals**2).sum()) / split.notes.sum()
    return float(mean), float(error)


def main(
    folder: Annotated[Path, " and ".join(FILES.values())],
    *,
    grid: Annotated[str, FILES] = "quarter",
    kind: Annotated[str, MODELS] = "lstm",
    semitones: Annotated[int, "augmentation, up and down"] = 5,
    steps: int = 3_000,
    seed: int = 0,
    batch_tokens: int = 4096,
    test: Annotated[bool, "score the test pieces, too"] = False,
) -> None:
    """Train one network and report validation and test."""
    begun = time.process_time()
    tokens = prepare(folder, grid, semitones=semitones)
    config = TrainConfig(
        steps=steps,
        seed=seed,
        model=MODELS[kind],
        data=DataConfig(batch_tokens=batch_tokens, max_len=512),
        learning_rate=LEARNING_RATE[kind],
        val_every=max(1, steps // 20),
        patience=6,
        ema=0.99,
    )
    with tempfile.TemporaryDirectory() as temp:
        run = train(config, tokens, Path(temp) / "run", report=lambda p: print(p, flush=True))
        network = checkpoint.load(run.model).network
    unit = "frame" if grid == "quarter" else "token"
    print(f"{kind}, {grid}: {time.process_time() - begun:.0f} CPU-seconds")
    for name in ("val", "test") if test else ("val",):
        mean, error = nats_per_unit(network, tokens.splits[name])
        print(f"{name}: {mean:.4f} nats per {unit} (standard error {error:.4f})")
    print(f"published: {PUBLISHED[grid]}")


if __name__ == "__main__":
    command_line.run(main)
