"""Numbers over steps as an event file, the format that TensorBoard reads.

    log = EventLog(Path("runs/first"))
    log.add(100, {"learning_rate": 0.003})        # then: tensorboard --logdir runs

An event file is a row of records, each framed by its length and two checksums (TFRecord), each an
`Event` in the wire format of protocol buffers (tensorboard/compat/proto: event.proto,
summary.proto). Four kinds of field are all that numbers need, so nothing has to be installed.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from pathlib import Path

_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5  # wire types
_SESSION_STARTS = 1  # SessionLog.START


class EventLog:
    """Appends to one file, made when the first numbers come, beside those of earlier sessions:
    what these hold from step `begins` on is then void, as a resumed run writes it again."""

    def __init__(self, folder: Path, *, begins: int = 0) -> None:
        self.folder, self.begins = folder, begins
        self._path: Path | None = None

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Append the values at a step.

        Raises:
            OSError: as it comes.
        """
        now = time.time()
        if self._path is None:
            number = len(list(self.folder.glob("events.out.tfevents.*")))
            self._path = self.folder / f"events.out.tfevents.{now:010.0f}.{number}"
            version = _event(now, 0, _field(3, _BYTES, b"brain.Event:2"))
            status = _field(1, _VARINT, _SESSION_STARTS)
            started = _event(now, self.begins, _field(7, _BYTES, status))
            self._append(_record(version) + _record(started))
        summary = b"".join(
            _field(1, _BYTES, _field(1, _BYTES, tag.encode()) + _field(2, _FLOAT, value))
            for tag, value in values.items()
        )
        self._append(_record(_event(now, step, _field(5, _BYTES, summary))))

    def _append(self, data: bytes) -> None:
        assert self._path is not None
        with self._path.open("ab") as file:
            file.write(data)


def _event(wall_time_s: float, step: int, content: bytes) -> bytes:
    at = _field(2, _VARINT, step) if step else b""  # what is 0 is left out
    return _field(1, _DOUBLE, wall_time_s) + at + content


def _field(number: int, kind: int, value: float | bytes) -> bytes:
    key = _varint(number << 3 | kind)
    if isinstance(value, bytes):
        return key + _varint(len(value)) + value
    if kind == _VARINT:
        return key + _varint(int(value))
    return key + struct.pack("<d" if kind == _DOUBLE else "<f", value)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    """CRC-32C, turned and shifted so that the checksum of a checksum is none (TFRecord)."""
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _table_entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # Castagnoli's polynomial, reversed
    return byte


_TABLE = tuple(map(_table_entry, range(256)))


def crc32c(data: bytes) -> int:
    """The checksum of RFC 3720, appendix B.4."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
