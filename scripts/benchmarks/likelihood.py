"""Bits per note on held-out tune families, ours against n-grams, the lecture lab and folk-rnn.

    python scripts/benchmarks/likelihood.py --minutes 5 15

All are trained on the same training families of the `celtic` corpus, one after the other, the
networks for the same CPU time: user and system time of the process, all threads; ours from its
first line to the model on disk, scoring of validation tunes included, which the others are not
charged for. All are scored on the same test tunes: bits of everything that has to be known to
write a tune down (rhythm, meter, unit, key, music, end), divided by its notes or by the characters
of its canonical ABC. The others (`baselines.py`) read the canonical ABC of the same reduced tunes,
so all tell the same music.

Each network keeps the weights with the best validation score. The n-gram model needs seconds.
With --checkpoint a finished model, such as the shipped one, has a row as well. What --json wrote in
one run --with takes into the table of another.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch

from musicgen import corpus as corpora
from musicgen.corpus.preparation import Prepared, prepare
from musicgen.errors import InvalidTuneError
from musicgen.evaluation.likelihood import rate_of
from musicgen.formats.abc_notation import to_abc
from musicgen.models import checkpoint
from musicgen.models.scoring import score_tunes
from musicgen.tokens.melody.encoding import melody
from musicgen.training import Progress, train
from musicgen.training.presets import PRESETS, preset

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.benchmarks.baselines import Score, Text, train_folk_rnn, train_lab, train_ngram

BASELINES = {
    "lab": "lab character LSTM",
    "folk-rnn": "folk-rnn, 3 x 512",
    "folk-rnn-8": "folk-rnn, 3 x 512, batches of 8 by Adam",
    "ngram": "Kneser-Ney",
}

Minutes = float | None  # a budget of CPU time; None: a model without one
Figures = dict[str, Any]  # a row of the table


def canonical_texts(corpus: corpora.Corpus) -> dict[str, list[Text]]:
    """(ABC text, number of notes) of every reduced tune, by split."""
    texts: dict[str, list[Text]] = {name: [] for name in corpora.SPLITS}
    for entry, tune in corpus.tunes():
        try:
            reduced = melody(tune).tune
        except InvalidTuneError:
            continue
        lines = to_abc(reduced).splitlines()
        text = "\n".join(line for line in lines if not line.startswith(("X:", "T:")))
        texts[entry.split].append((text.strip(), reduced.n_notes))
    return texts


def train_ours(name: str, prepared: Prepared, minutes: float) -> Score:
    """One of our presets, trained for so many minutes of CPU time."""

    def report(progress: Progress) -> None:
        if progress.scored:
            print(f"  {name}: {progress}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        config = preset(name).with_budget(cpu_minutes=minutes)
        summary = train(config, prepared.tokens, Path(folder) / name, report=report)
        cpu_s = time.process_time() - begin
        return finished(summary.model, prepared, cpu_s)


def train_baseline(
    name: str, texts: dict[str, list[Text]], minutes: list[float]
) -> Iterator[tuple[Minutes, Score]]:
    """One of the others, with a score for each budget, or one for all."""
    budgets = [60 * m for m in minutes]
    match name:
        case "ngram":
            yield None, train_ngram(texts)
        case "folk-rnn":
            yield from zip(minutes, train_folk_rnn(texts, budgets), strict=True)
        case "folk-rnn-8":
            yield from zip(minutes, train_folk_rnn(texts, budgets, small_steps=True), strict=True)
        case _:
            yield from zip(minutes, train_lab(texts, budgets), strict=True)


def finished(model: str | Path, prepared: Prepared, cpu_s: float | None = None) -> Score:
    """A trained model on the test tunes."""
    loaded = checkpoint.load(checkpoint.locate(model))
    tokens = prepared.tokens.with_features(loaded.feature_sizes)
    bits = score_tunes(loaded.network, tokens.splits["test"])
    return Score(bits, cpu_s, int(loaded.metrics["parameters"]))


def figures(model: str, minutes: Minutes, score: Score, texts: list[Text]) -> Figures:
    """A row of the table as numbers."""
    notes = np.array([n for _, n in texts], np.float64)
    characters = np.array([len(text) + 1 for text, _ in texts], np.float64)  # and its end
    by_note = rate_of("note", score.bits, notes)
    return {
        "model": model,
        "minutes": minutes,
        "bits_per_note": by_note.bits,
        "low": by_note.low,
        "high": by_note.high,
        "bits_per_character": rate_of("character", score.bits, characters).bits,
        "cpu_s": score.cpu_s,
        "parameters": score.parameters,
    }


def table(rows: list[Figures], minutes: float) -> str:
    """The rows of one budget and those without as Markdown, best first."""
    lines = [
        "| model | parameters | CPU-seconds | bits per note (95 %) | per ABC character |",
        "|---|---:|---:|---:|---:|",
    ]
    own = [row for row in rows if row["minutes"] in (minutes, None)]
    for row in sorted(own, key=lambda row: row["bits_per_note"]):
        spent = "-" if row["cpu_s"] is None else f"{row['cpu_s']:.0f}"
        lines.append(
            f"| {row['model']} | {row['parameters']:,} | {spent} | {row['bits_per_note']:.3f} "
            f"({row['low']:.3f}-{row['high']:.3f}) | {row['bits_per_character']:.3f} |"
        )
    return "\n".join(lines)


def main(
    *,
    minutes_: Annotated[Sequence[float], "of CPU time, for every network"] = (5.0,),
    presets: Annotated[Sequence[str], PRESETS] = list(PRESETS),
    baselines: Annotated[Sequence[str], BASELINES] = list(BASELINES),
    checkpoint: Annotated[Sequence[str], "finished models beside them"] = (),
    json_: Annotated[Path | None, "also write the figures here"] = None,
    with_: Annotated[Sequence[Path], "figures of earlier runs"] = (),
) -> None:
    """Run the comparison and print a Markdown table for each budget."""
    budgets = sorted(minutes_)

    rows: dict[tuple[str, Minutes], Figures] = {}
    for file in with_:
        rows |= {(row["model"], row["minutes"]): row for row in json.loads(file.read_text())}
    if presets or baselines or checkpoint:
        prepared = prepare(["celtic"])
        texts = canonical_texts(prepared.corpus)

    def add(model: str, minutes: Minutes, score: Score) -> None:
        rows[model, minutes] = figures(model, minutes, score, texts["test"])
        if json_:
            json_.write_text(json.dumps(list(rows.values()), indent=1) + "\n")

    for name in presets:
        for minutes in budgets:
            add(f"musicgen {name}", minutes, train_ours(name, prepared, minutes))
    for name in baselines:
        for minutes, score in train_baseline(name, texts, budgets):
            add(BASELINES[name], minutes, score)
    for name in checkpoint:
        add(f"{name} (trained before)", None, finished(name, prepared))
    print(f"\n{time.strftime('%Y-%m-%d')}, {platform.processor() or platform.machine()}, ", end="")
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    for minutes in budgets:
        print(f"\n{minutes:g} minutes of CPU time:\n\n{table(list(rows.values()), minutes)}")


if __name__ == "__main__":
    command_line.run(main)
