"""Read the files of a corpus: files -> entries, one file after another.

Files are read one by one, on several cores if asked, and of each tune only an `Entry` stays and
what the caller extracts.
"""

from __future__ import annotations

import gc
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, tee
from sys import intern
from typing import Any, NamedTuple

import numpy as np

from musicgen.corpus import texts
from musicgen.corpus.sources import CorpusFile
from musicgen.errors import MusicgenError, locate, reason_of
from musicgen.music.playback import melody
from musicgen.music.similarity.families import Shingles, melody_digest, shingles
from musicgen.music.theory import canonical_rhythm
from musicgen.music.tune import Rejected, Tune
from musicgen.system.workers import in_order
from musicgen.tokens.char import tune_in

_BYTES_PER_WORKER = 200_000  # fewer are read sooner than a process starts
_COLLECT_EVERY = 200  # tunes of a file


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The facts of a tune that stay in memory. `key`, `meter` and `rhythm` are as printed; `bars`
    counts those of the first voice and `notes` those of all, as written; pitches are MIDI numbers;
    `warnings` are those of the reader, each with its line."""

    title: str
    rhythm: str
    meter: str
    key: str
    mode: str
    voices: int
    bars: int
    notes: int
    lowest: int
    highest: int
    warnings: tuple[str, ...]


_NO_FACTS = Facts(
    title="", rhythm="", meter="", key="", mode="", voices=0, bars=0, notes=0,
    lowest=0, highest=0, warnings=(),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """A tune of a corpus. `id` is its file and the line where it starts; `digest` is that of its
    melody; `family` is the id of the first tune of its family; `split` is one of `SPLITS`."""

    id: str
    source: str
    digest: bytes = field(repr=False)
    facts: Facts
    family: str = ""
    split: str = ""


@dataclass(frozen=True, slots=True)
class Omitted:
    """A tune or a whole file that is not in the corpus, and why. `name` is its title, if known."""

    id: str
    name: str
    reason: str


class ReadTune(NamedTuple):
    """A tune that was read: its entry, its shingles, and the result of `extract`."""

    entry: Entry
    shingles: Shingles
    extract: Any


# Computes the value to keep of a tune besides its entry; it runs where the file is read, so it is
# a function of a module, and its result can be pickled.
Extract = Callable[[Tune], Any]
# The same for a document: its text, and its tune if it is one.
ExtractText = Callable[[str, Tune | None], Any]
FileRead = tuple[list[ReadTune], list[Omitted]]
# The tunes of files that have been opened already, to be read to the end.
Opened = dict[CorpusFile, Iterator[Tune | Rejected]]
# Called with the activity, the number of items done, and the number of all.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class ReadingSettings:
    """How files are read. `extract` is applied to every tune where it is read. `all_voices` of a
    file are read where its reader gives the melody by default (MIDI). With `extract_text` files and
    folders (not the named corpora) are read as plain text, any text, and it is applied to every
    document of them (see `corpus.texts`); `in_pieces` cuts texts into pieces of which each is a
    family, however alike they are."""

    extract: Extract | None = None
    all_voices: bool = False
    extract_text: ExtractText | None = None
    in_pieces: bool = False


def read_files(
    files: Iterable[CorpusFile],
    reading: ReadingSettings,
    *,
    workers: int = 1,
    opened: Opened | None = None,
) -> Iterator[FileRead]:
    """The tunes of each file, in order; only a few files' worth is waiting at any time. Files that
    are open already are read here, the others by the workers."""
    opened = {} if opened is None else opened
    listed, to_read = tee(files)
    already = frozenset(opened)
    closed = (file for file in to_read if file not in already)
    first: list[CorpusFile] = []
    size = 0
    while size < workers * _BYTES_PER_WORKER and (file := next(closed, None)) is not None:
        first.append(file)
        size += file.size
    workers = min(workers, len(first), size // _BYTES_PER_WORKER)
    # In a process of its own no cyclic garbage is collected: all the notes just read would be
    # traversed again and again, and little be freed (a third of the time on 4,000 tunes).
    results = in_order(
        partial(_read_file, reading=reading),
        chain(first, closed),
        workers=workers,
        advice="read with --workers 1",
        begin=gc.disable,
    )
    for file in listed:
        yield _read_file(file, reading, opened.pop(file)) if file in already else next(results)


def _read_file(
    file: CorpusFile, reading: ReadingSettings, tunes: Iterator[Tune | Rejected] | None = None
) -> FileRead:
    if reading.extract_text is not None and not file.named:
        return _read_documents(file, extract=reading.extract_text, cut=reading.in_pieces)
    read: list[ReadTune] = []
    omitted: list[Omitted] = []
    try:
        tunes = tunes or file.scan(all_voices=reading.all_voices)
        for number, (name, tune) in enumerate(name_tunes(file, tunes), 1):
            if number % _COLLECT_EVERY == 0:
                _collect_young()
            if isinstance(tune, Rejected):
                omitted.append(Omitted(name, tune.name, tune.reason))
                continue
            examined = _examine(name, file.source, tune, reading.extract)
            if examined is None:
                omitted.append(Omitted(name, tune.title, "no notes"))
            else:
                read.append(examined)
    except MusicgenError as error:
        omitted.append(Omitted(file.label, "", reason_of(error, file.place)))
    if not read and not omitted:
        omitted.append(Omitted(file.label, "", "holds no tune"))
    _collect_young()
    return read, omitted


def _collect_young() -> None:
    """Where nothing else does, collect the garbage among what is new since the last time."""
    if not gc.isenabled():
        gc.collect(0)


def _read_documents(file: CorpusFile, *, extract: ExtractText, cut: bool) -> FileRead:
    """The documents of a text file, or its pieces, or the texts in a column of a table. Those that
    are tunes are compared as tunes, pieces with nothing."""
    try:
        documents = texts.read_documents(file.content(), file.place, column=file.column, cut=cut)
    except MusicgenError as error:
        return [], [Omitted(file.label, "", getattr(error, "what", str(error)))]
    read: list[ReadTune] = []
    for place, document in documents:
        name = f"{file.label}:{place}"
        tune = None if cut else tune_in(document)
        examined = None if tune is None else _examine(name, file.source, tune, None)
        facts = _NO_FACTS if examined is None else examined.entry.facts
        facts = facts if facts.title else replace(facts, title=document.split("\n")[0][:60])
        content = f"{len(read)}\n{document}" if cut else " ".join(document.split())
        digest = hashlib.sha256(content.encode()).digest()
        runs = texts.text_shingles(document) if examined is None else examined.shingles
        runs = np.frombuffer(digest[:8], np.uint64) if cut else runs
        read.append(
            ReadTune(Entry(name, file.source, digest, facts), runs, extract(document, tune))
        )
    return read, [] if read else [Omitted(file.label, "", "holds no text")]


def name_tunes(
    file: CorpusFile, tunes: Iterable[Tune | Rejected]
) -> Iterator[tuple[str, Tune | Rejected]]:
    """Each tune of a file with its id: the file, the line, a number where that is not enough."""
    seen: Counter[str] = Counter()
    for tune in tunes:
        place = tune if isinstance(tune, Rejected) else tune.source
        name = f"{file.label}:{place.line}" if place and place.line else file.label
        if isinstance(tune, Tune):
            seen[name] += 1
            name += f"#{seen[name]}" if seen[name] > 1 else ""
        yield name, tune


def _examine(name: str, source: str, tune: Tune, extract: Extract | None) -> ReadTune | None:
    """A tune's entry, or None where nothing sounds."""
    lines = [melody(voice) for voice in tune.voices]
    pitches = [[midi for midi, _ in line if midi is not None] for line in lines]
    sounding = [line for line, midi in zip(lines, pitches, strict=True) if midi]
    if not sounding:
        return None
    facts = Facts(
        title=tune.title,
        rhythm=intern(canonical_rhythm(tune.rhythm)),  # few different texts
        meter=intern(str(tune.meter)),
        key=intern(str(tune.key)),
        mode=intern(tune.key.mode),
        voices=len(tune.voices),
        bars=len(tune.bars),
        notes=tune.n_notes,
        lowest=min(map(min, filter(None, pitches))),
        highest=max(map(max, filter(None, pitches))),
        warnings=tuple(locate(w.what, line=w.line, column=w.column) for w in tune.warnings),
    )
    entry = Entry(name, source, melody_digest(tune.meter, lines), facts)
    return ReadTune(entry, shingles(sounding[0]), None if extract is None else extract(tune))
