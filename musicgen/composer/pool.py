"""Takes on all cores: batches go to worker processes, takes come back in order.

What a worker composes is what this process would: a take depends on its number alone. Each worker
gets a copy of the engine once and calculates with one thread, since several share the processor.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context

from musicgen.composer.engine import Engine, Take
from musicgen.errors import MusicgenError

# Composes the takes of these numbers; must be a function of a module, or a `partial` of one.
Job = Callable[[Engine, Sequence[int]], list[Take]]

MIN_TAKES = 200  # fewer are composed before a worker has started
_WAITING_PER_WORKER = 2
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

_engine: Engine | None = None  # that of a worker process


def in_order(
    engine: Engine, job: Job, batches: Iterable[Sequence[int]], *, workers: int = 1
) -> Iterator[Take]:
    """The takes of each batch in turn, with one worker in this process. A few batches' worth is
    waiting at any time; whoever stops early stops the workers.

    Raises:
        MusicgenError: a worker died, or what `job` raises.
    """
    if workers <= 1:
        for batch in batches:
            yield from job(engine, batch)
        return
    # Not forked: a fork of a process with threads may hang.
    pool = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(engine,)
    )
    waiting: deque[Future[list[Take]]] = deque()
    ahead = iter(batches)
    try:
        with _single_threaded_children():
            for batch in islice(ahead, workers * _WAITING_PER_WORKER):
                waiting.append(pool.submit(_run, job, batch))
        while waiting:
            composed = waiting.popleft().result()
            waiting.extend(pool.submit(_run, job, batch) for batch in islice(ahead, 1))
            yield from composed
    except BrokenProcessPool:
        raise MusicgenError(
            "a process that was composing died, perhaps for want of memory; ask for fewer tunes"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(engine: Engine) -> None:
    global _engine  # noqa: PLW0603 - how a pool hands its workers what they share
    _engine = engine


def _run(job: Job, batch: Sequence[int]) -> list[Take]:
    assert _engine is not None
    return job(_engine, batch)


@contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Processes that are started here calculate with one thread each."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
