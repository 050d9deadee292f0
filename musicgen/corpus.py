"""Names, files and folders -> unique tunes -> families -> train / val / test, with a report.

    corpus = load(["celtic", "my_tunes/"])
    corpus.split("train")            # a tuple of entries, whole families only

Two tunes are related when the sets of their runs of eight successive melodic intervals overlap
(Jaccard index at least 0.3), whatever their key or title; a family is a connected component of
that relation. A whole family goes to one split, decided by a hash of its *first* member, first in
the order: named corpora in the order of `CORPORA`, then files and folders as they were given. So
a corpus that is added later never moves a family that is already there, unless a new tune is
related to two families: then the later one joins the earlier.
"""

from __future__ import annotations

import difflib
import gc
import hashlib
import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from musicgen import formats
from musicgen.errors import CorpusError, MusicgenError, printable
from musicgen.playback import melody
from musicgen.theory import Meter
from musicgen.tune import Rejected, Tune

SHINGLE_INTERVALS = 8
SAME_FAMILY_JACCARD = 0.3
# A run of intervals shared by more tunes than this (a scale, a repeated note) proposes no pairs
# with further ones; pairs proposed by a rarer run are still compared on all of theirs.
MAX_SHINGLE_TUNES = 500
NOT_TUNEBOOKS = ("license", "licence", "copying", "readme", "source", "notice", "changelog")
SPLITS = ("train", "val", "test")

NON_COMMERCIAL = (
    "essenFolksong is free for non-commercial use only, and so is a model trained on it"
)


@dataclass(frozen=True, slots=True)
class NamedCorpus:
    """Collections inside the installed music21 package, and what their use is bound to."""

    folders: tuple[str, ...]
    about: str
    notice: str = ""


