"""Standard MIDI File bytes to notes and headings, checked from end to end.

The layout is that of the Standard MIDI File specification 1.0 (MIDI Manufacturers Association,
1996): a header chunk, then track chunks of (variable-length delta time, event). No foreign library
sees the bytes. Where every event ends is computed for all bytes of the file at once, as if one
began at each of them; following those links from event to event is all that is left to a loop.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import ParseError
from musicgen.formats.midi.pairing import pair

MAX_BYTES = 2 * 2**20  # a symphony is half a megabyte
MAX_NOTES = 100_000
MAX_QUARTERS = 100_000  # fourteen hours at 120 quarters a minute
MAX_TRACKS = 1024
USUAL_MSPQ = 500_000  # microseconds a quarter where no tempo is given

Ints = NDArray[np.int64]

_TRACK_NAME, _INSTRUMENT, _LYRIC, _END, _TEMPO, _METER, _KEY = 3, 4, 5, 0x2F, 0x51, 0x58, 0x59
_LENGTHS = {_TEMPO: 3, _METER: 4, _KEY: 2}
_NOTE_OFF, _NOTE_ON, _CONTROL, _PROGRAM = 0x8, 0x9, 0xB, 0xC
_SUSTAIN = 64
# Bytes of a channel message, by its status byte; 0 for all that is none.
_SIZES = np.zeros(256, np.int32)
_SIZES[0x80:0xF0] = 3
_SIZES[0xC0:0xE0] = 2


@dataclass(slots=True)
class Track:
    """One track. `notes` has a row for each, by onset: onset and end in ticks, pitch, velocity,
    channel (0 to 15). `programs` are the first of each channel; `lyrics` are (tick, text)."""

    name: str
    notes: Ints
    programs: dict[int, int]
    lyrics: list[tuple[int, str]]
    end: int


@dataclass(slots=True)
class MidiFile:
    """What a file holds. `kind` is its type, 0 to 2; `end` that of its longest track, in ticks.

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

    def rescaled(self, ticks_per_quarter: int, factor: Fraction) -> MidiFile:
        """With every tick times `factor`, rounded."""

        def at(tick: int) -> int:
            return round(tick * factor)

        tracks = []
        for track in self.tracks:
            notes = track.notes.copy()
            notes[:, :2] = np.rint(notes[:, :2] * float(factor))
            lyrics = [(at(tick), text) for tick, text in track.lyrics]
            tracks.append(replace(track, notes=notes, lyrics=lyrics, end=at(track.end)))
        return replace(
            self,
            ticks_per_quarter=ticks_per_quarter,
            tracks=tracks,
            tempos=[(at(tick), mspq) for tick, mspq in self.tempos],
            meters=[(at(tick), beats, unit) for tick, beats, unit in self.meters],
            keys=[(at(tick), sharps, minor) for tick, sharps, minor in self.keys],
            end=at(self.end),
        )


def parse_file(data: bytes) -> MidiFile:
    """All of a file of any type and resolution, with running status.

    Which note a note-off ends says `pairing`. Notes that never end are left out and counted.

    Raises:
        ParseError: this is not MIDI, or it is damaged, or it goes beyond the limits above.
    """
    file, start, n_tracks = _header(data)
    spans = _tracks(data, start)
    links = _Links(data, [stop for _, stop in spans])
    for first, stop in spans:
        _TrackReader(file, links, first, stop).read()
    if len(spans) != n_tracks:
        file.warnings.append(f"the header says {n_tracks} tracks, there are {len(spans)}")
    if file.n_unended:
        file.warnings.append(f"notes that never end, left out: {file.n_unended}")
    return file


def _header(data: bytes) -> tuple[MidiFile, int, int]:
    """The empty file, where its tracks begin, and how many it says there are."""
    if len(data) > MAX_BYTES:
        raise ParseError(f"MIDI of more than {MAX_BYTES // 2**20} MiB; split it into smaller files")
    if data[:4] == b"RIFF" and data[8:12] == b"RMID":  # a MIDI file in a RIFF wrapping
        data, offset = data[20:], 20
    else:
        offset = 0
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
        second = Fraction(30000, 1001) if frames == 29 else Fraction(frames)
        file.ticks_per_second = second * ticks
    return file, offset + 8 + length, n_tracks


def _tracks(data: bytes, position: int) -> list[tuple[int, int]]:
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


