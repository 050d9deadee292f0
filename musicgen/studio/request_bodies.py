"""The body of a request: read within bounds of size and time, as JSON with nothing odd in it."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from musicgen.studio.access import Refusal

BODY_S = 20.0  # from the first byte to the last
LINGER_S = 1.0  # what comes after a refusal is thrown away for so long, so that it can be read


async def read_json(request: Request, most: int) -> object:
    """The JSON of a body of at most `most` bytes.

    Raises:
        Refusal: too large (413, before it is read where it says so), too slow (408), no JSON (400).
        ClientDisconnect: the client has left.
    """
    data = await _read(request, most)
    try:
        return json.loads(
            data.decode(),
            parse_constant=_no_number,
            object_pairs_hook=_without_doubles,
        )
    except RecursionError:
        raise Refusal(400, "the JSON is nested too deeply") from None
    except ValueError as error:
        raise Refusal(400, f"the body is no JSON: {error}") from None


async def _read(request: Request, most: int) -> bytes:
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or len(declared) > 20 or int(declared) > most:
        raise _too_large(most)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise _too_large(most)
    except TimeoutError:
        raise Refusal(408, f"the body did not come within {BODY_S:g} s") from None
    return bytes(body)


def _too_large(most: int) -> Refusal:
    size = f"{most // 2**20} MiB" if most >= 2**20 else f"{most // 2**10} KiB"
    return Refusal(413, f"the body is larger than {size}")


async def linger(request: Request) -> None:
    """Throw away what a refused client still sends, for a moment: closed at once, the connection
    would be reset, and the answer lost on the way."""
    try:
        async with asyncio.timeout(LINGER_S):
            while (await request.receive()).get("more_body"):
                pass
    except (TimeoutError, ClientDisconnect):
        return


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"'{double[:40]}' is there twice")
    return found
