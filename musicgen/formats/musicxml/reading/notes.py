"""A <note> element: pitch, exact duration, tuplet, ties, signs, syllables."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from xml.etree.ElementTree import Element

from musicgen.formats.musicxml.reading.signs import Around, read_notations
from musicgen.formats.musicxml.reading.sounds import (
    SoundingEvent,
    apply_remark,
    read_lyric,
    read_pitch,
    read_ratio,
)
from musicgen.formats.musicxml.remarks import read_remark
from musicgen.formats.musicxml.values import LeftOut, Ticks, number, quarters, words, written
from musicgen.music.theory import Pitch
from musicgen.music.tune import EIGHTH, NO_MARKS, Marks, Note

_SEVERAL = frozenset(("lyric", "notations"))
_NOWHERE = Fraction(0)


@dataclass(slots=True)
class NoteElement:
    """A note as read, and where it goes."""

    sound: SoundingEvent
    voice: str
    staff: str
    ticks: Ticks = 0
    grace: bool = False
    slashed: bool = False
    joins_chord: bool = False
    skipped: bool = False


class NoteReader:
    """Reads notes in the order of the file; grace notes wait for the next note of their voice."""

    def __init__(self, left_out: LeftOut) -> None:
        self.left_out = left_out
        self.verses: dict[str, int] = {}
        self.graces: dict[str, list[Note]] = {}
        self.slashed: set[str] = set()

    def read(self, element: Element, divisions: Ticks, onset: Fraction) -> NoteElement | None:
        """A note or rest; None when it makes no sense."""
        found: dict[str, Element] = {}
        several: dict[str, list[Element]] = {}
        remarks: list[tuple[str, Any]] = []
        dots, tie = 0, False
        for child in element:
            tag = child.tag
            if tag in _SEVERAL:
                several.setdefault(tag, []).append(child)
            elif tag == "dot":
                dots += 1
            elif tag == "tie":
                tie = tie or child.get("type") == "start"
            elif type(tag) is str:
                found[tag] = child
            else:
                remarks.append(read_remark(child))
        voice = words(found["voice"].text) if "voice" in found else "1"
        staff = words(found["staff"].text) if "staff" in found else "1"
        ratio = (1, 1)
        if "time-modification" in found:
            ratio = read_ratio(found["time-modification"], self.left_out)
        kind = words(found["type"].text) if "type" in found else ""
        sound = SoundingEvent(onset, _NOWHERE, ratio=ratio)
        heard = NoteElement(sound, voice, staff, grace="grace" in found)
        heard.slashed = heard.grace and found["grace"].get("slash") == "yes"
        heard.joins_chord = "chord" in found
        value = written(kind, dots, *ratio) if kind else None
        if heard.grace:
            sound.duration = written(kind, dots, 1, 1) or EIGHTH
        elif not self._time(heard, found, value, divisions):
            return None
        self._fill(heard, element, found)
        around = None
        if "notations" in several:
            around = read_notations(several["notations"], self.left_out)
        pitch = read_pitch(found["pitch"], self.left_out) if "pitch" in found else None
        if pitch is not None and not heard.skipped:
            self._pitch(heard, pitch, around, tie=tie)
        elif "rest" not in found and not heard.skipped:
            self._drop(heard, "notes without a pitch, as of drums, left out")
        if around is not None:
            self._around(sound, around)
        for lyric in several.get("lyric", ()):
            read_lyric(sound, lyric, self.verses)
        for remark, value in remarks:
            apply_remark(sound, remark, value)
        return heard

    def _time(
        self,
        heard: NoteElement,
        found: dict[str, Element],
        value: Fraction | None,
        divisions: Ticks,
    ) -> bool:
        """The exact duration: as written, where <duration> is that but for rounding."""
        ticks = number(found["duration"].text) if "duration" in found else None
        if ticks is None or ticks < 0:
            if value is None:
                self.left_out["notes without a duration left out"] += 1
                return False
            ticks = value * divisions
            ticks = int(ticks) if ticks.denominator == 1 else ticks
        heard.ticks = ticks
        duration = quarters(ticks, divisions)
        if value is not None and value != duration and abs(value - duration) * divisions < 1:
            duration = value
        elif value != duration:
            heard.sound.ratio = (1, 1)  # the value is not what sounds: no tuplet to tell of
        heard.sound.duration = duration
        return True

    def _fill(self, heard: NoteElement, element: Element, found: dict[str, Element]) -> None:
        sound = heard.sound
        if "rest" in found:
            sound.visible = element.get("print-object") != "no"
            sound.full_bar = found["rest"].get("measure") == "yes"
        if "cue" in found:
            self._drop(heard, "cue notes left out")

    def _drop(self, heard: NoteElement, why: str) -> None:
        self.left_out[why] += 1
        heard.skipped = True

    def _pitch(self, heard: NoteElement, pitch: Pitch, around: Around | None, *, tie: bool) -> None:
        tied = tie or (around is not None and around.tied)
        marks = NO_MARKS
        if heard.grace and around is not None:
            decorations = tuple(around.decorations)
            marks = Marks(
                decorations=decorations, slurs_opened=around.opened, slurs_closed=around.closed
            )
        heard.sound.notes.append(Note(pitch, heard.sound.duration, tied, None, marks))

    def _around(self, sound: SoundingEvent, around: Around) -> None:
        sound.decorations += [d for d in around.decorations if d not in sound.decorations]
        sound.opened += around.opened
        sound.closed += around.closed
        sound.tuplet_starts = around.tuplet_starts
        sound.tuplet_stops = around.tuplet_stops

    def join(self, sound: SoundingEvent, heard: NoteElement) -> None:
        """A note joins the chord before it, with its signs."""
        other = heard.sound
        if not sound.notes:
            return
        sound.notes += other.notes
        sound.decorations += [d for d in other.decorations if d not in sound.decorations]
        sound.opened += other.opened
        sound.closed += other.closed
        sound.tuplet_starts = sound.tuplet_starts or other.tuplet_starts
        sound.tuplet_stops = sound.tuplet_stops or other.tuplet_stops
        for verse, syllable in other.lyrics.items():
            sound.lyrics.setdefault(verse, syllable)

    def keep_grace(self, heard: NoteElement) -> None:
        """A grace note waits for the note after it."""
        if heard.joins_chord:
            self.left_out["notes of grace chords other than the first left out"] += 1
            return
        self.graces.setdefault(heard.voice, []).extend(heard.sound.notes)
        if heard.slashed:
            self.slashed.add(heard.voice)

    def give_graces(self, heard: NoteElement) -> None:
        """The grace notes that stood before a note."""
        if heard.voice in self.graces:
            heard.sound.graces = self.graces.pop(heard.voice)
            heard.sound.slashed = heard.voice in self.slashed
            self.slashed.discard(heard.voice)

    def end(self) -> None:
        """At the end of the part no grace note may wait."""
        lost = sum(map(len, self.graces.values()))
        if lost:
            self.left_out["grace notes after the last note left out"] += lost