CORPORA = {
    "oneills1850": NamedCorpus(("oneills1850",), "O'Neill's Music of Ireland, 1903"),
    "ryansMammoth": NamedCorpus(("ryansMammoth",), "Ryan's Mammoth Collection, 1883"),
    "airdsAirs": NamedCorpus(("airdsAirs",), "Aird's Selection of Airs, 1778-1801"),
    "celtic": NamedCorpus(("oneills1850", "ryansMammoth", "airdsAirs"), "the three above"),
    "essenFolksong": NamedCorpus(
        ("essenFolksong",), "Essen folksong collection", notice=NON_COMMERCIAL
    ),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A tune of a corpus. `id` is its file and the line where it starts; `family` is the id of
    the first tune of its family; `split` is one of `SPLITS`."""

    id: str
    source: str
    tune: Tune
    family: str
    split: str


@dataclass(frozen=True, slots=True)
class Omitted:
    """A tune or a whole file that is not in the corpus, and why. `name` is its title, if known."""

    id: str
    name: str
    reason: str


@dataclass(frozen=True)
class Corpus:
    """Unique tunes in a stable order. `duplicates` are (id left out, id of its equal kept)."""

    sources: tuple[str, ...]
    entries: tuple[Entry, ...]
    rejected: tuple[Omitted, ...]
    duplicates: tuple[tuple[str, str], ...]
    notices: tuple[str, ...]

    def split(self, name: str) -> tuple[Entry, ...]:
        """The entries of "train", "val" or "test"."""
        return tuple(entry for entry in self.entries if entry.split == name)

    @cached_property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of the ids, splits and melodies: the same for the same data."""
        digest = hashlib.sha256()
        for entry in self.entries:
            digest.update(f"{entry.id}\t{entry.split}\t".encode())
            digest.update(melody_digest(entry.tune))
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Found:
    """A tune that was read, with what is compared."""

    id: str
    source: str
    tune: Tune
    digest: bytes
    shingles: frozenset[int]


Progress = Callable[[int, int], None]
Line = Sequence[tuple[int | None, Fraction]]


def load(
    sources: str | Path | Sequence[str | Path],
    *,
    val: float = 0.1,
    test: float = 0.1,
    progress: Progress | None = None,
) -> Corpus:
    """Read, deduplicate, group and split.

    Args:
        sources: names of `CORPORA`, files and folders (searched recursively).
        val: share of families for validation; `test`: share for the test.
        progress: called with (files done, files in all).

    Raises:
        CorpusError: an unknown name, or nothing that can be read.
    """
    if val < 0 or test < 0 or val + test >= 1:
        raise CorpusError(f"splits val={val:g} and test={test:g} leave nothing to train on")
    several = [sources] if isinstance(sources, str | Path) else sources
    names = [str(name) for name in several]
    files = find_files(names)
    with _collector_paused():
        found, rejected = _read_files(files, progress)
    if not found:
        first = f" (first: {rejected[0].id}: {rejected[0].reason})" if rejected else ""
        raise CorpusError(f"{', '.join(names)}: no readable tune in {len(files)} files{first}")
    unique, duplicates = _drop_duplicates(found)
    families = group_families([tune.shingles for tune in unique])
    entries = []
    for tune, first_member in zip(unique, families, strict=True):
        first_tune = unique[first_member]
        split = _choose_split(first_tune.digest, val=val, test=test)
        entries.append(Entry(tune.id, tune.source, tune.tune, first_tune.id, split))
    notices = dict.fromkeys(CORPORA[n].notice for n in names if n in CORPORA)
    return Corpus(
        sources=tuple(names),
        entries=tuple(entries),
        rejected=tuple(rejected),
        duplicates=tuple(duplicates),
        notices=tuple(n for n in notices if n),
    )


def find_files(names: Iterable[str]) -> list[tuple[str, str, Path]]:
    """(source, label, path) of every file that the names stand for, each file once, in order.

    Raises:
        CorpusError: a name that is neither a corpus nor a path, or a folder without music.
    """
    names = list(names)
    folders: dict[str, tuple[str, Path]] = {}
    for name in [n for n in CORPORA if n in names]:
        for folder in CORPORA[name].folders:
            folders.setdefault(folder, (folder, _bundled_folder(folder)))
    for name in names:
        if name not in CORPORA:
            folders.setdefault(name, (name, _existing_path(name)))
    found: dict[Path, tuple[str, str, Path]] = {}
    for source, place in folders.values():
        files = [place] if place.is_file() else _music_files(place)
        if not files:
            known = ", ".join(formats.READERS)
            raise CorpusError(
                f"{printable(source)}: no music in this folder; files must end in {known}"
            )
        for path in files:
            inside = path.relative_to(place).as_posix() if place.is_dir() else ""
            label = f"{source.rstrip('/')}/{inside}" if inside else source
            found.setdefault(path.resolve(), (source, label, path))
    return list(found.values())


def _music_files(folder: Path) -> list[Path]:
    files = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        files += [
            Path(parent, name)
            for name in names
            if formats.readable(name)
            and not name.startswith(".")
            and Path(name).stem.lower() not in NOT_TUNEBOOKS
        ]
    return sorted(files, key=lambda path: path.relative_to(folder).parts)


def _bundled_folder(name: str) -> Path:
    spec = importlib.util.find_spec("music21")
    if spec is None or not spec.submodule_search_locations:
        raise CorpusError(f"{name}: comes with the music21 package; install music21")
    folder = Path(spec.submodule_search_locations[0], "corpus", name)
    if not folder.is_dir():
        raise CorpusError(f"{name}: this music21 was installed without its corpus; reinstall it")
    return folder


def _existing_path(name: str) -> Path:
    path = Path(name)
    if path.exists():
        return path
    close = difflib.get_close_matches(name.lower(), [c.lower() for c in CORPORA], n=1)
    real = next((c for c in CORPORA if close and c.lower() == close[0]), None)
    hint = f"did you mean '{real}'? " if real else ""
    known = ", ".join(CORPORA)
    raise CorpusError(f"{printable(name)}: no such file, folder or corpus; {hint}there is {known}")


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Without cyclic garbage collection: it would walk through the millions of notes just read,
    again and again, and find nothing (a third of the time on 4,000 tunes)."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _read_files(
    files: list[tuple[str, str, Path]], progress: Progress | None
) -> tuple[list[_Found], list[Omitted]]:
    """One process: sending tunes between processes takes longer than reading them again."""
    found: list[_Found] = []
    rejected: list[Omitted] = []
    for done, file in enumerate(files, 1):
        tunes, omitted = _read_file(file)
        found += tunes
        rejected += omitted
        if progress is not None:
            progress(done, len(files))
    return found, rejected


