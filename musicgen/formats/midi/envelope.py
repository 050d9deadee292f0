"""MIDI bytes checked from end to end before any library sees them.

The layout is that of the Standard MIDI File specification 1.0 (MIDI Manufacturers Association,
1996): a header chunk, then track chunks of (variable-length delta time, event).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from musicgen.errors import ParseError

MAX_BYTES = 4 * 2**20  # a symphony is half a megabyte
MAX_NOTES = 200_000
MAX_QUARTERS = 100_000  # fourteen hours at 120 quarters a minute

# Data bytes after a channel status, by its high nibble.
_DATA_BYTES = {0x8: 2, 0x9: 2, 0xA: 2, 0xB: 2, 0xC: 1, 0xD: 1, 0xE: 2}
_TRACK_NAME, _END_OF_TRACK = 0x03, 0x2F


@dataclass(slots=True)
class Envelope:
    """What the walk through the bytes found out. `end` is that of the longest track, in ticks."""

    ticks_per_quarter: int
    end: int = 0
    title: str = ""
    n_notes: int = 0
    n_unended: int = 0
    warnings: list[str] = field(default_factory=list)


def check(data: bytes, path: str = "") -> Envelope:
    """Walk through every event of a file.

    Type 2 files (independent patterns) and SMPTE time (no quarters) are refused, since neither
    says how its notes make one piece of music.

    Raises:
        ParseError: this is not MIDI, or it is damaged, or it goes beyond the limits above.
    """
    place = path or None
    if len(data) > MAX_BYTES:
        raise ParseError(
            f"MIDI of more than {MAX_BYTES // 2**20} MiB; split it into smaller files", path=place
        )
    if len(data) < 14 or data[:4] != b"MThd":
        raise ParseError("not a MIDI file (no MThd at its start); export it again", path=place)
    length = int.from_bytes(data[4:8])
    kind, n_tracks, division = (int.from_bytes(data[i : i + 2]) for i in (8, 10, 12))
    if length < 6 or 8 + length > len(data):
        raise ParseError("MIDI header of a wrong length; export the file again", path=place)
    if kind == 2:
        raise ParseError("MIDI type 2 (separate patterns); export it as type 0 or 1", path=place)
    if kind > 2:
        raise ParseError(f"MIDI type {kind} does not exist; export it as type 0 or 1", path=place)
    if division & 0x8000:
        raise ParseError("MIDI in SMPTE time; export it with ticks per quarter note", path=place)
    if division == 0:
        raise ParseError("MIDI with 0 ticks per quarter note; export it again", path=place)
    envelope = Envelope(ticks_per_quarter=division)
    found = 0
    for start, stop in _tracks(data, 8 + length, place):
        _Walk(data, start, stop, envelope=envelope, place=place, is_first=found == 0).run()
        found += 1
    if found != n_tracks:
        envelope.warnings.append(f"the header says {n_tracks} tracks, there are {found}")
    if envelope.n_unended:
        envelope.warnings.append(f"notes that never end, left out: {envelope.n_unended}")
    return envelope


def _tracks(data: bytes, position: int, place: str | None) -> list[tuple[int, int]]:
    spans = []
    while position + 8 <= len(data):
        kind, length = (
            data[position : position + 4],
            int.from_bytes(data[position + 4 : position + 8]),
        )
        position += 8
        if position + length > len(data):
            raise ParseError(
                f"MIDI cut short: {position + length - len(data)} bytes are missing; "
                "copy or export it again",
                path=place,
            )
        if kind == b"MTrk":
            spans.append((position, position + length))
        position += length
    return spans


class _Walk:
    """Steps through the events of one track."""

    def __init__(
        self,
        data: bytes,
        start: int,
        stop: int,
        *,
        envelope: Envelope,
        place: str | None,
        is_first: bool,
    ) -> None:
        self.data, self.position, self.stop = data, start, stop
        self.envelope, self.place, self.is_first = envelope, place, is_first
        self.sounding: set[int] = set()

    def run(self) -> None:
        """Check every event up to the end of the track."""
        data, stop = self.data, self.stop
        max_ticks = MAX_QUARTERS * self.envelope.ticks_per_quarter
        ticks, status = 0, 0
        while self.position < stop:
            ticks += self._number()
            if ticks > max_ticks:
                raise self._error(f"is longer than {MAX_QUARTERS} quarter notes; shorten it")
            if self.position >= stop:
                raise self._error("ends in the middle of an event; export it again")
            byte = data[self.position]
            if byte == 0xFF:
                if self._meta() == _END_OF_TRACK:
                    break
                continue
            if byte in (0xF0, 0xF7):
                self.position += 1
                self._skip(self._number())
                continue
            if byte >= 0x80:
                status = byte
                self.position += 1
            size = _DATA_BYTES.get(status >> 4)
            if size is None:
                raise self._error(f"has an event {byte:#04x} that does not exist; export it again")
            self._channel_event(status, self._skip(size))
        self.envelope.end = max(self.envelope.end, ticks)
        self.envelope.n_unended += len(self.sounding)

    def _channel_event(self, status: int, data: bytes) -> None:
        if max(data) > 0x7F:
            raise self._error("has a data byte above 127; export it again")
        if status >> 4 not in (0x8, 0x9):
            return
        voice = (status & 0xF) << 7 | data[0]
        if status >> 4 == 0x9 and data[1]:
            self.envelope.n_notes += 1
            if self.envelope.n_notes > MAX_NOTES:
                raise self._error(f"has more than {MAX_NOTES} notes; split it")
            self.sounding.add(voice)
        else:
            self.sounding.discard(voice)

    def _meta(self) -> int:
        if self.position + 1 >= self.stop:
            raise self._error("ends in the middle of an event; export it again")
        kind = self.data[self.position + 1]
        self.position += 2
        text = self._skip(self._number())
        if kind == _TRACK_NAME and self.is_first and not self.envelope.title:
            self.envelope.title = _decode(text)
        return kind

    def _number(self) -> int:
        """A variable-length number of at most four bytes."""
        value = 0
        for i in range(self.position, min(self.position + 4, self.stop)):
            byte = self.data[i]
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                self.position = i + 1
                return value
        raise self._error("has a number of more than four bytes; export it again")

    def _skip(self, size: int) -> bytes:
        start = self.position
        self.position += size
        if self.position > self.stop:
            raise self._error("ends in the middle of an event; export it again")
        return self.data[start : self.position]

    def _error(self, what: str) -> ParseError:
        return ParseError(f"MIDI {what} (byte {self.position})", path=self.place)


def _decode(text: bytes) -> str:
    try:
        name = text.decode("utf-8")
    except UnicodeDecodeError:
        name = text.decode("latin-1")
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())
