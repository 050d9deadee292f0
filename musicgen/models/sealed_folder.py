"""A folder of files with their SHA-256 in manifest.json, read back only if nothing was changed.

seal(folder, {"weights.safetensors": data, "config.json": data}, kind="musicgen-head-1")
unseal(folder, ("weights.safetensors", "config.json"), kind="musicgen-head-1")
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import CheckpointError, ParseError, printable
from musicgen.system.files import read_bytes, replacing_folder

MANIFEST = "manifest.json"
MAX_BYTES = 64 << 20
Arrays = dict[str, NDArray[np.float32]]


def seal(folder: str | Path, contents: Mapping[str, bytes], *, kind: str) -> None:
    """Write the whole folder or nothing, in place of a sealed one of the same kind.

    Raises:
        CheckpointError: something else is there, or it cannot be written.
    """
    folder = Path(folder)
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not is_empty and not (folder / MANIFEST).is_file():
        raise CheckpointError(f"{folder}: exists and is not a model; choose another place")
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    manifest = as_json({"format": kind, "sha256": digests})
    try:
        with replacing_folder(folder) as written:
            for name, data in {**contents, MANIFEST: manifest}.items():
                with (written / name).open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written ({error.strerror})") from None


def unseal(
    folder: str | Path,
    names: Sequence[str],
    *,
    kind: str,
    optional: Sequence[str] = (),
    read: Callable[[Path], bytes] | None = None,
    advice: str = "get the model again",
) -> dict[str, bytes]:
    """Content of the files, after their hashes have been compared with the manifest; of the
    `optional` ones those that it lists. `read` reads a file in another way than within
    `MAX_BYTES`; `advice` is for a path that is no folder.

    Raises:
        CheckpointError: a file is missing, changed or too large, or the folder is of another kind,
            or of a later version of it.
    """
    folder = Path(folder)
    where = printable(str(folder))
    if not folder.is_dir():
        raise CheckpointError(f"{where}: is not a model folder; {advice}")
    read = read or _read
    try:
        manifest = json.loads(read(folder / MANIFEST))
        found, wanted = str(manifest["format"]), dict(manifest["sha256"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CheckpointError(f"{where}/{MANIFEST}: cannot be read; get the model again") from None
    _require_format(found, kind, where)
    # Neither more nor fewer: a name with a flipped bit must not pass for a file that is optional.
    if wanted.keys() - set(optional) != set(names):
        raise CheckpointError(f"{where}/{MANIFEST}: lists other files; get the model again")
    files = {name: read(folder / name) for name in wanted}
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != wanted[name]:
            raise CheckpointError(f"{where}/{name}: was changed or damaged; get the model again")
    return files


def _require_format(found: str, kind: str, where: str) -> None:
    """A kind ends in its version; earlier versions are read by whoever reads the files."""
    name, _, newest = kind.rpartition("-")
    same, _, version = found.rpartition("-")
    n = int(version) if version.isdecimal() and len(version) < 10 else 0
    if same != name or n < 1:
        shown = printable(found[:40])
        raise CheckpointError(f"{where}: is of format '{shown}', not '{kind}'; get another folder")
    if n > int(newest):
        raise CheckpointError(
            f"{where}: is of format '{name}-{n}', newer than '{kind}'; update musicgen"
        )


def arrays_from(data: bytes, shapes: Mapping[str, tuple[int, ...]], where: object) -> Arrays:
    """Weights from safetensors, each checked for name, shape, type and finiteness.

    Raises:
        CheckpointError: they are not those that were expected.
    """
    import safetensors
    import safetensors.numpy

    try:
        arrays = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, OverflowError):
        raise CheckpointError(f"{where}: is not a safetensors file; get the model again") from None
    if arrays.keys() != shapes.keys():
        odd = min(arrays.keys() ^ shapes.keys())
        raise CheckpointError(f"{where}: does not fit config.json (tensor '{odd}')")
    for name, array in arrays.items():
        if array.shape != shapes[name] or array.dtype.kind != "f":
            raise CheckpointError(f"{where}: tensor '{name}' does not fit config.json")
        if not np.isfinite(array).all():
            raise CheckpointError(f"{where}: tensor '{name}' holds values that are not finite")
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def arrays_to(arrays: Mapping[str, NDArray[np.float32]]) -> bytes:
    """Weights as safetensors."""
    import safetensors.numpy

    own = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
    return safetensors.numpy.save(own)


def as_json(data: object) -> bytes:
    """JSON for people to read; numbers must be finite."""
    return (json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path, max_bytes=MAX_BYTES)
    except ParseError as error:
        raise CheckpointError(str(error)) from None
