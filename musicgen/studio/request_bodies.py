"""The body of a request: strict JSON, read within bounds of size and time."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from musicgen.studio.access import Refusal

BODY_S = 20.0  # from the first byte to the last
LINGER_S = 1.0  # for which the rest of a refused request is read, so that the answer arrives


async def read_json(request: Request, most: int) -> object:
    """The JSON of a body of at most `most` bytes.

    Raises:
        Refusal: too large (413; before it is read if its length is declared), too slow (408), not
            JSON (400).
        ClientDisconnect: the client has left.
    """
    data = await _read(request, most)
    try:
        return json.loads(
            data.decode(),
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique,
        )
    except RecursionError:
        raise Refusal(400, "the JSON is nested too deeply") from None
    except ValueError as error:
        raise Refusal(400, f"the body is not JSON: {error}") from None


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
    """Read and drop the rest of a refused request for a moment: if the connection were closed at
    once, it would be reset and the answer lost."""
    try:
        async with asyncio.timeout(LINGER_S):
            while (await request.receive()).get("more_body"):
                pass
    except (TimeoutError, ClientDisconnect):
        return


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number in JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique: dict[str, Any] = {}
    for name, value in pairs:
        if name in unique:
            raise ValueError(f"'{name[:40]}' appears twice")
        unique[name] = value
    return unique
