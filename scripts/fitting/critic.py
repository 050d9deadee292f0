"""Fit the critic of a model: what tells its tunes from the training tunes of its corpus.

    python scripts/fitting/critic.py checkpoints/celtic --corpus celtic

Boosted trees learn to tell all training tunes from `-n` new ones at the default settings, taken as
they come. How well they tell is said for tunes of families that they did not see, and for the
validation tunes; the test tunes are not looked at. The critic is written into the model's folder.
Ten minutes of CPU time, on all cores.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np

from musicgen.composer import FIRST, Composer
from musicgen.composer.controls import Controls
from musicgen.composer.sampling import SamplingConfig
from musicgen.evaluation.critics import fit, held_out_odds
from musicgen.evaluation.discrimination import auc
from musicgen.evaluation.sets import measured
from musicgen.models import checkpoint as checkpoints
from musicgen.music.metrics.features import Features
from musicgen.music.metrics.note_arrays import NoteArrays

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line


def main(
    folder: Path,
    *,
    corpus: Sequence[str] = ("celtic",),
    n: Annotated[int, "new tunes to learn from", "-n"] = 16_000,
    seed: Annotated[int, "of the new tunes"] = 1000,
) -> None:
    """Fit, say how well it tells, and put the critic into the model's folder."""
    real, val = (measured(corpus, split) for split in ("train", "val"))
    model = checkpoints.load(folder)
    sampling = SamplingConfig(seed=seed)
    takes = Composer(model).takes(n, Controls(), sampling, FIRST, workers=os.cpu_count() or 1)
    new = Features.of([NoteArrays.of(take.tune) for take in takes])
    print(f"{len(real):,} training tunes, {len(new):,} new ones", flush=True)

    odds, labels = held_out_odds(real, new)
    print(f"AUC on tunes of other families: {auc(odds, labels):.3f}", flush=True)
    critic = fit(real, new)
    unseen = [critic.of_vector(vector) for vector in critic.space.vectors(val)]
    told = np.concatenate([unseen, odds[labels == 0]])
    known = np.repeat([1, 0], [len(val), len(new)])
    print(f"AUC of {len(val)} validation tunes: {auc(told, known):.3f}")
    checkpoints.save(folder, replace(model, critic=critic), overwrite=True)
    print(f"wrote the critic of {folder}")


if __name__ == "__main__":
    command_line.run(main)
