"""Token files: tunes as integers, split into train, val and test, memory-mapped.

A folder holds meta.json (vocabulary, sizes, names, fingerprint) and for each split four .npy
arrays. Nothing here knows music: a tune is a sequence of ids with a row of small integers
(features) after each, a name, and how many notes (or other units) it counts for.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen.corpus.token_files import (
    ARRAYS,
    Ints,
    SplitWriter,
    open_arrays,
    read_blocks,
    write_meta,
)
from musicgen.errors import CorpusError, ParseError, printable
from musicgen.system.files import (
    read_bytes,
)
from musicgen.system.json_content import JsonContent
from musicgen.system.temporary import needing_room, replacing_folder, temporary_folder
from musicgen.tokens.lookback.features import Lookback
from musicgen.tokens.vocabulary import SPECIALS

PAD_ID, BOS_ID, EOS_ID, UNK_ID = range(4)
SPLITS = ("train", "val", "test")
EVERY_SPLIT = "all"
FORMAT = "musicgen-tokens-1"
MAX_META_BYTES = 1 << 30  # the names of ten million tunes
MAX_SIZE = 1 << 24  # of a feature or a heading
_JSON_BYTES = 7  # around a name in meta.json
_AGAIN = "prepare the corpus again"
_META = {
    *("format", "tokenizer", "fingerprint", "n_header", "unit", "feature_sizes", "vocab", "names"),
}

# (split, name, ids with bos and eos, features (T, F) after each id, number of notes)
TokenRow = tuple[str, str, Ints, Ints, int]


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

    @property
    def lookback(self) -> Lookback | None:
        """The last of the feature columns, where they are those of lookback."""
        return Lookback.of(self.feature_sizes, self.vocab)

    def openings(self) -> tuple[tuple[tuple[int, ...], int], ...]:
        """The headings of the training tunes with their counts, most frequent first; those with
        an unknown token left out."""
        train = self.splits["train"]
        counts = Counter(
            tuple(train.tune(i)[0][1 : 1 + self.n_header].tolist()) for i in range(len(train))
        )
        return tuple((ids, n) for ids, n in counts.most_common() if ids and UNK_ID not in ids)

    def in_memory(self) -> TokenSet:
        """The same with its arrays read from the disk."""
        splits = {}
        for name, split in self.splits.items():
            arrays: dict[str, Any] = {c: np.array(getattr(split, c)) for c in ARRAYS}
            splits[name] = replace(split, **arrays)
        return replace(self, splits=splits)

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
        if columns == list(range(len(columns))):  # the first ones stay on disk
            columns = slice(len(columns))  # type: ignore[assignment]
        splits = {n: replace(split, features=split.features[:, columns])
                  for n, split in self.splits.items()}  # fmt: skip
        return replace(
            self, feature_sizes={name: self.feature_sizes[name] for name in wanted}, splits=splits
        )

    def save(self, folder: str | Path) -> None:
        """Write the folder as a whole: to a temporary one beside it, then renamed.

        Raises:
            CorpusError: it exists and is not a token folder, or cannot be written.
        """
        with replacing(Path(folder)) as new:
            for name, split in self.splits.items():
                for column in ARRAYS:
                    np.save(new / f"{name}.{column}.npy", getattr(split, column))
            names = {name: split.names for name, split in self.splits.items()}
            write_meta(new, self._header(), names)

    def _header(self) -> dict[str, Any]:
        """What meta.json says besides the names of the tunes."""
        return {
            "format": FORMAT,
            "tokenizer": self.tokenizer,
            "fingerprint": self.fingerprint,
            "n_header": self.n_header,
            "unit": self.unit,
            "feature_sizes": self.feature_sizes,
            "vocab": self.vocab,
        }

    @staticmethod
    def load(folder: str | Path, *, verify: bool = True) -> TokenSet:
        """Open a folder written by `save`; arrays stay on disk until they are used, but to `verify`
        them all are read once, unless another process does that.

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
            counts = {split: len(listed) for split, listed in names.items()}
        except ParseError as error:
            file = Path(error.path or folder)
            if not file.exists():
                raise CorpusError(f"{where}: has no {file.name}; {_AGAIN}") from None
            raise CorpusError(f"{error}, or {_AGAIN}") from None
        except (OSError, ValueError):
            raise CorpusError(f"{where}: is damaged; {_AGAIN}") from None
        tokens = TokenSet(splits=splits, **fields)
        if verify and tokens.fingerprint != _checked_fingerprint(tokens, counts, folder, where):
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
def replacing(folder: Path) -> Iterator[Path]:
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
) -> TokenSet:
    """Collect encoded tunes; the lookback columns are appended to the given features, where a row
    does not have them already.

    `feature_sizes` names and bounds the given columns only. Rows are written as they come; with a
    `folder` they stay there, memory-mapped, without one they are read into memory at the end.

    Raises:
        CorpusError: an id or feature out of range, an unknown split, no tune to train on, a
            folder that cannot be written.
    """
    header = TokenSet(tuple(vocab), dict(feature_sizes), tokenizer, "", {}, n_header, unit)
    if folder is not None:
        with replacing(Path(folder)) as new:
            write_tokenset(rows, header, new)
        return TokenSet.load(folder)
    place = Path(tempfile.gettempdir())
    with needing_room("the token files"), temporary_folder(place) as temporary:
        write_tokenset(rows, header, temporary)
        return TokenSet.load(temporary).in_memory()


