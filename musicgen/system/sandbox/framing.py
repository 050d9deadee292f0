"""Messages between a process and its child: JSON and bytes, each preceded by its length."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import IO, Any

_FRAME = struct.Struct(">II")  # lengths of the JSON and of the bytes that follow


def send(pipe: IO[bytes], head: Mapping[str, Any], data: bytes) -> None:
    """Write a message."""
    text = json.dumps(head).encode()
    pipe.write(_FRAME.pack(len(text), len(data)) + text)
    pipe.write(data)
    pipe.flush()


def receive(pipe: IO[bytes], most: int) -> tuple[dict[str, Any], bytes]:
    """Read a message of at most `most` bytes in each half.

    Raises:
        EOFError: the other side has ended.
        ValueError: it is longer, or not a message.
    """
    lengths = _FRAME.unpack(_read_exactly(pipe, _FRAME.size))
    if max(lengths) > most:
        raise ValueError("an answer larger than allowed")
    text, data = (_read_exactly(pipe, n) for n in lengths)
    return json.loads(text), data


def _read_exactly(pipe: IO[bytes], n: int) -> bytes:
    data = pipe.read(n)
    if len(data) < n:
        raise EOFError
    return data
