"""Read, deduplicate, group and split: files -> unique tunes -> families -> train / val / test.

Files are read one by one, on several cores if asked, and of each tune only an `Entry` stays: a
million tunes fit where a million `Tune`s would not. `similarity.families` finds related tunes. A
whole family goes to one split, decided by a hash of its *first* member, first in the order: named
corpora in the order of `CORPORA`, then files and folders in the order of the arguments. So a
corpus that is added later never moves an existing family, unless a new tune is related to two
families: then the later one joins the earlier. (In a small corpus a family may be moved to a split
that would be empty, and back; see `splits`.)
"""

from __future__ import annotations

import gc
import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

import numpy as np

from musicgen import formats
from musicgen.corpus import texts
from musicgen.corpus.sources import CORPORA, CorpusFile, find_files
from musicgen.corpus.splits import Family, split_families
from musicgen.errors import CorpusError, MusicgenError, locate, reason_of
from musicgen.music.playback import melody
from musicgen.music.similarity.families import Shingles, group_families, melody_digest, shingles
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


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A tune of `source` left out because its melody is that of the entry `same_as`."""

    id: str
    source: str
    name: str
    same_as: str


@dataclass(frozen=True)
class Corpus:
    """Unique tunes in a stable order, and the omitted ones."""

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
            for name, tune in _name_tunes(file, formats.scan_each(file.path, **file.options)):
                if name in by_id and isinstance(tune, Tune):
                    yield by_id[name], tune

    def apart_from(self, names: Sequence[str]) -> tuple[frozenset[str], int]:
        """The ids of the entries whose families have no tune in these sources of this corpus, and
        the number of tunes from other sources that are excluded for it."""
        excluded_sources = {
            folder for n in names for folder in (CORPORA[n].folders if n in CORPORA else (n,))
        }
        family_of = {entry.id: entry.family for entry in self.entries}
        members = [(entry.source, entry.family) for entry in self.entries]
        members += [(copy.source, family_of[copy.same_as]) for copy in self.duplicates]
        excluded = {family for source, family in members if source in excluded_sources}
        apart = frozenset(entry.id for entry in self.entries if entry.family not in excluded)
        return apart, sum(
            family in excluded for source, family in members if source not in excluded_sources
        )

    @cached_property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of the ids, splits and melodies: the same for the same data."""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(f"{entry.id}\t{entry.split}\t".encode())
            digest.update(entry.digest)
        return digest.hexdigest()


class _ReadTune(NamedTuple):
    """A tune that was read: its entry, its shingles, and the result of `extract`."""

    entry: Entry
    shingles: Shingles
    extract: Any


# Computes the value to keep of a tune besides its entry; it runs where the file is read, so it is
# a function of a module, and its result can be pickled.
Extract = Callable[[Tune], Any]
# The same for a document: its text, and its tune if it is one.
ExtractText = Callable[[str, Tune | None], Any]
_FileRead = tuple[list[_ReadTune], list[Omitted]]
# The tunes of files that have been opened already, to be read to the end.
Opened = dict[CorpusFile, Iterator[Tune | Rejected]]
# Called with the activity, the number of items done, and the number of all.
Progress = Callable[[str, int, int], None]


