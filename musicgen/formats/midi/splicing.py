"""Add notes to a MIDI file or replace notes in it; every other event keeps its tick.

    chunks = MidiChunks.read(data)
    line = chunks.line_of(notes)            # the track and channel of these notes
    chunks.replace(line, added=[TickedNote(1920, 240, 74)], removed=[])

Tracks are kept as bytes, and only the one that changes is written again, event by event. mido would
not do: it refuses key signatures it does not know, and drops chunks that are no tracks. The bytes
must be those of a file that `smf.parse_file` accepts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from statistics import median_low

_ONE_BYTE = (0xC, 0xD)  # channel messages of one data byte; all others have two
_END_OF_TRACK, _TIME_SIGNATURE = 0x2F, 0x58
_OFF, _META, _ON = range(3)  # the order of events that are added at one tick
_DRUMS = 9


@dataclass(frozen=True, slots=True)
class TickedNote:
    """A note in ticks, with its MIDI pitch."""

    onset: int
    duration: int
    midi: int


@dataclass(frozen=True, slots=True)
class ChannelNotes:
    """The notes of one channel in one track: (onset, duration, pitch, velocity) in ticks."""

    track: int
    channel: int
    notes: tuple[tuple[int, int, int, int], ...]

    @property
    def end(self) -> int:
        """The end of its last note, in ticks."""
        return max(onset + duration for onset, duration, _, _ in self.notes)

    @property
    def velocity(self) -> int:
        """The median velocity of its notes."""
        return median_low(velocity for _, _, _, velocity in self.notes)


@dataclass(frozen=True, slots=True)
class _Event:
    tick: int
    data: bytes  # with its status byte

    @property
    def meta(self) -> int | None:
        """Type of a meta event; None for any other event."""
        return self.data[1] if self.data[0] == 0xFF else None

    @property
    def is_note(self) -> bool:
        """Whether it starts or ends a note."""
        return 0x80 <= self.data[0] < 0xA0

    @property
    def starts_note(self) -> bool:
        """Whether it is a note-on with a velocity above 0."""
        return self.data[0] >> 4 == 0x9 and self.data[2] > 0


@dataclass(frozen=True, slots=True)
class MidiChunks:
    """A MIDI file as chunks of bytes; `tracks` are the positions of its tracks among them."""

    header: bytes
    chunks: tuple[bytes, ...]
    tracks: tuple[int, ...]
    ticks_per_quarter: int

    @staticmethod
    def read(data: bytes) -> MidiChunks:
        """Split a file of type 0 or 1 whose time is in ticks a quarter."""
        position = 8 + int.from_bytes(data[4:8])
        header = data[:position]
        chunks: list[bytes] = []
        tracks: list[int] = []
        while position + 8 <= len(data):
            end = position + 8 + int.from_bytes(data[position + 4 : position + 8])
            if data[position : position + 4] == b"MTrk":
                tracks.append(len(chunks))
            chunks.append(data[position:end])
            position = end
        return MidiChunks(header, tuple(chunks), tuple(tracks), int.from_bytes(data[12:14]))

    @property
    def data(self) -> bytes:
        """The content of the file."""
        return self.header + b"".join(self.chunks)

    def lines(self) -> Iterator[ChannelNotes]:
        """The notes of every channel of every track, without drums."""
        for track in range(len(self.tracks)):
            sounding: defaultdict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
            notes: dict[int, list[tuple[int, int, int, int]]] = {}
            for event in self._events(track):
                channel = event.data[0] & 0xF
                if not event.is_note or channel == _DRUMS:
                    continue
                pitch, velocity = (min(byte, 0x7F) for byte in event.data[1:3])  # as `smf`
                if event.starts_note:
                    sounding[channel, pitch].append((event.tick, velocity))
                elif sounding[channel, pitch]:
                    onset, velocity = sounding[channel, pitch].pop(0)
                    notes.setdefault(channel, []).append(
                        (onset, event.tick - onset, pitch, velocity)
                    )
            for channel, rows in notes.items():
                yield ChannelNotes(track, channel, tuple(sorted(rows)))

    def line_of(
        self, notes: Sequence[TickedNote], *, taken: Collection[tuple[int, int]] = ()
    ) -> ChannelNotes:
        """The line that holds most of these notes, which reading may have moved a little; never a
        line whose track and channel are `taken`."""
        pitches = Counter(note.midi for note in notes)
        onsets = {(note.onset, note.midi) for note in notes}

        def likeness(line: ChannelNotes) -> tuple[int, int]:
            exact = sum((onset, midi) in onsets for onset, _, midi, _ in line.notes)
            return exact, (Counter(midi for _, _, midi, _ in line.notes) & pitches).total()

        free = (line for line in self.lines() if (line.track, line.channel) not in taken)
        return max(free, key=likeness)

    def is_on_time(self, line: ChannelNotes, notes: Sequence[TickedNote]) -> bool:
        """Whether most of these notes, as they were read, lie where the file has them, so that a
        quarter of the tune is a quarter of the file."""
        tolerance = self.ticks_per_quarter // 8
        onsets: defaultdict[int, list[int]] = defaultdict(list)
        for onset, _, midi, _ in line.notes:
            onsets[midi].append(onset)
        n_on_time = sum(
            any(abs(onset - note.onset) <= tolerance for onset in onsets[note.midi])
            for note in notes
        )
        return 2 * n_on_time > len(notes)

    def meter_at(self, tick: int) -> tuple[int, int]:
        """The time signature in force, (beats, unit); 4/4 before the first one."""
        meters = [
            (event.tick, event.data[-4], 1 << event.data[-3])
            for track in range(len(self.tracks))
            for event in self._events(track)
            if event.meta == _TIME_SIGNATURE and event.tick <= tick and len(event.data) >= 7
        ]
        return max(meters, key=itemgetter(0), default=(0, 4, 4))[1:]

    def replace(
        self,
        line: ChannelNotes,
        *,
        added: Sequence[TickedNote],
        removed: Sequence[TickedNote] = (),
        meters: Sequence[tuple[int, int, int]] = (),
        end: int = 0,
    ) -> bytes:
        """The file with notes added to a line, at its median velocity, and others removed from it.

        `meters` are new time signatures, (tick, beats, unit), for the first track. The file lasts
        at least until tick `end`.
        """
        events = _without(list(self._events(line.track)), line, removed)
        new: list[tuple[int, int, bytes]] = []
        for note in added:
            new += [
                (note.onset, _ON, bytes((0x90 | line.channel, note.midi, line.velocity))),
                (note.onset + note.duration, _OFF, bytes((0x80 | line.channel, note.midi, 64))),
            ]
        signatures = [
            (tick, _META, bytes((0xFF, _TIME_SIGNATURE, 4, beats, unit.bit_length() - 1, 24, 8)))
            for tick, beats, unit in meters
        ]
        chunks = list(self.chunks)
        if line.track == 0:
            new += signatures
        elif signatures:
            chunks[self.tracks[0]] = _chunk(list(self._events(0)), signatures, end=0)
        chunks[self.tracks[line.track]] = _chunk(events, new, end=end)
        return self.header + b"".join(chunks)

    def _events(self, track: int) -> Iterator[_Event]:
        """The events of a track, each with its status byte; the end of the track is the last."""
        data = self.chunks[self.tracks[track]]
        position, tick, running = 8, 0, 0
        while position < len(data):
            delta, position = _number(data, position)
            tick += delta
            status = running
            if data[position] >= 0x80:
                status, position = data[position], position + 1
            if status >= 0xF0:
                size, end = _number(data, position + (status == 0xFF))
                end += size
            else:
                running, end = status, position + (1 if status >> 4 in _ONE_BYTE else 2)
            yield _Event(tick, bytes((status,)) + data[position:end])
            if status == 0xFF and data[position] == _END_OF_TRACK:
                return
            position = end


def _without(
    events: list[_Event], line: ChannelNotes, removed: Sequence[TickedNote]
) -> list[_Event]:
    """The events without those that start and end the removed notes."""
    for note in removed:
        for tick, starts in ((note.onset, True), (note.onset + note.duration, False)):
            events.remove(
                next(
                    event
                    for event in events
                    if (event.tick, event.is_note, event.starts_note) == (tick, True, starts)
                    and (event.data[0] & 0xF, event.data[1]) == (line.channel, note.midi)
                )
            )
    return events


def _chunk(events: list[_Event], added: list[tuple[int, int, bytes]], *, end: int) -> bytes:
    """A track of old and added events; at one tick the old ones come first.

    Only an added note-off precedes them, so that a note ends before the next of its pitch begins.
    """
    placed = [(e.tick, 1, 0, e.data) for e in events if e.meta != _END_OF_TRACK]
    placed += [(tick, 0 if order == _OFF else 2, order, data) for tick, order, data in added]
    placed.sort(key=itemgetter(0, 1, 2))
    last = max([end, *(tick for tick, *_ in placed), *(event.tick for event in events)])
    body, position = bytearray(), 0
    for tick, *_, data in placed:
        body += _variable(tick - position) + data
        position = tick
    body += _variable(last - position) + bytes((0xFF, _END_OF_TRACK, 0))
    return b"MTrk" + len(body).to_bytes(4) + bytes(body)


def _number(data: bytes, position: int) -> tuple[int, int]:
    """A variable-length number, and the position after it."""
    value = data[position] & 0x7F
    while data[position] >= 0x80:
        position += 1
        value = value << 7 | data[position] & 0x7F
    return value, position + 1


def _variable(value: int) -> bytes:
    """A variable-length number of seven bits a byte."""
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))
