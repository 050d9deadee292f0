"""Ordered parallel map over processes with a bounded queue.

    for result in in_order(read, files, workers=4, advice="read with one"): ...

Processes are spawned, since a fork of a process with threads, such as torch's, may hang. Only the
parent handles signals, and no process outlives it, even if it is killed.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from musicgen.errors import MusicgenError

if TYPE_CHECKING:
    from concurrent.futures import Future

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    advice: str,
    ahead: int = 8,
    begin: Callable[[], None] | None = None,
) -> Iterator[Result]:
    """The results of `work` for each item, in order; at most `ahead` items a worker are queued.

    Each process calls `begin` first; both are functions of a module or `partial`s of one. With one
    worker everything runs in this process, and `begin` is not called. Closing the iterator stops
    the processes.

    Raises:
        MusicgenError: a process died; the message ends with `advice`.
    """
    coming = iter(items)
    if workers <= 1:
        yield from map(work, coming)
        return
    # Here, since the command line imports this module at every start.
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    pool = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=partial(_begin, begin)
    )
    waiting: deque[Future[Result]] = deque()
    try:
        waiting.extend(pool.submit(work, item) for item in islice(coming, workers * ahead))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(work, item) for item in islice(coming, 1))
            yield result
    except BrokenProcessPool:
        raise MusicgenError(
            f"a process that was working died, perhaps for want of memory; {advice}"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(begin: Callable[[], None] | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if begin is not None:
        begin()


def _end_with_parent() -> None:
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
