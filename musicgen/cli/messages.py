"""Messages for the person at the terminal, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from musicgen.errors import locate, printable

if TYPE_CHECKING:
    from musicgen.composer import Take
    from musicgen.music.tune import Tune


_MUTED = ContextVar("muted", default=False)


@contextmanager
def muted(silent: bool) -> Iterator[None]:
    """Print no messages in the block if `silent`: another process prints the same."""
    before = _MUTED.set(silent)
    try:
        yield
    finally:
        _MUTED.reset(before)


def is_heard() -> bool:
    """Whether messages are printed."""
    return not _MUTED.get()


def say(text: str) -> None:
    """One line for the person at the terminal, who may have closed it."""
    if _MUTED.get():
        return
    with suppress(OSError, ValueError):
        print(printable(text), file=sys.stderr, flush=True)


def counted(n: int, noun: str) -> str:
    """ "1 tune", "3 tunes"."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def warn_of(tune: Tune, path: Path) -> None:
    """The reader's warnings of a tune, a line each."""
    for warning in tune.warnings:
        what = f"warning: {warning.what}"
        say(locate(what, path=path, line=warning.line, column=warning.column))


def reported(takes: Iterable[Take], *, novelty: bool) -> Iterator[Take]:
    """The takes; the warning of each and, with `novelty`, a line on how new it is are printed."""
    for take in takes:
        if take.warning:
            say(f"warning: {take.warning}")
        if novelty and take.novelty is not None:
            say(f"{take.tune.title}: {take.novelty.line()}")
        yield take
