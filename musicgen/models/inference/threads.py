"""Matrix products on one thread, where several would only wait for each other.

The number of threads of torch is that of each thread. The number of numpy's belongs to the whole
process: when the last of our threads that asked for one is done, it is what it was before the first
asked. (The command line and our child processes have one thread throughout, see `musicgen.cli`.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from threading import Lock
from typing import Any

import threadpoolctl
from threadpoolctl import ThreadpoolController

_lock = Lock()
_users: Counter[str] = Counter()  # how many hold each setting, and what it was before the first did
_before: dict[str, Any] = {}


@contextmanager
def single_threaded() -> Iterator[None]:
    """While this lasts numpy calculates with one thread, in the whole process.

    A step is too small to be shared: on two busy cores a second thread made it eight times slower.
    """
    with _held("blas", partial(limit_blas, 1), restore_blas):
        yield


@contextmanager
def torch_single_threaded() -> Iterator[None]:
    """While this lasts, or around a function, torch has one thread for what this thread calculates.

    On two busy cores a second one made a small network a hundred times slower.
    """
    import torch

    torch.get_num_threads()  # of this thread, which torch sets when it is first asked
    with openmp().limit(limits=1):
        yield


@contextmanager
def _held(setting: str, begin: Callable[[], Any], end: Callable[[Any], object]) -> Iterator[None]:
    """The first to hold a setting calls `begin`, the last `end` with the result of it."""
    with _lock:
        if not _users[setting]:
            _before[setting] = begin()
        _users[setting] += 1
    try:
        yield
    finally:
        with _lock:
            _users[setting] -= 1
            if not _users[setting]:
                end(_before.pop(setting))


def limit_blas(n_threads: int) -> Any:
    """Give numpy so many threads; the result is for `restore_blas`, in any thread."""
    limiter = controller().limit(limits=n_threads, user_api="blas")
    _release_control()
    return limiter


def restore_blas(limiter: Any) -> None:
    """Give numpy the threads it had before `limit_blas`."""
    limiter.restore_original_limits()
    _release_control()


def _release_control() -> None:
    """Let another thread set the number next, which threadpoolctl 3.8 refuses otherwise."""
    release = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", None)
    if release is not None:
        release()


@cache
def openmp() -> ThreadpoolController:
    """The libraries of threads that torch has loaded; their numbers are set for each thread."""
    return ThreadpoolController().select(user_api="openmp")


@cache
def controller() -> ThreadpoolController:
    """The libraries of products that are loaded."""
    return ThreadpoolController()
