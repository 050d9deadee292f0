"""MIDI files that go on, or get other notes in between, with every other event on its tick.

    score = Score.read(data)
    line = score.line_of(notes)             # the track and channel that these notes are on
    score.replace(line, added=[TickedNote(1920, 240, 74)], removed=[])

Tracks are kept as bytes and only the one that changes is written again, event by event. The bytes
are those of files that `smf.parse_file` has let through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from statistics import median_low

_DATA_BYTES = {0x8: 2, 0x9: 2, 0xA: 2, 0xB: 2, 0xC: 1, 0xD: 1, 0xE: 2}
_END_OF_TRACK, _TIME_SIGNATURE = 0x2F, 0x58
_OFF, _META, _ON = range(3)  # the order of what is added at one tick
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
        """Where its last note ends, in ticks."""
        return max(onset + duration for onset, duration, _, _ in self.notes)

    @property
    def velocity(self) -> int:
        """The usual velocity of its notes."""
        return median_low(velocity for _, _, _, velocity in self.notes)


@dataclass(frozen=True, slots=True)
class _Event:
    tick: int
    data: bytes  # with its status byte

    @property
    def meta(self) -> int | None:
        """Type of a meta event."""
        return self.data[1] if self.data[0] == 0xFF else None

    def is_note(self, channel: int, midi: int, *, on: bool) -> bool:
        """Whether it starts (or ends) a note."""
        kind, sounds = self.data[0] >> 4, self.data[0] < 0xA0 and self.data[2] > 0
        starts = kind == 0x9 and sounds
        return (
            kind in (0x8, 0x9)
            and self.data[0] & 0xF == channel
            and self.data[1] == midi
            and starts is on
        )


@dataclass(frozen=True, slots=True)
class MidiChunks:
    """A MIDI file as chunks of bytes; `tracks` are the positions of its tracks among them."""

    header: bytes
    chunks: tuple[bytes, ...]
    tracks: tuple[int, ...]
    ticks_per_quarter: int

    @staticmethod
    def read(data: bytes) -> MidiChunks:
        """Take apart a file that has been read: of type 0 or 1, in ticks a quarter."""
        resolution = int.from_bytes(data[12:14])
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
        return MidiChunks(header, tuple(chunks), tuple(tracks), resolution)

    @property
    def data(self) -> bytes:
        """The whole file."""
        return self.header + b"".join(self.chunks)

    def lines(self) -> Iterator[ChannelNotes]:
        """Every channel of every track that has notes, drums aside."""
        for track in range(len(self.tracks)):
            sounding: dict[tuple[int, int], list[tuple[int, int]]] = {}
            found: dict[int, list[tuple[int, int, int, int]]] = {}
            for event in self._events(track):
                kind, channel = event.data[0] >> 4, event.data[0] & 0xF
                if kind not in (0x8, 0x9) or channel == _DRUMS:
                    continue
                pitch, velocity = event.data[1], event.data[2]
                if kind == 0x9 and velocity:
                    sounding.setdefault((channel, pitch), []).append((event.tick, velocity))
                elif sounding.get((channel, pitch)):
                    onset, loud = sounding[channel, pitch].pop(0)
                    found.setdefault(channel, []).append((onset, event.tick - onset, pitch, loud))
            for channel, notes in found.items():
                yield ChannelNotes(track, channel, tuple(sorted(notes)))

    def line_of(
        self, notes: Sequence[TickedNote], *, taken: Collection[tuple[int, int]] = ()
    ) -> ChannelNotes:
        """The line that has most of some notes, as they were read (so perhaps moved a little);
        none of those whose track and channel are `taken`."""
        wanted = Counter(note.midi for note in notes)
        onsets = {(note.onset, note.midi) for note in notes}

        def likeness(line: ChannelNotes) -> tuple[int, int]:
            exact = sum((onset, midi) in onsets for onset, _, midi, _ in line.notes)
            shared = (Counter(midi for _, _, midi, _ in line.notes) & wanted).total()
            return exact, shared

        free = (line for line in self.lines() if (line.track, line.channel) not in taken)
        return max(free, key=likeness)

    def is_on_time(self, line: ChannelNotes, notes: Sequence[TickedNote]) -> bool:
        """Whether most of some notes as they were read lie where the file has them, so that
        quarters of the reading are quarters of the file."""
        near = self.ticks_per_quarter // 8
        places: dict[int, list[int]] = {}
        for onset, _, midi, _ in line.notes:
            places.setdefault(midi, []).append(onset)
        found = sum(
            any(abs(onset - note.onset) <= near for onset in places.get(note.midi, ()))
            for note in notes
        )
        return 2 * found > len(notes)

    def meter_at(self, tick: int) -> tuple[int, int]:
        """The time signature in force, (beats, unit); 4/4 where there is none."""
        found = [
            (event.tick, event.data[-4], 1 << event.data[-3])
            for track in range(len(self.tracks))
            for event in self._events(track)
            if event.meta == _TIME_SIGNATURE and event.tick <= tick and len(event.data) >= 7
        ]
        return max(found, key=lambda item: item[0])[1:] if found else (4, 4)

    def replace(
        self,
        line: ChannelNotes,
        *,
        added: Sequence[TickedNote],
        removed: Sequence[TickedNote] = (),
        meters: Sequence[tuple[int, int, int]] = (),
        end: int = 0,
    ) -> bytes:
        """The file with notes added to a line and removed from it, at the line's usual velocity.

        `meters` are new time signatures, (tick, beats, unit), for the first track; the file lasts
        at least up to tick `end`.
        """
        events = _without(list(self._events(line.track)), line, removed)
        news: list[tuple[int, int, bytes]] = []
        for note in added:
            status = line.channel
            news.append((note.onset, _ON, bytes((0x90 | status, note.midi, line.velocity))))
            news.append((note.onset + note.duration, _OFF, bytes((0x80 | status, note.midi, 64))))
        signs = [
            (tick, _META, bytes((0xFF, _TIME_SIGNATURE, 4, beats, unit.bit_length() - 1, 24, 8)))
            for tick, beats, unit in meters
        ]
        chunks = list(self.chunks)
        if line.track == 0:
            news += signs
        elif signs:
            chunks[self.tracks[0]] = _chunk(list(self._events(0)), signs, end=0)
        chunks[self.tracks[line.track]] = _chunk(events, news, end=end)
        return self.header + b"".join(chunks)

    def _events(self, track: int) -> Iterator[_Event]:
        """The events of a track, each with its status byte; the end of the track is the last."""
        data = self.chunks[self.tracks[track]]
        position, tick, status = 8, 0, 0
        while position < len(data):
            delta, position = _number(data, position)
            tick += delta
            if data[position] >= 0x80:
                first, begin = data[position], position + 1
            else:
                first, begin = status, position
            if first == 0xFF:
                size, end = _number(data, begin + 1)
                end += size
            elif first in (0xF0, 0xF7):
                size, end = _number(data, begin)
                end += size
            else:
                status, end = first, begin + _DATA_BYTES[first >> 4]
            yield _Event(tick, bytes((first,)) + data[begin:end])
            position = end
            if first == 0xFF and data[begin] == _END_OF_TRACK:
                return


def _without(
    events: list[_Event], line: ChannelNotes, removed: Sequence[TickedNote]
) -> list[_Event]:
    """The events less those that begin and end some notes."""
    for note in removed:
        for on in (True, False):
            begin = note.onset if on else note.onset + note.duration
            at = next(
                i
                for i, event in enumerate(events)
                if event.tick == begin and event.is_note(line.channel, note.midi, on=on)
            )
            del events[at]
    return events


def _chunk(events: list[_Event], added: list[tuple[int, int, bytes]], *, end: int) -> bytes:
    """A track of the events there are and those added, each after what is there at its tick.

    Only the end of a note goes before: so a note is over when the next of its pitch begins.
    """
    closing = [event for event in events if event.meta == _END_OF_TRACK]
    old = [event for event in events if event.meta != _END_OF_TRACK]
    placed = [(event.tick, 1, 0, i, event.data) for i, event in enumerate(old)]
    placed += [
        (tick, 0 if order == _OFF else 2, order, i, data)
        for i, (tick, order, data) in enumerate(added)
    ]
    placed.sort(key=lambda item: item[:4])
    last = max([end, *(item[0] for item in placed), *(event.tick for event in closing)])
    body, position = bytearray(), 0
    for tick, *_, data in placed:
        body += _variable(tick - position) + data
        position = tick
    body += _variable(last - position) + bytes((0xFF, _END_OF_TRACK, 0))
    return b"MTrk" + len(body).to_bytes(4) + bytes(body)


def _number(data: bytes, position: int) -> tuple[int, int]:
    """A variable-length number, and the position after it."""
    value = 0
    while True:
        byte = data[position]
        value, position = value << 7 | byte & 0x7F, position + 1
        if byte < 0x80:
            return value, position


def _variable(value: int) -> bytes:
    """A number as MIDI writes it, seven bits a byte."""
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))
