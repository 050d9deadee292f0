"""How often chords for held-out melodies are those of the book: networks against three baselines.

    python scripts/benchmarks/harmonize.py --corpus nottingham-dataset/ABC_cleaned \
        --model runs/nottingham checkpoints/harmonizers/hymns

Root and chord (root and kind: major, minor, dominant, diminished) of every half bar (see
`harmonization.slots`), found freely by beam search: no written chord is shown. The baselines are
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
from musicgen.composer.harmony.baselines import Guess
from musicgen.composer.harmony.decoding import DecodingConfig, harmonies
from musicgen.composer.harmony.features import Lesson
from musicgen.composer.harmony.measuring import HarmonyScore, fit_baselines, measure, read_courses
from musicgen.music.metrics.distances import ConfidenceInterval

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts.fitting.harmonizer import sources_of


def network_guess(folder: Path, beam: int) -> Guess:
    """What `musicgen harmonize` does; a tune is worked out once."""
    network = load(folder).network

    @cache
    def guess(lesson: Lesson) -> NDArray[np.int64]:
        return harmonies(network, lesson, DecodingConfig(beam=beam)).chords

    return guess


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
    courses = read_courses([n for name in arguments.corpus for n in sources_of(name, arguments)])
    held_out = courses[arguments.split]
    baselines = fit_baselines(courses["train"], courses["val"])
    best = max(baselines, key=lambda name: measure(baselines[name], courses["val"]).root.value)
    guesses = dict(baselines)
    guesses |= {f"network {p.name}": network_guess(p, arguments.beam) for p in arguments.model}
    print(f"{'':22} {'root':28} {'chord':28} root, ahead of the {best}")
    for name, guess in guesses.items():
        started = time.process_time()
        against = baselines[best] if name not in baselines else None
        score: HarmonyScore = measure(guess, held_out, against)
        spent = time.process_time() - started
        print(
            f"{name:22} {shown(score.root):28} {shown(score.chord):28} {shown(score.ahead)}"
            f"  [{spent:.0f} CPU-s]",
            flush=True,
        )
    print(f"{score.n_tunes} tunes, {score.n_slots} places, split {arguments.split}")


if __name__ == "__main__":
    main()
