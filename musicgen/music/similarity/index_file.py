"""The file of a novelty index, written in parts: a compressed .npz of integers, and names as JSON.

The same melodies give the same bytes, those of `numpy.savez_compressed`, in whatever parts they
come.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FORMAT = "musicgen-novelty-1"
ARRAYS = {
    "pitches": np.uint8,
    "lengths": np.uint16,
    "sizes": np.uint32,
    "leads": np.uint32,
    "beats": np.uint16,
    "bars": np.uint16,
    "n_bars": np.uint32,
}
_PIECE = 1 << 20  # bytes that are compressed at once


class IndexNames(NamedTuple):
    """What the melodies are called; each is gone through once."""

    titles: Iterable[str]
    places: Iterable[str]
    numbers: Iterable[int]


def write_index(
    file: IO[bytes],
    columns: Mapping[str, Callable[[], Iterable[NDArray[Any]]]],
    names: IndexNames,
    folder: Path | None = None,
) -> None:
    """Write an index. `columns` gives for each of `ARRAYS` its parts, and is asked three times; the
    names wait in a temporary file of `folder` (default: the system's)."""
    with tempfile.TemporaryFile(dir=folder) as text:
        for piece in _json_of(names):
            text.write(piece.encode("utf-8", "surrogateescape"))

        def stored_names() -> Iterator[NDArray[np.uint8]]:
            text.seek(0)
            while data := text.read(_PIECE):
                yield np.frombuffer(data, np.uint8)

        parts = {**columns, "names": stored_names}
        kinds = {name: np.dtype(ARRAYS.get(name, np.uint8)) for name in parts}
        lengths = {name: sum(map(len, part())) for name, part in parts.items()}
        digest = hashlib.sha256()
        for name in sorted(parts):
            digest.update(f"{name} {lengths[name]}\n".encode())
            for block in parts[name]():
                digest.update(np.ascontiguousarray(block, kinds[name]).data)
        meta = json.dumps({"format": FORMAT, "sha256": digest.hexdigest()}).encode()
        parts["meta"] = lambda: [np.frombuffer(meta, np.uint8)]
        kinds["meta"], lengths["meta"] = np.dtype(np.uint8), len(meta)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, part in parts.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    header = {"descr": kinds[name].str, "fortran_order": False}
                    np.lib.format.write_array_header_1_0(
                        member, {**header, "shape": (lengths[name],)}
                    )
                    for data in _pieces(part(), kinds[name]):
                        member.write(data)


def _json_of(names: IndexNames) -> Iterator[str]:
    """The names as `json.dumps` would write them."""
    for number, (field, values) in enumerate(names._asdict().items()):
        yield f'{", " if number else "{"}"{field}": ['
        for place, value in enumerate(values):
            yield f"{', ' if place else ''}{json.dumps(value, ensure_ascii=False)}"
        yield "]"
    yield "}"


def _pieces(blocks: Iterable[NDArray[Any]], kind: np.dtype[Any]) -> Iterator[bytes]:
    """The bytes of some arrays in pieces of one size, since what a compressor writes may depend on
    the pieces that it gets."""
    waiting = bytearray()
    for block in blocks:
        waiting += np.ascontiguousarray(block, kind).tobytes()
        whole = len(waiting) - len(waiting) % _PIECE
        for start in range(0, whole, _PIECE):
            yield bytes(waiting[start : start + _PIECE])
        del waiting[:whole]
    yield bytes(waiting)
