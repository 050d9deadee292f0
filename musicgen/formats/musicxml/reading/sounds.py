"""A <note>, rest or chord while its line of music is being put together."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any
from xml.etree.ElementTree import Element

from musicgen.formats.musicxml.remarks import strings
from musicgen.formats.musicxml.values import LeftOut, content, integer, number, words
from musicgen.music.theory import ACCIDENTAL_TEXT, STEPS, Key, Pitch, spell
from musicgen.music.tune import NO_MARKS, Chord, Grace, Marks, Note, Rest, Timed, Tuplet

MAX_RATIO = 99  # of a tuplet; ABC has two digits
MAX_VERSES = 50
_MIDI = range(128)


@dataclass(slots=True)
class SoundingEvent:
    """A note, chord or rest (without notes) at an onset in its bar, in quarters."""

    onset: Fraction
    duration: Fraction
    notes: list[Note] = field(default_factory=list)
    visible: bool = True
    full_bar: bool = False
    ratio: tuple[int, int] = (1, 1)
    tuplet_starts: bool = False
    tuplet_stops: bool = False
    goes_on: bool = False  # written in several values; the next sound is the rest of this one
    chord_symbol: str = ""
    annotations: list[str] = field(default_factory=list)
    decorations: list[str] = field(default_factory=list)
    graces: list[Note] = field(default_factory=list)
    slashed: bool = False
    opened: int = 0
    closed: int = 0
    lyrics: dict[int, str] = field(default_factory=dict)
    exact: dict[str, Any] = field(default_factory=dict)  # marks from our remark, which prevail
    extended: set[int] = field(default_factory=set)  # verses whose syllable is held from here

    @property
    def end(self) -> Fraction:
        """Where the next sound of the line begins."""
        return self.onset + self.duration

    def split(self, onset: Fraction) -> SoundingEvent:
        """Cut the sound in two tied ones at a place within it; the second, without the first's
        signs, is returned."""
        left = onset - self.onset
        second = SoundingEvent(
            onset,
            self.duration - left,
            notes=[Note(n.pitch, self.duration - left, n.tie) for n in self.notes],
            visible=self.visible,
            ratio=self.ratio,
            tuplet_stops=self.tuplet_stops,
            goes_on=self.goes_on,
            closed=self.closed,
            lyrics=dict.fromkeys(self.lyrics, "_"),
            extended=self.extended,
        )
        self.notes = [Note(n.pitch, left, tie=True, marks=n.marks) for n in self.notes]
        self.duration, self.closed, self.full_bar = left, 0, False
        self.tuplet_stops = self.goes_on = False
        return second

    def copy(self) -> SoundingEvent:
        """The same sound for another bar, without its syllables."""
        return replace(
            self,
            notes=list(self.notes),
            annotations=list(self.annotations),
            decorations=list(self.decorations),
            graces=list(self.graces),
            lyrics={},
            exact={},
            extended=set(),
        )

    def marks(self) -> Marks:
        """The marks of the note."""
        if self.exact:
            self._take_remarks()
        if not (
            self.chord_symbol or self.annotations or self.decorations or self.graces
            or self.opened or self.closed or self.lyrics
        ):  # fmt: skip
            return NO_MARKS
        verses = max(self.lyrics, default=-1) + 1
        return Marks(
            chord_symbol=self.chord_symbol,
            annotations=tuple(self.annotations),
            decorations=tuple(self.decorations),
            grace=Grace(tuple(self.graces), self.slashed) if self.graces else None,
            slurs_opened=self.opened,
            slurs_closed=self.closed,
            lyrics=tuple(self.lyrics.get(verse, "") for verse in range(verses)),
        )

    def _take_remarks(self) -> None:
        for name in ("decorations", "annotations"):
            if name in self.exact:
                setattr(self, name, strings(self.exact[name]))
        if isinstance(symbol := self.exact.get("chord_symbol"), str):
            self.chord_symbol = symbol
        if "lyrics" in self.exact:
            self.lyrics = dict(enumerate(strings(self.exact["lyrics"])[:MAX_VERSES]))
        match self.exact.get("slurs"):
            case [int(opened), int(closed)] if 0 <= opened < 100 and 0 <= closed < 100:
                self.opened, self.closed = opened, closed

    def event(self, tuplet: Tuplet | None) -> Timed:
        """The finished note, chord or rest."""
        if not self.notes:
            return Rest(self.duration, self.visible, self.full_bar, tuplet, self.marks())
        first = self.notes[0]
        if len(self.notes) == 1:
            return Note(first.pitch, self.duration, first.tie, tuplet, self.marks())
        return Chord(tuple(self.notes), self.duration, tuplet, self.marks())


def add_chord_symbol(bar: list[SoundingEvent], symbol: str, onset: Fraction) -> None:
    """Give a chord symbol to the sound of a line that begins at a place of the bar; a longer one is
    cut in two there. Of two at one place the second is text, and one after the last sound is at it.
    """
    index = max((i for i, sound in enumerate(bar) if sound.onset <= onset), default=0)
    sound = bar[index]
    if sound.onset < onset < sound.end:
        sound = sound.split(onset)
        bar.insert(index + 1, sound)
    if sound.chord_symbol:
        sound.annotations.append("^" + symbol)
    else:
        sound.chord_symbol = symbol


def read_pitch(element: Element, left_out: LeftOut) -> Pitch | None:
    """A <pitch>; None where it is none. Microtones are rounded, triple accidentals respelled."""
    step, octave = content(element, "step").upper(), integer(element.findtext("octave"))
    alter = number(element.findtext("alter") or "0")
    if not step or step not in STEPS or octave is None or alter is None or not 0 <= octave <= 9:
        return None
    nearest = round(alter)
    if nearest != alter:
        left_out["microtones rounded to a semitone"] += 1
    if nearest in ACCIDENTAL_TEXT:
        return Pitch(step, nearest, octave)
    midi = Pitch(step, 0, octave).midi + nearest
    left_out["notes with triple accidentals respelled"] += 1
    return spell(midi, Key()) if midi in _MIDI else None


def read_ratio(element: Element, left_out: LeftOut) -> tuple[int, int]:
    """Actual and normal notes of a <time-modification>; 1, 1 where they make no sense."""
    actual = integer(element.findtext("actual-notes"))
    normal = integer(element.findtext("normal-notes"))
    if not actual or not normal or actual < 0 or normal < 0:
        return 1, 1
    if max(actual, normal) > MAX_RATIO:
        left_out[f"tuplets of more than {MAX_RATIO} notes, read by their durations"] += 1
        return 1, 1
    return actual, normal


def read_lyric(sound: SoundingEvent, lyric: Element, verses: dict[str, int]) -> None:
    """Give a syllable to a note. `verses` numbers the verses in order of their appearance where
    they have no number."""
    label = lyric.get("number", "1")
    verse = int(label) - 1 if label.isdecimal() and 0 < len(label) < 3 else None
    if verse is None:
        verse = verses.setdefault(label, len(verses))
    if verse >= MAX_VERSES:
        return
    text, place, held = "", "single", False
    for child in lyric:
        if child.tag == "text":
            text += child.text or ""
        elif child.tag == "elision":
            text += " "
        elif child.tag == "syllabic":
            place = words(child.text)
        elif child.tag == "extend":
            held = True
            if child.get("type") != "stop":
                sound.extended.add(verse)
    if text := words(text).rstrip("-"):
        sound.lyrics[verse] = text + ("-" if place in ("begin", "middle") else "")
    elif held:  # its extender line continues
        sound.lyrics[verse] = "_"