class _Links:
    """Where the event that begins at each byte ends.

    Nodes 0 to n are bytes reached while a running status takes two data bytes, nodes `offset` and
    up the same bytes while it takes one. A link is -1 at meta and system exclusive events, at ends
    of tracks, and wherever no event can be.
    """

    def __init__(self, data: bytes, stops: list[int]) -> None:
        n = len(data)
        self.data = data
        self.bytes = padded = np.zeros(n + 8, np.int32)
        padded[:n] = np.frombuffer(data, np.uint8)
        more = padded >= 0x80
        size = np.ones(n + 4, np.int32)  # of the delta time
        two = more[: n + 4]
        three = two & more[1 : n + 5]
        size[two] += 1
        size[three] += 1
        four = three & more[2 : n + 6]
        size[four] += 1
        bad = four & more[3 : n + 7]
        self.delta_size = size
        places = np.arange(n + 4, dtype=np.int32)
        status_at = np.minimum(places + size, n + 7)
        status = padded[status_at]
        length = _SIZES[status]
        is_running = status < 0x80
        self.offset = offset = n + 4
        self.status_at = status_at
        one = offset * (length == 2)  # such a status makes running ones take one byte
        after = np.where(length > 0, status_at + length + one, -1)
        links = np.empty(2 * offset, np.int32)
        links[:offset] = np.where(is_running, status_at + 2, after)
        links[offset:] = np.where(is_running, status_at + 1 + offset, after)
        links[:offset][bad] = -1
        links[offset:][bad] = -1
        links[links % offset > n] = -1
        links[n : n + 4] = -1
        for stop in stops:
            links[stop] = links[offset + stop] = -1
        self.next: list[int] = links.tolist()

    def ticks(self, places: Ints) -> Ints:
        """The tick of each event, from the beginning of their track on."""
        size, data = self.delta_size[places], self.bytes
        value = (data[places] & 0x7F).astype(np.int64)
        for i in range(1, int(size.max(initial=1))):
            value = np.where(size > i, value << 7 | data[places + i] & 0x7F, value)
        return np.cumsum(value)


