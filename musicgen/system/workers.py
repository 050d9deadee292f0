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
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from musicgen.errors import MusicgenError

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future
    from multiprocessing.connection import Connection

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
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Result]:
    """The results of `work` for each item, in order; at most `ahead` items a worker are queued.

    Each process sets `environment` and calls `begin` first; `work` and `begin` are functions of a
    module or `partial`s of one. With one worker everything runs in this process, and neither is
    done. Closing the iterator ends the processes at once, whatever they are doing.

    Raises:
        MusicgenError: a process died; the message ends with `advice`.
    """
    coming = iter(items)
    if workers <= 1:
        yield from map(work, coming)
        return
    from concurrent.futures.process import BrokenProcessPool

    waiting: deque[Future[Result]] = deque()

    def submit(n: int) -> None:
        for item in islice(coming, n):
            with without_interrupts():  # a process may be started here
                waiting.append(pool.submit(work, item))

    with start_pool(workers, begin=begin, environment=environment) as pool:
        try:
            submit(workers * ahead)
            while waiting:
                result = waiting.popleft().result()
                submit(1)
                yield result
            pool.shutdown()
        except BrokenProcessPool:
            raise MusicgenError(
                f"a process that was working died, perhaps for want of memory; {advice}"
            ) from None


@contextmanager
def start_pool(
    workers: int,
    *,
    begin: Callable[[], None] | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Executor]:
    """A pool of processes, which end with the block, whatever they are doing; each sets
    `environment` and calls `begin` first."""
    # Here, since the command line imports this module at every start.
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    context = get_context("spawn")
    ends_with_us, ours = context.Pipe(duplex=False)
    first = _Environment(environment), ends_with_us, begin
    start: Any = ProcessPoolExecutor  # whose types know no initializer with arguments of its own
    pool = start(workers, mp_context=context, initializer=_begin, initargs=first)
    try:
        yield pool
    finally:
        ours.close()
        pool.shutdown(cancel_futures=True)
        ends_with_us.close()


class _Environment:
    """Sets variables of a new process as soon as it is unpickled there: before the functions that
    come after it, whose libraries read them when they are imported."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = dict(variables)

    def __reduce__(self) -> tuple[Any, ...]:
        return _set_environment, (self._variables,)


def _set_environment(variables: Mapping[str, str]) -> None:
    os.environ.update(variables)


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Processes that are started here never see a Ctrl-C of the terminal, nor the SIGUSR1 by which
    a batch system warns all processes of a job: this thread blocks these signals until the block
    ends, and they inherit that."""
    if hasattr(signal, "pthread_sigmask"):
        blocked = {signal.SIGINT, signal.SIGUSR1}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    else:
        yield


def _begin(
    _environment: object, ends_with_parent: Connection, begin: Callable[[], None] | None
) -> None:
    threading.Thread(target=_end_with, args=[ends_with_parent], daemon=True).start()
    if begin is not None:
        begin()


def _end_with(pipe: Connection) -> None:
    """End this process when the other end of a pipe closes: it is to stop, or the parent died."""
    with suppress(EOFError, OSError):
        pipe.recv_bytes()
    os._exit(1)
