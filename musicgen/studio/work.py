"""Who waits for what: a few child processes, a short queue in front of them, and ways out of it.

    desk = Desk("composer", at_once=2, waiting=16, limits=...)
    async with desk.place():                        # Busy where the queue is full
        async for answer in desk.each("module:function", data): ...

A caller that is cancelled, because its client has left, gives its call up: the child stops between
two answers, or is killed and replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from typing import Any

from musicgen.errors import MusicgenError
from musicgen.isolation import Limits, Pool, Ticket

RETRY_S = 3  # what a client is told that has to come again


class Busy(Exception):  # noqa: N818 - no mistake of anybody
    """The queue is full; the client should come again after `RETRY_S` seconds."""


class Desk:
    """`at_once` calls at a time, in children of its own; `waiting` more may wait for them."""

    def __init__(self, what: str, *, at_once: int, waiting: int, limits: Limits) -> None:
        self.what, self.at_once, self.limits = what, at_once, limits
        self.running = self.queued = 0
        self._most_waiting = waiting
        self._free = asyncio.Semaphore(at_once)
        self._pool = Pool()
        # Threads that wait for a child; one more each, for a call that is being given up.
        self._threads = ThreadPoolExecutor(2 * at_once, thread_name_prefix=what)
        self._warming: Callable[[], bytes] | None = None

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a turn.

        Raises:
            Busy: too many wait already.
        """
        if self._free.locked() and self.queued >= self._most_waiting:
            raise Busy
        self.queued += 1
        try:
            await self._free.acquire()
        finally:
            self.queued -= 1
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._free.release()

    async def ask(self, function: str, data: bytes, **options: Any) -> bytes:
        """The one answer of a function, in turn.

        Raises:
            Busy: too many wait already.
            IsolationError: it went over a limit, or failed.
        """
        async with self.place(), aclosing(self.each(function, data, **options)) as answers:
            return await anext(answers)

    async def each(
        self, function: str, data: bytes, *, limits: Limits | None = None, **options: Any
    ) -> AsyncGenerator[bytes]:
        """The answers of a function as they come; for who has a place.

        Raises:
            IsolationError: it went over a limit, or failed.
        """
        loop = asyncio.get_running_loop()
        ticket = Ticket()
        # The child is never more than a few answers ahead of a client that reads slowly.
        coming: asyncio.Queue[bytes | MusicgenError | None] = asyncio.Queue()

        def put(answer: bytes | MusicgenError | None) -> None:
            with suppress(RuntimeError):  # the loop is gone: the server has stopped
                loop.call_soon_threadsafe(coming.put_nowait, answer)

        def work() -> None:
            try:
                for answer in self._pool.each(
                    function,
                    data,
                    what=self.what,
                    limits=limits or self.limits,
                    ticket=ticket,
                    **options,
                ):
                    put(answer)
            except MusicgenError as error:
                put(error)
                self._replace()
            else:
                put(None)

        done = self._in_thread(work)
        try:
            while True:
                answer = await coming.get()
                if answer is None:
                    return
                if isinstance(answer, MusicgenError):
                    raise answer
                yield answer
        finally:
            if not done.done():
                ticket.give_up()

    async def warm(self, function: str, **options: Any) -> bytes:
        """Call a function in every child at once, so that each has loaded what it needs; those that
        take the place of a child that was killed are told to as well."""
        self._warming = partial(
            self._pool.run, function, b"{}", what=self.what, limits=self.limits, **options
        )
        calls = [self._in_thread(self._warming) for _ in range(self.at_once)]
        answers: list[bytes] = await asyncio.gather(*calls)
        return answers[0]

    def _in_thread(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _replace(self) -> None:
        """Start and warm a child for one that was killed; in a thread."""
        if self._warming is not None and self._pool.n_children < self.at_once:
            with suppress(MusicgenError):
                self._warming()

    def close(self) -> None:
        """End the children; calls under way fail."""
        self._pool.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
