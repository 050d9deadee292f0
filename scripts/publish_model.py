"""Score a finished run on its test families and write it, with its card, as a shipped model.

    python scripts/publish_model.py runs/celtic checkpoints/celtic --corpus celtic
    python scripts/publish_model.py checkpoints/celtic checkpoints/celtic --index-only

The second line only makes the index of the corpus anew, in a model that is published already.
"""

from __future__ import annotations

import argparse
import platform
import time
from dataclasses import replace
from pathlib import Path

from musicgen import checkpoint
from musicgen.evaluation import bits_per_note
from musicgen.preparation import prepare

CARD = """
## Where it comes from

Trained on O'Neill's Music of Ireland (1903), Ryan's Mammoth Collection (1883) and Aird's
Selection of Airs (1778-1801): public-domain music, transcribed by volunteers and distributed with
music21. Nothing else was used. The weights are under the licence of musicgen (MIT).

Tunes are split by family (near-identical melodies stay together, whatever their key or title), so
no test tune has a variant in the training set.

| test families | |
|---|---|
| bits per note | {bits:.3f} (95 % of resamples: {low:.3f} to {high:.3f}) |
| tunes, notes | {tunes:,}, {notes:,} |

Bits per note count everything that has to be known to write a tune down: rhythm, meter, unit, key
and all music to its end, divided by its notes.

## How to make it again

`scripts/train_reference.sh` (this one: {date}, {machine}, CPU, {steps:,} steps).

## What it cannot do

It writes single lines in the style of these books, without ornaments, chords or words. It may
come close to a tune it was trained on: `musicgen novelty` says how close, by the index of all these
books in novelty.npz. A key or meter that the books hardly use comes out worse.
"""


def main() -> None:
    """Write the model folder; the weights are the run's best by validation, untouched."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--corpus", nargs="+", default=["celtic"])
    parser.add_argument("--index-only", action="store_true")
    arguments = parser.parse_args()
    prepared = prepare(arguments.corpus)
    model = replace(checkpoint.load(checkpoint.locate(arguments.run)), novelty=prepared.novelty)
    if arguments.index_only:
        checkpoint.save(arguments.out, model, overwrite=True)
        print(f"{arguments.out}: an index of {len(prepared.novelty)} tunes")
        return
    score = bits_per_note(model, prepared.tokens)
    text = CARD.format(
        bits=score.bits_per_note,
        low=score.low,
        high=score.high,
        tunes=score.n_tunes,
        notes=score.n_notes,
        date=time.strftime("%Y-%m-%d"),
        machine=platform.machine(),
        steps=int(model.metrics["steps"]),
    )
    metrics = model.metrics | {"test_bits_per_note": score.bits_per_note}
    published = replace(model, metrics=metrics, card=model.card.rstrip() + "\n" + text)
    checkpoint.save(arguments.out, published, overwrite=True)
    print(f"{arguments.out}: {score.bits_per_note:.3f} bits per note on the test families")


if __name__ == "__main__":
    main()
