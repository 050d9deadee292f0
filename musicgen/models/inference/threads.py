"""Matrix products on one thread, where several would only wait for each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


def single_threaded() -> AbstractContextManager[object]:
    """While this lasts numpy calculates with one thread, in the whole process.

    A step is too small to be shared: on two busy cores a second thread made it eight times slower.
    """
    return _controller().limit(limits=1, user_api="blas")


@contextmanager
def torch_single_threaded() -> Iterator[None]:
    """While this lasts, or around a function, torch has one thread in the whole process.

    On two busy cores a second one made a small network a hundred times slower.
    """
    import torch

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()
