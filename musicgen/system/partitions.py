"""Records on disk, divided into buckets of which each fits in memory, as for an external hash join.

with Partitions(dtype, n_buckets, folder) as parts:
    parts.append(records, buckets)
    for records in parts: ...       # bucket 0, bucket 1, ...
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 20  # records in memory at once
Records = NDArray[Any]


def n_buckets_for(n_records: int) -> int:
    """A power of two; buckets of evenly spread records then have at most `BLOCK` of them."""
    return 1 << max(0, (n_records - 1) // BLOCK).bit_length()


class Partitions:
    """Records in a temporary file of a folder (default: the system's), by bucket; those of a bucket
    come back in the order in which they were appended."""

    def __init__(self, dtype: Any, n_buckets: int, folder: Path | None = None) -> None:
        self._dtype, self._n_buckets = np.dtype(dtype), n_buckets
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
        self._waiting: list[tuple[Records, NDArray[Any]]] = []
        self._n_waiting = 0
        self._starts: list[NDArray[np.int64]] = []  # of each block, for each bucket and the end
        self._n_written = 0

    def __enter__(self) -> Partitions:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, records: Records, buckets: NDArray[Any]) -> None:
        """Add records, each with the number of its bucket."""
        self._waiting.append((records, buckets))
        self._n_waiting += len(records)
        if self._n_waiting >= BLOCK:
            self._write()

    def _write(self) -> None:
        if not self._waiting:
            return
        records, buckets = (np.concatenate(column) for column in zip(*self._waiting, strict=True))
        self._waiting, self._n_waiting = [], 0
        counts = np.bincount(buckets, minlength=self._n_buckets)
        self._starts.append(self._n_written + np.concatenate([[0], np.cumsum(counts)]))
        self._n_written += len(records)
        self._file.write(records[np.argsort(buckets, kind="stable")].tobytes())

    def __iter__(self) -> Iterator[Records]:
        self._write()
        for bucket in range(self._n_buckets):
            segments = [self._read(*starts[bucket : bucket + 2]) for starts in self._starts]
            yield np.concatenate([np.empty(0, self._dtype), *segments])

    def _read(self, start: int, end: int) -> Records:
        size = self._dtype.itemsize
        self._file.seek(int(start) * size)
        return np.frombuffer(self._file.read(int(end - start) * size), self._dtype)


class RaggedFile:
    """Arrays of one type in a temporary file, of which any can be read again."""

    def __init__(self, dtype: Any, starts: NDArray[np.int64], folder: Path | None = None) -> None:
        """`starts` (n + 1,) says where each array begins, in elements; it may be set later."""
        self._dtype, self.starts = np.dtype(dtype), starts
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> RaggedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, values: NDArray[Any]) -> None:
        """Add the next arrays, end to end."""
        self._file.write(values.astype(self._dtype).tobytes())

    def read(self, numbers: NDArray[np.integer]) -> NDArray[Any]:
        """The arrays of these numbers, end to end."""
        size, data = self._dtype.itemsize, []
        starts, ends = (self.starts[numbers + end].tolist() for end in (0, 1))
        for start, end in zip(starts, ends, strict=True):
            self._file.seek(start * size)
            data.append(self._file.read((end - start) * size))
        return np.frombuffer(b"".join(data), self._dtype)
