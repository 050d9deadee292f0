"""Does choosing by the judge make tunes better, and does it make them less new?

    musicgen generate -n 500 --seed 101 -o book.abc
    python scripts/benchmarks/judge.py book.abc --best-of 4

Each run of so many tunes of the book stands for the attempts at one take. The chosen are compared
with all: distance from held-out real tunes of the validation families, AUC, copied bars.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from musicgen.evaluation.copying import look_up
from musicgen.evaluation.discrimination import discriminate
from musicgen.evaluation.sets import Reference, read_set
from musicgen.evaluation.tables import spread
from musicgen.music.metrics.features import group_ratios
from musicgen.music.metrics.judge import load_judge
from musicgen.music.similarity import NoveltyIndex

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line


def main(
    book: str, *, best_of: int = 4, corpus: Sequence[str] = ("celtic",), split: str = "val"
) -> None:
    """Print both sets' figures, and those of as many tunes taken without a judge."""
    found = read_set([book])
    reference = Reference.load(corpus, split=split)
    judge, size = load_judge(), best_of
    verdicts = [judge(tune) for tune in found.tunes]
    ranked = np.array([verdict.ranked for verdict in verdicts])
    n = len(ranked) // size
    firsts = np.arange(n) * size
    chosen = firsts + ranked[: n * size].reshape(n, size).argmax(axis=1)
    nearest = look_up("the book", found.tunes, NoveltyIndex.build(reference.sources))
    features, floors = found.features(), reference.floors()
    print(f"rejected: {np.mean([bool(v.rejected) for v in verdicts]):.1%} of {len(verdicts)}")
    for name, rows in (("the first of each", firsts), (f"the best of {size}", chosen)):
        part = features.take(rows)
        ratios = group_ratios(floors.compare(part))
        told = discriminate(floors.reference, part)
        print(
            f"{name}: {n} tunes; times the floor: "
            + ", ".join(f"{group} {ratio:.2f}" for group, ratio in ratios.items())
            + (f"; AUC {spread(told.auc, 2)}" if told else "")
            + f"; copied bars {nearest.bars[rows].mean():.2f}"
            + f", at most {nearest.bars[rows].max():.0f}"
            f"; nearest similarity {nearest.similarity[rows].mean():.3f}"
            f"; copies {nearest.copies[rows].sum():.0f}"
        )


if __name__ == "__main__":
    command_line.run(main)
