"""An index of melodies, kept in a file, and the novelty of a tune against it."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import CorpusError, ParseError
from musicgen.music.similarity.alignment import (
    MelodyLine,
    best_alignments,
    similarity_of,
    transposed,
)
from musicgen.music.similarity.index_file import ARRAYS, FORMAT, IndexNames, write_index
from musicgen.music.similarity.melody import MAX_NOTES, Melody
from musicgen.music.similarity.search import Candidate, CandidateSearch
from musicgen.music.similarity.sequences import Melodies
from musicgen.music.similarity.shared_bars import BarComparison, SharedBars
from musicgen.music.tune import Tune
from musicgen.system.files import read_array_header, read_bytes, write_bytes
from musicgen.system.json_content import parse_json

FILE_NAME = "novelty.npz"  # beside token files and in the folder of a model
MAX_FILE_BYTES = 1 << 30
# So many bytes may come out of a small file, or so many for each of its bytes; of melodies about 5.
MIN_UNPACKED, MAX_RATIO = 64 << 20, 100
# Tunes that are scored note by note: at least so many, and more for a short tune, which is harder
# to tell apart and sooner compared; so many notes of it in all, but no more than the last number.
CANDIDATES, CANDIDATE_NOTES, MOST_CANDIDATES = 8, 800, 24
ALIGNED = 4  # of them whose bars are compared
MIN_NOTES = 8  # of a melody that anything can be said of

# Set by hand on validation families, on the same tunes played backwards and on planted copies;
# scripts/benchmarks/novelty.py measures what they give.
COPY_SIMILARITY, COPY_BARS, COPY_NOTES = 0.68, 8, 40
RELATED_SIMILARITY, RELATED_BARS, RELATED_NOTES = 0.56, 5, 24

NEW, RELATED, COPY, SHORT = "new", "related", "copy", "too short to tell"
_VERDICTS = (
    (COPY, COPY_SIMILARITY, COPY_BARS, COPY_NOTES),
    (RELATED, RELATED_SIMILARITY, RELATED_BARS, RELATED_NOTES),
)

# The errors of reading a file that is no index, or a damaged one.
_DAMAGE = (
    *(ValueError, KeyError, TypeError, SyntaxError, OSError, EOFError, RuntimeError),
    *(OverflowError, zipfile.BadZipFile, zlib.error),
)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # those of numpy
_TYPECODES = {np.uint8: "B", np.uint16: "H", np.uint32: "I"}


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A tune of an index that a tune is like.

    `title`, `place` (collection or file, with the line) and `number` (X:) say which. `similarity`
    is that of `music.similarity.similarity`. `run` is the longest run of bars that both share.
    Moved up by `transposition` semitones (-60 to 60) the neighbour lies where the tune does.
    """

    title: str
    place: str
    number: int
    similarity: float
    run: SharedBars
    transposition: int

    def __str__(self) -> str:
        name = self.title or "a tune without a title"
        return f"{name} ({self.place})" if self.place else name


@dataclass(frozen=True, slots=True)
class Novelty:
    """How close a tune is to those of an index.

    `neighbours` are the most similar tunes, the most similar first; the one that shares the
    longest run of bars is always among them. `copied_bars` is the length of that run in full bars
    of the tune. `verdict` is `NEW`, `RELATED`, `COPY` or, below `MIN_NOTES` notes, `SHORT`.
    """

    neighbours: tuple[Neighbour, ...]
    copied_bars: int
    verdict: str

    @property
    def similarity(self) -> float:
        """That of the nearest tune, 0 where there is none."""
        return self.neighbours[0].similarity if self.neighbours else 0.0

    def line(self) -> str:
        """One line for people."""
        if self.verdict == SHORT:
            return SHORT
        if not self.neighbours:
            return f"{self.verdict}: like no tune of the corpus"
        nearest = self.neighbours[0]
        bars = "1 bar" if self.copied_bars == 1 else f"{self.copied_bars} bars"
        return f"{self.verdict}: nearest {nearest}, similarity {self.similarity:.2f}; {bars} shared"


