"""Bits per note on held-out tune families, ours against the lecture lab's character LSTM.

    python scripts/benchmark_likelihood.py --minutes 5

Both are trained on the same training families of the `celtic` corpus for the same CPU time (user
and system time of the process, all threads), one after the other, and scored on the same test
tunes: bits of everything that has to be known to write the tune down (rhythm, meter, unit, key,
music, end), divided by its number of notes. The character model reads the canonical ABC of the
same reduced tunes, so both tell the same music.

The lab's model: embedding 256, one LSTM layer of 1024, a linear output; windows of 100 characters,
batches of 8, Adam with learning rate 5e-3 (MIT 6.S191, lab 1, part 2). It is given the best of
its validation scores, taken every 30 seconds; the same early stopping as ours.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from musicgen import checkpoint
from musicgen import corpus as corpora
from musicgen.errors import InvalidTuneError
from musicgen.evaluation import bits_per_note
from musicgen.formats.abc_notation import to_abc
from musicgen.preparation import prepare
from musicgen.presets import preset
from musicgen.tokenizer.melody import melody
from musicgen.training import Progress, train

END = "\n\n"


class LabLSTM(nn.Module):
    """The lecture lab's character model."""

    def __init__(self, n_characters: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_characters, 256)
        self.lstm = nn.LSTM(256, 1024, batch_first=True)
        self.output = nn.Linear(1024, n_characters)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """(B, T) character ids -> (B, T, V) logits."""
        hidden, _ = self.lstm(self.embedding(ids))
        return self.output(hidden)


def canonical_texts(corpus: corpora.Corpus) -> dict[str, list[tuple[str, int]]]:
    """(ABC text, number of notes) of every reduced tune, by split."""
    texts: dict[str, list[tuple[str, int]]] = {name: [] for name in corpora.SPLITS}
    for entry, tune in corpus.tunes():
        try:
            reduced = melody(tune).tune
        except InvalidTuneError:
            continue
        lines = to_abc(reduced).splitlines()
        text = "\n".join(line for line in lines if not line.startswith(("X:", "T:")))
        texts[entry.split].append((text.strip(), reduced.n_notes))
    return texts


@torch.inference_mode()
def lab_bits_per_note(network: LabLSTM, tunes: list[tuple[str, int]], ids: dict[str, int]) -> float:
    """Every character of a tune and its end, after the blank line that ends the one before."""
    network.eval()
    bits, notes = 0.0, 0
    for text, n_notes in tunes:
        row = torch.tensor([[ids[c] for c in END + text + END if c in ids]])
        log_p = network(row[:, :-1]).log_softmax(-1)[0]
        gained = log_p.gather(1, row[0, 1:, None])[len(END) - 1 :].sum()
        unknown = sum(c not in ids for c in text)
        bits += -float(gained) / math.log(2) + unknown * math.log2(0x110000)
        notes += n_notes
    return bits / notes


def train_lab(texts: dict[str, list[tuple[str, int]]], cpu_s: float) -> dict[str, float]:
    """Train the lab's model for `cpu_s` seconds of process time; its scores."""
    text = END.join(text for text, _ in texts["train"])
    characters = sorted(set(text))
    ids = {c: i for i, c in enumerate(characters)}
    data = np.array([ids[c] for c in text])
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = LabLSTM(len(characters))
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    best, best_val, spent, steps, checked = None, math.inf, 0.0, 0, 0.0
    sample = texts["val"][::4]  # a quarter of the validation tunes, to stop on
    while spent < cpu_s:
        begin = time.process_time()
        network.train()
        starts = rng.integers(0, len(data) - 101, 8)
        window = torch.from_numpy(data[starts[:, None] + np.arange(101)])
        logits = network(window[:, :-1])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), window[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
        spent += time.process_time() - begin
        if spent - checked > 60 or spent >= cpu_s:  # scoring is not charged to the model
            checked = spent
            val = lab_bits_per_note(network, sample, ids)
            print(f"  lab: {spent:5.0f} CPU-s, step {steps}, val {val:.3f}", flush=True)
            if val < best_val:
                best_val, best = val, copy.deepcopy(network)
    assert best is not None
    return {
        "cpu_s": spent,
        "test_bits_per_note": lab_bits_per_note(best, texts["test"], ids),
        "parameters": sum(p.numel() for p in network.parameters()),
    }


def print_score(progress: Progress) -> None:
    """A line for every validation of ours."""
    if progress.scored:
        print(f"  ours: {progress}", flush=True)


def main() -> None:
    """Run the comparison and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="wall-clock budget of ours")
    parser.add_argument("--presets", nargs="+", default=["lstm"])
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()

    prepared = prepare(["celtic"])
    texts = canonical_texts(prepared.corpus)
    tokens = prepared.tokens
    figures: dict[str, dict[str, float]] = {}
    for name in arguments.presets:
        with tempfile.TemporaryDirectory() as folder:
            begin = time.process_time()
            config = preset(name).with_budget(minutes=arguments.minutes)
            summary = train(config, tokens, Path(folder) / name, report=print_score)
            cpu_s = time.process_time() - begin
            model = checkpoint.load(summary.model)
            score = bits_per_note(model, tokens)
        figures[f"musicgen {name}"] = {
            "cpu_s": cpu_s,
            "test_bits_per_note": score.bits_per_note,
            "low": score.low,
            "high": score.high,
            "parameters": model.metrics["parameters"],
        }
    longest = max(f["cpu_s"] for f in figures.values())
    figures["lab character LSTM"] = train_lab(texts, longest)

    print(f"\n{time.strftime('%Y-%m-%d')}, {platform.processor() or platform.machine()}, ", end="")
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print("| model | parameters | CPU-seconds | bits per note (test) | against the lab |")
    print("|---|---:|---:|---:|---:|")
    reference = figures["lab character LSTM"]["test_bits_per_note"]
    for name, f in figures.items():
        bits = f["test_bits_per_note"]
        print(
            f"| {name} | {f['parameters']:,.0f} | {f['cpu_s']:.0f} | {bits:.3f} | "
            f"{bits / reference:.2f} |"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
