"""Train a harmonizer on music with chord symbols, or in parts, whose chords are read from them.

    # the one that is shipped: Bach's chorales, from music21, and hymns in the public domain
    git clone https://github.com/mzealey/openhymnal
    python scripts/fitting/harmonizer.py --corpus chorales openhymnal/Complete --public-domain \
        --run runs/hymns

The training is that of `musicgen train --task harmonize`; here the files can be chosen by licence.
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
from musicgen.corpus.harmony import read_chords
from musicgen.training import train
from musicgen.training.tasks import HARMONIZE, HarmonizeTask

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

ABOUT = """Bach's chorales come with music21 and are in the public domain. Of the Open Hymnal
Project (https://github.com/mzealey/openhymnal) only scores whose own heading says that they are in
the public domain are used. Their chords were read from the four parts
(`musicgen/corpus/harmony.py`). The weights are under the licence of musicgen (MIT)."""


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
    run: Annotated[Path, "a new folder for the run; its model is what is shipped"],
    about: Annotated[str | None, "sources and licences, for the card"] = None,
    public_domain: Annotated[bool, "only files whose C: lines say they are"] = False,
    set_: Annotated[Sequence[str], "such as model.d_model=96 epochs=20"] = (),
) -> None:
    """Train; the best epoch is kept."""
    torch.set_num_threads(1)
    config = HARMONIZE
    for assignment in set_:
        config = override(config, assignment)
    examples = read_chords([n for name in corpus for n in sources_of(name, public_domain)])
    print("\n".join(examples.summary()), flush=True)
    task = HarmonizeTask(examples, {"task": "harmonize", "corpus": list(corpus)})
    about = about or (ABOUT if public_domain else "")
    summary = train(config, task, run, about=about, report=lambda p: print(p, flush=True))
    print(f"{summary}; {time.process_time():.0f} CPU-s")


if __name__ == "__main__":
    command_line.run(main)
