"""A pool of composing processes: batches go to workers, takes come back in order.

A worker composes the same takes as this process: a take depends on its number alone. Each worker
gets a copy of the engine once and calculates with one thread, since several share the processor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

from musicgen.composer.engine import Engine, Take
from musicgen.system.workers import in_order as workers_in_order

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


def _begin(engine: Engine) -> None:
    global _engine  # noqa: PLW0603 - how a pool hands its workers what they share
    _engine = engine


def _run(job: Job, batch: Sequence[int]) -> list[Take]:
    assert _engine is not None
    return job(_engine, batch)
