"""Shards: a part of a corpus, read and encoded, in a folder of its own.

A folder holds one binary file for each column of `COLUMNS` with the values of all tunes end to end,
`sizes.bin` with how many values each tune has in each column, `rejected.jsonl` with what could not
be read, and shard.json: the plan of the whole corpus, which part this is, the tokens in the order
of their numbers, and the SHA-256 of each file. The folder appears as a whole when all is written,
so shard.json also says that the shard is complete.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from musicgen.corpus.reading import Entry, Facts, Omitted, ReadTune
from musicgen.errors import CorpusError, MusicgenError, printable
from musicgen.music.similarity import Melody
from musicgen.system.files import open_regular, read_bytes
from musicgen.system.json_content import JsonContent
from musicgen.tokens.language import SEPARATOR, Encoded
from musicgen.tokens.vocabulary import SPECIALS

FORMAT = "musicgen-shard-1"
MANIFEST = "shard.json"
# Values of a tune. `ids` are numbers of the shard's own `tokens`; predictions among `features` are
# numbers of the tune's `Lookback.own_vocabulary`. `timing` is the melody's `lead` and `beat`.
# `about` is JSON, see `_about`.
COLUMNS: dict[str, Any] = {
    "digest": np.uint8,
    "shingles": np.uint64,
    "ids": np.uint32,
    "features": np.uint16,
    "pitches": np.uint8,
    "lengths": np.uint16,
    "bars": np.uint16,
    "timing": np.uint32,
    "about": np.uint8,
}
_BLOCK_TUNES = 1024  # read at once
_HASHED = 1 << 20  # bytes
_MAX_MANIFEST_BYTES = 1 << 30
_NAME = re.compile(r"shard-(\d{1,9})-of-(\d{1,9})")

Encoding = tuple[Encoded | str, Melody]  # of a tune, or the reason why it has none; its melody


@dataclass(frozen=True, kw_only=True)
class ShardPlan:
    """What all shards of a corpus have in common: its sources, the digest and number of its files,
    the token language and why it was chosen, whether texts are cut, and the program."""

    corpus: tuple[str, ...]
    files: str
    n_files: int
    tokenizer: str
    reason: str
    in_pieces: bool
    musicgen: str


@dataclass(frozen=True, slots=True)
class TuneFacts:
    """What a shard says of a tune besides its arrays; `reason` is why it has no tokens, or ""."""

    entry: Entry
    number: int
    reason: str
    irregular: bool
    units: int
    dropped: dict[str, int]


def folder_of(parts: Path, number: int, total: int) -> Path:
    """The folder of a shard, counted from 1."""
    width = len(str(total))
    return parts / f"shard-{number:0{width}}-of-{total}"


class ShardWriter:
    """Writes a shard to an empty folder, tune by tune."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = {name: _HashedFile(folder / f"{name}.bin") for name in (*COLUMNS, "sizes")}
        self._files["rejected"] = _HashedFile(folder / "rejected.jsonl")
        self._tokens = {token: i for i, token in enumerate(SPECIALS)}
        self.n_tunes = self.n_rejected = self.n_encoded = 0

    def append(self, read: ReadTune) -> None:
        """Add a tune; its `extract` is an `Encoding`."""
        encoded, melody = read.extract
        ids: list[int] = []
        features: NDArray[Any] = np.zeros(0, np.uint16)
        if isinstance(encoded, Encoded):
            tokens = encoded.tokens.split(SEPARATOR)
            ids = [self._tokens.setdefault(token, len(self._tokens)) for token in tokens]
            features = encoded.features.ravel()
            self.n_encoded += 1
        values = {
            "digest": np.frombuffer(read.entry.digest, np.uint8),
            "shingles": read.shingles,
            "ids": ids,
            "features": features,
            "pitches": melody.pitches,
            "lengths": melody.lengths,
            "bars": melody.bars,
            "timing": [melody.lead, melody.beat],
            "about": np.frombuffer(_about(read.entry, encoded, melody.number), np.uint8),
        }
        for name, kind in COLUMNS.items():
            self._files[name].write(np.asarray(values[name], kind).tobytes())
        sizes = [len(values[name]) for name in COLUMNS]
        self._files["sizes"].write(np.array(sizes, np.uint32).tobytes())
        self.n_tunes += 1

    def reject(self, omitted: Omitted) -> None:
        """Add a tune or file that cannot be read."""
        self._files["rejected"].write(json.dumps(list(_values_of(omitted))).encode() + b"\n")
        self.n_rejected += 1

    def finish(self, plan: ShardPlan, number: int, total: int, content: str) -> None:
        """Complete the shard. `content` is a digest of the files that it was made of."""
        manifest = {
            "format": FORMAT,
            "plan": asdict(plan),
            "shard": [number, total],
            "content": content,
            "n_tunes": self.n_tunes,
            "n_encoded": self.n_encoded,
            "n_rejected": self.n_rejected,
            "tokens": list(self._tokens),
            "files": {file.name: file.close() for file in self._files.values()},
        }
        manifest["sha256"] = _digest_of(manifest)
        (self._folder / MANIFEST).write_bytes(json.dumps(manifest).encode())


