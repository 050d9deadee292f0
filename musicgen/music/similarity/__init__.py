"""Melodic similarity of two tunes, and an index of melodies that finds copies and variants.

similarity(a, b)                            # 0 to 1
index = NoveltyIndex.build(read("book.abc"))
print(index.assess(tune).line())            # new: nearest ..., similarity 0.34; 2 bars shared
"""

from __future__ import annotations

from musicgen.music.similarity.alignment import similarity
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
from musicgen.music.similarity.shared_bars import SharedBars

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
    "SharedBars",
    "similarity",
]
