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

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen.corpus.reading import (
    Entry,
    Extract,
    ExtractText,
    FileRead,
    Omitted,
    Progress,
    ReadingSettings,
    name_tunes,
    read_files,
)
from musicgen.corpus.sources import CORPORA, find_files
from musicgen.corpus.splits import split_families
from musicgen.errors import CorpusError
from musicgen.music.similarity.families import group_families
from musicgen.music.tune import Tune

VAL = TEST = 0.1  # fractions of the families


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
            for name, tune in name_tunes(file, file.scan()):
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


def load(
    sources: str | Path | Sequence[str | Path],
    *,
    val: float = VAL,
    test: float = TEST,
    workers: int = 1,
    extract: Extract | None = None,
    keep: Callable[[Any], bool | None] | None = None,
    progress: Progress | None = None,
    all_voices: bool = False,
    extract_text: ExtractText | None = None,
) -> Corpus:
    """Read, deduplicate, group and split.

    Args:
        sources: names of `CORPORA`, files, folders (searched recursively) and URLs.
        val: fraction of families for validation; `test`: fraction for the test.
        workers: processes that read. More than one needs the caller's main module to be guarded
            by `if __name__ == "__main__":`; the result is the same.
        extract: applied to every tune where it is read.
        keep: called with the result of `extract` for each entry, in order; where it returns False
            the tune cannot be used, so a split with such tunes alone counts as empty.
        progress: called after each file.
        all_voices: see `ReadingSettings`, as `extract_text`.

    Raises:
        CorpusError: an unknown name, or nothing that can be read.
    """
    require_shares(val=val, test=test)
    names = names_of(sources)
    files = find_files(names, texts=extract_text is not None)
    reading = ReadingSettings(extract=extract, all_voices=all_voices, extract_text=extract_text)
    unique = _Unique()
    for done, file_read in enumerate(read_files(files, reading, workers=workers), 1):
        unique.add(file_read, keep)
        if progress is not None:
            progress("reading files", done, len(files))
    if not unique.entries:
        raise nothing_readable(names, len(files), unique.rejected[:1], texts=bool(extract_text))
    unique.first_of.clear()  # as large as the entries
    entries, notices = _assigned(unique, val=val, test=test)
    return Corpus(
        sources=tuple(names),
        entries=entries,
        rejected=tuple(unique.rejected),
        duplicates=tuple(unique.duplicates),
        notices=(*licences_of(names), *notices),
    )


def _assigned(unique: _Unique, *, val: float, test: float) -> tuple[tuple[Entry, ...], list[str]]:
    """The entries with their families and splits, and a notice of each family that was moved."""
    families = group_families([np.frombuffer(unique.runs, np.uint64)], unique.sizes)
    entries = unique.entries
    splits, notices = assign_splits(
        families,
        np.frombuffer(unique.usable, np.uint8),
        lambda firsts: (entries[i].digest for i in firsts),
        lambda first: entries[first].id,
        val=val,
        test=test,
    )
    assigned = (
        replace(entry, family=entries[first].id, split=split)
        for entry, first, split in zip(entries, families.tolist(), splits, strict=True)
    )
    return tuple(assigned), notices


def require_shares(*, val: float, test: float) -> None:
    """Raise CorpusError unless something is left to train on."""
    if val < 0 or test < 0 or val + test >= 1:
        raise CorpusError(f"splits val={val:g} and test={test:g} leave nothing to train on")


def nothing_readable(
    names: Sequence[str], n_files: int, rejected: Sequence[Omitted], *, texts: bool
) -> CorpusError:
    """The error of a corpus in which nothing can be read; the first of `rejected` is named."""
    first = "".join(f" (first: {fault.id}: {fault.reason})" for fault in rejected[:1])
    what = f"no readable {'text' if texts else 'tune'} in {n_files} files"
    return CorpusError(f"{', '.join(names)}: {what}{first}")


def licences_of(names: Sequence[str]) -> tuple[str, ...]:
    """What everyone who uses these sources should know, once each."""
    notices = dict.fromkeys(CORPORA[name].notice for name in names if name in CORPORA)
    return tuple(notice for notice in notices if notice)


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

    def add(self, file_read: FileRead, keep: Callable[[Any], bool | None] | None) -> None:
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


def names_of(sources: str | Path | Sequence[str | Path]) -> list[str]:
    """The names of one source or several."""
    return [str(name) for name in ([sources] if isinstance(sources, str | Path) else sources)]


def assign_splits(
    families: NDArray[np.int64],
    usable: NDArray[np.uint8],
    digests_of: Callable[[NDArray[np.int64]], Iterable[bytes]],
    id_of: Callable[[int], str],
    *,
    val: float,
    test: float,
) -> tuple[list[str], list[str]]:
    """The split of each tune, and a notice of each family that was moved.

    Args:
        families: for each tune the number of the first one of its family.
        usable: whether it can be used, 0 or 1.
        digests_of: gives the digests of tunes by their numbers, in order.
        id_of: gives the id of a tune.
        val, test: fractions of the families.
    """
    firsts, family = np.unique(families, return_inverse=True)
    sizes: list[int] = np.bincount(family, usable).astype(np.int64).tolist()
    splits, moved = split_families(digests_of(firsts), sizes, val=val, test=test)
    notices = [
        f"small corpus: {split} would have no tune, so it gets the family of "
        f"{id_of(int(firsts[i]))} ({sizes[i]} of {sum(sizes)} tunes)"
        for i, split in moved.items()
    ]
    used = {split for split, size in zip(splits, sizes, strict=True) if size}
    empty = [s for s, share in (("val", val), ("test", test)) if share > 0 and s not in used]
    if empty:
        notices.append(
            f"small corpus: no tune is left for {' and '.join(empty)}; near-identical tunes count "
            f"as one, so add {len(empty)} that differ"
        )
    return [splits[i] for i in family], notices
