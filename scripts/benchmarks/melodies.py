"""Do melodies that were made for chords go with them? `harmonize --melody-for`, measured.

    python scripts/benchmarks/melodies.py
    python scripts/benchmarks/melodies.py --corpus nottingham-dataset/ABC_cleaned   # real ones too

For each of twelve progressions and four seeds: melodies in the same key and meter without regard
to the chords, melodies whose strong places are held to them, and the one of eight such that the
harmonizer finds the chords likeliest for. Shares: of notes on strong places (where chords may
change) that belong to the chord, of all sounding time, and of places at which `harmonize`, given
the melody alone, names the given root. Real tunes are those of a corpus with their own chords.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from musicgen.composer import harmony
from musicgen.composer.engine import Engine
from musicgen.composer.harmony import melody_for_chords
from musicgen.composer.harmony.decoding import DecodingConfig, harmonies
from musicgen.composer.harmony.progression import Progression
from musicgen.composer.sampling import SamplingConfig
from musicgen.corpus.sources import find_files
from musicgen.formats import read
from musicgen.models import checkpoint
from musicgen.models.harmony.network import Harmonizer
from musicgen.music.tune import Tune
from musicgen.tokens.harmony.chords import NOT_KNOWN, chord_id, notes_of, root_of
from musicgen.tokens.harmony.features import harmony_example
from musicgen.tokens.harmony.slots import slots_of

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

PROGRESSIONS = (
    "Am | G | F | E7", "C | Am | F | G7", "G | C | D7 | G", "D | A7 | Bm | G", "Em | D | C | D",
    "G | Em | Am | D7", "A | D | E7 | A", "Dm | C | Bb | A7", "F | Dm | Gm | C7", "D | C | G | D",
    "Am G | F E7 | Am G | F G", "Em | Am | D7 | G",
)  # fmt: skip
SEEDS = range(4)


def shares(tune: Tune, network: Harmonizer | None) -> tuple[float, float, float]:
    """On strong places, of the time, and of roots found again; nan where nothing is asked."""
    slots = slots_of(tune)
    strong, time, inside = [], Fraction(0), Fraction(0)
    for slot in slots:
        chord = chord_id(slot.written, slot.key)
        if chord == NOT_KNOWN:
            continue
        notes = {(note + slot.key.tonic_pitch_class) % 12 for note in notes_of(chord)}
        for piece in slot.pieces:
            if piece.midi is None:
                continue
            fits = piece.midi % 12 in notes
            time += piece.duration
            inside += piece.duration * fits
            if not piece.onset and not piece.held:
                strong.append(fits)
    if not strong:
        return np.nan, np.nan, np.nan
    again = np.nan if network is None else _found_again(tune, network)
    return float(np.mean(strong)), float(inside / time), again


def _found_again(tune: Tune, network: Harmonizer) -> float:
    given = harmony_example(slots_of(tune))
    found = harmonies(network, given, DecodingConfig()).chords
    pairs = [(root_of(int(a)), root_of(int(b))) for a, b in zip(found, given.chords, strict=True)]
    return float(np.mean([a == b for a, b in pairs]))


def made(engine: Engine, network: Harmonizer, *, held: bool, tries: int) -> Iterator[Tune]:
    """A melody for every progression and seed."""
    for text in PROGRESSIONS:
        for seed in SEEDS:
            takes = melody_for_chords.melodies(
                engine, network, Progression.read(text), 1, SamplingConfig(seed=seed),
                tries=tries, held=held,
            )  # fmt: skip
            yield next(takes).tune


def real(corpus: str) -> Iterator[Tune]:
    """The tunes of a corpus."""
    for file in find_files([corpus]):
        yield from read(file.path)


def show(name: str, tunes: Iterable[Tune], network: Harmonizer | None) -> None:
    """A line of the table, with standard errors."""
    rows = np.array([row for tune in tunes if not np.isnan((row := shares(tune, network))[0])])
    errors = rows.std(axis=0) / len(rows) ** 0.5
    cells = [f"{m:7.1%} +- {e:.1%}" for m, e in zip(rows.mean(axis=0), errors, strict=True)]
    print(f"{name:28}" + "".join(f"{cell:>20}" for cell in cells) + f"   {len(rows)} tunes")


def main(
    *, corpus: Annotated[str | None, "tunes with chord symbols, to compare with"] = None
) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    engine = Engine.of(checkpoint.load(checkpoint.locate("celtic")))
    network = harmony.load().network
    print(f"{'':28}{'strong places':>20}{'of the time':>20}{'root found again':>20}")
    show("without regard to chords", made(engine, network, held=False, tries=1), network)
    show("held on strong places", made(engine, network, held=True, tries=1), network)
    show("and the best of eight", made(engine, network, held=True, tries=8), network)
    if corpus:
        show(f"tunes of {corpus}", real(corpus), None)


if __name__ == "__main__":
    command_line.run(main)
