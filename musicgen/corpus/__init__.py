"""Names, files and folders -> unique tunes -> families -> train / val / test, with a report.

    corpus = load(["celtic", "my_tunes/"])
    corpus.split("train")            # a tuple of entries, whole families only
    for entry, tune in corpus.tunes(): ...

Files are read one by one, on several cores if asked, and of each tune only an `Entry` stays: a
million tunes fit where a million `Tune`s would not. `families` says which tunes are related. A
whole family goes to one split, decided by a hash of its *first* member, first in the order: named
corpora in the order of `CORPORA`, then files and folders as they were given. So a corpus that is
added later never moves a family that is already there, unless a new tune is related to two
families: then the later one joins the earlier.
"""

from __future__ import annotations

import gc
import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

import numpy as np

from musicgen import formats
from musicgen.corpus import texts
from musicgen.corpus.sources import CORPORA, NON_COMMERCIAL, CorpusFile, find_files
from musicgen.errors import CorpusError, MusicgenError, locate, reason_of
from musicgen.music.playback import melody
from musicgen.music.similarity.families import Shingles, group_families, melody_digest, shingles
from musicgen.music.theory import canonical_rhythm
from musicgen.music.tune import Rejected, Tune
from musicgen.system.workers import in_order
from musicgen.tokens.char import tune_in

__all__ = [
    "CORPORA",
    "EVERY_SPLIT",
    "NON_COMMERCIAL",
    "SPLITS",
    "Corpus",
    "CorpusFile",
    "Duplicate",
    "Entry",
    "Extract",
    "ExtractText",
    "Facts",
    "Omitted",
    "Progress",
    "find_files",
    "load",
]

SPLITS = ("train", "val", "test")
EVERY_SPLIT = "all"
_BYTES_PER_WORKER = 200_000  # fewer are read sooner than a process starts
_COLLECT_EVERY = 200  # tunes of a file


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is worth knowing of a tune once its music is put away. `key`, `meter` and `rhythm` as
    printed; `bars` of the first voice and `notes` of all, as written; pitches are MIDI numbers;
    `warnings` are what the reader had to put up with, each with its line."""

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


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A tune of `source` left out because its melody is that of the entry `same_as`."""

    id: str
    source: str
    name: str
    same_as: str


