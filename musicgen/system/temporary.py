"""Temporary files and folders beside results, and the locks of folders.

A temporary is locked for as long as its process lives. Whatever a killed process left behind is
removed by the next one that writes in the same place, and a folder that it had moved aside to
replace it comes back. Where the system has no such locks (Windows, some network disks), leftovers
go after a day.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from musicgen.errors import MusicgenError

SUFFIX = ".musicgen-part"
_OLD_S = 24 * 3600.0  # age of a leftover where there are no locks
_CLEARING_S = 1.0  # that it takes to delete the leftovers of another process
_MOST_FOLDERS = 1024  # that a process remembers as cleared up
_NEW, _OLD = "new", "old"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def temporary_file(folder: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file in a folder, open for writing; it is deleted when the block ends, unless it has
    been renamed by then (close it first: Windows renames no open file).

    Raises:
        OSError: it cannot be made.
    """
    _clear_once(str(folder))
    while True:
        path = _unused(folder)
        file = path.open("xb")  # with the permissions that the umask leaves
        lock = _hold(os.dup(file.fileno()))
        if _is_at(path, file.fileno()):
            break
        _release(lock)  # another process took it for a leftover before it was locked
        file.close()
    try:
        yield path, file
    finally:
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            path.unlink()
        _release(lock)


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A new, empty folder, deleted with all that is in it when the block ends.

    Raises:
        OSError: it cannot be made.
    """
    _clear_once(str(parent))
    while True:
        path = _unused(parent)
        path.mkdir()
        lock = _hold(_opened(path, os.O_RDONLY))
        if lock is None or _is_at(path, lock):
            break
        _release(lock)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        _release(lock)


@contextmanager
def needing_room(what: str, place: Path | None = None) -> Iterator[None]:
    """Explain a disk that is full while `what` is in a folder (default: the system's for temporary
    files).

    Raises:
        MusicgenError: there is no room for it.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        other = "set TMPDIR to" if place is None else "choose"
        raise MusicgenError(
            f"{place or tempfile.gettempdir()}: has no room for {what} ({error.strerror}); make "
            f"room, or {other} another folder"
        ) from (None if place is None else error)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A new, empty folder to fill, which replaces `folder` when the block ends without an error.

    Raises:
        MusicgenError: another process is replacing the same folder, or the new one cannot take its
            place; the message says where it is.
        OSError: the folder cannot be made or moved; the caller says which folder it was.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(folder.parent)
    for other in _leftovers(folder.parent):
        if (other / _NEW / folder.name).exists() and not _is_cleared(other / _NEW / folder.name):
            raise MusicgenError(busy(folder, other))
    with temporary_folder(folder.parent) as temporary:
        new = temporary / _NEW / folder.name
        new.mkdir(parents=True)
        yield new
        aside = temporary / _OLD / folder.name
        try:
            if folder.exists():
                aside.parent.mkdir()
                folder.rename(aside)
            new.rename(folder)
        except BaseException as error:
            if aside.exists() and not folder.exists():
                aside.rename(folder)
            if isinstance(error, OSError):
                raise MusicgenError(
                    f"{folder}: cannot be replaced ({error.strerror}); the new one is in "
                    f"{_kept(new)}"
                ) from None
            raise


def _is_cleared(leftover: Path) -> bool:
    """Whether a temporary folder goes away at once: another process is clearing it up."""
    end = time.monotonic() + _CLEARING_S
    while leftover.exists():
        if time.monotonic() > end:
            return False
        time.sleep(_CLEARING_S / 20)
    return True


def _kept(folder: Path) -> Path:
    """Move a folder to the system's place for temporary files."""
    return Path(shutil.move(folder, tempfile.mkdtemp(prefix="musicgen-")))


def clear_leftovers(folder: Path) -> None:
    """Delete the temporary files and folders of processes that have died, and put back folders that
    they had moved aside. What cannot be deleted stays."""
    for leftover in _leftovers(folder):
        with suppress(OSError):
            handle = _opened(leftover, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            try:
                if _is_abandoned(handle, leftover):
                    _remove(leftover)
            finally:
                _release(handle)


@lru_cache(_MOST_FOLDERS)
def _clear_once(folder: str) -> None:
    """Clear up a folder before the first file that this process writes there."""
    clear_leftovers(Path(folder))


def _leftovers(folder: Path) -> list[Path]:
    with suppress(OSError), os.scandir(folder) as entries:
        return [
            Path(entry.path)
            for entry in entries
            if entry.name.startswith(".") and entry.name.endswith(SUFFIX)
        ]
    return []


def _unused(folder: Path) -> Path:
    return folder / f".{secrets.token_hex(8)}{SUFFIX}"


def _remove(leftover: Path) -> None:
    if not leftover.is_dir():
        leftover.unlink()
        return
    for aside in _contents(leftover / _OLD):
        target = leftover.parent / aside.name
        if not target.exists():
            aside.rename(target)
    shutil.rmtree(leftover, ignore_errors=True)


def _contents(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _is_abandoned(handle: int | None, path: Path) -> bool:
    """Whether no living process holds the lock of a temporary; if so, this one does."""
    alone = None if handle is None else _try_lock(handle)
    if alone is None:
        return time.time() - path.stat().st_mtime > _OLD_S
    return alone


def _is_at(path: Path, handle: int) -> bool:
    with suppress(OSError):
        return os.path.samestat(path.stat(), os.fstat(handle))
    return False


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Whether this process holds the lock of a folder, until the block ends or the process dies.
    Always true where the system has no such locks (Windows, some network disks).
    """
    handle = _opened(folder, os.O_RDONLY)
    try:
        yield handle is None or _try_lock(handle) is not False
    finally:
        _release(handle)


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder that exists while its files are written.

    Raises:
        MusicgenError: another process does.
    """
    with locked(folder) as alone:
        if not alone:
            raise MusicgenError(busy(folder))
        yield


def busy(folder: Path, held: Path | None = None, *, doing: str = "writing") -> str:
    """The message about a folder that another process works in; `held` is what it has locked."""
    number = _holder(folder if held is None else held)
    other = f"process {number}" if number else "another process"
    return f"{folder}: {other} is {doing} here; wait for it, or choose another folder"


def _holder(path: Path) -> int:
    """The number of the process that has locked a file or folder; 0 where the system does not tell
    (it is no Linux, or the process runs elsewhere)."""
    with suppress(OSError, ValueError, IndexError):
        status = path.stat()
        place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5] == place:
                return int(fields[4])
    return 0


def _opened(path: Path, flags: int) -> int | None:
    """A handle to lock; None where the system gives none."""
    with suppress(OSError):
        return os.open(path, flags)
    return None


def _try_lock(handle: int) -> bool | None:
    """Lock for as long as the handle is open: whether that was possible; None without locks."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EAGAIN, errno.EACCES) else None
    return True


def _hold(handle: int | None) -> int | None:
    """The handle, locked after whoever is looking whether it is a leftover; without locks None, and
    it is closed."""
    if handle is None:
        return None
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)
    except (ImportError, OSError):
        os.close(handle)
        return None
    return handle


def _release(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)
