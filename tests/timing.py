"""Bounds on processor time that a busy machine does not break."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


def slowness() -> float:
    """How much slower this machine is just now than a quiet one, at least 1."""
    began = time.process_time()
    sum(i * i for i in range(1_000_000))
    return max(1.0, (time.process_time() - began) / 0.08)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Asserts that the block takes less processor time than this, on a quiet machine."""
    began = time.process_time()
    yield
    took = time.process_time() - began
    assert took < seconds or took < 1.5 * seconds * slowness(), f"{took:.1f} s of {seconds:g}"
