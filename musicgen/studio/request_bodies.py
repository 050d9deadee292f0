"""The body of a request: strict JSON, read within bounds of size and time."""

from __future__ import annotations

import asyncio
import math

from starlette.requests import ClientDisconnect, Request

from musicgen.studio.access import Refusal
from musicgen.system.json_content import parse_json

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
        return parse_json(data, below=math.inf)  # the fields have bounds of their own
    except ValueError as error:
        raise Refusal(400, f"the body cannot be read: {error}") from None


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
