"""Parse a Standard MIDI File into notes and headings, with every byte checked.

The layout is that of the Standard MIDI File specification 1.0 (MIDI Manufacturers Association,
1996): a header chunk, then track chunks of (variable-length delta time, event). mido would read
the same, but is six times slower.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import ParseError
from musicgen.formats.midi.charset import decode_texts
from musicgen.formats.midi.pairing import NoteEvent, pair

MAX_BYTES = 2 * 2**20  # a symphony is half a megabyte
MAX_NOTES = 100_000
MAX_QUARTERS = 100_000  # fourteen hours at 120 quarters a minute
MAX_TRACKS = 1024
USUAL_MSPQ = 500_000  # microseconds a quarter before the first tempo

Ints = NDArray[np.int64]

_TEXT, _TRACK_NAME, _INSTRUMENT, _LYRIC, _END = 1, 3, 4, 5, 0x2F
_TEXTS = (_TEXT, _TRACK_NAME, _INSTRUMENT, _LYRIC)
_TEMPO, _METER, _KEY = 0x51, 0x58, 0x59
_LENGTHS = {_TEMPO: 3, _METER: 4, _KEY: 2}
_CONTROL, _PROGRAM, _CHANNEL_PRESSURE = 0xB, 0xC, 0xD
_ONE_BYTE = (_PROGRAM, _CHANNEL_PRESSURE)  # data bytes; all other channel messages have two
_SUSTAIN = 64
_CUT = "ends in the middle of an event; export it again"


@dataclass(slots=True)
class Track:
    """One track. `notes` has a row for each, by onset: onset and end in ticks, pitch, velocity,
    channel (0 to 15). `programs` are the first of each channel; `lyrics` and `texts` (of any other
    kind) are (tick, text)."""

    name: str
    notes: Ints
    programs: dict[int, int]
    lyrics: list[tuple[int, str]]
    end: int
    texts: list[tuple[int, str]] = field(default_factory=list)


@dataclass(slots=True)
class MidiFile:
    """The content of a file. `kind` is its type, 0 to 2; `end` that of its longest track, in ticks.

    `tempos` are (tick, microseconds a quarter), `meters` (tick, beats, unit), `keys` (tick, sharps
    or minus flats, whether minor). `ticks_per_second` is set where time is in SMPTE frames; a
    quarter is then what the first tempo makes it.
    """

    kind: int
    ticks_per_quarter: int
    ticks_per_second: Fraction | None = None
    tracks: list[Track] = field(default_factory=list)
    tempos: list[tuple[int, int]] = field(default_factory=list)
    meters: list[tuple[int, int, int]] = field(default_factory=list)
    keys: list[tuple[int, int, bool]] = field(default_factory=list)
    end: int = 0
    n_notes: int = 0
    n_unended: int = 0
    n_sustains: int = 0
    warnings: list[str] = field(default_factory=list)

    def rescaled(self, ticks_per_quarter: int, factor: Fraction, by: int = 0) -> MidiFile:
        """The file with every tick times `factor`, rounded, and `by` later; headings from 0 on."""

        def moved(tick: int) -> int:
            return max(round(tick * factor) + by, 0)

        tracks = []
        for track in self.tracks:
            notes = track.notes.copy()
            notes[:, :2] = np.rint(notes[:, :2] * float(factor)) + by
            lyrics = [(moved(tick), text) for tick, text in track.lyrics]
            tracks.append(replace(track, notes=notes, lyrics=lyrics, end=moved(track.end)))
        return replace(
            self,
            ticks_per_quarter=ticks_per_quarter,
            tracks=tracks,
            tempos=[(moved(tick), mspq) for tick, mspq in self.tempos],
            meters=[(moved(tick), beats, unit) for tick, beats, unit in self.meters],
            keys=[(moved(tick), sharps, minor) for tick, sharps, minor in self.keys],
            end=moved(self.end),
        )


def parse_file(data: bytes) -> MidiFile:
    """Parse a file of any type and resolution.

    See `pairing` for the note that a note-off ends, `charset` for the encoding of texts. Notes that
    never end are left out and counted; a data byte above 127 counts as 127, as mido clips it.

    Raises:
        ParseError: this is not MIDI, or it is damaged, or it exceeds the limits above.
    """
    file, start, n_tracks = _header(data)
    spans = _tracks(data, start)
    readers = [
        _TrackReader(file, data, number, first, stop)
        for number, (first, stop) in enumerate(spans, 1)
        if first < stop
    ]
    for reader in readers:
        reader.read()
    texts, guessed = decode_texts(
        [content for reader in readers for _, kind, content in reader.metas if kind in _TEXTS]
    )
    remaining = iter(texts)
    for reader, track in zip(readers, file.tracks, strict=True):
        reader.read_headings(track, remaining)
    file.warnings += [guessed] if guessed else []
    if len(spans) != n_tracks:
        file.warnings.append(f"the header says {n_tracks} tracks, there are {len(spans)}")
    warn_count(file.warnings, "notes that never end, left out", file.n_unended)
    return file


def warn_count(warnings: list[str], what: str, n: int) -> None:
    """Add a warning with a count, unless that is 0."""
    if n:
        warnings.append(f"{what}: {n}")


def _header(data: bytes) -> tuple[MidiFile, int, int]:
    """The file without tracks, the position of its first chunk, the number of tracks it claims."""
    if len(data) > MAX_BYTES:
        raise ParseError(f"MIDI of more than {MAX_BYTES // 2**20} MiB; split it into smaller files")
    offset = 20 if data[:4] == b"RIFF" and data[8:12] == b"RMID" else 0  # MIDI inside RIFF
    data = data[offset:]
    if len(data) < 14 or data[:4] != b"MThd":
        raise ParseError("not a MIDI file (no MThd at its start); export it again")
    length = int.from_bytes(data[4:8])
    kind, n_tracks, division = (int.from_bytes(data[i : i + 2]) for i in (8, 10, 12))
    if length < 6 or 8 + length > len(data):
        raise ParseError("MIDI header of a wrong length; export the file again")
    if kind > 2:
        raise ParseError(f"MIDI type {kind} does not exist; export it as type 0 or 1")
    if division == 0:
        raise ParseError("MIDI with 0 ticks per quarter note; export it again")
    file = MidiFile(kind, division)
    if division & 0x8000:
        frames, ticks = 256 - (division >> 8), division & 0xFF
        if frames not in (24, 25, 29, 30) or ticks == 0:
            raise ParseError(
                f"MIDI time of {frames} frames a second and {ticks} ticks a frame does not exist; "
                "export it again"
            )
        # 29 stands for 30 frames less the two a minute that "drop frame" leaves out.
        file.ticks_per_second = (
            Fraction(30000, 1001) if frames == 29 else Fraction(frames)
        ) * ticks
    return file, offset + 8 + length, n_tracks


def _tracks(data: bytes, position: int) -> list[tuple[int, int]]:
    """Start and end of the content of each track."""
    spans = []
    while position + 8 <= len(data):
        kind, length = data[position : position + 4], int.from_bytes(data[position + 4 :][:4])
        position += 8
        if position + length > len(data):
            missing = position + length - len(data)
            raise ParseError(
                f"MIDI cut short: {missing} bytes are missing; copy or export it again"
            )
        if kind == b"MTrk":
            spans.append((position, position + length))
            if len(spans) > MAX_TRACKS:
                raise ParseError(f"MIDI of more than {MAX_TRACKS} tracks; split it")
        position += length
    return spans


class _TrackReader:
    """Reads the events of one track."""

    def __init__(self, file: MidiFile, data: bytes, number: int, start: int, stop: int) -> None:
        self.file, self.data, self.number = file, data, number
        self.start, self.stop = start, stop
        self.note_events: list[NoteEvent] = []
        self.programs: dict[int, int] = {}
        self.metas: list[tuple[int, int, bytes]] = []  # tick, type, content
        self._high: list[int] = []  # places of data bytes above 127

    def read(self) -> None:
        """Add the track to the file, without what its meta events say."""
        file, end = self.file, self._walk()
        per_quarter = file.ticks_per_quarter
        if file.ticks_per_second is not None:
            per_quarter = int(file.ticks_per_second) or 1
        if end > MAX_QUARTERS * per_quarter:
            raise self._error(f"is longer than {MAX_QUARTERS} quarter notes; shorten it")
        file.tracks.append(Track("", self._notes(), self.programs, [], end))
        file.end = max(file.end, end)
        if self._high:
            places = f"track {self.number}, from byte {self._high[0]} on"
            what = f"data bytes above 127, read as 127 ({places})"
            warn_count(file.warnings, what, len(self._high))

    def _walk(self) -> int:
        """Read every event of the track; returns the tick of the last."""
        data, stop, add_note_event = self.data, self.stop, self.note_events.append
        place, tick, status = self.start, 0, 0
        try:
            while place < stop:
                start = place
                delta = data[place]
                place += 1
                if delta >= 0x80:
                    delta, place = self._number(start, start)
                tick += delta
                first = data[place]
                if first >= 0xF0:
                    place, ended = self._special(start, place, tick)
                    if ended:
                        break
                    continue
                if first >= 0x80:
                    status = first
                    place += 1
                if 0x80 <= status < 0xA0:
                    pitch, velocity = data[place], data[place + 1]
                    place += 2
                    if (pitch | velocity) & 0x80:
                        pitch, velocity = self._clipped(place - 2, pitch, velocity)
                    add_note_event(
                        (tick, (status & 0xF) << 7 | pitch, velocity if status & 0x10 else 0)
                    )
                else:
                    place = self._other(start, status, place)
        except IndexError:
            raise self._error(_CUT, stop) from None
        if place > stop:
            raise self._error(_CUT, stop)
        return tick

    def _other(self, start: int, status: int, place: int) -> int:
        """Read a channel message that is no note; returns the position after it."""
        if not status:
            raise self._error("begins with an event without a status; export it again", start)
        kind, first = status >> 4, self.data[place]
        size = 1 if kind in _ONE_BYTE else 2
        second = self.data[place + 1] if size == 2 else 0
        if (first | second) & 0x80:
            first, second = self._clipped(place, first, second)
        if kind == _PROGRAM:
            self.programs.setdefault(status & 0xF, first)
        elif kind == _CONTROL and first == _SUSTAIN and second >= 64:
            self.file.n_sustains += 1
        return place + size

    def _clipped(self, place: int, first: int, second: int) -> tuple[int, int]:
        """The data bytes at a place, at most 127."""
        self._high += [place + i for i, byte in enumerate((first, second)) if byte > 0x7F]
        return min(first, 0x7F), min(second, 0x7F)

    def _special(self, start: int, place: int, tick: int) -> tuple[int, bool]:
        """Read a meta or system exclusive event; returns the position after it, and whether the
        track ends."""
        status, kind = self.data[place], -1
        place += 1
        if status == 0xFF:
            kind = self.data[place]
            place += 1
        elif status not in (0xF0, 0xF7):
            raise self._error(
                f"has an event {status:#04x} that does not exist; export it again", start, place
            )
        size, place = self._number(place, start)
        if place + size > self.stop:
            raise self._error(_CUT, start)
        if kind >= 0:
            self.metas.append((tick, kind, self.data[place : place + size]))
        return place + size, kind == _END

    def _number(self, place: int, start: int) -> tuple[int, int]:
        """A variable-length number of an event, and the position after it."""
        value = 0
        for position in range(place, place + 4):
            byte = self.data[position]
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value, position + 1
        raise self._error("has a number of more than four bytes; export it again", start, place + 4)

    def _notes(self) -> Ints:
        """The notes of the track: a table as in `Track`."""
        n_on = sum(velocity > 0 for _, _, velocity in self.note_events)
        self.file.n_notes += n_on
        if self.file.n_notes > MAX_NOTES:
            raise self._error(f"has more than {MAX_NOTES} notes; split it")
        notes = pair(self.note_events)
        self.file.n_unended += n_on - len(notes)
        return np.array(notes, np.int64) if notes else np.zeros((0, 5), np.int64)

    def read_headings(self, track: Track, texts: Iterator[str]) -> None:
        """Add tempos, meters and keys to the file, name and words to the track; `texts` gives the
        decoded contents of the text events."""
        instrument = ""
        for tick, kind, content in self.metas:
            text = next(texts) if kind in _TEXTS else ""
            if kind in _LENGTHS and len(content) >= _LENGTHS[kind]:
                self._heading(tick, kind, content)
            elif kind == _TRACK_NAME and not track.name:
                track.name = _clean(text)
            elif kind == _INSTRUMENT and not instrument:
                instrument = _clean(text)
            elif kind == _LYRIC:
                track.lyrics.append((tick, text))
            elif kind == _TEXT:
                track.texts.append((tick, text))
        track.name = track.name or instrument

    def _heading(self, tick: int, kind: int, content: bytes) -> None:
        file = self.file
        if kind == _TEMPO:
            file.tempos.append((tick, int.from_bytes(content[:3])))
        elif kind == _METER:
            file.meters.append((tick, content[0], 1 << min(content[1], 16)))
        else:
            sharps = content[0] - 256 if content[0] > 127 else content[0]
            file.keys.append((tick, sharps, content[1] == 1))

    def _error(self, what: str, place: int | None = None, reached: int = 0) -> ParseError:
        """`reached` is the position that was read to; beyond the track's end, the track is cut."""
        if reached > self.stop:
            what, place = _CUT, self.stop
        return ParseError(f"MIDI {what} (byte {self.stop if place is None else place})")


def _clean(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
