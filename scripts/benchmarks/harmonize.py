"""How often chords for held-out melodies are those of the book: networks against three baselines.

    python scripts/benchmarks/harmonize.py --corpus nottingham-dataset/ABC_cleaned \
        --model runs/nottingham checkpoints/harmonizers/hymns

Root and chord (root and kind: major, minor, dominant, diminished) of every half bar (see
`composer.harmony.slots`), found freely by beam search: no written chord is shown. The baselines are
fitted on the training families of the corpus, their settings chosen on its validation families;
intervals are 95 % of 1,000 resamples of the test families. A network that was trained on another
corpus is measured as it is.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from musicgen.composer.harmony import load
from musicgen.composer.harmony.decoding import DecodingConfig, harmonies
from musicgen.composer.harmony.features import HarmonyExample
from musicgen.music.metrics.distances import ConfidenceInterval

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts.benchmarks.harmonize_baselines import HarmonyScore, Predictor, fit_baselines, measure
from scripts.fitting.harmonizer import sources_of
from scripts.fitting.harmonizer_data import read_examples


def network_predictor(folder: Path, beam: int) -> Predictor:
    """The chords of `musicgen harmonize`, computed once for each tune."""
    network = load(folder).network

    @cache
    def predict(example: HarmonyExample) -> NDArray[np.int64]:
        return harmonies(network, example, DecodingConfig(beam=beam)).chords

    return predict


def shown(interval: ConfidenceInterval | None) -> str:
    """Value and bounds in percent."""
    if interval is None:
        return ""
    return f"{interval.value:6.1%} ({interval.low:.1%} to {interval.high:.1%})"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", nargs="+", required=True)
    parser.add_argument("--public-domain", action="store_true")
    parser.add_argument("--model", nargs="*", type=Path, default=[])
    parser.add_argument("--split", default="test", choices=("val", "test"))
    parser.add_argument("--beam", type=int, default=DecodingConfig().beam)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    examples = read_examples([n for name in arguments.corpus for n in sources_of(name, arguments)])
    held_out = examples[arguments.split]
    baselines = fit_baselines(examples["train"], examples["val"])
    best = max(baselines, key=lambda name: measure(baselines[name], examples["val"]).root.value)
    predictors = dict(baselines)
    predictors |= {
        f"network {p.name}": network_predictor(p, arguments.beam) for p in arguments.model
    }
    print(f"{'':22} {'root':28} {'chord':28} root, ahead of the {best}")
    for name, predict in predictors.items():
        started = time.process_time()
        against = baselines[best] if name not in baselines else None
        score: HarmonyScore = measure(predict, held_out, against)
        spent = time.process_time() - started
        print(
            f"{name:22} {shown(score.root):28} {shown(score.chord):28} {shown(score.ahead)}"
            f"  [{spent:.0f} CPU-s]",
            flush=True,
        )
    print(f"{score.n_tunes} tunes, {score.n_slots} places, split {arguments.split}")


if __name__ == "__main__":
    main()