class _HashedFile:
    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._file, self._digest = path.open("wb"), hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)

    def close(self) -> str:
        """The SHA-256 of all that was written."""
        self._file.close()
        return self._digest.hexdigest()


class Shard:
    """A complete shard.

    Raises:
        CorpusError: there is none in the folder, it is of another format, or its manifest is
            damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        again = f"prepare that shard again with --force, or delete {printable(str(folder))}"
        try:
            data = read_bytes(folder / MANIFEST, max_bytes=_MAX_MANIFEST_BYTES)
        except MusicgenError:
            raise CorpusError(
                f"{printable(str(folder))}: is not complete; prepare that shard again"
            ) from None
        where = printable(str(folder / MANIFEST))
        with JsonContent(data, where, raises=CorpusError, advice=again) as manifest:
            if manifest["format"] != FORMAT:
                name = str(manifest["format"])[:40]
                raise CorpusError(f"{where}: is of format '{printable(name)}'; {again}")
            if manifest.pop("sha256") != _digest_of(manifest):
                raise CorpusError(f"{where}: was changed or damaged; {again}")
            plan = dict(manifest["plan"])
            self.plan = ShardPlan(**plan | {"corpus": tuple(plan["corpus"])})
            self.number, self.total = map(int, manifest["shard"])
            self.content = str(manifest["content"])
            self.n_tunes = int(manifest["n_tunes"])
            self.n_encoded = int(manifest["n_encoded"])
            self.n_rejected = int(manifest["n_rejected"])
            self.tokens: list[str] = list(manifest["tokens"])
            self._files = dict(manifest["files"])
        self._again = again

    def require_whole(self) -> None:
        """Compare every file with its SHA-256.

        Raises:
            CorpusError: one is missing, or damaged.
        """
        for name, expected in self._files.items():
            digest = hashlib.sha256()
            try:
                with open_regular(self.folder / name) as file:
                    while data := file.read(_HASHED):
                        digest.update(data)
            except (MusicgenError, OSError) as error:
                raise CorpusError(f"{error}; {self._again}") from None
            if digest.hexdigest() != expected:
                where = printable(str(self.folder / name))
                raise CorpusError(f"{where}: was changed or damaged; {self._again}")

    def sizes(self, name: str) -> NDArray[np.int64]:
        """How many values each tune has in a column."""
        sizes, place = np.empty(self.n_tunes, np.int64), list(COLUMNS).index(name)
        with (self.folder / "sizes.bin").open("rb") as file:
            for start in range(0, self.n_tunes, _BLOCK_TUNES):
                n = min(_BLOCK_TUNES, self.n_tunes - start)
                table = np.frombuffer(file.read(n * len(COLUMNS) * 4), np.uint32)
                sizes[start : start + n] = table.reshape(n, -1)[:, place]
        return sizes

    def blocks(self, *names: str) -> Iterator[tuple[NDArray[np.int64], dict[str, NDArray[Any]]]]:
        """Columns, so many tunes at a time: their numbers of values (n, len(names)), and the values
        of each column end to end."""
        columns = list(COLUMNS)
        chosen = [columns.index(name) for name in names]
        files: dict[str, BinaryIO] = {}
        try:
            for name in (*names, "sizes"):
                files[name] = (self.folder / f"{name}.bin").open("rb")
            for start in range(0, self.n_tunes, _BLOCK_TUNES):
                n = min(_BLOCK_TUNES, self.n_tunes - start)
                data = files["sizes"].read(n * len(columns) * 4)
                table = np.frombuffer(data, np.uint32).reshape(n, len(columns))
                sizes = table[:, chosen].astype(np.int64)
                yield (
                    sizes,
                    {
                        name: _read(files[name], np.dtype(COLUMNS[name]), int(total))
                        for name, total in zip(names, sizes.sum(axis=0), strict=True)
                    },
                )
        finally:
            for file in files.values():
                file.close()

    def tunes(self, *names: str) -> Iterator[tuple[NDArray[Any], ...]]:
        """Columns, tune by tune."""
        for sizes, values in self.blocks(*names):
            ends = np.cumsum(sizes, axis=0)
            begins = (ends - sizes).T.tolist()
            spans = [
                [values[name][a:b] for a, b in zip(first, last, strict=True)]
                for name, first, last in zip(names, begins, ends.T.tolist(), strict=True)
            ]
            yield from zip(*spans, strict=True)

    def rejected(self) -> Iterator[Omitted]:
        """What could not be read."""
        with (self.folder / "rejected.jsonl").open("rb") as file:
            for line in file:
                yield Omitted(*json.loads(line))


def _read(file: BinaryIO, kind: np.dtype[Any], n: int) -> NDArray[Any]:
    return np.frombuffer(file.read(n * kind.itemsize), kind)


def _about(entry: Entry, encoded: Encoded | str, number: int) -> bytes:
    outcome: list[Any] = [encoded, False, 0, {}]
    if isinstance(encoded, Encoded):
        outcome = ["", encoded.irregular, encoded.units, dict(encoded.dropped)]
    facts = list(_values_of(entry.facts))
    return json.dumps([entry.id, entry.source, number, *outcome, facts]).encode()


def brief_of(about: NDArray[np.uint8]) -> tuple[str, str, int, int]:
    """The id, title, number (X:) and units of a tune, of its column `about`."""
    name, _, number, _, _, units, _, facts = json.loads(about.tobytes())
    return name, facts[0], number, units


def facts_of(about: NDArray[np.uint8], digest: NDArray[np.uint8]) -> TuneFacts:
    """The facts in the columns `about` and `digest` of a tune."""
    name, source, number, reason, irregular, units, dropped, facts = json.loads(about.tobytes())
    values = dict(zip((field.name for field in fields(Facts)), facts, strict=True))
    values["warnings"] = tuple(values["warnings"])
    entry = Entry(name, source, digest.tobytes(), Facts(**values))
    return TuneFacts(entry, number, reason, irregular, units, dropped)


def _values_of(record: Any) -> Iterator[Any]:
    return (getattr(record, field.name) for field in fields(record))


def _digest_of(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest).encode()).hexdigest()


def find_shards(parts: Path) -> list[Shard]:
    """All shards of a corpus, in order, complete, whole and of one plan.

    Raises:
        CorpusError: one is missing, damaged or of something else; the message names it.
    """
    where = printable(str(parts))
    found = {path: match for path in sorted(parts.glob("shard-*-of-*"))
             if (match := _NAME.fullmatch(path.name))}  # fmt: skip
    totals = sorted({int(match[2]) for match in found.values()})
    if not found:
        raise CorpusError(f"{where}: holds no shard; write some with musicgen prepare --shard 1/16")
    if len(totals) > 1:
        few = min(totals, key=lambda n: sum(int(match[2]) == n for match in found.values()))
        odd = next(path for path, match in found.items() if int(match[2]) == few)
        raise CorpusError(
            f"{printable(str(odd))}: is one of {few} shards, while others are of "
            f"{', '.join(str(n) for n in totals if n != few)}; delete those that do not belong here"
        )
    (total,) = totals
    there = {int(match[1]) for match in found.values()}
    missing = [k for k in range(1, total + 1) if k not in there]
    if missing:
        listed = ", ".join(f"{k}/{total}" for k in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise CorpusError(
            f"{where}: lacks shard {listed}{more}; prepare it with --shard {missing[0]}/{total}"
        )
    shards = sorted((Shard(path) for path in found), key=lambda shard: shard.number)
    _require_one_plan(shards, total)
    for shard in shards:
        shard.require_whole()
    return shards


def _require_one_plan(shards: Sequence[Shard], total: int) -> None:
    plans = [shard.plan for shard in shards]
    usual = max(plans, key=plans.count) if len(plans) < 1000 else plans[0]
    for place, shard in enumerate(shards, 1):
        where = printable(str(shard.folder))
        if (shard.number, shard.total) != (place, total):
            raise CorpusError(
                f"{where}: is shard {shard.number}/{shard.total} under another name; rename it back"
            )
        different = [f.name for f in fields(ShardPlan) if getattr(shard.plan, f.name)
                     != getattr(usual, f.name)]  # fmt: skip
        if different:
            name = different[0]
            ours, theirs = (_shown(getattr(plan, name)) for plan in (shard.plan, usual))
            raise CorpusError(
                f"{where}: was made with another {_MEANINGS.get(name, name)} than the other shards "
                f"({ours}, not {theirs}); prepare it again with --force"
            )


_MEANINGS = {
    "files": "list of files",
    "n_files": "number of files",
    "reason": "sample of the corpus",
    "musicgen": "version of musicgen",
    "in_pieces": "way to cut texts",
}


def _shown(value: object) -> str:
    text = ", ".join(value) if isinstance(value, tuple) else str(value)
    return printable(text if len(text) <= 60 else f"{text[:57]}...")


def rejected_of(shards: Iterable[Shard]) -> Iterator[Omitted]:
    """What could not be read, of all shards in order."""
    for shard in shards:
        yield from shard.rejected()
