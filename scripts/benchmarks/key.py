"""How often the key of held-out tunes is found: ours, music21's and partitura's.

    python scripts/benchmarks/key.py [--tunes 430] [--music21 100]

Bundled tunes of held-out families (split "test"), played out. A key counts as found when tonic and
mode are; since music21 and partitura know major and minor only, tunes in these two are counted
apart as well. music21 is slow and gets a part of the tunes; ours on the same part is printed.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from musicgen.music.estimation import GRID, estimate_key
from musicgen.music.theory import Key, parse_key

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.fitting.estimation import Sample, samples

SEED = 1
Guess = Callable[[Sample], Key | None]


def by_music21(sample: Sample) -> Key | None:
    """music21's analyze("key"), Krumhansl's profiles weighted by Aarden and Essen."""
    from music21 import note, stream

    line = stream.Stream()
    for onset, end, midi in sample.heard.notes:
        found = note.Note(midi)
        found.quarterLength = (end - onset) / GRID
        line.insert(onset / GRID, found)
    key = line.analyze("key")
    return parse_key(f"{key.tonic.name.replace('-', 'b')} {key.mode}")


def by_partitura(sample: Sample) -> Key | None:
    """partitura's estimate_key, Krumhansl and Kessler's profiles."""
    import partitura

    notes = np.array(
        [(on / GRID, (end - on) / GRID, midi) for on, end, midi in sample.heard.notes],
        dtype=[("onset_beat", "f4"), ("duration_beat", "f4"), ("pitch", "i4")],
    )
    return parse_key(partitura.musicanalysis.estimate_key(notes))


def by_us(sample: Sample) -> Key | None:
    """Ours."""
    return estimate_key(sample.heard)


def right(found: Key | None, wanted: Key) -> bool:
    """The same tonic, however spelled, and the same mode."""
    return found is not None and (found.tonic_pitch_class, found.mode) == (
        wanted.tonic_pitch_class,
        wanted.mode,
    )


def judge(name: str, guess: Guess, tunes: Sequence[Sample]) -> None:
    """Print how many keys are found."""
    found = [guess(s) for s in tunes]
    exact = [right(f, s.key) for f, s in zip(found, tunes, strict=True)]
    tonic = [
        f is not None and f.tonic_pitch_class == s.key.tonic_pitch_class
        for f, s in zip(found, tunes, strict=True)
    ]
    plain = [e for e, s in zip(exact, tunes, strict=True) if s.key.mode in ("major", "minor")]
    print(
        f"{name}: key {100 * np.mean(exact):.1f} %, tonic {100 * np.mean(tonic):.1f} %, "
        f"of {len(tunes)}; key of the {len(plain)} in major or minor {100 * np.mean(plain):.1f} %"
    )


def main(*, tunes_: int = 430, music21: int = 100) -> None:
    """Judge all three."""
    tunes = [s for s in samples() if s.split == "test" and s.key.tonic]
    random.Random(SEED).shuffle(tunes)
    tunes = tunes[:tunes_]
    judge("musicgen", by_us, tunes)
    judge("partitura", by_partitura, tunes)
    judge("musicgen, part", by_us, tunes[:music21])
    judge("music21, part", by_music21, tunes[:music21])


if __name__ == "__main__":
    command_line.run(main)
