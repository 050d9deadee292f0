"""How often chords for held-out melodies are those of the book: networks against three baselines.

    python scripts/benchmarks/harmonize.py --corpus nottingham-dataset/ABC_cleaned \
        --model runs/nottingham checkpoints/harmonizers/hymns

Root and chord (root and kind: major, minor, dominant, diminished) of every half bar (see
`tokens.harmony.slots`), found freely by beam search: no written chord is shown. The baselines are
fitted on the training families of the corpus, their settings chosen on its validation families;
intervals are 95 % of 1,000 resamples of the test families. A network that was trained on another
corpus is measured as it is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray

from musicgen.composer.harmony import load
from musicgen.composer.harmony.decoding import DecodingConfig, harmonies
from musicgen.music.metrics.distances import ConfidenceInterval
from musicgen.tokens.harmony.features import HarmonyExample

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from musicgen.corpus.harmony import read_chords
from musicgen.evaluation.harmony import HarmonyScore, Predictor, fit_baselines, measure
from scripts import command_line
from scripts.fitting.harmonizer import sources_of


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


def main(
    *,
    corpus: Sequence[str],
    public_domain: bool = False,
    model: Sequence[Path] = (),
    split: Annotated[str, ("val", "test")] = "test",
    beam: int = DecodingConfig().beam,
) -> None:
    """Measure and print a table."""
    torch.set_num_threads(1)
    sources = [n for name in corpus for n in sources_of(name, public_domain)]
    examples = read_chords(sources).splits
    held_out = examples[split]
    baselines = fit_baselines(examples["train"], examples["val"])
    best = max(baselines, key=lambda name: measure(baselines[name], examples["val"]).root.value)
    predictors = dict(baselines)
    predictors |= {f"network {p.name}": network_predictor(p, beam) for p in model}
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
    print(f"{score.n_tunes} tunes, {score.n_slots} places, split {split}")


if __name__ == "__main__":
    command_line.run(main)
