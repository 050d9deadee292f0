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

import argparse
import sys
import time
from pathlib import Path

import torch

from musicgen.composer.harmony import model as models
from musicgen.config import override

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts.fitting.harmonizer_data import read_examples
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
(`scripts/fitting/harmonizer_data.py`). The weights are under the licence of musicgen (MIT)."""
ABOUT_OTHERS = "What licence the music is under, and so the weights, the one who trained must know."


def sources_of(name: str, arguments: argparse.Namespace) -> list[str]:
    """A corpus as it is named, or the files of a folder that may be used."""
    if not (arguments.public_domain and Path(name).is_dir()):
        return [name]
    return [str(f) for f in sorted(Path(name).rglob("*.abc")) if is_public_domain(f)]


def is_public_domain(path: Path) -> bool:
    """Whether a composer's or copyright line of the heading says so."""
    lines = path.read_text("utf-8", "replace").splitlines()
    return any(line.startswith("C:") and "public domain" in line.lower() for line in lines)


def main() -> None:
    """Train, and save the best epoch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--about", help="sources and licences, for the card")
    parser.add_argument(
        "--public-domain", action="store_true", help="only files whose C: lines say they are"
    )
    parser.add_argument("--set", nargs="*", default=[], help="such as model.d_model=96 epochs=20")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = HarmonizerFitConfig()
    for assignment in arguments.set:
        config = override(config, assignment)
    examples = read_examples([n for name in arguments.corpus for n in sources_of(name, arguments)])
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
        corpus=" ".join(Path(name).name for name in arguments.corpus),
        train=len(train),
        val=len(val),
        nats=nats,
        about=arguments.about or (ABOUT if arguments.public_domain else ABOUT_OTHERS),
    )
    metrics = {"val_nats_per_chord": nats, "parameters": float(parameters)}
    models.save(arguments.out, models.HarmonyModel(network=network, metrics=metrics, card=card))
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
