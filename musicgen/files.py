"""The one door to the disk: bounded reads of regular files, atomic writes, safe names."""

from __future__ import annotations

import os
import re
import stat
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from musicgen.errors import MusicgenError, ParseError

MAX_INPUT_BYTES = 64 * 1024 * 1024


def read_bytes(path: str | Path, *, max_bytes: int = MAX_INPUT_BYTES) -> bytes:
    """Content of a regular file.

    Raises:
        ParseError: it is missing, a folder, a device or a pipe, unreadable, or too large.
    """
    try:
        # O_NONBLOCK so that a named pipe without a writer cannot make us wait.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise ParseError("no such file; check the name", path=path) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ParseError(f"cannot be opened ({reason}); check its permissions", path=path) from None
    except ValueError:
        raise ParseError("not a file name; check it", path=path) from None
    try:
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            raise ParseError("is a folder; name a file in it", path=path)
        if not stat.S_ISREG(status.st_mode):
            raise ParseError("is not a regular file; copy its content to a file", path=path)
        if status.st_size > max_bytes:
            raise ParseError(
                f"is larger than {max_bytes // 2**20} MiB; split it into smaller files", path=path
            )
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write a whole file or nothing: to a temporary file beside it, synced, then renamed.

    Raises:
        MusicgenError: the folder is missing or not writable, or the disk is full.
    """
    path = Path(path)
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:80]}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes files private
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        reason = error.strerror or str(error)
        raise MusicgenError(
            f"{path}: cannot be written ({reason}); choose another place with -o"
        ) from None


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A new, empty folder to fill, which takes the place of `folder` once all went well.

    Raises:
        OSError: as it comes; whoever writes says what the folder was to be.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temp:
        new = Path(temp) / "new"
        new.mkdir()
        yield new
        if folder.exists():
            folder.rename(Path(temp) / "old")
        new.rename(folder)


def make_folder(path: str | Path) -> None:
    """Make a folder and those above it, unless it is there.

    Raises:
        MusicgenError: it cannot be made.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise MusicgenError(f"{path}: cannot be made ({reason}); choose another folder") from None


def slug(text: str, *, fallback: str = "tune", max_length: int = 60) -> str:
    """A safe file name from any title: lower-case ASCII letters, digits and hyphens."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return (
        re.sub(r"[^a-z0-9]+", "-", ascii_text.lower()).strip("-")[:max_length].strip("-")
        or fallback
    )
