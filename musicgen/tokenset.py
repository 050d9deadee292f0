"""Token files: tunes as integers, split into train, val and test, memory-mapped.

A folder holds meta.json (vocabulary, sizes, names, fingerprint) and for each split four .npy
arrays. Nothing here knows music: a tune is a sequence of ids with a row of small integers
(features) after each, a name, and how many notes it counts for.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import CorpusError
from musicgen.matching import match_features, match_sizes

SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>", "<unk>")
PAD_ID, BOS_ID, EOS_ID, UNK_ID = range(4)
SPLITS = ("train", "val", "test")
FORMAT = "musicgen-tokens-1"
_ARRAYS = {"ids": np.uint16, "features": np.uint16, "offsets": np.int64, "notes": np.int32}

# (split, name, ids with bos and eos, features (T, F) after each id, number of notes)
TokenRow = tuple[str, str, "Ints", "Ints", int]
Ints = NDArray[np.integer]


@dataclass(frozen=True, slots=True, eq=False)
class TokenSplit:
    """Tunes laid end to end; tune i is `ids[offsets[i]:offsets[i + 1]]`, bos and eos included.

    Shapes: ids (N,), features (N, F), offsets (n + 1,), notes (n,). Row t of `features` describes
    what is known once ids[t] has been read, so it helps to predict ids[t + 1].
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
    heading of a tune; `fingerprint` identifies the whole content."""

    vocab: tuple[str, ...]
    feature_sizes: dict[str, int]
    tokenizer: str
    fingerprint: str
    splits: dict[str, TokenSplit]
    n_header: int = 0

    def openings(self) -> tuple[tuple[tuple[int, ...], int], ...]:
        """The headings of the training tunes with their counts, most frequent first; those with
        an unknown token left out."""
        train = self.splits["train"]
        counts = Counter(
            tuple(train.tune(i)[0][1 : 1 + self.n_header].tolist()) for i in range(len(train))
        )
        return tuple((ids, n) for ids, n in counts.most_common() if ids and UNK_ID not in ids)

    def save(self, folder: str | Path) -> None:
        """Write the folder as a whole: to a temporary one beside it, then renamed.

        Raises:
            CorpusError: it exists and is not a token folder, or cannot be written.
        """
        folder = Path(folder)
        if folder.exists() and not (folder / "meta.json").is_file():
            raise CorpusError(f"{folder}: exists and is not a token folder; choose another place")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temp:
                written = Path(temp) / "new"
                written.mkdir()
                self._write(written)
                if folder.exists():
                    folder.rename(Path(temp) / "old")
                written.rename(folder)
        except OSError as error:
            raise CorpusError(f"{folder}: cannot be written ({error.strerror})") from None

    def _write(self, folder: Path) -> None:
        for name, split in self.splits.items():
            for array in _ARRAYS:
                np.save(folder / f"{name}.{array}.npy", getattr(split, array))
        meta = {
            "format": FORMAT,
            "tokenizer": self.tokenizer,
            "fingerprint": self.fingerprint,
            "n_header": self.n_header,
            "feature_sizes": self.feature_sizes,
            "vocab": self.vocab,
            "names": {name: split.names for name, split in self.splits.items()},
        }
        (folder / "meta.json").write_text(json.dumps(meta, indent=1, ensure_ascii=False), "utf-8")

    @staticmethod
    def load(folder: str | Path) -> TokenSet:
        """Open a folder written by `save`; arrays stay on disk until they are used.

        Raises:
            CorpusError: it is not such a folder, or its files do not fit together.
        """
        folder = Path(folder)
        try:
            meta = json.loads((folder / "meta.json").read_text("utf-8"))
            if meta["format"] != FORMAT:
                raise CorpusError(f"{folder}: is of format {meta['format']!r}; prepare it again")
            splits = {name: _open_split(folder, name, meta["names"][name]) for name in SPLITS}
            tokens = TokenSet(
                vocab=tuple(meta["vocab"]),
                feature_sizes=dict(meta["feature_sizes"]),
                tokenizer=meta["tokenizer"],
                fingerprint=meta["fingerprint"],
                splits=splits,
                n_header=int(meta["n_header"]),
            )
        except FileNotFoundError as error:
            missing = Path(str(error.filename)).name
            raise CorpusError(f"{folder}: has no {missing}; prepare the corpus again") from None
        except (OSError, ValueError, KeyError, TypeError):
            raise CorpusError(f"{folder}: is damaged; prepare the corpus again") from None
        _check(tokens, folder)
        return tokens


def build_tokenset(
    rows: Iterable[TokenRow],
    *,
    vocab: Iterable[str],
    feature_sizes: Mapping[str, int],
    tokenizer: str,
    n_header: int = 0,
) -> TokenSet:
    """Collect encoded tunes; the match columns are appended to the features that are given.

    `feature_sizes` names and bounds the given columns only.

    Raises:
        CorpusError: an id or feature out of range, an unknown split, no tune to train on.
    """
    vocab = tuple(vocab)
    if vocab[: len(SPECIAL_TOKENS)] != SPECIAL_TOKENS or len(set(vocab)) != len(vocab):
        raise CorpusError(f"the vocabulary must start with {' '.join(SPECIAL_TOKENS)}, no repeats")
    gathered: dict[str, list[TokenRow]] = {name: [] for name in SPLITS}
    for split, name, ids, features, notes in rows:
        if split not in gathered:
            raise CorpusError(f"{name}: unknown split '{split}'; use {', '.join(SPLITS)}")
        ids = np.asarray(ids).astype(np.uint16)
        given = np.asarray(features).reshape(len(ids), len(feature_sizes)).astype(np.uint16)
        gathered[split].append((split, name, ids, np.hstack([given, match_features(ids)]), notes))
    sizes = {**feature_sizes, **match_sizes(len(vocab))}
    splits = {name: _join(rows, len(sizes)) for name, rows in gathered.items()}
    tokens = TokenSet(
        vocab, sizes, tokenizer, _fingerprint(vocab, sizes, tokenizer, splits), splits, n_header
    )
    _check(tokens, tokenizer)
    return tokens


def _join(rows: list[TokenRow], n_features: int) -> TokenSplit:
    lengths = [len(ids) for _, _, ids, _, _ in rows]
    no_ids, no_features = np.zeros(0, np.uint16), np.zeros((0, n_features), np.uint16)
    return TokenSplit(
        ids=np.concatenate([no_ids, *(ids for _, _, ids, _, _ in rows)]),
        features=np.concatenate([no_features, *(features for _, _, _, features, _ in rows)]),
        offsets=np.cumsum([0, *lengths], dtype=np.int64),
        notes=np.array([notes for *_, notes in rows], dtype=np.int32),
        names=[name for _, name, *_ in rows],
    )


def _open_split(folder: Path, name: str, names: list[str]) -> TokenSplit:
    arrays: dict[str, Any] = {}
    for array, dtype in _ARRAYS.items():
        path = folder / f"{name}.{array}.npy"
        # An empty array cannot be mapped. Pickled objects are refused by numpy's default.
        arrays[array] = np.load(path, mmap_mode="r" if path.stat().st_size > 256 else None)
        if arrays[array].dtype != dtype:
            raise ValueError(f"{path.name} holds {arrays[array].dtype}")
    return TokenSplit(**arrays, names=list(names))


def _fingerprint(
    vocab: tuple[str, ...], sizes: dict[str, int], tokenizer: str, splits: dict[str, TokenSplit]
) -> str:
    """First 16 hexadecimal digits of the SHA-256 of everything a network sees."""
    digest = hashlib.sha256(json.dumps([FORMAT, vocab, sizes, tokenizer]).encode())
    for name in SPLITS:
        for array in _ARRAYS:
            digest.update(np.ascontiguousarray(getattr(splits[name], array)).tobytes())
    return digest.hexdigest()[:16]


def _check(tokens: TokenSet, where: object) -> None:
    """Raise CorpusError unless shapes agree and every value is in its range."""
    sizes = np.array(list(tokens.feature_sizes.values()), dtype=np.int64)
    for name, split in tokens.splits.items():
        n, total = len(split.names), len(split.ids)
        fits = (
            split.ids.ndim == 1
            and split.features.shape == (total, len(sizes))
            and split.offsets.shape == (n + 1,)
            and split.notes.shape == (n,)
            and split.offsets[0] == 0
            and split.offsets[-1] == total
            and bool(np.all(np.diff(split.offsets) >= 2))
        )
        if not fits:
            raise CorpusError(f"{where}: arrays of split '{name}' do not fit; prepare it again")
        if total and int(split.ids.max()) >= len(tokens.vocab):
            raise CorpusError(f"{where}: split '{name}' holds an id outside the vocabulary")
        for column, (feature, size) in enumerate(tokens.feature_sizes.items()):
            if total and int(split.features[:, column].max()) >= size:
                raise CorpusError(f"{where}: feature '{feature}' of '{name}' is outside its range")
    if not len(tokens.splits["train"]):
        raise CorpusError(f"{where}: has no tune to train on")
