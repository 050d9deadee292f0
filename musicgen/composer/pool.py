"""A pool of composing processes: batches go to workers, takes come back in order.

A worker composes the same takes as this process: a take depends on its number alone. Each of our
own workers gets a copy of the engine once and calculates with one thread, since several share the
processor; one of any other executor gets it with every piece of work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from musicgen.composer.engine import Take
from musicgen.system.executors import run_in_order
from musicgen.system.workers import in_order as workers_in_order

if TYPE_CHECKING:
    from concurrent.futures import Executor

# Composes the takes of these numbers, with an engine or a composer; must be a function of a module,
# or a `partial` of one.
Job = Callable[[Any, Sequence[int]], list[Take]]

MIN_TAKES = 200  # fewer are composed before a worker has started
_WAITING_PER_WORKER = 2
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

_BATCHES_A_PIECE = 16  # for an executor, to which an engine of megabytes goes each time
_PIECES_AHEAD = 64

_engine: Any = None  # that of a worker process


def in_order(
    engine: Any,
    job: Job,
    batches: Sequence[Sequence[int]],
    *,
    workers: int = 1,
    executor: Executor | None = None,
) -> Iterator[Take]:
    """The takes of each batch in turn, with one worker in this process, or those of an executor.
    A few batches' worth is waiting at any time; whoever stops early stops the workers.

    Raises:
        MusicgenError: a worker died, or what `job` raises.
    """
    if executor is not None:
        yield from _by_executor(engine, job, batches, executor)
        return
    if workers <= 1:
        for batch in batches:
            yield from job(engine, batch)
        return
    composed: Any = workers_in_order(
        partial(_run, job),
        batches,
        workers=workers,
        advice="ask for fewer tunes",
        ahead=_WAITING_PER_WORKER,
        begin=partial(_begin, engine),
        environment=dict.fromkeys(_THREADS, "1"),
    )
    with closing(composed):  # whoever stops early stops the workers
        for takes in composed:
            yield from takes


def _begin(engine: Any) -> None:
    global _engine  # noqa: PLW0603 - how a pool hands its workers what they share
    _engine = engine


def _run(job: Job, batch: Sequence[int]) -> list[Take]:
    assert _engine is not None
    return job(_engine, batch)


def _by_executor(
    engine: Any, job: Job, batches: Sequence[Sequence[int]], executor: Executor
) -> Iterator[Take]:
    n = min(_BATCHES_A_PIECE, max(1, len(batches) // _PIECES_AHEAD))
    pieces = (batches[begin : begin + n] for begin in range(0, len(batches), n))
    work = partial(_run_pieces, engine, job)
    composed: Any = run_in_order(executor, work, pieces, ahead=_PIECES_AHEAD)
    with closing(composed):
        for takes in composed:
            yield from takes


def _run_pieces(engine: Any, job: Job, batches: Sequence[Sequence[int]]) -> list[Take]:
    """Compose where an executor runs this, with one thread."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return list(chain.from_iterable(job(engine, batch) for batch in batches))
