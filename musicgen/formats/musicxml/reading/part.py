"""One <part>, measure by measure: a cursor that moves forward and back, and lines of music."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any
from xml.etree.ElementTree import Element

from musicgen.errors import ParseError
from musicgen.formats.musicxml.harmony import read_harmony
from musicgen.formats.musicxml.reading import attributes
from musicgen.formats.musicxml.reading.barlines import MeasureFrame, read_barline, read_frame
from musicgen.formats.musicxml.reading.directions import Signs, read_direction
from musicgen.formats.musicxml.reading.instruments import Drums, PartInstruments, drums_of
from musicgen.formats.musicxml.reading.notes import NoteReader
from musicgen.formats.musicxml.reading.sounds import SoundingEvent, add_chord_symbol
from musicgen.formats.musicxml.remarks import read_change, read_opening, read_remark
from musicgen.formats.musicxml.values import (
    LeftOut,
    Ticks,
    integer,
    number,
    quarters,
    quoted,
    read_duration,
    whole_if_possible,
    words,
)
from musicgen.music.theory import Interval, Meter
from musicgen.music.tune import Change, Marks

MAX_LINES = 256
MAX_COPIED = 100_000
MAX_WAITING = 1_000  # signs for notes, in a measure
LineName = tuple[str, str, int]  # voice, staff, and a number where a voice overlaps itself


@dataclass(slots=True)
class Placed:
    """A change and where it takes place; `staff` is "" for all."""

    measure: int
    onset: Fraction
    change: Change
    staff: str = ""
    opening: bool = False  # in the first <attributes> of the part


@dataclass(slots=True)
class Waiting:
    """Signs for the note at their place."""

    onset: Fraction
    staff: str
    signs: Signs
    chord_symbol: str = ""


@dataclass(slots=True)
class PartMusic:
    """A part as read: its lines of sounds by measure; bar lines, changes and clefs of all lines."""

    lines: dict[LineName, dict[int, list[SoundingEvent]]] = field(default_factory=dict)
    frames: list[MeasureFrame] = field(default_factory=list)
    # Bar lines of this part alone, by measure, from our remarks; None where it has no such bar.
    own_frames: dict[int, MeasureFrame | None] = field(default_factory=dict)
    places: dict[int, Any] = field(default_factory=dict)  # from our remarks, by measure
    changes: list[Placed] = field(default_factory=list)
    heading: list[Change] = field(default_factory=list)  # from our remark
    clefs: dict[str, str] = field(default_factory=dict)
    transposition: Interval | None = None
    drums: Drums | None = None  # of a part of percussion
    modes_missing: bool = False


def place_sound(
    lines: dict[LineName, dict[int, list[SoundingEvent]]],
    name: tuple[str, str],
    measure: int,
    sound: SoundingEvent,
) -> None:
    """Append a sound to the line of its voice and staff, or to a further one where that line still
    sounds.

    Raises:
        ParseError: there are too many lines.
    """
    for copy in range(MAX_LINES + 1):
        bar = lines.setdefault((*name, copy), {}).setdefault(measure, [])
        if not bar or bar[-1].end <= sound.onset:
            break
    if len(lines) > MAX_LINES:
        raise ParseError(f"has more than {MAX_LINES} voices in a part; split it")
    bar.append(sound)


class PartReader:
    """Reads the measures of a part in order."""

    def __init__(self, left_out: LeftOut, instruments: PartInstruments | None = None) -> None:
        self.left_out = left_out
        self.music = PartMusic()
        self.instruments = instruments or PartInstruments()
        self.programs: dict[str, int | None] = {}  # now, by staff
        self.divisions: Ticks = 1
        self.meter: Meter | None = None
        self.wedges: dict[str, str] = {}
        self.next_frame = MeasureFrame()
        self.opened = False
        self.n_copied = 0  # sounds of measures that were repeated
        self.repeated: dict[str, int] = {}  # staff, "" for all -> measures that its sign repeats
        self.clefs: dict[str, str] = {}  # now, by staff
        self.semitones = 0  # from written to sounding pitch, now

    def read(self, measures: Sequence[Element]) -> PartMusic:
        """The music of these measures."""
        self.music.drums = drums_of(measures, self.instruments)
        self.notes = NoteReader(self.left_out, self.music.drums)
        for measure in measures:
            self._measure(measure)
        self.notes.end()
        return self.music

    def _measure(self, measure: Element) -> None:
        music = self.music
        self.index = len(music.frames)
        music.frames.append(self.next_frame)
        self.next_frame = MeasureFrame()
        self.ticks: Ticks = 0
        self.known: dict[Ticks, Fraction] = {}  # exact places of ticks that were rounded
        self.length = Fraction(0)
        self.waiting: list[Waiting] = []
        self.last: SoundingEvent | None = None
        for child in measure:
            self.left_out.place = child
            read = _READERS.get(child.tag)
            if read is not None:
                read(self, child)
            elif child.tag not in _LAYOUT:
                self._other(child)
        self._settle()
        for staff, bars in self.repeated.items():
            self._repeat(staff, bars)
        music.frames[-1].length = self.length
        music.frames[-1].is_whole = measure.get("implicit") != "yes"
        music.frames[-1].full = self.meter.bar_duration if self.meter else None

    @property
    def position(self) -> Fraction:
        """The cursor, in quarters from the bar line."""
        known = self.known.get(self.ticks)
        return quarters(self.ticks, self.divisions) if known is None else known

    # --- the cursor

    def _advance(self, ticks: Ticks, exact: Fraction) -> None:
        end = self.position + exact
        self.ticks += ticks
        if end != quarters(self.ticks, self.divisions):
            self.known[self.ticks] = end
        self.length = max(self.length, end)

    def _forward(self, element: Element) -> None:
        ticks = read_duration(element, self.divisions, self.left_out) or 0
        self._advance(ticks, quarters(ticks, self.divisions))

    def _backup(self, element: Element) -> None:
        ticks = read_duration(element, self.divisions, self.left_out) or 0
        if ticks > self.ticks:
            self.left_out["steps back beyond a bar line, taken to the bar line"] += 1
        self.ticks = max(self.ticks - ticks, 0)

    # --- notes

    def _note(self, element: Element) -> None:
        note = self.notes.read(element, self.divisions, self.position)
        if note is None:
            return
        if not note.joins_chord:
            self._play_by(element.find("instrument"), note.staff)
        if note.is_grace:
            self.notes.keep_grace(note)
            return
        if note.joins_chord:
            if self.last is not None:
                self.notes.join(self.last, note)
            return
        sound = note.sound
        sound.onset = self.position
        self._advance(note.ticks, sound.duration)
        self.last = sound
        if sound.duration <= 0:
            self.left_out["notes of no duration left out"] += 1
            return
        if not note.is_left_out:
            place_sound(self.music.lines, (note.voice, note.staff), self.index, sound)
            self.notes.give_graces(note)
            self._give(sound.onset, note.staff, sound)

    def _play_by(self, element: Element | None, staff: str) -> None:
        """Change the program where a note is played by another instrument of the part."""
        programs = self.instruments.programs
        if element is None or len(programs) < 2 or self.music.drums is not None:
            return
        program = programs.get(element.get("id", ""))
        if program not in (None, self.programs.get(staff, self.instruments.program)):
            self._change(Change(program=program), staff)
            self.programs[staff] = program

    # --- signs

    def _give(self, onset: Fraction, staff: str, sound: SoundingEvent) -> None:
        """Give a sound the signs that stand before it."""
        if not self.waiting:
            return
        others, decorations = [], sound.decorations
        sound.decorations = []
        for waiting in self.waiting:
            if waiting.onset == onset and waiting.staff in ("", staff):
                self._mark(sound, waiting)
            else:
                others.append(waiting)
        sound.decorations += decorations
        self.waiting = others

    def _mark(self, sound: SoundingEvent, waiting: Waiting) -> None:
        sound.decorations += waiting.signs.decorations
        sound.annotations += waiting.signs.annotations
        if waiting.chord_symbol:
            add_chord_symbol([sound], waiting.chord_symbol, sound.onset)

    def _settle(self) -> None:
        """Give the signs left at a bar line to the nearest sound after them, or to the last, chord
        symbols to the main line; grace notes of a single line stay at the bar line."""
        if len(self.music.lines) == 1 and (grace := self.notes.take_graces()):
            self._change(Change(signs=Marks(grace=grace)))
        for waiting in self.waiting:
            names = [
                name
                for name, line in self.music.lines.items()
                if self.index in line and waiting.staff in ("", name[1])
            ]
            bars = [self.music.lines[name][self.index] for name in sorted(names)]
            after = [s for bar in bars for s in bar if s.onset >= waiting.onset]
            before = [bar[-1] for bar in bars]
            if waiting.chord_symbol and bars:
                add_chord_symbol(bars[0], waiting.chord_symbol, waiting.onset)
            elif after or before:
                self._mark((after or before)[0], waiting)
            else:
                self.left_out["signs in bars without notes left out"] += 1

    def _repeat(self, staff: str, bars: int) -> None:
        """Fill a measure of a repeat sign with the music of `bars` measures before, unless it has
        notes of its own, as MusicXML asks for."""
        lines = [line for name, line in self.music.lines.items() if staff in ("", name[1])]
        if any(sound.notes for line in lines for sound in line.get(self.index, ())):
            return
        before = self.index - bars
        self.n_copied += sum(len(line.get(before, ())) for line in lines)
        if self.n_copied > MAX_COPIED:
            self.left_out[f"repeat signs of more than {MAX_COPIED} notes together left out"] += 1
            return
        for line in lines:
            if before in line:
                line[self.index] = [sound.copy() for sound in line[before]]
        if before < 0:
            self.left_out["repeat signs with no measure to repeat left out"] += 1
        else:
            self.length = max(self.length, self.music.frames[before].length)

    def _direction(self, element: Element) -> None:
        program = integer(element.findtext(".//midi-instrument/midi-program"))
        if program is not None and 1 <= program <= 128:
            self._change(Change(program=program - 1))
        self._wait(element, read_direction(element, self.wedges, self.left_out))

    def _wait(self, element: Element, signs: Signs, chord_symbol: str = "") -> None:
        offset = number(element.findtext("offset")) or 0
        onset = self.position + (quarters(offset, self.divisions) if offset else 0)
        if not (self.music.heading and self.index == 0 and onset == 0):
            self.music.changes += [
                Placed(self.index, onset, self._with_graces(change)) for change in signs.changes
            ]
        if signs.decorations or signs.annotations or chord_symbol:
            if len(self.waiting) >= MAX_WAITING:
                self.left_out[f"signs of a measure beyond {MAX_WAITING} left out"] += 1
                return
            staff = words(element.findtext("staff"))
            self.waiting.append(Waiting(max(onset, Fraction(0)), staff, signs, chord_symbol))

    def _with_graces(self, change: Change) -> Change:
        """The change; if it has signs with grace notes, the waiting ones are these."""
        if change.signs is None or change.signs.grace is None:
            return change
        return Change(signs=replace(change.signs, grace=self.notes.take_graces()))

    def _harmony(self, element: Element) -> None:
        if symbol := read_harmony(element):
            self._wait(element, Signs(), symbol)
        else:
            self.left_out["chord symbols without a root left out"] += 1

    # --- attributes and bar lines

    def _attributes(self, element: Element) -> None:
        for child in element:
            tag = child.tag
            if tag == "divisions":
                self._divisions(child.text)
            elif tag == "key":
                key, sure = attributes.read_key(child, self.left_out)
                self.music.modes_missing = self.music.modes_missing or not sure
                self._change(Change(key=key), child.get("number", ""))
            elif tag == "time" and (meter := attributes.read_meter(child, self.left_out)):
                self.meter = meter
                self._change(Change(meter=meter))
            elif tag == "clef":
                self._clef(child)
            elif tag == "transpose":
                self._transpose(child)
            elif tag == "measure-style":
                self._measure_style(child)
        self.opened = True

    def _divisions(self, text: str | None) -> None:
        divisions = number(text)
        if divisions is None or divisions <= 0:
            self.left_out[f"divisions that make no sense ({quoted(text)}), passed over"] += 1
        elif divisions != self.divisions:
            self.ticks = whole_if_possible(self.position * divisions)
            self.divisions, self.known = divisions, {}

    def _change(self, change: Change, staff: str = "") -> None:
        if self.opened or not self.music.heading:  # which has it in full
            self.music.changes.append(
                Placed(self.index, self.position, change, staff, opening=not self.opened)
            )

    def _measure_style(self, element: Element) -> None:
        staff = element.get("number", "")
        for style in element:
            if style.tag == "measure-repeat" and style.get("type") == "start":
                self.repeated[staff] = max(integer(style.text) or 1, 1)
            elif style.tag == "measure-repeat":
                self.repeated.pop(staff, None)
            elif style.tag in ("beat-repeat", "slash") and style.get("type") == "start":
                self.left_out[f"<{style.tag}> left out"] += 1

    def _clef(self, element: Element) -> None:
        staff, clef = element.get("number", "1"), attributes.read_clef(element)
        if self.index == 0 and not self.ticks and staff not in self.music.clefs:
            self.music.clefs[staff] = clef
        elif self.clefs.get(staff) != clef:
            self._change(Change(clef=clef or "treble"), staff)
        self.clefs[staff] = clef

    def _transpose(self, element: Element) -> None:
        interval = attributes.read_transposition(element)
        music, semitones = self.music, interval.semitones if interval else 0
        if not self.opened:
            music.transposition = interval
        elif semitones != self.semitones:
            self._change(Change(transposition=semitones))
        self.semitones = semitones

    def _barline(self, element: Element) -> None:
        read_barline(element, self.music.frames, self.next_frame, self.left_out)

    def _other(self, element: Element) -> None:
        kind, value = read_remark(element)
        if kind in ("bar", "absent"):
            self.music.own_frames[self.index] = read_frame(value) if kind == "bar" else None
        elif kind == "place":
            self.music.places[self.index] = value
        elif kind == "opening":
            opening = read_opening(value)
            if opening is not None and not self.opened:
                self.music.heading, changes = opening
                self.music.changes += [Placed(self.index, Fraction(0), c) for c in changes]
        elif kind:
            if exact := read_change(kind, value):
                self._change(self._with_graces(exact))
                if exact.program is not None:
                    self.programs["1"] = exact.program
        elif isinstance(element.tag, str):
            self.left_out[f"<{element.tag}> left out"] += 1


# Elements of the layout of the page, or that repeat the notes for a player.
_LAYOUT = frozenset(("print", "grouping", "link", "bookmark", "listening"))
_READERS = {
    "note": PartReader._note,
    "backup": PartReader._backup,
    "forward": PartReader._forward,
    "attributes": PartReader._attributes,
    "direction": PartReader._direction,
    "sound": PartReader._direction,
    "harmony": PartReader._harmony,
    "barline": PartReader._barline,
}
