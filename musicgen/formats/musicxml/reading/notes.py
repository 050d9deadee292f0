"""A <note> element: pitch, exact duration, tuplet, ties, signs, syllables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from xml.etree.ElementTree import Element

from musicgen.formats.musicxml.reading.instruments import Drums
from musicgen.formats.musicxml.reading.signs import read_notations
from musicgen.formats.musicxml.reading.sounds import (
    SoundingEvent,
    read_lyric,
    read_pitch,
    read_ratio,
)
from musicgen.formats.musicxml.remarks import read_remark
from musicgen.formats.musicxml.values import (
    LeftOut,
    Ticks,
    quarters,
    read_duration,
    whole_if_possible,
    words,
    written,
)
from musicgen.music.theory import Pitch
from musicgen.music.tune import EIGHTH, NO_MARKS, Grace, Note

_TEXTS = ("type", "voice", "staff")
_NO_DURATION = Fraction(0)


@dataclass(slots=True)
class NoteElement:
    """A note with its voice, its staff and its length in divisions."""

    sound: SoundingEvent
    voice: str
    staff: str
    ticks: Ticks = 0
    is_grace: bool = False
    joins_chord: bool = False
    is_left_out: bool = False


class NoteReader:
    """Reads notes in the order of the file; grace notes go to the next note of their voice."""

    def __init__(self, left_out: LeftOut, drums: Drums | None = None) -> None:
        self.left_out = left_out
        self.drums = drums
        self.verses: dict[str, int] = {}
        self.graces: dict[str, list[Note]] = {}  # by voice
        self.slashed: set[str] = set()

    def read(self, element: Element, divisions: Ticks, onset: Fraction) -> NoteElement | None:
        """A note or rest; None when it makes no sense."""
        children: dict[str, Element] = {}
        repeated: dict[str, list[Element]] = {"lyric": [], "notations": [], "dot": [], "tie": []}
        remarks: list[tuple[str, Any]] = []
        for child in element:
            tag = child.tag
            if tag in repeated:
                repeated[tag].append(child)
            elif type(tag) is str:
                children[tag] = child
            else:
                remarks.append(read_remark(child))
        texts = {name: words(children[name].text) for name in _TEXTS if name in children}
        ratio = (1, 1)
        if "time-modification" in children:
            ratio = read_ratio(children["time-modification"], self.left_out)
        kind, dots = texts.get("type", ""), len(repeated["dot"])
        value = written(kind, dots, *ratio)
        sound = SoundingEvent(onset, _NO_DURATION, ratio=ratio)
        note = NoteElement(
            sound,
            texts.get("voice", "1"),
            texts.get("staff", "1"),
            is_grace="grace" in children,
            joins_chord="chord" in children,
        )
        if note.is_grace:
            sound.duration = written(kind, dots, 1, 1) or EIGHTH
            sound.slashed = children["grace"].get("slash") == "yes"
        elif not self._time(note, element, value, divisions):
            return None
        if "rest" in children:
            sound.visible = element.get("print-object") != "no"
            sound.full_bar = children["rest"].get("measure") == "yes"
        is_tied = any(tie.get("type") == "start" for tie in repeated["tie"])
        is_tied |= read_notations(repeated["notations"], sound, self.left_out)
        pitch = self._pitch(children)
        if "cue" in children:
            self._leave_out(note, "cue notes left out")
        elif pitch is not None:
            marks = sound.marks() if note.is_grace else NO_MARKS
            sound.notes.append(Note(pitch, sound.duration, is_tied, marks=marks))
        elif "rest" not in children:
            self._leave_out(note, "notes without a pitch, as of drums, left out")
        for lyric in repeated["lyric"]:
            read_lyric(sound, lyric, self.verses)
        for remark, content in remarks:
            if remark == "more":
                sound.goes_on = True
            elif remark == "marks" and isinstance(content, dict):
                sound.exact = content
        return note

    def _pitch(self, children: Mapping[str, Element]) -> Pitch | None:
        if self.drums is not None:
            return self.drums.pitch(children, self.left_out)
        return read_pitch(children["pitch"], self.left_out) if "pitch" in children else None

    def _time(
        self, note: NoteElement, element: Element, value: Fraction | None, divisions: Ticks
    ) -> bool:
        """Set the exact duration: the note value, where <duration> is the same but for rounding."""
        ticks = read_duration(element, divisions, self.left_out)
        if ticks is None:
            if value is None:
                self.left_out["notes without a duration left out"] += 1
                return False
            ticks = whole_if_possible(value * divisions)
        note.ticks = ticks
        duration = quarters(ticks, divisions)
        if value is not None and abs(value - duration) * divisions < 1:
            duration = value
        else:
            note.sound.ratio = (1, 1)  # the value is not the duration: there is no tuplet
        note.sound.duration = duration
        return True

    def _leave_out(self, note: NoteElement, reason: str) -> None:
        self.left_out[reason] += 1
        note.is_left_out = True

    def join(self, sound: SoundingEvent, note: NoteElement) -> None:
        """Add a note and its signs to the chord before it."""
        other = note.sound
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

    def keep_grace(self, note: NoteElement) -> None:
        """Keep a grace note for the next note of its voice."""
        if note.joins_chord:
            self.left_out["notes of grace chords other than the first left out"] += 1
            return
        self.graces.setdefault(note.voice, []).extend(note.sound.notes)
        if note.sound.slashed:
            self.slashed.add(note.voice)

    def give_graces(self, note: NoteElement) -> None:
        """Give a note the grace notes before it."""
        if note.voice in self.graces:
            note.sound.graces = self.graces.pop(note.voice)
            note.sound.slashed = note.voice in self.slashed
            self.slashed.discard(note.voice)

    def take_graces(self) -> Grace | None:
        """Remove the grace notes that still have no note."""
        notes = [note for voice in sorted(self.graces) for note in self.graces.pop(voice)]
        slashed = bool(self.slashed)
        self.slashed.clear()
        return Grace(tuple(notes), slashed) if notes else None

    def end(self) -> None:
        """Count the grace notes at the end of the part, which have no next note."""
        if surplus := sum(map(len, self.graces.values())):
            self.left_out["grace notes after the last note left out"] += surplus
