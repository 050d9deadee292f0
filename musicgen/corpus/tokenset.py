"""Token files: tunes as integers, split into train, val and test, memory-mapped.

A folder holds meta.json (vocabulary, sizes, names, fingerprint) and for each split four .npy
arrays. Nothing here knows music: a tune is a sequence of ids with a row of small integers
(features) after each, a name, and how many notes (or other units) it counts for.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import CorpusError, ParseError, printable
from musicgen.system.files import (
    open_regular,
    read_array_header,
    read_bytes,
)
from musicgen.system.json_content import JsonContent
from musicgen.system.temporary import needing_room, replacing_folder, temporary_folder
from musicgen.tokens.lookback.features import lookback_features, lookback_sizes, supports_echo
from musicgen.tokens.vocabulary import SPECIALS

PAD_ID, BOS_ID, EOS_ID, UNK_ID = range(4)
SPLITS = ("train", "val", "test")
EVERY_SPLIT = "all"
FORMAT = "musicgen-tokens-1"
MAX_META_BYTES = 1 << 30  # the names of ten million tunes
MAX_SIZE = 1 << 24  # of a feature or a heading
_AGAIN = "prepare the corpus again"
_META = {
    *("format", "tokenizer", "fingerprint", "n_header", "unit", "feature_sizes", "vocab", "names"),
}
_ARRAYS = {"ids": np.uint16, "features": np.uint16, "offsets": np.int64, "notes": np.int32}

# (split, name, ids with bos and eos, features (T, F) after each id, number of notes)
TokenRow = tuple[str, str, "Ints", "Ints", int]
Ints = NDArray[np.integer]


@dataclass(frozen=True, slots=True, eq=False)
class TokenSplit:
    """Tunes laid end to end; tune i is `ids[offsets[i]:offsets[i + 1]]`, bos and eos included.

    Shapes: ids (N,), features (N, F), offsets (n + 1,), notes (n,). Row t of `features` describes
    the state after ids[t], so it helps to predict ids[t + 1].
    """

    ids: NDArray[np.uint16]
    features: NDArray[np.uint16]
    offsets: NDArray[np.int64]
    notes: NDArray[np.int32]
    names: list[str]

    def __len__(self) -> int:
        return len(self.names)

    def tune(self, index: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        """Ids (T,) and features (T, F) of one tune, as views."""
        span = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return self.ids[span], self.features[span]


@dataclass(frozen=True, slots=True, eq=False)
class TokenSet:
    """A tokenized corpus. `feature_sizes` names the feature columns in order with their number of
    values; `tokenizer` is the tokenizer's name; `n_header` is how many ids after bos are the
    heading of a tune; `fingerprint` identifies the whole content; `unit` is what `notes` count."""

    vocab: tuple[str, ...]
    feature_sizes: dict[str, int]
    tokenizer: str
    fingerprint: str
    splits: dict[str, TokenSplit]
    n_header: int = 0
    unit: str = "note"

    def openings(self) -> tuple[tuple[tuple[int, ...], int], ...]:
        """The headings of the training tunes with their counts, most frequent first; those with
        an unknown token left out."""
        train = self.splits["train"]
        counts = Counter(
            tuple(train.tune(i)[0][1 : 1 + self.n_header].tolist()) for i in range(len(train))
        )
        return tuple((ids, n) for ids, n in counts.most_common() if ids and UNK_ID not in ids)

    def with_features(self, names: Iterable[str]) -> TokenSet:
        """The same tunes with these feature columns only, in this order, as an older model has
        them.

        Raises:
            CorpusError: there is no such column.
        """
        wanted, known = tuple(names), list(self.feature_sizes)
        if wanted == tuple(known):
            return self
        missing = [name for name in wanted if name not in known]
        if missing:
            raise CorpusError(f"these token files have no feature '{missing[0]}'; prepare it again")
        columns = [known.index(name) for name in wanted]
        splits = {
            name: replace(split, features=np.ascontiguousarray(split.features[:, columns]))
            for name, split in self.splits.items()
        }
        return replace(
            self, feature_sizes={name: self.feature_sizes[name] for name in wanted}, splits=splits
        )

    def save(self, folder: str | Path) -> None:
        """Write the folder as a whole: to a temporary one beside it, then renamed.

        Raises:
            CorpusError: it exists and is not a token folder, or cannot be written.
        """
        with _replacing(Path(folder)) as new:
            for name, split in self.splits.items():
                for column in _ARRAYS:
                    np.save(new / f"{name}.{column}.npy", getattr(split, column))
            self._write_meta(new)

    def _write_meta(self, folder: Path) -> None:
        meta: dict[str, Any] = {
            "format": FORMAT,
            "tokenizer": self.tokenizer,
            "fingerprint": self.fingerprint,
            "n_header": self.n_header,
            "unit": self.unit,
            "feature_sizes": self.feature_sizes,
            "vocab": self.vocab,
            "names": {name: split.names for name, split in self.splits.items()},
        }
        meta["sha256"] = _digest_of(meta)
        (folder / "meta.json").write_bytes(json.dumps(meta, indent=1).encode())

    @staticmethod
    def load(folder: str | Path) -> TokenSet:
        """Open a folder written by `save`; arrays stay on disk until they are used.

        Raises:
            CorpusError: it is not such a folder, or its files do not fit together.
        """
        folder = Path(folder)
        where = printable(str(folder))
        try:
            data = read_bytes(folder / "meta.json", max_bytes=MAX_META_BYTES)
            with JsonContent(data, f"{where}/meta.json", raises=CorpusError, advice=_AGAIN) as meta:
                _require_unchanged(meta, where)
                names = {split: list(_texts(meta["names"][split])) for split in SPLITS}
                fields: dict[str, Any] = {
                    "vocab": _texts(meta["vocab"]),
                    "feature_sizes": {n: _size(size) for n, size in meta["feature_sizes"].items()},
                    "tokenizer": _text(meta["tokenizer"]),
                    "fingerprint": _text(meta["fingerprint"]),
                    "n_header": _size(meta["n_header"]),
                    "unit": _text(meta.get("unit", "note")),
                }
            splits = {split: _open_split(folder, split, names[split]) for split in SPLITS}
            tokens = TokenSet(splits=splits, **fields)
        except ParseError as error:
            file = Path(error.path or folder)
            if not file.exists():
                raise CorpusError(f"{where}: has no {file.name}; {_AGAIN}") from None
            raise CorpusError(f"{error}, or {_AGAIN}") from None
        except (OSError, ValueError):
            raise CorpusError(f"{where}: is damaged; {_AGAIN}") from None
        _check(tokens, where)
        if tokens.fingerprint != _fingerprint(
            tokens.vocab, tokens.feature_sizes, tokens.tokenizer, tokens.splits
        ):
            raise CorpusError(f"{where}: was changed or damaged; prepare the corpus again")
        return tokens


def _require_unchanged(meta: dict[str, Any], where: str) -> None:
    """Check that meta.json is of this format and as it was written. Older folders have no `sha256`
    of it; in those only the names of tunes could be changed.

    Raises:
        CorpusError: it is of another format, or its digest is another one, or it has a field that
            no folder has, as when the name of a field was damaged.
    """
    if meta["format"] != FORMAT:
        name = printable(str(meta["format"])[:40])
        raise CorpusError(f"{where}: is of format '{name}'; prepare it again")
    digest = meta.pop("sha256", None)
    if meta.keys() - _META or digest not in (None, _digest_of(meta)):
        raise CorpusError(f"{where}/meta.json: was changed or damaged; {_AGAIN}")


def _digest_of(meta: Mapping[str, Any]) -> str:
    """SHA-256 of everything in meta.json; the fingerprint does not cover the names of tunes."""
    return hashlib.sha256(json.dumps(meta).encode()).hexdigest()


def require_replaceable(folder: str | Path) -> None:
    """Refuse a folder that is there and holds something else than token files.

    Raises:
        CorpusError: it does.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / "meta.json").is_file():
        raise CorpusError(f"{folder}: exists and is not a token folder; choose another place")


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A new folder to write to, which takes the place of `folder` once all is written."""
    require_replaceable(folder)
    try:
        with replacing_folder(folder) as new:
            yield new
    except OSError as error:
        raise CorpusError(
            f"{folder}: cannot be written ({error.strerror}); make room, or choose another folder"
        ) from error


def build_tokenset(
    rows: Iterable[TokenRow],
    *,
    vocab: Iterable[str],
    feature_sizes: Mapping[str, int],
    tokenizer: str,
    n_header: int = 0,
    unit: str = "note",
    folder: str | Path | None = None,
    beside: Mapping[str, bytes] = MappingProxyType({}),
) -> TokenSet:
    """Collect encoded tunes; the lookback columns are appended to the given features.

    `feature_sizes` names and bounds the given columns only. Rows are written as they come; with a
    `folder` they stay there, memory-mapped, without one they are read into memory at the end. The
    folder gets the files `beside`, too; it is written as a whole or not at all.

    Raises:
        CorpusError: an id or feature out of range, an unknown split, no tune to train on, a
            folder that cannot be written.
        MusicgenError: there is no room for temporary files.
    """
    vocab = tuple(vocab)
    if vocab[: len(SPECIALS)] != SPECIALS or len(set(vocab)) != len(vocab):
        raise CorpusError(f"the vocabulary must start with {' '.join(SPECIALS)}, no repeats")
    if len(vocab) > np.iinfo(np.uint16).max:
        raise CorpusError(f"a vocabulary of {len(vocab)} tokens; at most 65535 can be stored")
    sizes = {
        **feature_sizes,
        **lookback_sizes(len(vocab), echo=supports_echo(feature_sizes)),
    }

    def write(folder: Path, *, mapped: bool) -> TokenSet:
        names = _write_rows(rows, folder, feature_sizes, len(sizes))
        splits = {n: _open_split(folder, n, names[n], mapped=mapped) for n in SPLITS}
        fingerprint = _fingerprint(vocab, sizes, tokenizer, splits)
        tokens = TokenSet(vocab, sizes, tokenizer, fingerprint, splits, n_header, unit)
        _check(tokens, tokenizer)
        return tokens

    if folder is None:
        place = Path(tempfile.gettempdir())
        with needing_room("the token files"), temporary_folder(place) as temporary:
            return write(temporary, mapped=False)
    with _replacing(Path(folder)) as new:
        write(new, mapped=True)._write_meta(new)
        for name, data in beside.items():
            (new / name).write_bytes(data)
    return TokenSet.load(folder)


def _write_rows(
    rows: Iterable[TokenRow], folder: Path, given: Mapping[str, int], n_columns: int
) -> dict[str, list[str]]:
    """Write the arrays of every split; the names of their tunes."""
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(_SplitWriter(folder, name, given, n_columns))
            for name in SPLITS
        }
        for split, name, ids, features, notes in rows:
            if split not in writers:
                raise CorpusError(f"{name}: unknown split '{split}'; use {', '.join(SPLITS)}")
            writers[split].append(name, np.asarray(ids), np.asarray(features), notes)
    return {name: writer.names for name, writer in writers.items()}


class _SplitWriter:
    """The arrays of one split while they grow on disk."""

    def __init__(self, folder: Path, name: str, given: Mapping[str, int], n_columns: int) -> None:
        self.names: list[str] = []
        self._paths = {column: folder / f"{name}.{column}.npy" for column in _ARRAYS}
        self._n_given, self._n_columns, self._echo = len(given), n_columns, supports_echo(given)
        self._offsets, self._notes = array("q", [0]), array("i")

    def __enter__(self) -> _SplitWriter:
        self._ids, self._features = (
            self._paths[column].open("wb") for column in ("ids", "features")
        )
        self._write_headers()  # of the final size: numpy leaves room for more digits
        return self

    def append(self, name: str, ids: Ints, features: Ints, notes: int) -> None:
        """Add a tune."""
        ids = ids.astype(np.uint16)
        given = features.reshape(len(ids), self._n_given).astype(np.uint16)
        lookback = lookback_features(ids, given, echo=self._echo)
        self._ids.write(ids.tobytes())
        self._features.write(np.hstack([given, lookback]).tobytes())
        self._offsets.append(self._offsets[-1] + len(ids))
        self._notes.append(notes)
        self.names.append(name)

    def __exit__(self, *_: object) -> None:
        self._write_headers()
        self._ids.close()
        self._features.close()
        np.save(self._paths["offsets"], np.array(self._offsets, _ARRAYS["offsets"]))
        np.save(self._paths["notes"], np.array(self._notes, _ARRAYS["notes"]))

    def _write_headers(self) -> None:
        total = self._offsets[-1]
        for file, shape in (
            (self._ids, (total,)),
            (self._features, (total, self._n_columns)),
        ):
            header = {"descr": np.dtype(np.uint16).str, "fortran_order": False, "shape": shape}
            file.seek(0)
            np.lib.format.write_array_header_1_0(file, header)


def _open_split(folder: Path, name: str, names: list[str], *, mapped: bool = True) -> TokenSplit:
    arrays: dict[str, Any] = {
        column: _open_array(folder / f"{name}.{column}.npy", np.dtype(dtype), mapped=mapped)
        for column, dtype in _ARRAYS.items()
    }
    return TokenSplit(**arrays, names=names)


def _open_array(path: Path, dtype: np.dtype[Any], *, mapped: bool) -> NDArray[Any]:
    """The array in a file, on disk until it is used if `mapped`."""
    with open_regular(path) as file:
        stored, shape = read_array_header(file)
        begin, n_bytes = file.tell(), math.prod(shape) * dtype.itemsize
        if stored != dtype.str or os.fstat(file.fileno()).st_size != begin + n_bytes:
            raise ValueError(f"{path.name} holds something else")
        if mapped and n_bytes:  # an empty array cannot be mapped
            return np.memmap(file, dtype, "r", begin, shape)
        return np.frombuffer(file.read(), dtype).reshape(shape)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list | tuple):
        raise TypeError("not a list")
    return tuple(map(_text, values))


def _size(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_SIZE:
        raise ValueError("not a size")
    return value


def _fingerprint(
    vocab: tuple[str, ...], sizes: dict[str, int], tokenizer: str, splits: dict[str, TokenSplit]
) -> str:
    """First 16 hexadecimal digits of the SHA-256 of everything a network sees."""
    digest = hashlib.sha256(json.dumps([FORMAT, vocab, sizes, tokenizer]).encode())
    for name in SPLITS:
        for column in _ARRAYS:
            digest.update(np.ascontiguousarray(getattr(splits[name], column)).data)
    return digest.hexdigest()[:16]


def _check(tokens: TokenSet, where: object) -> None:
    """Raise CorpusError unless shapes agree and every value is in its range."""
    sizes = np.array(list(tokens.feature_sizes.values()), dtype=np.int64)
    for name, split in tokens.splits.items():
        n, total = len(split.names), len(split.ids)
        if not (
            split.ids.ndim == 1
            and split.features.shape == (total, len(sizes))
            and split.offsets.shape == (n + 1,)
            and split.notes.shape == (n,)
            and split.offsets[0] == 0
            and split.offsets[-1] == total
            and np.all(np.diff(split.offsets) >= 2)
        ):
            raise CorpusError(f"{where}: arrays of split '{name}' do not fit; prepare it again")
        if total and int(split.ids.max()) >= len(tokens.vocab):
            raise CorpusError(f"{where}: split '{name}' holds an id outside the vocabulary")
        highest = split.features.max(axis=0) if total else np.zeros(len(sizes), np.uint16)
        for feature, value, size in zip(tokens.feature_sizes, highest, sizes, strict=True):
            if value >= size:
                raise CorpusError(f"{where}: feature '{feature}' of '{name}' is outside its range")
    if not len(tokens.splits["train"]):
        raise CorpusError(f"{where}: has no tune to train on")
