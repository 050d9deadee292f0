"""A folder of files with their SHA-256 in manifest.json, refused when any of them was changed.

seal(folder, {"weights.safetensors": data, "config.json": data}, kind="musicgen-head-1")
unseal(folder, ("weights.safetensors", "config.json"), kind="musicgen-head-1")
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import (
    CheckpointError,
    MissingModelError,
    MusicgenError,
    ParseError,
    printable,
)
from musicgen.system.files import read_bytes
from musicgen.system.json_content import JsonContent, parse_json
from musicgen.system.temporary import replacing_folder

MANIFEST = "manifest.json"
MAX_BYTES = 64 << 20
# Sums of thousands of products of such weights stay far inside float32; the largest of a shipped
# model is 30.
MAX_WEIGHT = 1e6
# Commands for the kinds of folders that a run may write.
COMMANDS = {
    "musicgen-checkpoint": "generate",
    "musicgen-classifier": "classify",
    "musicgen-harmonizer": "harmonize",
}
Arrays = dict[str, NDArray[np.float32]]


def with_manifest(contents: Mapping[str, bytes], kind: str) -> dict[str, bytes]:
    """The files of a sealed folder by name."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    return {**contents, MANIFEST: as_json({"format": kind, "sha256": digests})}


def seal(folder: str | Path, contents: Mapping[str, bytes], *, kind: str) -> None:
    """Write the files and their manifest, see `write_whole`."""
    write_whole(folder, with_manifest(contents, kind))


def write_whole(folder: str | Path, files: Mapping[str, bytes]) -> None:
    """Write the whole folder or nothing, in place of a sealed one.

    Raises:
        CheckpointError: something else is there, or it cannot be written.
    """
    folder = Path(folder)
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not is_empty and not (folder / MANIFEST).is_file():
        raise CheckpointError(f"{folder}: exists and is not a model; choose another place")
    try:
        with replacing_folder(folder) as written:
            for name, data in files.items():
                with (written / name).open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
    except OSError as error:
        failure = CheckpointError(f"{folder}: cannot be written ({error.strerror})")
        failure.unwritten = {f"{folder.name}/{name}": data for name, data in files.items()}
        raise failure from None


def unseal(
    folder: str | Path,
    names: Sequence[str],
    *,
    kind: str,
    older: Mapping[int, Sequence[str]] = MappingProxyType({}),
    optional: Sequence[str] = (),
    unsealed: Sequence[str] = (),
    max_bytes: Mapping[str, int] = MappingProxyType({}),
    advice: str = "get the model again",
) -> dict[str, bytes]:
    """Content of the files, after their hashes have been compared with the manifest; of the
    `optional` ones those that it lists, and `unsealed` ones, whose hashes are not compared, where
    they exist. `older` are the names up to a version of the kind, where they differ. Other files in
    the folder are ignored. `max_bytes` bounds the size of a file by its suffix (default:
    `MAX_BYTES`); `advice` ends the message about a path that is no folder.

    Raises:
        CheckpointError: a file is missing, changed or too large, or the folder is of another kind,
            or of a later version of it.
    """
    folder = Path(folder)
    where = printable(str(folder))
    if not folder.is_dir():
        kind_of_error = CheckpointError if folder.exists() else MissingModelError
        raise kind_of_error(f"{where}: is not a model folder; {advice}")
    with model_json(_read(folder / MANIFEST, max_bytes), f"{where}/{MANIFEST}") as manifest:
        kind_of_folder, digests = str(manifest["format"]), dict(manifest["sha256"])
    version = _version(kind_of_folder, kind, where)
    names = next((older[last] for last in sorted(older) if version <= last), names)
    # Neither more nor fewer: a name with a flipped bit must not pass for a file that is optional.
    if digests.keys() - set(optional) != set(names):
        raise CheckpointError(f"{where}/{MANIFEST}: lists other files; get the model again")
    files = {name: _read(folder / name, max_bytes) for name in digests}
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != digests[name]:
            raise CheckpointError(f"{where}/{name}: was changed or damaged; get the model again")
    added = [name for name in unsealed if name not in files and (folder / name).exists()]
    return files | {name: _read(folder / name, max_bytes) for name in added}


def model_json(data: bytes, where: str) -> JsonContent:
    """The content of a JSON file of a model."""
    return JsonContent(data, where, raises=CheckpointError, advice="get the model again")


def _version(kind_of_folder: str, kind: str, where: str) -> int:
    """The version of a folder: the end of its kind.

    Raises:
        CheckpointError: it is of another kind or of a later version.
    """
    name, _, newest = kind.rpartition("-")
    same, _, version = kind_of_folder.rpartition("-")
    n = int(version) if version.isdecimal() and len(version) < 10 else 0
    if same != name or n < 1:
        shown = printable(kind_of_folder[:40])
        advice = "get another folder"
        if same != name and same in COMMANDS and name in COMMANDS:
            advice = f"musicgen {COMMANDS[same]} takes it"
        raise CheckpointError(f"{where}: is of format '{shown}', not '{kind}'; {advice}")
    if n > int(newest):
        raise CheckpointError(
            f"{where}: is of format '{name}-{n}', newer than '{kind}'; update musicgen"
        )
    return n


def arrays_from(data: bytes, shapes: Mapping[str, tuple[int, ...]], where: object) -> Arrays:
    """Weights from safetensors, each checked for name, shape, type and range.

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
        # Written so that NaN fails, too.
        if not (np.abs(array).max(initial=0) <= MAX_WEIGHT):
            raise CheckpointError(
                f"{where}: tensor '{name}' holds values that are not finite or beyond "
                f"{MAX_WEIGHT:,.0f}; get the model again"
            )
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def arrays_to(arrays: Mapping[str, NDArray[np.float32]]) -> bytes:
    """Weights as safetensors."""
    import safetensors.numpy

    return safetensors.numpy.save(
        {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
    )


def as_json(data: object) -> bytes:
    """JSON for people to read; numbers must be finite."""
    return (json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _read(path: Path, max_bytes: Mapping[str, int]) -> bytes:
    if not path.exists():
        raise CheckpointError(f"{printable(str(path))}: is missing; is this a model folder?")
    try:
        return read_bytes(path, max_bytes=max_bytes.get(path.suffix, MAX_BYTES))
    except ParseError as error:
        raise CheckpointError(f"{error}; get the model again") from None


def kind_of(folder: str | Path) -> str:
    """The kind of a sealed folder without its version, such as "musicgen-checkpoint"; "" if it is
    none, or cannot be read."""
    try:
        return str(parse_json(_read(Path(folder) / MANIFEST, {}))["format"]).rpartition("-")[0]
    except (MusicgenError, ValueError, KeyError, TypeError):
        return ""
