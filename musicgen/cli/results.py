"""Results are not lost: places are checked before the work, and what fails later is kept elsewhere.

Standard output is wrapped while a command runs. Where it turns out to be closed or full, the
command goes on, and what could not be printed is kept in a temporary file.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from errno import EBADF
from functools import cache
from pathlib import Path
from typing import Any, TextIO, cast

from musicgen.cli.messages import say
from musicgen.errors import MusicgenError
from musicgen.system.files import require_writable

_TEXTS = (".abc", ".txt", ".json", ".html", ".csv", ".krn", ".musicxml")


def require_output(path: Path, *, force: bool, is_folder: bool = False) -> None:
    """See that a result can be written to a file or folder, before the work.

    Raises:
        MusicgenError: a file exists and `force` is False, or it cannot be written.
    """
    if not is_folder:
        require_free(path, force=force)
    require_writable(path, is_folder=is_folder)


def require_free(path: Path, *, force: bool) -> None:
    """See that nothing is overwritten.

    Raises:
        MusicgenError: there is something, and `force` is False.
    """
    if os.path.lexists(path) and not force:
        raise MusicgenError(f"{path}: already exists; use --force to overwrite")


def require_screen() -> None:
    """See that there is a standard output, before the work whose result goes there.

    Raises:
        MusicgenError: it is closed.
    """
    if isinstance(sys.stdout, _Screen) and sys.stdout.inner is None:
        raise MusicgenError("standard output is closed; open it, or name a file where one can be")


def kept(error: MusicgenError) -> str:
    """The message of an error, and where the files are now that could not be written."""
    return f"{error}{keep(error.unwritten)}" if error.unwritten else str(error)


def keep(files: Mapping[str, bytes]) -> str:
    """Write files to a temporary folder, or print them if they are text and no other place is left:
    the end of a message that says which."""
    try:
        for name, data in files.items():
            place = _shelter() / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
    except OSError:
        if all(name.endswith(_TEXTS) for name in files):
            with suppress(OSError):
                for data in files.values():
                    print(data.decode("utf-8", "replace"), flush=True)
                return "; it was printed instead"
        return "; nor could it be kept elsewhere"
    return f"; it is in {_shelter() / next(iter(files)).partition('/')[0]}"


@contextmanager
def all_of() -> Iterator[Callable[[Callable[[], object]], None]]:
    """A function that attempts to write one result of several: if it cannot be, the others are
    written all the same.

    Raises:
        MusicgenError: at the end, about the last one; the earlier ones were reported.
    """
    failures: list[str] = []

    def attempt(write: Callable[[], object]) -> None:
        try:
            write()
        except MusicgenError as error:
            failures.append(kept(error))

    yield attempt
    for failure in failures[:-1]:
        say(f"error: {failure}")
    if failures:
        raise MusicgenError(failures[-1])


@cache
def _shelter() -> Path:
    return Path(tempfile.mkdtemp(prefix="musicgen-"))


@contextmanager
def standard_output() -> Iterator[_Screen]:
    """Replace `sys.stdout` by one that loses nothing, until the block ends."""
    _occupy_handles()
    before = sys.stdout
    screen = _Screen(before)
    sys.stdout = cast(TextIO, screen)
    try:
        yield screen
    finally:
        sys.stdout = before


def _occupy_handles() -> None:
    """Give the numbers of closed standard streams to nothing, so that no file gets one of them and
    with it what a library prints."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for as long as the process lives


class _Screen:
    """A text stream that keeps what it could not write; other attributes are those of `inner`."""

    def __init__(self, inner: TextIO | None) -> None:
        self.inner = inner
        self._pending: list[str] = []  # not known to be written
        self._error: OSError | None = None

    def write(self, text: str) -> int:
        """Write text, or keep it.

        Raises:
            BrokenPipeError: whoever read our output has stopped.
            TypeError: it is no text.
        """
        if not isinstance(text, str):  # typer tells binary files by this
            raise TypeError("standard output takes text")
        self._pending.append(text)
        self._attempt("write", text)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered, or keep it.

        Raises:
            BrokenPipeError: whoever read our output has stopped.
        """
        self._attempt("flush")
        if self._error is None:
            self._pending.clear()

    def _attempt(self, method: str, *arguments: str) -> None:
        if self._error is not None:
            return
        try:
            if self.inner is None:
                if not arguments:
                    return
                raise OSError(EBADF, "is closed")
            getattr(self.inner, method)(*arguments)
        except BrokenPipeError as error:
            self._error = error
            raise
        except (OSError, ValueError) as error:
            self._error = error if isinstance(error, OSError) else OSError(EBADF, "is closed")

    def end(self) -> bool:
        """Write what is buffered; if anything could not be written, say where it is. Whether all
        was written."""
        with suppress(BrokenPipeError):
            self.flush()
        if self._error is None:
            return True
        if not isinstance(self._error, BrokenPipeError):
            text = "".join(self._pending)
            place = keep({"output.txt": text.encode("utf-8", "backslashreplace")}) if text else ""
            say(f"error: standard output: {(self._error.strerror or '').lower()}{place}")
        with suppress(OSError, ValueError, AttributeError):  # nothing is written at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), cast(TextIO, self.inner).fileno())
        return False

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self.inner is not None and self.inner.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)
