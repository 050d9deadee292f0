"""A bounded job queue in front of a pool of child processes, with cancellation.

    queue = JobQueue("composer", at_once=2, waiting=16, limits=...)
    async with queue.place():                       # Busy if the queue is full
        async for answer in queue.each("module:function", data): ...

If the caller is cancelled, because its client has left, the call is cancelled: the child stops
between two answers, or is killed and replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from typing import Any

from musicgen.errors import MusicgenError
from musicgen.system.sandbox import Cancellation, Pool, ResourceLimits

RETRY_S = 3  # after which a client should try again


class Busy(Exception):  # noqa: N818 - not an error
    """The queue is full; the client should try again after `RETRY_S` seconds."""


class Closed(Exception):  # noqa: N818 - not an error
    """The server stops and accepts no more calls."""


class JobQueue:
    """`at_once` calls at a time, in its own children; `waiting` more may wait."""

    def __init__(self, what: str, *, at_once: int, waiting: int, limits: ResourceLimits) -> None:
        self.what, self.at_once, self.limits = what, at_once, limits
        self.running = self.queued = 0
        self._most_waiting = waiting
        self._free = asyncio.Semaphore(at_once)
        self._pool = Pool()
        # Threads that wait for a child, and as many for calls that are being cancelled.
        self._threads = ThreadPoolExecutor(2 * at_once, thread_name_prefix=what)
        self._warming: Callable[[], bytes] | None = None
        self._closed = False

    @asynccontextmanager
    async def place(self, *, patient: bool = False) -> AsyncIterator[None]:
        """A place among the running calls; if `patient`, the queue in front of it may be full.

        Raises:
            Busy: too many wait already.
            Closed: the server stops.
        """
        if self._free.locked() and self.queued >= self._most_waiting and not patient:
            raise Busy
        self.queued += 1
        try:
            await self._free.acquire()
        finally:
            self.queued -= 1
        self.running += 1
        try:
            if self._closed:
                raise Closed
            yield
        finally:
            self.running -= 1
            self._free.release()

    async def ask(
        self, function: str, data: bytes, *, patient: bool = False, **options: Any
    ) -> bytes:
        """The one answer of a function, from a place in the queue; see `place`.

        Raises:
            Busy: too many wait already.
            SandboxError: it went over a limit, or failed.
            Closed: the server stops.
        """
        async with (
            self.place(patient=patient),
            aclosing(self.each(function, data, **options)) as answers,
        ):
            received = [answer async for answer in answers]
        return received[0]

    async def each(
        self, function: str, data: bytes, *, limits: ResourceLimits | None = None, **options: Any
    ) -> AsyncGenerator[bytes]:
        """The answers of a function as they come; the caller must have a place.

        Raises:
            SandboxError: it went over a limit, or failed.
            Closed: the server stops.
        """
        loop = asyncio.get_running_loop()
        cancellation = Cancellation()
        # Answers wait here for a slow client, so that the child does not have to.
        answers: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()

        def put(answer: bytes | Exception | None) -> None:
            with suppress(RuntimeError):  # the loop is gone: the server has stopped
                loop.call_soon_threadsafe(answers.put_nowait, answer)

        def work() -> None:
            try:
                for answer in self._pool.each(
                    function,
                    data,
                    what=self.what,
                    limits=limits or self.limits,
                    cancellation=cancellation,
                    **options,
                ):
                    put(answer)
            except MusicgenError as error:
                put(error)
            else:
                put(None)
            self._replace()

        def when_ended(work: asyncio.Future[None]) -> None:
            """End the answers of work that never began or failed, so that nobody waits for them."""
            failed = Closed() if work.cancelled() else work.exception()
            if isinstance(failed, Exception):
                answers.put_nowait(failed)

        self._in_thread(work).add_done_callback(when_ended)
        ended = False
        try:
            while not ended:
                answer = await answers.get()
                ended = not isinstance(answer, bytes)
                if isinstance(answer, Exception):
                    raise answer
                if answer is not None:
                    yield answer
        finally:
            if not ended:
                cancellation.cancel()

    async def warm(self, function: str, **options: Any) -> bytes:
        """Call a function in every child at once, so that each has loaded what it needs; so does
        every child that replaces another one later.

        Raises:
            SandboxError: it went over a limit, or failed.
            Closed: the server stops.
        """
        self._warming = partial(
            self._pool.run, function, b"{}", what=self.what, limits=self.limits, **options
        )
        calls = [self._in_thread(self._warming) for _ in range(self.at_once)]
        return (await asyncio.gather(*calls))[0]

    def _in_thread(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        if self._closed:
            raise Closed
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _replace(self) -> None:
        """Start and warm a child in place of one that has ended; called in a thread."""
        if self._warming is not None and self._pool.n_children < self.at_once:
            with suppress(MusicgenError):
                self._warming()

    def close(self) -> None:
        """End the children; running and waiting calls fail."""
        self._closed = True
        self._pool.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