def _read_file(file: tuple[str, str, Path]) -> tuple[list[_Found], list[Omitted]]:
    source, label, path = file
    try:
        reading = formats.scan(path)
    except MusicgenError as error:
        reason = getattr(error, "what", str(error))
        return [], [Omitted(label, "", reason)]
    found, omitted = [], [_omit(label, rejected) for rejected in reading.rejected]
    if not reading.tunes and not omitted:
        omitted.append(Omitted(label, "", "holds no tune"))
    ids: dict[str, int] = {}
    for tune in reading.tunes:
        name = f"{label}:{tune.source.line}" if tune.source and tune.source.line else label
        ids[name] = ids.get(name, 0) + 1
        name += f"#{ids[name]}" if ids[name] > 1 else ""
        if tune.n_notes:
            lines = [melody(voice) for voice in tune.voices]
            main = next(line for line in lines if any(midi is not None for midi, _ in line))
            digest = _digest(tune.meter, lines)
            found.append(_Found(name, source, tune, digest, shingles(main)))
        else:
            omitted.append(Omitted(name, tune.title, "no notes"))
    return found, omitted


def _omit(label: str, rejected: Rejected) -> Omitted:
    return Omitted(
        f"{label}:{rejected.line}" if rejected.line else label, rejected.name, rejected.reason
    )


def melody_digest(tune: Tune) -> bytes:
    """SHA-256 of what makes two melodies the same: intervals, durations and meter, every voice."""
    return _digest(tune.meter, [melody(voice) for voice in tune.voices])


def _digest(meter: Meter, lines: Sequence[Line]) -> bytes:
    digest = hashlib.sha256(str(meter.bar_duration).encode())
    for line in lines:
        first = next((midi for midi, _ in line if midi is not None), 0)
        text = ";".join(
            f"{'z' if midi is None else midi - first},{duration}" for midi, duration in line
        )
        digest.update(f"|{text}".encode())
    return digest.digest()


def shingles(line: Line) -> frozenset[int]:
    """The set of runs of `SHINGLE_INTERVALS` successive intervals of a line (see `melody`).

    Intervals are semitones between successive notes, rests passed over, so transposing a tune
    changes nothing. A tune with fewer intervals has one shingle, all of them.
    """
    pitches = [midi for midi, _ in line if midi is not None]
    intervals = [(b - a) & 0xFF for a, b in pairwise(pitches)]
    if len(intervals) < SHINGLE_INTERVALS:
        return frozenset({-1 - int.from_bytes(bytes([len(intervals), *intervals]))})
    window, mask = 0, (1 << 8 * SHINGLE_INTERVALS) - 1
    found = set()
    for i, interval in enumerate(intervals, 1):
        window = (window << 8 | interval) & mask
        if i >= SHINGLE_INTERVALS:
            found.add(window)
    return frozenset(found)


def group_families(shingle_sets: Sequence[frozenset[int]]) -> list[int]:
    """For each tune the number of the first tune of its family.

    Pairs are proposed by an inverted index of shingles, so unrelated tunes are never compared.
    """
    parents = list(range(len(shingle_sets)))

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    index: dict[int, list[int]] = {}
    for i, mine in enumerate(shingle_sets):
        shared: dict[int, int] = {}
        n_common = 0
        for shingle in mine:
            holders = index.setdefault(shingle, [])
            n_common += len(holders) >= MAX_SHINGLE_TUNES
            for j in holders:
                shared[j] = shared.get(j, 0) + 1
            if len(holders) < MAX_SHINGLE_TUNES:
                holders.append(i)
        for j, n_shared in shared.items():
            total = len(mine) + len(shingle_sets[j])
            needed = SAME_FAMILY_JACCARD * total / (1 + SAME_FAMILY_JACCARD)
            if n_shared + n_common < needed:
                continue
            if n_shared >= needed or len(mine & shingle_sets[j]) >= needed:
                a, b = sorted((root(i), root(j)))
                parents[b] = a
    return [root(i) for i in range(len(parents))]


def _drop_duplicates(found: list[_Found]) -> tuple[list[_Found], list[tuple[str, str]]]:
    kept: dict[bytes, _Found] = {}
    duplicates = []
    for tune in found:
        first = kept.setdefault(tune.digest, tune)
        if first is not tune:
            duplicates.append((tune.id, first.id))
    return list(kept.values()), duplicates


def _choose_split(digest: bytes, *, val: float, test: float) -> str:
    place = int.from_bytes(hashlib.sha256(b"split" + digest).digest()[:8]) / 2**64
    return "test" if place < test else "val" if place < test + val else "train"
