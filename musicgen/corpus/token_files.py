"""The files of a token folder: arrays that grow on disk, meta.json, arrays that stay on disk."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen.system.files import open_regular, read_array_header
from musicgen.tokens.lookback.features import Lookback

ARRAYS = {"ids": np.uint16, "features": np.uint16, "offsets": np.int64, "notes": np.int32}
_BLOCK = 1 << 22  # bytes of an array in memory at once

Ints = NDArray[np.integer]


def write_meta(folder: Path, header: Mapping[str, Any], names: Mapping[str, Iterable[str]]) -> None:
    """Write meta.json as `json.dumps(..., indent=1)` would; the names are gone through twice and
    need no memory."""
    short = json.dumps({**header, "names": {}})
    digest = hashlib.sha256(short[: -len("}}")].encode())
    for part in _named(names, '"{}": [', ", ", "], "):
        digest.update(part.encode())
    digest.update(b"}}")
    long = json.dumps({**header, "names": {}, "sha256": digest.hexdigest()}, indent=1)
    begin, end = long.split('"names": {}')
    with (folder / "meta.json").open("w", encoding="utf-8", newline="") as file:
        file.write(f'{begin}"names": {{')
        file.writelines(_named(names, '\n  "{}": [', ",", "],", before="\n   ", after="\n  "))
        file.write(f"\n }}{end}")


def _named(
    names: Mapping[str, Iterable[str]],
    opening: str,
    comma: str,
    closing: str,
    *,
    before: str = "",
    after: str = "",
) -> Iterator[str]:
    """The names of every split as pieces of JSON; nothing after the last split but its bracket."""
    for number, (split, listed) in enumerate(names.items(), 1):
        yield opening.format(split)
        n_names = 0
        for n_names, name in enumerate(listed, 1):
            yield f"{comma if n_names > 1 else ''}{before}{json.dumps(name)}"
        yield after if n_names else ""
        yield closing if number < len(names) else "]"


class NameFile:
    """Names in a temporary file."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8", dir=folder)  # noqa: SIM115
        self.n = 0

    def close(self) -> None:
        """Delete the file."""
        self._file.close()

    def append(self, name: str) -> None:
        """Add the next one."""
        self.n += 1
        self._file.write(json.dumps(name) + "\n")

    def __iter__(self) -> Iterator[str]:
        self._file.seek(0)
        return map(json.loads, self._file)


class SplitWriter:
    """The arrays of one split while they grow on disk."""

    def __init__(self, folder: Path, name: str, n_given: int, lookback: Lookback) -> None:
        self.names = NameFile(folder)
        self._paths = {column: folder / f"{name}.{column}.npy" for column in ARRAYS}
        self._n_given, self._lookback = n_given, lookback
        self._n_columns = n_given + len(lookback.sizes)
        self._offsets, self._notes = array("q", [0]), array("i")

    def __enter__(self) -> SplitWriter:
        self._ids, self._features = (
            self._paths[column].open("wb") for column in ("ids", "features")
        )
        self._write_headers()  # of the final size: numpy leaves room for more digits
        return self

    def append(self, name: str, ids: Ints, features: Ints, notes: int) -> None:
        """Add a tune."""
        ids = ids.astype(np.uint16)
        features = features.reshape(len(ids), -1).astype(np.uint16)
        if features.shape[1] != self._n_columns:
            given = features[:, : self._n_given]
            features = np.hstack([given, self._lookback.features(ids, given)])
        self._ids.write(ids.tobytes())
        self._features.write(features.tobytes())
        self._offsets.append(self._offsets[-1] + len(ids))
        self._notes.append(notes)
        self.names.append(name)

    def finish(self) -> None:
        """Complete the arrays, after the last tune."""
        self._write_headers()
        self._ids.flush()
        self._features.flush()
        np.save(self._paths["offsets"], np.array(self._offsets, ARRAYS["offsets"]))
        np.save(self._paths["notes"], np.array(self._notes, ARRAYS["notes"]))

    def __exit__(self, *_: object) -> None:
        self._ids.close()
        self._features.close()
        self.names.close()

    def _write_headers(self) -> None:
        total = self._offsets[-1]
        for file, shape in (
            (self._ids, (total,)),
            (self._features, (total, self._n_columns)),
        ):
            header = {"descr": np.dtype(np.uint16).str, "fortran_order": False, "shape": shape}
            file.seek(0)
            np.lib.format.write_array_header_1_0(file, header)


def open_arrays(folder: Path, name: str) -> dict[str, Any]:
    """The arrays of a split, on disk until they are used.

    Raises:
        ValueError: a file holds something else.
    """
    return {
        column: _open_array(folder / f"{name}.{column}.npy", np.dtype(dtype))
        for column, dtype in ARRAYS.items()
    }


def _open_array(path: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The array in a file, on disk until it is used."""
    with open_regular(path) as file:
        stored, shape = read_array_header(file)
        begin, n_bytes = file.tell(), math.prod(shape) * dtype.itemsize
        if stored != dtype.str or os.fstat(file.fileno()).st_size != begin + n_bytes:
            raise ValueError(f"{path.name} holds something else")
        if n_bytes:  # an empty array cannot be mapped
            return np.memmap(file, dtype, "r", begin, shape)
        return np.zeros(shape, dtype)


def read_blocks(folder: Path, split: str, column: str) -> Iterator[NDArray[Any]]:
    """An array in parts, read from its file: what is mapped would count as memory."""
    with open_regular(folder / f"{split}.{column}.npy") as file:
        stored, (length, *columns) = read_array_header(file)
        row = np.dtype(stored).itemsize * math.prod(columns)
        n_rows = max(1, _BLOCK // max(1, row))
        for start in range(0, length, n_rows):
            n = min(n_rows, length - start)
            yield np.frombuffer(file.read(n * row), stored).reshape(n, *columns)
