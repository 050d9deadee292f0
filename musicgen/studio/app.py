"""The routes of the studio and their handlers."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
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


def build(pools: Pools, access: AccessCheck, *, warm: bool = True) -> Guard:
    """The whole application; with `warm` the pools load everything when it starts."""
    studio = Studio(pools)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(pools.warm()) if warm else None
        yield
        if warming is not None:
            warming.cancel()
            # The server stops before everything is loaded.
            with suppress(asyncio.CancelledError, MusicgenError, Closed):
                await warming
        pools.close()

    routes = [
        Route("/", studio.asset),
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
    return Guard(Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers), access)


class Studio:
    """The handlers of the routes; everything that takes time is done in the pools."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools
        self.changing: dict[str, Handler] = {
            name: partial(self.answer, name) for name in requests.GROUPS
        } | {"takes": self.takes, "export": self.export}

    # --- pages and facts --------------------------------------------------------------------------

    async def asset(self, request: Request) -> Response:
        """The page, or a script, style or picture of it."""
        return _asset(request, request.path_params.get("name", "index.html"))

    async def health(self, _request: Request) -> Response:
        """Whether the server answers, and how busy it is."""
        return _json(
            {
                "status": "ok",
                "version": musicgen.__version__,
                "model": self.pools.checkpoint,
                **self.pools.load,
            }
        )

    async def choices(self, _request: Request) -> Response:
        """Everything that a request can ask for."""
        return _json(await self.pools.choices())

    async def openapi(self, _request: Request) -> Response:
        """The description of this interface."""
        return _json(document())

    # --- jobs -------------------------------------------------------------------------------------

    async def takes(self, request: Request) -> Response:
        """New takes, line by line as they are sampled."""
        events = self.pools.takes(await _read(request, "takes"))
        first = await _unless_gone(request, anext(events))
        if "error" in first:
            await events.aclose()
            return _answer(first)
        return StreamingResponse(_lines(events), media_type="application/x-ndjson")

    async def answer(self, job: str, request: Request) -> Response:
        """The one answer of a job."""
        body = await _read(request, job)
        return _answer(await _unless_gone(request, self.pools.answer(job, body)))

    async def export(self, request: Request) -> Response:
        """A file to take away."""
        body = await _read(request, "export")
        head, content = await _unless_gone(request, self.pools.export(body))
        if "error" in head:
            return _answer(head)
        headers = {"Content-Disposition": f'attachment; filename="{head["name"]}"'}
        return Response(content, media_type=head["type"], headers=headers)


async def _read(request: Request, job: str) -> dict[str, Any]:
    most = MAX_UPLOAD if job == "read" else MAX_BODY
    return requests.GROUPS[job].read(await read_json(request, most))


async def _unless_gone(request: Request, work: Awaitable[Any]) -> Any:
    """The result of the work, which is cancelled when the client leaves."""
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
    """The handler with its errors as answers."""

    async def answered(request: Request) -> Response:
        try:
            return await handler(request)
        except Refusal as refusal:
            return await _refused(request, refusal)
        except FieldError as error:
            return _error(400, str(error), field=error.field)
        except Busy:
            message = f"the studio is busy; try again in {RETRY_S} s"
            return _error(429, message, headers={"Retry-After": str(RETRY_S)})
        except Closed:
            return _error(503, "the studio was stopped")
        except SandboxError as error:
            return _error(422, str(error))
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it

    return answered


async def _refused(request: Request, refusal: Refusal) -> Response:
    """The error at once; for a moment, the rest of the request is read and dropped."""
    body = error_body(refusal.message, field=refusal.field)

    async def content() -> AsyncIterator[bytes]:
        yield body
        await linger(request)

    return _EarlyResponse(
        content(),
        refusal.status,
        {"Connection": "close", "Content-Length": str(len(body))},
        JSON,
    )


class _EarlyResponse(StreamingResponse):
    """A response that is sent whether or not the request has been read."""

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        await self.stream_response(send)


def _answer(answer: dict[str, Any]) -> Response:
    """The answer of a job, with status 400 for an error."""
    return _json(answer, 400 if "error" in answer else 200)


def _json(answer: object, status: int = 200) -> Response:
    return Response(json.dumps(answer, ensure_ascii=False), status, media_type=JSON)


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
    """A file of the page by its name, which must have the form of our file names."""
    match = _ASSET.fullmatch(name) if len(name) <= MAX_NAME else None
    file = files(__package__).joinpath("static", *name.split("/"))
    if match is None or not file.is_file():
        return _error(404, "there is no such file")
    content = file.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=_ASSET_TYPES[match[1]])
