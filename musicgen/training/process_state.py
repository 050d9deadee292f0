"""Settings of the caller's process and thread that a run changes, and gives back."""

from __future__ import annotations

import logging
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_LIGHTNING = ("pytorch_lightning", "lightning")  # names of loggers begin so


@contextmanager
def own_random_numbers() -> Iterator[None]:
    """Leave the generators of the process as they were, whatever is drawn until the block ends:
    torch's, and Python's, by which Lightning chooses its advice."""
    state = random.getstate()
    try:
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(state)


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Let this thread count denormal numbers as 0 until the block ends."""
    tiny = sys.float_info.min / 2
    flushed = tiny * 1.0 == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence what Lightning logs in this thread but for errors; those of runs in other threads are
    none of our business. Its warnings are the caller's to filter."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith(_LIGHTNING)]
    loggers = [logging.getLogger(name) for name in names]
    silence = _OfThread()
    for logger in loggers:
        logger.addFilter(silence)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(silence)


class _OfThread(logging.Filter):
    """Lets pass errors, and what other threads log."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR or threading.get_ident() != self._thread
