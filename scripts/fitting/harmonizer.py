"""Train a harmonizer on music with chord symbols, or in parts, whose chords are read from them.

    # the one that is shipped: Bach's chorales, from music21, and hymns in the public domain
    git clone https://github.com/mzealey/openhymnal
    python scripts/fitting/harmonizer.py --corpus chorales openhymnal/Complete --public-domain \
        --out checkpoints/harmonizers/hymns

    # folk tunes with chords (GPL-3: the weights are for your own use)
    git clone https://github.com/jukedeck/nottingham-dataset
    python scripts/fitting/harmonizer.py --corpus nottingham-dataset/ABC_cleaned \
        --out runs/nottingham

Families of related tunes stay together; the validation families choose the epoch, the test families
are left alone (`scripts/benchmarks/harmonize.py` measures on them). Three minutes on one core.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch

from musicgen.config import override
from musicgen.models.harmony import model as models

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from musicgen.corpus.harmony import read_examples
from scripts import command_line
from scripts.fitting.harmonizer_training import HarmonizerFitConfig, fit

CARD = """# Chords for melodies

An encoder-decoder with attention, {parameters:,} parameters, for `musicgen harmonize`.

Trained with `scripts/fitting/harmonizer.py --corpus {corpus}` on {train} pieces of the training
families; {val} of the validation families chose the epoch: {nats:.3f} nats per chord there.

{about}
"""
ABOUT = """Bach's chorales come with music21 and are in the public domain. Of the Open Hymnal
Project (https://github.com/mzealey/openhymnal) only scores whose own heading says that they are in
the public domain are used. Their chords were read from the four parts
(`musicgen/corpus/harmony.py`). The weights are under the licence of musicgen (MIT)."""
ABOUT_OTHERS = "What licence the music is under, and so the weights, the one who trained must know."


def sources_of(name: str, public_domain: bool) -> list[str]:
    """A corpus as it is named, or the files of a folder that may be used."""
    if not (public_domain and Path(name).is_dir()):
        return [name]
    return [str(f) for f in sorted(Path(name).rglob("*.abc")) if is_public_domain(f)]


def is_public_domain(path: Path) -> bool:
    """Whether a composer's or copyright line of the heading says so."""
    lines = path.read_text("utf-8", "replace").splitlines()
    return any(line.startswith("C:") and "public domain" in line.lower() for line in lines)


def main(
    *,
    corpus: Sequence[str],
    out: Path,
    about: Annotated[str | None, "sources and licences, for the card"] = None,
    public_domain: Annotated[bool, "only files whose C: lines say they are"] = False,
    set_: Annotated[Sequence[str], "such as model.d_model=96 epochs=20"] = (),
) -> None:
    """Train, and save the best epoch."""
    torch.set_num_threads(1)
    config = HarmonizerFitConfig()
    for assignment in set_:
        config = override(config, assignment)
    examples = read_examples([n for name in corpus for n in sources_of(name, public_domain)])
    train, val = examples["train"].examples, examples["val"].examples
    print({split: len(of_split.examples) for split, of_split in examples.items()}, flush=True)
    started = time.process_time()

    def report(epoch: int, nats: float) -> None:
        spent = time.process_time() - started
        print(f"epoch {epoch}: {nats:.4f} nats per chord, {spent:.0f} CPU-s", flush=True)

    network, nats = fit(train, val, config, report=report)
    parameters = sum(p.numel() for p in network.parameters())
    card = CARD.format(
        parameters=parameters,
        corpus=" ".join(Path(name).name for name in corpus),
        train=len(train),
        val=len(val),
        nats=nats,
        about=about or (ABOUT if public_domain else ABOUT_OTHERS),
    )
    metrics = {"val_nats_per_chord": nats, "parameters": float(parameters)}
    models.save(out, models.HarmonyModel(network=network, metrics=metrics, card=card))
    print(f"wrote {out}")


if __name__ == "__main__":
    command_line.run(main)
