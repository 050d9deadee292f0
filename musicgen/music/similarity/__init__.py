"""How close a tune is to others: melodic similarity, and an index of what was written before.

similarity(a, b)                            # 0 to 1
index = NoveltyIndex.build(read("book.abc"))
print(index.assess(tune).line())            # new: nearest ..., similarity 0.34; 2 bars shared
"""

from __future__ import annotations

from musicgen.music.similarity.alignment import MelodyLine, line_similarity
from musicgen.music.similarity.index import (
    COPY,
    COPY_SIMILARITY,
    FILE_NAME,
    NEW,
    RELATED,
    RELATED_SIMILARITY,
    SHORT,
    Collector,
    Neighbour,
    Novelty,
    NoveltyIndex,
)
from musicgen.music.similarity.melody import Melody
from musicgen.music.similarity.shared import Run
from musicgen.music.tune import Tune

__all__ = [
    "COPY",
    "COPY_SIMILARITY",
    "FILE_NAME",
    "NEW",
    "RELATED",
    "RELATED_SIMILARITY",
    "SHORT",
    "Collector",
    "Melody",
    "Neighbour",
    "Novelty",
    "NoveltyIndex",
    "Run",
    "similarity",
]


def similarity(a: Tune, b: Tune) -> float:
    """How alike two melodies are, from 0 to 1; the same both ways round.

    The score of the best local alignment of their first sounding lines under the best of twelve
    transpositions, over the mean of their scores with themselves; `alignment` says how it is made
    and after whom. It is 1 for the same melody in any key, octave, barring or note values
    (augmentation), repeated notes counting as one. Unrelated tunes of the Irish books have 0.2
    to 0.4; a tune with every tenth note changed has about 0.85 with itself, one with a passing
    note in every third rarely less than 0.7. Where one tune writes out repeats that the other
    marks, it is lower.
    Without notes on one side it is 0, on both 1.
    """
    return line_similarity(MelodyLine.of(Melody.of(a)), MelodyLine.of(Melody.of(b)))
