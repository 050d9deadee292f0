"""Corpora: names, files and folders -> unique tunes -> families -> train / val / test -> tokens.

    corpus = load(["celtic", "my_tunes/"])
    corpus.split("train")            # a tuple of entries, whole families only
    for entry, tune in corpus.tunes(): ...

Names are imported when they are first used: training on token files needs no reader of music.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from musicgen.system.lazy import lazy

if TYPE_CHECKING:
    from musicgen.corpus.loading import Corpus, Duplicate, load
    from musicgen.corpus.reading import Entry, Facts, Omitted, Progress
    from musicgen.corpus.sources import CORPORA, NON_COMMERCIAL, CorpusFile, NamedCorpus, find_files
    from musicgen.corpus.tokenset import EVERY_SPLIT, SPLITS

__all__ = [
    "CORPORA",
    "EVERY_SPLIT",
    "NON_COMMERCIAL",
    "SPLITS",
    "Corpus",
    "CorpusFile",
    "Duplicate",
    "Entry",
    "Facts",
    "NamedCorpus",
    "Omitted",
    "Progress",
    "find_files",
    "load",
]

__getattr__ = lazy(
    __name__,
    dict.fromkeys(("Corpus", "Duplicate", "load"), "loading")
    | dict.fromkeys(("Entry", "Facts", "Omitted", "Progress"), "reading")
    | dict.fromkeys(
        ("CORPORA", "NON_COMMERCIAL", "CorpusFile", "NamedCorpus", "find_files"), "sources"
    )
    | dict.fromkeys(("EVERY_SPLIT", "SPLITS"), "tokenset"),
)