class NoveltyIndex:
    """The melodies of a corpus; finds those that a tune copies or resembles."""

    def __init__(
        self, melodies: Melodies, titles: list[str], places: list[str], numbers: list[int]
    ) -> None:
        self.melodies = melodies
        self.titles, self.places, self.numbers = titles, places, numbers

    def __add__(self, other: NoveltyIndex) -> NoveltyIndex:
        """An index of both corpora."""
        both = {
            name: np.concatenate([getattr(one.melodies, name) for one in (self, other)])
            for name in ARRAYS
        }
        return NoveltyIndex(
            Melodies(**both),
            self.titles + other.titles,
            self.places + other.places,
            self.numbers + other.numbers,
        )

    @staticmethod
    def build(tunes: Iterable[Tune | Melody]) -> NoveltyIndex:
        """An index of tunes, or of what `Melody.of` kept of them."""
        collector = Collector()
        for tune in tunes:
            collector.append(tune if isinstance(tune, Melody) else Melody.of(tune))
        return collector.index()

    def __len__(self) -> int:
        return len(self.titles)

    def melody(self, number: int) -> Melody:
        """A melody of the index, with what it is called."""
        return self.melodies.melody(
            number,
            title=self.titles[number],
            place=self.places[number],
            tune_number=self.numbers[number],
        )

    @cached_property
    def _search(self) -> CandidateSearch:
        return CandidateSearch(self.melodies)

    def assess(self, tune: Tune | Melody, n: int = 3) -> Novelty:
        """The nearest `n` tunes, the longest run of bars shared with any, and a verdict."""
        melody = tune if isinstance(tune, Melody) else Melody.of(tune)
        if len(melody) < MIN_NOTES:
            return Novelty((), 0, SHORT)
        n_candidates = min(MOST_CANDIDATES, max(CANDIDATES, CANDIDATE_NOTES // len(melody)))
        neighbours = self._compare(melody, self._search.candidates(melody, n_candidates))
        if not neighbours:
            return Novelty((), 0, NEW)
        longest = max(neighbours, key=lambda neighbour: neighbour.run.length)
        nearest = neighbours[:n]
        if n and longest.run.length > max(neighbour.run.length for neighbour in nearest):
            nearest[-1] = longest
        return Novelty(tuple(nearest), longest.run.length, _verdict(neighbours))

    def _compare(self, melody: Melody, candidates: list[Candidate]) -> list[Neighbour]:
        """The candidates that align best, by similarity."""
        line, comparison = MelodyLine.of(melody), BarComparison(melody)
        others = [self.melody(candidate.melody) for candidate in candidates]
        lines = [
            transposed(MelodyLine.of(other), candidate.semitones)
            for other, candidate in zip(others, candidates, strict=True)
        ]
        neighbours = []
        for k, best in best_alignments(line, lines, ALIGNED):
            other = others[k]
            i, j = np.array(best.pairs).T
            moved = np.sort(melody.pitches[i].astype(int) - other.pitches[j])
            neighbours.append(
                Neighbour(
                    title=other.title,
                    place=other.place,
                    number=other.number,
                    similarity=similarity_of(best.score, line, lines[k]),
                    run=comparison.longest_run(other, best.pairs),
                    transposition=int(moved[len(moved) // 2]),
                )
            )
        return sorted(neighbours, key=lambda neighbour: -neighbour.similarity)

    # --- the file ---------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """The index as a compressed .npz of integers with a JSON of names; the same melodies give
        the same bytes."""
        melodies = self.melodies
        columns = {name: partial(_whole, getattr(melodies, name)) for name in ARRAYS}
        data = io.BytesIO()
        write_index(data, columns, IndexNames(self.titles, self.places, self.numbers))
        return data.getvalue()

    def save(self, path: str | Path) -> None:
        """Write the index to a file.

        Raises:
            MusicgenError: it cannot be written.
        """
        write_bytes(path, self.to_bytes())

    @staticmethod
    def load(path: str | Path) -> NoveltyIndex:
        """The index in a file.

        Raises:
            CorpusError: there is no such file, or it is no index, or it is damaged.
        """
        try:
            data = read_bytes(path, max_bytes=MAX_FILE_BYTES)
        except ParseError as error:
            raise CorpusError(str(error)) from None
        return NoveltyIndex.from_bytes(data, str(path))

    @staticmethod
    def from_bytes(data: bytes, where: str = "novelty index") -> NoveltyIndex:
        """The inverse of `to_bytes`.

        Raises:
            CorpusError: it is no index, or damaged.
        """
        try:
            arrays = _unpack(data)
            meta = parse_json(bytes(arrays.pop("meta")))
            if meta["format"] != FORMAT:
                raise CorpusError(
                    f"{where}: is of format {meta['format']!r}, not {FORMAT!r}; update musicgen"
                )
            if meta["sha256"] != _digest(arrays):
                raise CorpusError(f"{where}: was changed or damaged; make it again")
            names = parse_json(bytes(arrays.pop("names")).decode("utf-8", "surrogateescape"))
            index = NoveltyIndex(
                Melodies(**arrays),
                [str(title) for title in names["titles"]],
                [str(place) for place in names["places"]],
                [int(number) for number in names["numbers"]],
            )
        except _DAMAGE:
            raise CorpusError(f"{where}: is not an index of melodies; make it again") from None
        if not index._fits():
            raise CorpusError(f"{where}: its parts do not fit together; make it again")
        return index

    def _fits(self) -> bool:
        m, n = self.melodies, len(self)
        counts = (m.sizes, m.leads, m.beats, m.n_bars, self.places, self.numbers)
        return (
            all(len(values) == n for values in counts)
            and int(m.sizes.sum(dtype=np.uint64)) == len(m.pitches) == len(m.lengths)
            and int(m.sizes.max(initial=0)) <= MAX_NOTES
            and int(m.n_bars.sum(dtype=np.uint64)) == len(m.bars)
            and int(m.pitches.max(initial=0)) < 128
            and int(m.lengths.min(initial=1)) > 0
        )


class Collector:
    """Collects melodies one by one for an index, at a few bytes per note."""

    def __init__(self) -> None:
        self._numbers = {name: array(_TYPECODES[kind]) for name, kind in ARRAYS.items()}
        self._titles: list[str] = []
        self._places: list[str] = []
        self._tune_numbers: list[int] = []

    def append(self, melody: Melody) -> None:
        """Take the next one."""
        numbers = self._numbers
        for name in ("pitches", "lengths", "bars"):
            numbers[name].frombytes(getattr(melody, name).tobytes())
        counts = (len(melody), len(melody.bars), melody.lead, melody.beat)
        for name, count in zip(("sizes", "n_bars", "leads", "beats"), counts, strict=True):
            numbers[name].append(count)
        self._titles.append(melody.title)
        self._places.append(melody.place)
        self._tune_numbers.append(melody.number)

    def index(self, places: list[str] | None = None) -> NoveltyIndex:
        """The index of all of them; `places` replaces the places that the melodies have."""
        arrays = {n: np.array(self._numbers[n], kind) for n, kind in ARRAYS.items()}
        return NoveltyIndex(
            Melodies(**arrays), self._titles, places or self._places, self._tune_numbers
        )


def _whole(array: NDArray[Any]) -> list[NDArray[Any]]:
    return [array]


def _verdict(neighbours: list[Neighbour]) -> str:
    for verdict, similarity, bars, notes in _VERDICTS:
        if any(
            n.similarity >= similarity or (n.run.length >= bars and n.run.notes >= notes)
            for n in neighbours
        ):
            return verdict
    return NEW


def _digest(arrays: dict[str, Any]) -> str:
    """SHA-256 of the content of every array, by name."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {len(arrays[name])}\n".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def _unpack(data: bytes) -> dict[str, Any]:
    """The arrays of an .npz, whose sizes are looked at before anything is unpacked."""
    kinds = {**ARRAYS, "names": np.uint8, "meta": np.uint8}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: info for info in archive.infolist()}
        if members.keys() != {f"{name}.npy" for name in kinds}:
            raise ValueError("other members")
        if any(info.compress_type not in _METHODS for info in members.values()):
            raise ValueError("other methods")
        size = sum(info.file_size for info in members.values())
        if size > min(MAX_FILE_BYTES, max(MIN_UNPACKED, MAX_RATIO * len(data))):
            raise ValueError("too large")
        arrays = {}
        for name, kind in kinds.items():
            with archive.open(f"{name}.npy") as file:
                found, shape = read_array_header(file)
                if found != np.dtype(kind).str or len(shape) != 1:
                    raise ValueError("other kinds")
                array = np.frombuffer(file.read(), kind)
            if array.shape != shape:
                raise ValueError("other sizes")
            arrays[name] = array
    return arrays
