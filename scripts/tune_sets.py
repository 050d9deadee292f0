"""The tunes that other programs are asked to read: generated, harmonised, continued, from corpora.

    for name, tunes, origins in tune_sets(generated=300, harmonised=100, continued=50, corpus=200):
        ...

The same numbers and seed give the same tunes. `origins` are the tunes that they were made from.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

import musicgen
from musicgen import corpus, formats
from musicgen.composer import Composer
from musicgen.composer.controls import Controls
from musicgen.composer.harmony import harmonize, load
from musicgen.composer.sampling import SamplingConfig
from musicgen.music.tune import Tune

BARS_KEPT = 6  # of a tune that is to be continued


class TuneSet(NamedTuple):
    """Tunes of one kind, and of each the tune that it was made from: itself, or none."""

    name: str
    tunes: list[Tune]
    origins: list[Tune | None]


def tune_sets(
    *, generated: int, harmonised: int, continued: int, corpus: int, seed: int = 0
) -> Iterator[TuneSet]:
    """The sets in turn; corpus tunes are drawn from all bundled collections."""
    composer = musicgen.load()
    assert isinstance(composer, Composer)
    melodies = corpus_tunes(max(corpus, harmonised, continued), seed)
    if generated:
        takes = composer.takes(generated, Controls(), SamplingConfig(seed=seed))
        yield TuneSet("generated", [take.tune for take in takes], [None] * generated)
    if harmonised:
        model = load()
        given = melodies[:harmonised]
        yield TuneSet("harmonised", [harmonize(t, model).tune for t in given], [*given])
    if continued:
        pairs = list(_continued(composer, melodies, continued, seed))
        yield TuneSet("continued", [tune for tune, _ in pairs], [start for _, start in pairs])
    if corpus:
        yield TuneSet("corpus", melodies[:corpus], [*melodies[:corpus]])


def corpus_tunes(number: int, seed: int = 0) -> list[Tune]:
    """Tunes of the bundled collections, drawn at random, as they were read."""
    files = corpus.find_files(["celtic"])
    tunes = [t for file in files for t in formats.scan(file.path).tunes if t.n_notes]
    return Random(seed).sample(tunes, number)


def _continued(
    composer: Composer, melodies: list[Tune], number: int, seed: int
) -> Iterator[tuple[Tune, Tune]]:
    """The first bars of tunes, finished, and those bars; tunes that the model does not accept are
    passed over."""
    done = 0
    for tune in melodies:
        voice = tune.voices[0]
        start = musicgen.Tune(
            title=tune.title, rhythm=tune.rhythm, meter=tune.meter, key=tune.key,
            voices=(musicgen.Voice(bars=voice.bars[:BARS_KEPT]),),
        )  # fmt: skip
        try:
            yield composer.continue_(start, seed=seed), start
        except musicgen.MusicgenError:
            continue
        done += 1
        if done == number:
            return