def load(
    sources: str | Path | Sequence[str | Path],
    *,
    val: float = 0.1,
    test: float = 0.1,
    workers: int = 1,
    extract: Extract | None = None,
    keep: Callable[[Any], bool | None] | None = None,
    progress: Progress | None = None,
    all_voices: bool = False,
    extract_text: ExtractText | None = None,
    in_pieces: bool = False,
    opened: Opened | None = None,
) -> Corpus:
    """Read, deduplicate, group and split.

    Args:
        sources: names of `CORPORA`, files and folders (searched recursively).
        val: fraction of families for validation; `test`: fraction for the test.
        workers: processes that read. More than one needs the caller's main module to be guarded
            by `if __name__ == "__main__":`; the result is the same.
        extract: applied to every tune where it is read.
        keep: called with the result of `extract` for each entry, in order; where it returns False
            the tune cannot be used, so a split with such tunes alone counts as empty.
        progress: called after each file.
        all_voices: read every voice of a file whose reader gives the melody by default (MIDI).
        extract_text: read files and folders (not the named corpora) as plain text, any text, and
            apply this to every document of them (see `corpus.texts`).
        in_pieces: cut texts into pieces of which each is a family, however alike they are.
        opened: tunes of files that have been opened already; those files are not opened again.

    Raises:
        CorpusError: an unknown name, or nothing that can be read.
    """
    if val < 0 or test < 0 or val + test >= 1:
        raise CorpusError(f"splits val={val:g} and test={test:g} leave nothing to train on")
    names = names_of(sources)
    files = find_files(names, texts=extract_text is not None)
    documents = extract_text and partial(_read_documents, extract=extract_text, cut=in_pieces)
    read = partial(_read_file, extract=extract, all_voices=all_voices, documents=documents)
    unique = _Unique()
    for done, file_read in enumerate(_read_files(files, read, workers, opened or {}), 1):
        unique.add(file_read, keep)
        if progress is not None:
            progress("reading files", done, len(files))
    if not unique.entries:
        what = f"no readable {'text' if extract_text else 'tune'} in {len(files)} files"
        raise CorpusError(f"{', '.join(names)}: {what}{unique.first_fault()}")
    unique.first_of.clear()  # as large as the entries
    families = group_families(np.frombuffer(unique.runs, np.uint64), unique.sizes)
    entries, moved = _assign(unique, families, val=val, test=test)
    notices = dict.fromkeys(CORPORA[n].notice for n in names if n in CORPORA)
    return Corpus(
        sources=tuple(names),
        entries=entries,
        rejected=tuple(unique.rejected),
        duplicates=tuple(unique.duplicates),
        notices=(*(n for n in notices if n), *moved),
    )


@dataclass
class _Unique:
    """The tunes read so far, the first of each digest; `runs` are the runs of intervals of all
    entries in a row, `sizes` how many each entry has, `usable` is 1 for those that `keep` takes."""

    entries: list[Entry] = field(default_factory=list)
    rejected: list[Omitted] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)
    first_of: dict[bytes, str] = field(default_factory=dict)
    runs: array[int] = field(default_factory=partial(array, "Q"))
    sizes: array[int] = field(default_factory=partial(array, "I"))
    usable: bytearray = field(default_factory=bytearray)

    def add(self, file_read: _FileRead, keep: Callable[[Any], bool | None] | None) -> None:
        """Add the tunes of a file; `keep` gets the extract of each new one."""
        tunes, omitted = file_read
        self.rejected += omitted
        for entry, tune_runs, extracted in tunes:
            first = self.first_of.setdefault(entry.digest, entry.id)
            if first != entry.id:
                self.duplicates.append(Duplicate(entry.id, entry.source, entry.facts.title, first))
                continue
            self.entries.append(entry)
            self.runs.frombytes(tune_runs.tobytes())
            self.sizes.append(len(tune_runs))
            self.usable.append(keep is None or keep(extracted) is not False)

    def first_fault(self) -> str:
        """Why the first one is not there, in brackets."""
        return "".join(f" (first: {fault.id}: {fault.reason})" for fault in self.rejected[:1])


def names_of(sources: str | Path | Sequence[str | Path]) -> list[str]:
    """The names of one source or several."""
    return [str(name) for name in ([sources] if isinstance(sources, str | Path) else sources)]


