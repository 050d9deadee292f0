"""All access to the disk: bounded reads of regular files, atomic writes, safe names."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Mapping
from errno import EINVAL, EISDIR
from io import BufferedReader
from pathlib import Path
from typing import IO

from musicgen.errors import MissingFileError, MusicgenError, ParseError
from musicgen.system.temporary import temporary_file

MAX_INPUT_BYTES = 64 * 1024 * 1024
_PROBE_BYTES = 4096  # a full disk may have room for an empty file
_LIMIT_VARIABLE = "MUSICGEN_MAX_BYTES"  # inherited by processes that read files for us


def read_bytes(path: str | Path, *, max_bytes: int | None = None) -> bytes:
    """Content of a regular file of at most `max_bytes` (default: `limit_inputs`).

    Raises:
        ParseError: it is missing, a folder, a device or a pipe, unreadable, or too large.
    """
    most = input_limit() if max_bytes is None else max_bytes
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(size + 1) if size <= most else b""  # it may grow while it is read
    require_size(max(size, len(data)), max_bytes=max_bytes, path=path)
    return data


def require_size(size: int, *, max_bytes: int | None = None, path: str | Path = "") -> None:
    """Check the size of an input against `max_bytes` (default: `limit_inputs`).

    Raises:
        ParseError: it is larger.
    """
    most = input_limit() if max_bytes is None else max_bytes
    if size > most:
        hint = ", or allow more with --max-size" if max_bytes is None else ""
        raise ParseError(
            f"is larger than {_mebibytes(most)}; split it into smaller files{hint}", path=path
        )


def limit_inputs(max_bytes: int) -> None:
    """Allow files of this size to be read, here and in processes that are started from here."""
    os.environ[_LIMIT_VARIABLE] = str(max_bytes)


def input_limit() -> int:
    """How many bytes an input may have; see `limit_inputs`."""
    text = os.environ.get(_LIMIT_VARIABLE, "")
    return int(text) if text.isdecimal() else MAX_INPUT_BYTES


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.3g} MiB" if size < 2**30 else f"{size / 2**30:.3g} GiB"


def decode(data: bytes, encoding: str, *others: str) -> str:
    """The text in the first of some encodings in which the bytes are valid; the last fits all."""
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return decode(data, *others)


def open_regular(path: str | Path) -> BufferedReader:
    """A regular file open for reading.

    Raises:
        ParseError: it is missing (`MissingFileError`), a folder, a device or a pipe, or unreadable.
    """
    try:
        # O_NONBLOCK so that a named pipe without a writer cannot make us wait.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise MissingFileError("no such file; check the name", path=path) from None
    except OSError as error:
        if os.path.isdir(path):  # never fails; Windows opens no folder
            raise _is_a_folder(path) from None
        raise ParseError(
            f"cannot be opened ({error.strerror or error}); check its permissions", path=path
        ) from None
    except ValueError:
        raise ParseError("not a file name; check it", path=path) from None
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise _is_a_folder(path)
    raise ParseError("is not a regular file; copy its content to a file", path=path)


def _is_a_folder(path: str | Path) -> ParseError:
    return ParseError("is a folder; name a file in it", path=path)


_ARRAY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<|][a-z]\d)', 'fortran_order': False, "
    rb"'shape': \((\d{1,15}),(?: (\d{1,9}))?\), \} *\n",
    re.DOTALL,
)


def read_array_header(file: IO[bytes]) -> tuple[str, tuple[int, ...]]:
    """Element type and shape of a .npy file that numpy wrote for an array of one or two
    dimensions; leaves the file at its first element. Nothing in it is evaluated.

    Raises:
        ValueError: the file has no such header.
    """
    start = file.read(10)
    match = _ARRAY_HEADER.fullmatch(start + file.read(int.from_bytes(start[8:10], "little")))
    if match is None:
        raise ValueError("not an array")
    return match[1].decode(), tuple(int(n) for n in match.groups()[1:] if n)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a whole file or nothing: to a temporary file beside it, synced, then renamed.

    Raises:
        MusicgenError: the folder is missing or not writable, or the disk is full; `unwritten` of it
            has the data.
    """
    path = Path(path)
    try:
        with temporary_file(path.parent) as (temporary, file):
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            file.close()
            _require_regular(path)
            os.replace(temporary, path)
    except OSError as error:
        raise _cannot_be_written(path, error, {path.name: data}) from None


def require_writable(path: str | Path, *, is_folder: bool = False) -> None:
    """See that a file, or with `is_folder` files of a folder, can be written here, before the work
    that makes them. Nothing is changed; a folder may be missing, the folder of a file may not.

    Raises:
        MusicgenError: they cannot.
    """
    path = Path(path)
    missing = [p for p in (path, *path.parents) if is_folder and not os.path.exists(p)]
    made: list[Path] = []
    try:
        try:
            for folder in reversed(missing):
                folder.mkdir()
                made.append(folder)
            if not is_folder:
                _require_regular(path)
            with temporary_file(path if is_folder else path.parent) as (_, file):
                file.write(bytes(_PROBE_BYTES))
                file.flush()
        finally:
            for folder in reversed(made):
                folder.rmdir()
    except (OSError, ValueError) as error:  # the latter: a name with a null
        raise _cannot_be_written(path, error) from None


def _require_regular(path: Path) -> None:
    """Raise OSError for what a file cannot replace: a folder, a device, a name that is too long."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(EINVAL, "Not a regular file")


def _cannot_be_written(
    path: Path, error: OSError | ValueError, unwritten: Mapping[str, bytes] | None = None
) -> MusicgenError:
    reason = getattr(error, "strerror", None) or error
    failure = MusicgenError(f"{path}: cannot be written ({reason}); choose another place")
    if unwritten:
        failure.unwritten = unwritten
    return failure


def make_folder(path: str | Path) -> None:
    """Make a folder and its parents, unless it exists.

    Raises:
        MusicgenError: it cannot be made.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MusicgenError(
            f"{path}: cannot be made ({error.strerror or error}); choose another folder"
        ) from None


_RESERVED = re.compile("con|prn|aux|nul|com[0-9]|lpt[0-9]")  # devices of Windows


def slug(text: str, *, fallback: str = "tune", max_length: int = 60) -> str:
    """A safe file name, on any system, from any title: lower-case ASCII letters, digits and
    hyphens."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "-", ascii_text.lower()).strip("-")[:max_length].strip("-")
    return f"{name}-{fallback}" if _RESERVED.fullmatch(name) else name or fallback
