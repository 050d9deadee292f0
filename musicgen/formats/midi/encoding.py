"""Events to Standard MIDI File bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from musicgen.errors import InvalidTuneError

MAX_DELTA = 0x0FFFFFFF
MAX_TRACKS = 0xFFFF
# What happens at one tick, in this order: headings, ends of notes, words, notes.
HEADING, OFF, WORDS, ON = range(4)
END_OF_TRACK = b"\xff\x2f\x00"


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """A message or meta event, without its delta time, at a tick."""

    tick: int
    order: int
    data: bytes


def meta(kind: int, content: bytes) -> bytes:
    """A meta event."""
    return bytes((0xFF, kind)) + _number(len(content)) + content


def text(kind: int, words: str) -> bytes:
    """A meta event with text: 3 the name of a track, 5 a lyric."""
    return meta(kind, words.encode())


def file(tracks: Sequence[bytes], ticks_per_quarter: int) -> bytes:
    """A type 1 file of tracks as `track` makes them."""
    sizes = (6, 1, len(tracks), ticks_per_quarter)
    header = b"".join(n.to_bytes(width) for n, width in zip(sizes, (4, 2, 2, 2), strict=True))
    return b"MThd" + header + b"".join(tracks)


def track(events: Iterable[Event], end: int) -> bytes:
    """A track chunk; it ends where the tune does, silence included.

    Raises:
        InvalidTuneError: a gap too long to be written.
    """
    pieces: list[bytes] = []
    position = 0
    for event in sorted(events, key=lambda e: (e.tick, e.order)):
        pieces += (_number(event.tick - position), event.data)
        position = event.tick
    pieces += (_number(max(end - position, 0)), END_OF_TRACK)
    body = b"".join(pieces)
    return b"MTrk" + len(body).to_bytes(4) + body


def _number(value: int) -> bytes:
    """A variable-length number."""
    if value < 0x80:
        return bytes((value,))
    if value > MAX_DELTA:
        raise InvalidTuneError("a silence too long for MIDI; shorten it")
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))
