"""Bits per note on held-out tune families, ours against n-grams, the lecture lab and folk-rnn.

    python scripts/benchmark_likelihood.py --minutes 5

All are trained on the same training families of the `celtic` corpus, one after the other: the
networks for the same CPU time (user and system time of the process, all threads; ours first, for
the minutes given, then the others for as many CPU-seconds). All are scored on the same test
tunes: bits of everything that has to be known to write a tune down (rhythm, meter, unit, key,
music, end), divided by its notes or by the characters of its canonical ABC. The others
(`baselines.py`) read the canonical ABC of the same reduced tunes, so all tell the same music.

Each network keeps the weights with the best validation score. The n-gram model needs seconds.
With --checkpoint a finished model, such as the shipped one, has a row as well.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from baselines import Score, Text, train_folk_rnn, train_lab, train_ngram

from musicgen import checkpoint
from musicgen import corpus as corpora
from musicgen.errors import InvalidTuneError
from musicgen.evaluation.likelihood import rate_of
from musicgen.formats.abc_notation import to_abc
from musicgen.preparation import Prepared, prepare
from musicgen.presets import PRESETS, preset
from musicgen.tokenizer.melody import melody
from musicgen.training import Progress, score_tunes, train

BASELINES = {"lab": "lab character LSTM", "folk-rnn": "folk-rnn, 3 x 512", "ngram": "Kneser-Ney"}


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
    """One of our presets, trained for so many minutes."""

    def report(progress: Progress) -> None:
        if progress.scored:
            print(f"  {name}: {progress}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        config = preset(name).with_budget(minutes=minutes)
        summary = train(config, prepared.tokens, Path(folder) / name, report=report)
        cpu_s = time.process_time() - begin
        return finished(summary.model, prepared, cpu_s)


def finished(model: str | Path, prepared: Prepared, cpu_s: float = float("nan")) -> Score:
    """A trained model on the test tunes."""
    loaded = checkpoint.load(checkpoint.locate(model))
    bits = score_tunes(loaded.network, prepared.tokens.splits["test"])
    return Score(bits, cpu_s, int(loaded.metrics["parameters"]))


def table(scores: dict[str, Score], texts: list[Text]) -> tuple[str, dict[str, dict[str, float]]]:
    """The scores as Markdown, best first, and as numbers."""
    notes = np.array([n for _, n in texts], np.float64)
    characters = np.array([len(text) + 1 for text, _ in texts], np.float64)  # and its end
    figures = {}
    for name, score in scores.items():
        by_note = rate_of("note", score.bits, notes)
        figures[name] = {
            "bits_per_note": by_note.bits,
            "low": by_note.low,
            "high": by_note.high,
            "bits_per_character": rate_of("character", score.bits, characters).bits,
            "cpu_s": score.cpu_s,
            "parameters": score.parameters,
        }
    lines = [
        "| model | parameters | CPU-seconds | bits per note (95 %) | per ABC character |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, f in sorted(figures.items(), key=lambda item: item[1]["bits_per_note"]):
        spent = "-" if np.isnan(f["cpu_s"]) else f"{f['cpu_s']:.0f}"
        lines.append(
            f"| {name} | {f['parameters']:,.0f} | {spent} | {f['bits_per_note']:.3f} "
            f"({f['low']:.3f}-{f['high']:.3f}) | {f['bits_per_character']:.3f} |"
        )
    return "\n".join(lines), figures


def main() -> None:
    """Run the comparison and print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="wall-clock budget of ours")
    parser.add_argument("--presets", nargs="*", choices=PRESETS, default=list(PRESETS))
    parser.add_argument("--baselines", nargs="*", choices=BASELINES, default=list(BASELINES))
    parser.add_argument("--checkpoint", nargs="*", default=[], help="finished models beside them")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()

    prepared = prepare(["celtic"])
    texts = canonical_texts(prepared.corpus)
    scores = {
        f"musicgen {name}": train_ours(name, prepared, arguments.minutes)
        for name in arguments.presets
    }
    cpu_s = max((score.cpu_s for score in scores.values()), default=60 * arguments.minutes)
    for name in arguments.baselines:
        match name:
            case "ngram":
                score = train_ngram(texts)
            case "folk-rnn":
                score = train_folk_rnn(texts, cpu_s)
            case _:
                score = train_lab(texts, cpu_s)
        scores[BASELINES[name]] = score
    for name in arguments.checkpoint:
        scores[f"{name} (trained before)"] = finished(name, prepared)
    markdown, figures = table(scores, texts["test"])
    print(f"\n{time.strftime('%Y-%m-%d')}, {platform.processor() or platform.machine()}, ", end="")
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}\n\n{markdown}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