class _TrackReader:
    """Follows the events of one track and sorts them out."""

    def __init__(self, file: MidiFile, links: _Links, start: int, stop: int) -> None:
        self.file, self.links, self.start, self.stop = file, links, start, stop
        self.specials: list[tuple[int, int, bytes]] = []  # number of event, type, content

    def read(self) -> None:
        """Add the track and its headings to the file."""
        places, links = self._walk(), self.links
        if len(places) == 0:
            return
        ticks = links.ticks(places)
        per_quarter = self.file.ticks_per_quarter
        if self.file.ticks_per_second is not None:
            per_quarter = int(self.file.ticks_per_second) or 1
        if ticks[-1] > MAX_QUARTERS * per_quarter:
            raise self._error(f"is longer than {MAX_QUARTERS} quarter notes; shorten it")
        is_channel = np.ones(len(places), bool)
        is_channel[[number for number, _, _ in self.specials]] = False
        notes, programs = self._channel_events(places[is_channel], ticks[is_channel])
        end = int(ticks[-1])
        name, lyrics = self._headings(ticks)
        self.file.tracks.append(Track(name, notes, programs, lyrics, end))
        self.file.end = max(self.file.end, end)

    def _walk(self) -> Ints:
        """The first byte of every event; meta and system exclusive ones go to `specials`."""
        places: list[int] = []
        add, following, offset = places.append, self.links.next, self.links.offset
        node, stop = self.start, self.stop
        while True:
            while node >= 0:
                add(node)
                node = following[node]
            node = places.pop()
            side, place = divmod(node, offset)
            if place >= stop:
                break
            places.append(place)
            place, ended = self._special(place, len(places) - 1)
            if ended:
                break
            node = place + side * offset
            if place >= stop:
                break
        found = np.array(places, np.int64) % offset
        if place > stop or (len(found) and found.max() >= stop):
            raise self._error("ends in the middle of an event; export it again", stop)
        return found

    def _special(self, place: int, number: int) -> tuple[int, bool]:
        """Take a meta or system exclusive event; what follows, and whether the track ends."""
        data, status_at = self.links.data, int(self.links.status_at[place])
        if status_at >= self.stop:
            raise self._error("ends in the middle of an event; export it again", place)
        if max(data[place : place + 4]) >= 0x80 and min(data[place : place + 4]) >= 0x80:
            raise self._error("has a number of more than four bytes; export it again", place)
        status = data[status_at]
        kind, position = -1, status_at + 1
        if status == 0xFF:
            kind = data[position] if position < self.stop else 0
            position += 1
        elif status not in (0xF0, 0xF7):
            what = f"has an event {status:#04x} that does not exist; export it again"
            raise self._error(what, place)
        size = 0
        for i in range(4):
            byte = data[position] if position < self.stop else 0xFF
            size, position = size << 7 | byte & 0x7F, position + 1
            if byte < 0x80:
                break
            if i == 3 or position > self.stop:
                raise self._error("ends in the middle of an event; export it again", place)
        if position + size > self.stop:
            raise self._error("ends in the middle of an event; export it again", place)
        self.specials.append((number, kind, data[position : position + size]))
        return position + size, kind == _END

    def _channel_events(self, places: Ints, ticks: Ints) -> tuple[Ints, dict[int, int]]:
        links = self.links
        at = links.status_at[places]
        first = links.bytes[at]
        explicit = first >= 0x80
        status = np.where(explicit, first, 0)
        if len(status) and status[0] == 0:
            raise self._error("begins with an event without a status; export it again", places[0])
        status = status[np.maximum.accumulate(np.where(explicit, np.arange(len(at)), 0))]
        kind, channel = status >> 4, status & 0xF
        data_at = at + explicit
        one, two = links.bytes[data_at], links.bytes[data_at + 1]
        two = np.where((kind == 0xC) | (kind == 0xD), 0, two)
        if len(one) and max(one.max(), two.max()) > 0x7F:
            place = places[(one > 0x7F) | (two > 0x7F)][0]
            raise self._error("has a data byte above 127; export it again", place)
        programs: dict[int, int] = {}
        rare = kind > _NOTE_ON
        if rare.any():
            chosen = kind == _PROGRAM
            for number, program in zip(channel[chosen].tolist(), one[chosen].tolist(), strict=True):
                programs.setdefault(number, program)
            pressed = (kind == _CONTROL) & (one == _SUSTAIN) & (two >= 64)
            self.file.n_sustains += int(pressed.sum())
        struck = kind <= _NOTE_ON
        strength = np.where(kind == _NOTE_ON, two, 0)
        if not struck.all():
            ticks, channel, one, strength = (a[struck] for a in (ticks, channel, one, strength))
        return self._notes(ticks, channel, one, strength), programs

    def _notes(self, ticks: Ints, channel: Ints, pitch: Ints, velocity: Ints) -> Ints:
        """Note-ons with their note-offs: a table as in `Track`."""
        is_on = velocity > 0
        n_on = int(is_on.sum())
        self.file.n_notes += n_on
        if self.file.n_notes > MAX_NOTES:
            raise self._error(f"has more than {MAX_NOTES} notes; split it")
        voice = channel << 7 | pitch
        order = np.argsort(voice, kind="stable")
        grouped, sorted_on = voice[order], is_on[order]
        ons, offs = order[0::2], order[1::2]
        paired = len(order) == 2 * n_on and bool(
            sorted_on[0::2].all() and (grouped[0::2] == grouped[1::2]).all()
            and not sorted_on[1::2].any()
        )  # fmt: skip
        if not paired:
            ons, offs = pair(voice, is_on, ticks)
        self.file.n_unended += n_on - len(ons)
        by_onset = np.argsort(ons, kind="stable")
        ons, offs = ons[by_onset], offs[by_onset]
        columns = (ticks[ons], ticks[offs], pitch[ons], velocity[ons], channel[ons])
        return np.stack(columns, axis=1) if len(ons) else np.zeros((0, 5), np.int64)

    def _headings(self, ticks: Ints) -> tuple[str, list[tuple[int, str]]]:
        """Tempos, meters and keys to the file; the track's name and lyrics are returned."""
        name, instrument = "", ""
        lyrics: list[tuple[int, str]] = []
        for number, kind, content in self.specials:
            if kind in _LENGTHS and len(content) >= _LENGTHS[kind]:
                self._heading(int(ticks[number]), kind, content)
            elif kind == _TRACK_NAME and not name:
                name = _clean(_decode(content))
            elif kind == _INSTRUMENT and not instrument:
                instrument = _clean(_decode(content))
            elif kind == _LYRIC:
                lyrics.append((int(ticks[number]), _decode(content)))
        return name or instrument, lyrics

    def _heading(self, tick: int, kind: int, content: bytes) -> None:
        file = self.file
        if kind == _TEMPO:
            file.tempos.append((tick, int.from_bytes(content[:3])))
        elif kind == _METER:
            file.meters.append((tick, content[0], 1 << min(content[1], 16)))
        else:
            sharps = content[0] - 256 if content[0] > 127 else content[0]
            file.keys.append((tick, sharps, content[1] == 1))

    def _error(self, what: str, place: Any = None) -> ParseError:
        return ParseError(f"MIDI {what} (byte {self.stop if place is None else int(place)})")


def _decode(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _clean(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
