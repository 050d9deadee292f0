"""The pools of child processes that do the work of the studio, each behind a job queue."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from musicgen.errors import MusicgenError
from musicgen.studio import requests
from musicgen.studio.edits import HEAVY
from musicgen.studio.job_queue import Closed, JobQueue
from musicgen.system.sandbox import ResourceLimits

Answer = dict[str, Any]

COMPOSING = ResourceLimits(memory_mib=3072, cpu_s=180, wall_s=300.0, answer_mib=16)
VIEWING = ResourceLimits(
    memory_mib=3072, cpu_s=45, wall_s=75.0, answer_mib=64
)  # the engraver has 60 s
EXPORTING = ResourceLimits(memory_mib=3072, cpu_s=240, wall_s=300.0, answer_mib=512)
READING = ResourceLimits(memory_mib=1024, cpu_s=30, wall_s=45.0, file_mib=16, answer_mib=64)
ANALYSING = ResourceLimits(
    memory_mib=4096, cpu_s=60, wall_s=90.0, answer_mib=16
)  # torch reserves much
_COMPOSING = f"{__package__}.composing:"
_JOBS = f"{__package__}.jobs:"
_VIEWS = f"{__package__}.model_views:"


class Pools:
    """Three job queues in front of child processes: `composing` keeps a model in each child,
    `viewing` reads, draws and exports, `analysing` needs torch. The first two have `workers`
    children."""

    def __init__(self, checkpoint: str, *, workers: int = 2) -> None:
        self.checkpoint = checkpoint
        self.ready = False  # to compose without loading anything first
        self._about = b""  # the model's card and known values, once it is loaded
        self.composing = JobQueue("the composer", at_once=workers, waiting=8, limits=COMPOSING)
        self.viewing = JobQueue("the studio", at_once=workers, waiting=64, limits=VIEWING)
        self.analysing = JobQueue("the analyst", at_once=1, waiting=8, limits=ANALYSING)
        self.queues = (self.composing, self.viewing, self.analysing)

    @property
    def load(self) -> Answer:
        """Whether everything is loaded, and the numbers of running and waiting calls."""
        return {
            "ready": self.ready,
            "running": sum(queue.running for queue in self.queues),
            "waiting": sum(queue.queued for queue in self.queues),
        }

    async def warm(self) -> None:
        """Load in every child what it needs; the one that analyses, which is rarely used, last.

        Raises:
            MusicgenError: the model cannot be used.
        """
        self._about, _ = await asyncio.gather(
            self.composing.warm(f"{_COMPOSING}about", checkpoint=self.checkpoint),
            self.viewing.warm(f"{_JOBS}warm", checkpoint=self.checkpoint),
        )
        self.ready = True
        await self.analysing.warm(f"{_VIEWS}warm", checkpoint=self.checkpoint)

    async def choices(self) -> Answer:
        """Everything that a request can ask for, with the values that the model knows."""
        if not self._about:
            self._about = await self.composing.ask(
                f"{_COMPOSING}about", b"{}", checkpoint=self.checkpoint
            )
        about = _answer(self._about)
        card = about.pop("card")
        return requests.choices(about) | {"model": {"name": self.checkpoint, "card": card}}

    async def answer(self, job: str, request: Answer) -> Answer:
        """The answer of a job of one answer: "tune", "read", "change", "surprise", "attention"."""
        analyses = job in ("surprise", "attention")
        heavy = analyses or request.get("change") in HEAVY
        options: Answer = {"limits": READING} if job == "read" else {"checkpoint": self.checkpoint}
        queue = self.analysing if heavy else self.viewing
        function = f"{_VIEWS if analyses else _JOBS}{job}"
        return _answer(await queue.ask(function, _json(request), **options))

    async def export(self, request: Answer) -> tuple[Answer, bytes]:
        """A file: its type and name, or an error; and its bytes."""
        async with self.viewing.place():
            parts = self.viewing.each(f"{_JOBS}export", _json(request), limits=EXPORTING)
            async with aclosing(parts):
                received = [part async for part in parts]
        return _answer(received[0]), received[-1]

    async def takes(self, request: Answer) -> AsyncGenerator[Answer]:
        """The events of takes as they are sampled, {"event": "start"} or an error first. After that
        it ends with {"event": "end"} in any case.

        Raises:
            Busy: too many wait already.
            Closed: the server stops.
            SandboxError: nothing could be composed.
        """
        views: dict[int, asyncio.Task[Answer]] = {}
        begun = False
        try:
            async with aclosing(self._composed(request)) as events:
                async for event in events:
                    begun = True
                    if event.get("event") != "take":
                        yield event
                        continue
                    views[event["take"]] = asyncio.create_task(self._whole(event))
                    for whole in _finished(views):
                        yield whole
            while views:
                await asyncio.wait(views.values(), return_when=asyncio.FIRST_COMPLETED)
                for whole in _finished(views):
                    yield whole
        except (MusicgenError, Closed) as error:
            if not begun:
                raise
            yield {"event": "failed", "error": {"message": str(error) or "the studio was stopped"}}
        finally:
            for view in views.values():
                view.cancel()
        yield {"event": "end"}

    async def _composed(self, request: Answer) -> AsyncGenerator[Answer]:
        async with (
            self.composing.place(),
            aclosing(
                self.composing.each(
                    f"{_COMPOSING}takes", _json(request), checkpoint=self.checkpoint
                )
            ) as lines,
        ):
            async for line in lines:
                yield _answer(line)

    async def _whole(self, take: Answer) -> Answer:
        """A take with its score and notes."""
        number = take.pop("take")
        take.pop("event")
        request: Answer = {"abc": take["abc"]} | {
            name: take.pop(name) for name in ("given_events", "before", "size") if name in take
        }
        try:
            async with asyncio.timeout(60):
                # Its novelty is known, and it has waited in a queue already.
                view = await self.viewing.ask(
                    f"{_JOBS}tune", _json(request), checkpoint="", patient=True
                )
        except (MusicgenError, TimeoutError, Closed) as error:
            message = str(error) or "it could not be drawn in time"
            return {"event": "failed", "take": number, "error": {"message": message}}
        return {"event": "take", "take": number, "tune": {**_answer(view), **take}}

    def close(self) -> None:
        """End all children."""
        for queue in self.queues:
            queue.close()


def _json(request: Answer) -> bytes:
    return json.dumps(request, ensure_ascii=False).encode()


def _answer(data: bytes) -> Answer:
    return json.loads(data)


def _finished(views: dict[int, asyncio.Task[Answer]]) -> list[Answer]:
    """The results of the tasks that are done, which are removed from `views`."""
    done = [take for take, view in views.items() if view.done()]
    return [views.pop(take).result() for take in done]