def _assign(
    unique: _Unique, families: list[int], *, val: float, test: float
) -> tuple[tuple[Entry, ...], list[str]]:
    """The entries with their families and splits, and a notice of each family that was moved."""
    entries = unique.entries
    sizes: Counter[int] = Counter()
    for first, usable in zip(families, unique.usable, strict=True):
        sizes[first] += usable
    splits, moved = split_families(
        {first: Family(entries[first].digest, size) for first, size in sizes.items()},
        val=val,
        test=test,
    )
    notices = [
        f"small corpus: {split} would have no tune, so it gets the family of {entries[first].id} "
        f"({sizes[first]} of {sizes.total()} tunes)"
        for first, split in moved.items()
    ]
    used = {splits[first] for first, size in sizes.items() if size}
    empty = [s for s, share in (("val", val), ("test", test)) if share > 0 and s not in used]
    if empty:
        notices.append(
            f"small corpus: no tune is left for {' and '.join(empty)}; near-identical tunes count "
            f"as one, so add {len(empty)} that differ"
        )
    assigned = (
        replace(entry, family=entries[first].id, split=splits[first])
        for entry, first in zip(entries, families, strict=True)
    )
    return tuple(assigned), notices


# --- reading -------------------------------------------------------------------------------


def _read_files(
    files: list[CorpusFile], read: Callable[..., _FileRead], workers: int, opened: Opened
) -> Iterator[_FileRead]:
    """The tunes of each file, in order; only a few files' worth is waiting at any time. Files that
    are open already are read here, the others by the workers."""
    closed = [file for file in files if file not in opened]
    size = sum(file.path.stat().st_size for file in closed if file.path.is_file())
    workers = min(workers, len(closed), size // _BYTES_PER_WORKER)
    # In a process of its own no cyclic garbage is collected: all the notes just read would be
    # traversed again and again, and little be freed (a third of the time on 4,000 tunes).
    results = in_order(
        read, closed, workers=workers, advice="read with --workers 1", begin=gc.disable
    )
    for file in files:
        yield read(file, tunes=opened.pop(file)) if file in opened else next(results)


def _read_file(
    file: CorpusFile,
    *,
    extract: Extract | None,
    all_voices: bool,
    documents: Callable[[CorpusFile], _FileRead] | None,
    tunes: Iterator[Tune | Rejected] | None = None,
) -> _FileRead:
    if documents is not None and not file.named:
        return documents(file)
    read: list[_ReadTune] = []
    omitted: list[Omitted] = []
    try:
        tunes = tunes or formats.scan_each(file.path, all_voices=all_voices, **file.options)
        for number, (name, tune) in enumerate(_name_tunes(file, tunes), 1):
            if number % _COLLECT_EVERY == 0:
                _collect_young()
            if isinstance(tune, Rejected):
                omitted.append(Omitted(name, tune.name, tune.reason))
                continue
            examined = _examine(name, file.source, tune, extract)
            if examined is None:
                omitted.append(Omitted(name, tune.title, "no notes"))
            else:
                read.append(examined)
    except MusicgenError as error:
        omitted.append(Omitted(file.label, "", reason_of(error, file.path)))
    if not read and not omitted:
        omitted.append(Omitted(file.label, "", "holds no tune"))
    _collect_young()
    return read, omitted


def _collect_young() -> None:
    """Where nothing else does, collect the garbage among what is new since the last time."""
    if not gc.isenabled():
        gc.collect(0)


def _read_documents(file: CorpusFile, *, extract: ExtractText, cut: bool) -> _FileRead:
    """The documents of a text file, or its pieces, or the texts in a column of a table. Those that
    are tunes are compared as tunes, pieces with nothing."""
    try:
        documents = texts.read_documents(file.path, column=file.column, cut=cut)
    except MusicgenError as error:
        return [], [Omitted(file.label, "", getattr(error, "what", str(error)))]
    read: list[_ReadTune] = []
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
            _ReadTune(Entry(name, file.source, digest, facts), runs, extract(document, tune))
        )
    return read, [] if read else [Omitted(file.label, "", "holds no text")]


def _name_tunes(
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


def _examine(name: str, source: str, tune: Tune, extract: Extract | None) -> _ReadTune | None:
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
    return _ReadTune(entry, shingles(sounding[0]), None if extract is None else extract(tune))