@dataclass(frozen=True)
class Corpus:
    """Unique tunes in a stable order, and what was left out."""

    sources: tuple[str, ...]
    entries: tuple[Entry, ...]
    rejected: tuple[Omitted, ...]
    duplicates: tuple[Duplicate, ...]
    notices: tuple[str, ...]

    def split(self, name: str) -> tuple[Entry, ...]:
        """The entries of "train", "val" or "test"."""
        return tuple(entry for entry in self.entries if entry.split == name)

    def tunes(self) -> Iterator[tuple[Entry, Tune]]:
        """Every entry with its music, read again from the files, one by one."""
        by_id = {entry.id: entry for entry in self.entries}
        for file in find_files(self.sources):
            for name, tune in _name_tunes(file):
                if name in by_id and isinstance(tune, Tune):
                    yield by_id[name], tune

    def apart_from(self, names: Sequence[str]) -> tuple[frozenset[str], int]:
        """The ids of the entries whose families have no tune in these corpora, files or folders,
        which are part of this corpus; and how many other tunes beside theirs are left out so."""
        theirs = {
            folder for n in names for folder in (CORPORA[n].folders if n in CORPORA else (n,))
        }
        family = {entry.id: entry.family for entry in self.entries}
        everything = [(entry.source, entry.family) for entry in self.entries]
        everything += [(copy.source, family[copy.same_as]) for copy in self.duplicates]
        reached = {of for source, of in everything if source in theirs}
        apart = frozenset(entry.id for entry in self.entries if entry.family not in reached)
        return apart, sum(source not in theirs and of in reached for source, of in everything)

    @cached_property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of the ids, splits and melodies: the same for the same data."""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(f"{entry.id}\t{entry.split}\t".encode())
            digest.update(entry.digest)
        return digest.hexdigest()


class _Found(NamedTuple):
    """A tune that was read: its entry, what is compared, and what was asked of it."""

    entry: Entry
    shingles: Shingles
    extract: Any


# What to keep of a tune besides its entry; it runs where the file is read, so it is a function of
# a module, and what it returns can be pickled.
Extract = Callable[[Tune], Any]
# The same of a document: its text, and the tune that it is, if it is one.
ExtractText = Callable[[str, Tune | None], Any]
_FileRead = tuple[list[_Found], list[Omitted]]
# Called with what is being done, how many are done, how many there are.
Progress = Callable[[str, int, int], None]


def load(
    sources: str | Path | Sequence[str | Path],
    *,
    val: float = 0.1,
    test: float = 0.1,
    workers: int = 1,
    extract: Extract | None = None,
    keep: Callable[[Any], None] | None = None,
    progress: Progress | None = None,
    all_voices: bool = False,
    extract_text: ExtractText | None = None,
) -> Corpus:
    """Read, deduplicate, group and split.

    Args:
        sources: names of `CORPORA`, files and folders (searched recursively).
        val: share of families for validation; `test`: share for the test.
        workers: processes that read. More than one needs the caller's main module to be guarded
            by `if __name__ == "__main__":`; the result is the same.
        extract: applied to every tune where it is read.
        keep: called with what `extract` returned for each entry, in order.

        progress: called after each file.
        all_voices: read every voice of a file where a reader else gives the melody (MIDI).
        extract_text: read files and folders (not the named corpora) as plain text, any text, and
            apply this to every document of them (see `corpus.texts`).

    Raises:
        CorpusError: an unknown name, or nothing that can be read.
    """
    if val < 0 or test < 0 or val + test >= 1:
        raise CorpusError(f"splits val={val:g} and test={test:g} leave nothing to train on")
    several = [sources] if isinstance(sources, str | Path) else sources
    names = [str(name) for name in several]
    files = find_files(names, texts=extract_text is not None)
    read = partial(_read_file, extract=extract, all_voices=all_voices, extract_text=extract_text)
    first_of: dict[bytes, str] = {}
    entries: list[Entry] = []
    rejected: list[Omitted] = []
    duplicates: list[Duplicate] = []
    runs, sizes = array("Q"), array("I")
    for done, (found, omitted) in enumerate(_read_files(files, read, workers), 1):
        rejected += omitted
        for entry, own_runs, extracted in found:
            first = first_of.setdefault(entry.digest, entry.id)
            if first != entry.id:
                duplicate = Duplicate(entry.id, entry.source, entry.facts.title, first)
                duplicates.append(duplicate)
                continue
            entries.append(entry)
            runs.frombytes(own_runs.tobytes())
            sizes.append(len(own_runs))
            if keep is not None:
                keep(extracted)
        if progress is not None:
            progress("reading files", done, len(files))
    if not entries:
        why = f" (first: {rejected[0].id}: {rejected[0].reason})" if rejected else ""
        raise CorpusError(f"{', '.join(names)}: no readable tune in {len(files)} files{why}")
    del first_of  # as large as the entries
    families = group_families(np.frombuffer(runs, np.uint64), sizes)
    notices = dict.fromkeys(CORPORA[n].notice for n in names if n in CORPORA)
    return Corpus(
        sources=tuple(names),
        entries=tuple(_assign(entries, families, val=val, test=test)),
        rejected=tuple(rejected),
        duplicates=tuple(duplicates),
        notices=tuple(n for n in notices if n),
    )


def _assign(
    entries: list[Entry], families: list[int], *, val: float, test: float
) -> Iterator[Entry]:
    for entry, first_member in zip(entries, families, strict=True):
        first = entries[first_member]
        split = _choose_split(first.digest, val=val, test=test)
        yield replace(entry, family=first.id, split=split)


def _choose_split(digest: bytes, *, val: float, test: float) -> str:
    place = int.from_bytes(hashlib.sha256(b"split" + digest).digest()[:8]) / 2**64
    return "test" if place < test else "val" if place < test + val else "train"


# --- reading them ---------------------------------------------------------------------------


def _read_files(
    files: list[CorpusFile], read: Callable[[CorpusFile], _FileRead], workers: int
) -> Iterator[_FileRead]:
    """What is in each file, in order; only a few files' worth is waiting at any time."""
    size = sum(file.path.stat().st_size for file in files if file.path.is_file())
    workers = min(workers, len(files), size // _BYTES_PER_WORKER)
    yield from in_order(read, files, workers=workers, advice="read with --workers 1")


@contextmanager
def _collector_held_back() -> Iterator[None]:
    """Without the cyclic garbage collector, which would walk through all the notes just read,
    again and again, and find little (a third of the time on 4,000 tunes)."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _read_file(
    file: CorpusFile,
    *,
    extract: Extract | None,
    all_voices: bool,
    extract_text: ExtractText | None,
) -> _FileRead:
    if extract_text is not None and not file.named:
        return _read_documents(file, extract_text)
    found: list[_Found] = []
    omitted: list[Omitted] = []
    try:
        with _collector_held_back():
            for number, (name, tune) in enumerate(_name_tunes(file, all_voices=all_voices), 1):
                if number % _COLLECT_EVERY == 0:
                    gc.collect(0)  # only what is new since the last time
                if isinstance(tune, Rejected):
                    omitted.append(Omitted(name, tune.name, tune.reason))
                    continue
                examined = _examine(name, file.source, tune, extract)
                if examined is None:
                    omitted.append(Omitted(name, tune.title, "no notes"))
                else:
                    found.append(examined)
    except MusicgenError as error:
        omitted.append(Omitted(file.label, "", reason_of(error, file.path)))
    if not found and not omitted:
        omitted.append(Omitted(file.label, "", "holds no tune"))
    return found, omitted


def _read_documents(file: CorpusFile, extract_text: ExtractText) -> _FileRead:
    """The same of a text file. Documents that are tunes are related as tunes are."""
    try:
        text = texts.read_text(file.path)
    except MusicgenError as error:
        return [], [Omitted(file.label, "", getattr(error, "what", str(error)))]
    found: list[_Found] = []
    seen: Counter[int] = Counter()
    for line, document in texts.documents(text):
        seen[line] += 1
        name = f"{file.label}:{line}" + (f"#{seen[line]}" if seen[line] > 1 else "")
        tune = tune_in(document)
        known = None if tune is None else _examine(name, file.source, tune, None)
        facts = _NO_FACTS if known is None else known.entry.facts
        facts = facts if facts.title else replace(facts, title=document.split("\n")[0][:60])
        digest = hashlib.sha256(" ".join(document.split()).encode()).digest()
        related = texts.text_shingles(document) if known is None else known.shingles
        entry = Entry(name, file.source, digest, facts)
        found.append(_Found(entry, related, extract_text(document, tune)))
    return found, [] if found else [Omitted(file.label, "", "holds no text")]


def _name_tunes(
    file: CorpusFile, *, all_voices: bool = False
) -> Iterator[tuple[str, Tune | Rejected]]:
    """Each tune of a file with its id: the file, the line, a number where that is not enough."""
    seen: dict[str, int] = {}
    for tune in formats.scan_each(file.path, all_voices=all_voices):
        if isinstance(tune, Rejected):
            yield f"{file.label}:{tune.line}" if tune.line else file.label, tune
            continue
        name = (
            f"{file.label}:{tune.source.line}" if tune.source and tune.source.line else file.label
        )
        seen[name] = seen.get(name, 0) + 1
        yield name + (f"#{seen[name]}" if seen[name] > 1 else ""), tune


def _examine(name: str, source: str, tune: Tune, extract: Extract | None) -> _Found | None:
    """A tune's entry, or None where nothing sounds."""
    lines = [melody(voice) for voice in tune.voices]
    pitches = [[midi for midi, _ in line if midi is not None] for line in lines]
    heard = [line for line, sounding in zip(lines, pitches, strict=True) if sounding]
    if not heard:
        return None
    facts = Facts(
        title=tune.title,
        rhythm=intern(canonical_rhythm(tune.rhythm)),  # the same few again and again
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
    return _Found(entry, shingles(heard[0]), None if extract is None else extract(tune))