def write_tokenset(rows: Iterable[TokenRow], header: TokenSet, folder: Path) -> None:
    """Write token files to an empty folder; see `build_tokenset`. `header` is a token set without
    fingerprint and splits, and without the lookback columns. The tunes need no memory but a few
    bytes each.

    Raises:
        CorpusError: as there.
    """
    vocab, given = header.vocab, header.feature_sizes
    if vocab[: len(SPECIALS)] != SPECIALS or len(set(vocab)) != len(vocab):
        raise CorpusError(f"the vocabulary must start with {' '.join(SPECIALS)}, no repeats")
    if len(vocab) > np.iinfo(np.uint16).max:
        raise CorpusError(f"a vocabulary of {len(vocab)} tokens; at most 65535 can be stored")
    lookback = Lookback.newest(given, vocab)
    sizes = {**given, **lookback.sizes}
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(SplitWriter(folder, name, len(given), lookback))
            for name in SPLITS
        }
        n_bytes = 0
        for split, name, ids, features, notes in rows:
            if split not in writers:
                raise CorpusError(f"{name}: unknown split '{split}'; use {', '.join(SPLITS)}")
            writers[split].append(name, np.asarray(ids), np.asarray(features), notes)
            n_bytes += len(name) + _JSON_BYTES
            if n_bytes > MAX_META_BYTES:
                raise CorpusError(
                    f"the names of so many tunes are more than {MAX_META_BYTES >> 30} GiB; prepare "
                    "the corpus in parts, each to token files of its own"
                )
        for writer in writers.values():
            writer.finish()
        splits = {name: _open_split(folder, name, []) for name in SPLITS}
        tokens = replace(header, feature_sizes=sizes, splits=splits)
        counts = {name: writer.names.n for name, writer in writers.items()}
        fingerprint = _checked_fingerprint(tokens, counts, folder, header.tokenizer)
        names = {name: writer.names for name, writer in writers.items()}
        write_meta(folder, replace(tokens, fingerprint=fingerprint)._header(), names)


def _open_split(folder: Path, name: str, names: list[str]) -> TokenSplit:
    return TokenSplit(**open_arrays(folder, name), names=names)


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


def _checked_fingerprint(
    tokens: TokenSet, counts: Mapping[str, int], folder: Path, where: object
) -> str:
    """First 16 hexadecimal digits of the SHA-256 of everything a network sees. `counts` is how many
    names each split has; the arrays are read from the folder.

    Raises:
        CorpusError: shapes do not agree, or a value is out of its range.
    """
    about = [FORMAT, tokens.vocab, tokens.feature_sizes, tokens.tokenizer]
    digest = hashlib.sha256(json.dumps(about).encode())
    sizes = np.array(list(tokens.feature_sizes.values()), dtype=np.int64)
    for name, split in tokens.splits.items():
        _require_fitting(split, counts[name], len(sizes), f"{where}: arrays of split '{name}'")
        highest = {"ids": np.zeros(1, np.uint16), "features": np.zeros(len(sizes), np.uint16)}
        for column in ARRAYS:
            for block in read_blocks(folder, name, column):
                digest.update(np.ascontiguousarray(block).data)
                if column in highest:
                    np.maximum(highest[column], block.max(axis=0), out=highest[column])
        if highest["ids"][0] >= len(tokens.vocab):
            raise CorpusError(f"{where}: split '{name}' holds an id outside the vocabulary")
        for feature, value, size in zip(
            tokens.feature_sizes, highest["features"], sizes, strict=True
        ):
            if value >= size:
                raise CorpusError(f"{where}: feature '{feature}' of '{name}' is outside its range")
    if not counts["train"]:
        raise CorpusError(f"{where}: has no tune to train on")
    return digest.hexdigest()[:16]


def _require_fitting(split: TokenSplit, n: int, n_columns: int, what: str) -> None:
    total = len(split.ids)
    if not (
        split.ids.ndim == 1
        and split.features.shape == (total, n_columns)
        and split.offsets.shape == (n + 1,)
        and split.notes.shape == (n,)
        and split.offsets[0] == 0
        and split.offsets[-1] == total
        and np.all(np.diff(split.offsets) >= 2)
    ):
        raise CorpusError(f"{what} do not fit; prepare it again")
