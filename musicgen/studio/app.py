"""The routes of the studio, and what each does with a request."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

import musicgen
from musicgen.errors import FieldError, MusicgenError, SandboxError
from musicgen.studio import requests
from musicgen.studio.access import AccessCheck, Guard, Refusal, error_body
from musicgen.studio.fields import FieldGroup
from musicgen.studio.job_queue import RETRY_S, Busy, Closed
from musicgen.studio.openapi import document
from musicgen.studio.pools import Pools
from musicgen.studio.request_bodies import linger, read_json

MAX_NAME = 80
MAX_BODY = 2**20
MAX_UPLOAD = 7 * 2**20  # 5 MiB in base64, and what is around it
JSON = "application/json"
_ASSET = re.compile(r"[a-z0-9_-]+(?:/[a-z0-9_-]+){0,2}\.(html|js|css|svg|png|ico|json)")
_ASSET_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "ico": "image/x-icon",
    "json": JSON,
}

Handler = Callable[[Request], Awaitable[Response]]


def build(rooms: Pools, door: AccessCheck, *, warm: bool = True) -> Guard:
    """The whole application."""
    studio = Studio(rooms)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(rooms.warm()) if warm else None
        yield
        if warming is not None:
            warming.cancel()
            # Stopped before all was loaded.
            with suppress(asyncio.CancelledError, MusicgenError, Closed):
                await warming
        rooms.close()

    routes = [
        Route("/", studio.page),
        Route("/static/{name:path}", studio.asset),
        Route("/api/health", studio.health),
        Route("/api/choices", _answered(studio.choices)),
        Route("/api/openapi.json", studio.openapi),
        *(
            Route(f"/api/{name}", _answered(handler), methods=["POST"])
            for name, handler in studio.changing.items()
        ),
    ]
    handlers: dict[Any, Any] = {HTTPException: _http_error, Exception: _failed}
    return Guard(Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers), door)


class Studio:
    """What the routes do. Whatever takes time is done in the rooms."""

    def __init__(self, rooms: Pools) -> None:
        self.rooms = rooms
        self.changing: dict[str, Handler] = {
            "takes": self.takes,
            "tune": self.tune,
            "export": self.export,
            "read": self.read,
            "change": self.change,
            "surprise": self.surprise,
            "attention": self.attention,
        }

    # --- what is only read ------------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        """The page."""
        return _asset(request, "index.html")

    async def asset(self, request: Request) -> Response:
        """A script, style or picture of the page."""
        return _asset(request, request.path_params["name"])

    async def health(self, _request: Request) -> Response:
        """Whether the server is well, and how busy."""
        return _json(
            {
                "status": "ok",
                "version": musicgen.__version__,
                "model": self.rooms.checkpoint,
                **self.rooms.busyness,
            }
        )

    async def choices(self, _request: Request) -> Response:
        """What can be asked for."""
        return _json(await self.rooms.choices())

    async def openapi(self, _request: Request) -> Response:
        """The description of this interface."""
        return _json(document())

    # --- what is asked for ------------------------------------------------------------------------

    async def takes(self, request: Request) -> Response:
        """New takes, line by line as they are sampled."""
        asked = await _read(request, requests.TAKES)
        coming = self.rooms.takes(asked)
        first = await _unless_gone(request, anext(coming))
        if "error" in first:
            await coming.aclose()
            return _answer(first)
        return StreamingResponse(_lines(coming), media_type="application/x-ndjson")

    async def tune(self, request: Request) -> Response:
        """A tune with its score and its notes."""
        asked = await _read(request, requests.TUNE)
        return _answer(await _unless_gone(request, self.rooms.view(asked)))

    async def read(self, request: Request) -> Response:
        """The tunes of a file."""
        asked = await _read(request, requests.READ, MAX_UPLOAD)
        return _answer(await _unless_gone(request, self.rooms.read(asked)))

    async def change(self, request: Request) -> Response:
        """A tune changed by hand."""
        asked = await _read(request, requests.CHANGE)
        return _answer(await _unless_gone(request, self.rooms.change(asked)))

    async def surprise(self, request: Request) -> Response:
        """How unexpected the model finds each note."""
        asked = await _read(request, requests.SURPRISE)
        return _answer(await _unless_gone(request, self.rooms.look("surprise", asked)))

    async def attention(self, request: Request) -> Response:
        """Which earlier notes a note attends to."""
        asked = await _read(request, requests.ATTENTION)
        return _answer(await _unless_gone(request, self.rooms.look("attention", asked)))

    async def export(self, request: Request) -> Response:
        """A file to take away."""
        asked = await _read(request, requests.EXPORT)
        head, content = await _unless_gone(request, self.rooms.export(asked))
        if "error" in head:
            return _answer(head)
        disposition = f'attachment; filename="{head["name"]}"'
        return Response(
            content, media_type=head["type"], headers={"Content-Disposition": disposition}
        )


async def _read(request: Request, group: FieldGroup, most: int = MAX_BODY) -> dict[str, Any]:
    return group.read(await read_json(request, most))


async def _unless_gone(request: Request, work: Awaitable[Any]) -> Any:
    """What the work gives, which is given up when the client leaves."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait((working, leaving))


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _lines(events: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    async with aclosing(events):  # type: ignore[type-var]
        async for event in events:
            yield json.dumps(event, ensure_ascii=False).encode() + b"\n"


def _answered(handler: Handler) -> Handler:
    """A handler whose errors are answers."""

    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except Refusal as refusal:
            return await _refused(request, refusal)
        except FieldError as error:
            return _error(400, str(error), field=error.field)
        except Busy:
            message = f"the studio is busy; come again in {RETRY_S} s"
            return _error(429, message, headers={"Retry-After": str(RETRY_S)})
        except Closed:
            return _error(503, "the studio was stopped")
        except SandboxError as error:
            return _error(422, str(error))
        except ClientDisconnect:
            return Response(status_code=499)  # which nobody reads

    return answered


async def _refused(request: Request, refusal: Refusal) -> Response:
    """The error at once; what the client still sends is thrown away for a moment."""
    body = error_body(refusal.message, field=refusal.field)

    async def content() -> AsyncIterator[bytes]:
        yield body
        await linger(request)

    return _Unheard(
        content(),
        refusal.status,
        {"Connection": "close", "Content-Length": str(len(body))},
        JSON,
    )


class _Unheard(StreamingResponse):
    """A response that is sent whether or not the request has been read."""

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        await self.stream_response(send)


def _answer(answer: dict[str, Any]) -> Response:
    """What a job gave; 400 for what it could not use."""
    if "error" in answer:
        return Response(json.dumps(answer, ensure_ascii=False), 400, media_type=JSON)
    return _json(answer)


def _json(answer: object) -> Response:
    return Response(json.dumps(answer, ensure_ascii=False), media_type=JSON)


def _error(
    status: int, message: str, *, field: str = "", headers: dict[str, str] | None = None
) -> Response:
    return Response(error_body(message, field=field), status, headers, JSON)


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail, headers=dict(error.headers or {}))


async def _failed(_request: Request, _error_: Exception) -> Response:
    return _error(500, "the studio failed; its terminal says more")


def _asset(request: Request, name: str) -> Response:
    """A file of the page by its name, which must be one that a file of ours can have."""
    match = _ASSET.fullmatch(name) if len(name) <= MAX_NAME else None
    found = files(__package__).joinpath("static", *name.split("/")) if match else None
    if match is None or found is None or not found.is_file():
        return _error(404, "there is no such file")
    content = found.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=_ASSET_TYPES[match[1]])
