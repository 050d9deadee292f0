"""Where the work of the studio is done: composers, who keep a model, clerks, and an analyst."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from musicgen.errors import MusicgenError
from musicgen.music.instruments import PROGRAMS
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
    """The desks, with as many children at each as there are `workers`."""

    def __init__(self, checkpoint: str, *, workers: int = 2) -> None:
        self.checkpoint = checkpoint
        self.ready = False  # to compose without waiting
        self._about = b""  # what the model knows, once it is loaded
        self.composers = JobQueue("the composer", at_once=workers, waiting=8, limits=COMPOSING)
        self.clerks = JobQueue("the studio", at_once=workers, waiting=64, limits=VIEWING)
        self.analysts = JobQueue("the analyst", at_once=1, waiting=8, limits=ANALYSING)
        self.desks = (self.composers, self.clerks, self.analysts)

    @property
    def busyness(self) -> Answer:
        """Whether all is loaded, how many calls run and how many wait."""
        return {
            "ready": self.ready,
            "running": sum(desk.running for desk in self.desks),
            "waiting": sum(desk.queued for desk in self.desks),
        }

    async def warm(self) -> None:
        """Have every child load what it needs; the analyst, whom few ask, last.

        Raises:
            MusicgenError: the model cannot be used.
        """
        self._about, _ = await asyncio.gather(
            self.composers.warm(f"{_COMPOSING}about", checkpoint=self.checkpoint),
            self.clerks.warm(f"{_JOBS}warm", checkpoint=self.checkpoint),
        )
        self.ready = True
        await self.analysts.warm(f"{_VIEWS}warm", checkpoint=self.checkpoint)

    async def choices(self) -> Answer:
        """All that can be asked for, with what the model knows."""
        if not self._about:
            self._about = await self.composers.ask(
                f"{_COMPOSING}about", b"{}", checkpoint=self.checkpoint
            )
        about = json.loads(self._about)
        groups = {
            "controls": requests.CONTROLS,
            "sampling": requests.SAMPLING,
            "selection": requests.SELECTION,
        }
        fields = [one.listed(name) for name, group in groups.items() for one in group.fields]
        for field in fields:
            known = about.get(field["name"])
            if known is not None:
                field["choices"] = known
        return {
            "fields": fields,
            "instruments": sorted(PROGRAMS),
            "formats": list(requests.FORMATS),
            "changes": list(requests.CHANGE["change"].choices),
            "model": {"name": self.checkpoint, "card": about["card"]},
        }

    async def view(self, request: Answer) -> Answer:
        """A tune as it is shown."""
        return await self._shown("tune", request)

    async def read(self, request: Answer) -> Answer:
        """The tunes of an uploaded file."""
        return _answer(await self.clerks.ask(f"{_JOBS}read", _json(request), limits=READING))

    async def change(self, request: Answer) -> Answer:
        """A tune changed by hand."""
        desk = self.analysts if request["change"] in HEAVY else self.clerks
        return await self._shown("change", request, desk=desk)

    async def _shown(
        self, job: str, request: Answer, *, desk: JobQueue | None = None, **options: Any
    ) -> Answer:
        options = {"checkpoint": self.checkpoint, **options}
        desk = desk or self.clerks
        return _answer(await desk.ask(f"{_JOBS}{job}", _json(request), **options))

    async def look(self, how: str, request: Answer) -> Answer:
        """How the model hears a tune: "surprise" or "attention"."""
        checkpoint = self.checkpoint
        data = _json(request)
        return _answer(await self.analysts.ask(f"{_VIEWS}{how}", data, checkpoint=checkpoint))

    async def export(self, request: Answer) -> tuple[Answer, bytes]:
        """A file: its type and name, or an error; and its bytes."""
        async with self.clerks.place():
            parts = self.clerks.each(f"{_JOBS}export", _json(request), limits=EXPORTING)
            async with aclosing(parts):
                found = [part async for part in parts]
        return json.loads(found[0]), found[-1]

    async def takes(self, request: Answer) -> AsyncGenerator[Answer]:
        """The events of takes: {"event": "start"} or an error first, then as they are sampled. Once
        begun it ends with {"event": "end"} whatever happens.

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
            self.composers.place(),
            aclosing(
                self.composers.each(
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
        asked: Answer = {"abc": take["abc"]}
        asked |= {
            name: take.pop(name) for name in ("given_events", "before", "size") if name in take
        }
        try:
            async with asyncio.timeout(60):
                # Its novelty is known, and it has waited its turn already.
                view = await self._shown("tune", asked, checkpoint="", patient=True)
        except (MusicgenError, TimeoutError, Closed) as error:
            message = str(error) or "it could not be drawn in time"
            return {"event": "failed", "take": number, "error": {"message": message}}
        return {"event": "take", "take": number, "tune": {**view, **take}}

    def close(self) -> None:
        """End all children."""
        for desk in self.desks:
            desk.close()


def _json(request: Answer) -> bytes:
    return json.dumps(request, ensure_ascii=False).encode()


def _answer(data: bytes) -> Answer:
    answer: Answer = json.loads(data)
    return answer


def _finished(views: dict[int, asyncio.Task[Answer]]) -> list[Answer]:
    """The results of the tasks that are done, which are taken out."""
    done = [take for take, view in views.items() if view.done()]
    return [views.pop(take).result() for take in done]
