"""Notes, chords and rests as <note> elements, with their notations, directions and lyrics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

from musicgen.formats.musicxml import signs
from musicgen.formats.musicxml.accidentals import Accidentals
from musicgen.formats.musicxml.harmony import harmony
from musicgen.formats.musicxml.instruments import DrumWriter
from musicgen.formats.musicxml.jumps import without_jumps
from musicgen.formats.musicxml.lengths import Value, written
from musicgen.formats.musicxml.lines import Connections, Syllable, notes_of, reach
from musicgen.formats.musicxml.remarks import change_remark, marks_remark, remark
from musicgen.music.theory import Pitch
from musicgen.music.tune import Change, Marks, Note, Rest, Timed, Tuplet
from musicgen.system.markup import element, text

Neighbours = tuple[Timed | None, Timed | None]


@dataclass(slots=True)
class WrittenNote:
    """The part of an event that one note value can express; no value: a rest of a whole bar."""

    event: Timed
    reach: Connections
    onset: Fraction  # in the bar, in quarters
    duration: Fraction
    value: Value | None = None
    first: bool = True
    last: bool = True
    beams: list[str] = field(default_factory=list)


class NoteWriter:
    """Writes pieces, keeping track of the accidentals of their staff."""

    def __init__(
        self, accidentals: Accidentals, divisions: int, drums: DrumWriter | None = None
    ) -> None:
        self.accidentals = accidentals
        self.divisions = divisions
        self.drums = drums  # of a voice of percussion
        self.jumps_apart = False  # from the notes, at the bar lines
        self.staff = 0  # of several of a part, from 1
        self.instrument = ""  # the element of all notes that follow

    def duration(self, quarters: Fraction) -> str:
        """A <duration>: a whole number, by the choice of divisions."""
        ticks = quarters * self.divisions
        assert ticks.denominator == 1
        return element("duration", text(int(ticks)))

    def back(self, quarters: Fraction) -> str:
        """A <backup> to the beginning of the measure."""
        return element("backup", self.duration(quarters)) if quarters else ""

    def write(self, piece: WrittenNote, voice: int, neighbours: Neighbours) -> str:
        """One piece, and before its first one the grace notes, chord symbol and directions."""
        event = piece.event
        before = self._before(piece, voice) if piece.first else ""
        around = self._notations(piece, neighbours)
        if isinstance(event, Rest):
            return before + self._rest(piece, event, voice, around)
        notes = notes_of(event)
        is_uneven = len({note.duration for note in notes}) > 1
        texts = []
        for i, note in enumerate(notes):
            value, length = piece.value, piece.duration
            if is_uneven and piece.first and piece.last and note.duration > 0:
                values = written(note.duration, event.tuplet)
                value, length = values[0], values[0].duration
            assert value is not None
            head = "<chord/>" if i else self._remarks(piece)
            tail = ("", "") if i else (around, _lyrics(piece))
            texts.append(self._note(piece, note, voice, (head, value, length, *tail)))
        return before + "".join(texts)

    def _note(
        self,
        piece: WrittenNote,
        note: Note,
        voice: int,
        shown: tuple[str, Value, Fraction, str, str],
    ) -> str:
        head, value, length, around, lyrics = shown
        tied = not piece.first or note.midi in piece.reach.tied_from
        joined = note.midi in piece.reach.tied_to
        ties = ["stop"] * tied + ["start"] * (not piece.last or (note.tie and joined))
        sign = "" if self.drums else self.accidentals.printed(note.pitch, tied=tied)
        marks = "".join(element("tied", type=kind) for kind in ties)
        if piece.last and note.tie and not joined:
            marks += element("tied", type="let-ring")
        notations = marks + around
        return element(
            "note",
            head,
            self._pitch(note.pitch),
            self.duration(length),
            *(element("tie", type=kind) for kind in ties),
            self.drums.instrument(note.pitch) if self.drums else self.instrument,
            element("voice", text(voice)),
            *_value(value),
            element("accidental", sign) if sign else "",
            _time_modification(value),
            self._staff(),
            *(_beams(piece.beams) if head != "<chord/>" else ()),
            element("notations", notations) if notations else "",
            lyrics,
        )

    def _pitch(self, pitch: Pitch) -> str:
        return self.drums.unpitched(pitch) if self.drums else _pitch(pitch)

    def _rest(self, piece: WrittenNote, rest: Rest, voice: int, around: str) -> str:
        bar_rest = {"measure": "yes"} if piece.value is None else {}
        hidden = {} if rest.visible else {"print_object": "no"}
        return element(
            "note",
            self._remarks(piece),
            element("rest", **bar_rest),
            self.duration(piece.duration),
            element("voice", text(voice)),
            *(_value(piece.value) if piece.value else ()),
            _time_modification(piece.value) if piece.value else "",
            self._staff(),
            element("notations", around) if around else "",
            **hidden,
        )

    def _remarks(self, piece: WrittenNote) -> str:
        """Our remarks on a piece that MusicXML cannot express."""
        more = "" if piece.last else remark("more")
        marks = piece.event.marks
        return more + (marks_remark(marks, self._shown(marks), piece.reach) if piece.first else "")

    def _shown(self, marks: Marks) -> Marks:
        return without_jumps(marks) if self.jumps_apart else marks

    def _before(self, piece: WrittenNote, voice: int) -> str:
        marks = self._shown(piece.event.marks)
        typed, words = signs.as_decorations(marks.annotations)
        xml = signs.directions((*marks.decorations, *typed), words)
        if marks.chord_symbol:
            xml += harmony(marks.chord_symbol) or signs.words(marks.chord_symbol)
        xml = self._on_staff(xml)
        if marks.grace:
            xml += self._graces(piece, voice)
        return xml

    def signs(self, marks: Marks, voice: int) -> str:
        """Signs at a bar line: grace notes, and one <direction> for the others."""
        alone = Rest(marks=marks)
        piece = WrittenNote(alone, reach([alone])[0], Fraction(0), alone.duration)
        graces = self._graces(piece, voice) if marks.grace else ""
        exact = change_remark(Change(signs=marks))
        return graces + self._on_staff(signs.directions_at(self._shown(marks), exact))

    def _staff(self) -> str:
        return element("staff", text(self.staff)) if self.staff else ""

    def _on_staff(self, xml: str) -> str:
        """Directions and chord symbols with their staff."""
        for tag in ("</direction>", "</harmony>"):
            xml = xml.replace(tag, self._staff() + tag)
        return xml

    def _graces(self, piece: WrittenNote, voice: int) -> str:
        grace = piece.event.marks.grace
        assert grace is not None
        values = [written(note.duration, None)[0] for note in grace.notes]
        beams = _grace_beams(values)
        slash = {"slash": "yes"} if grace.slashed else {}
        texts = []
        for i, note in enumerate(grace.notes):
            sign = "" if self.drums else self.accidentals.printed(note.pitch, tied=False)
            around = _slurs(piece.reach.graces[i].marks) + signs.notations(note.marks.decorations)
            texts.append(
                element(
                    "note",
                    element("grace", **slash),
                    self._pitch(note.pitch),
                    self.drums.instrument(note.pitch) if self.drums else self.instrument,
                    element("voice", text(voice)),
                    *_value(values[i]),
                    element("accidental", sign) if sign else "",
                    self._staff(),
                    *_beams(beams[i]),
                    element("notations", around) if around else "",
                )
            )
        return "".join(texts)

    def _notations(self, piece: WrittenNote, neighbours: Neighbours) -> str:
        marks = piece.event.marks
        slurs = (
            (kind, number)
            for kind, number in piece.reach.slurs.marks
            if (kind == "start" and piece.first) or (kind == "stop" and piece.last)
        )
        xml = _slurs(slurs) + _tuplet(piece, neighbours)
        if piece.first:
            marks = self._shown(marks)
            typed, _ = signs.as_decorations(marks.annotations)
            xml += signs.notations((*marks.decorations, *typed))
        return xml


def _pitch(pitch: Pitch) -> str:
    alter = element("alter", text(pitch.alter)) if pitch.alter else ""
    return element(
        "pitch", element("step", pitch.step), alter, element("octave", text(pitch.octave))
    )


@lru_cache(maxsize=1024)
def _value(value: Value) -> tuple[str, str]:
    return element("type", value.type), "<dot/>" * value.dots


def _time_modification(value: Value) -> str:
    if value.actual == value.normal:
        return ""
    return element(
        "time-modification",
        element("actual-notes", text(value.actual)),
        element("normal-notes", text(value.normal)),
    )


def _beams(words: Iterable[str]) -> list[str]:
    return [element("beam", word, number=level) for level, word in enumerate(words, 1)]


def _grace_beams(values: list[Value]) -> list[list[str]]:
    shared = min(value.beams for value in values)
    if len(values) == 1 or not shared:
        return [[] for _ in values]
    return [[word] * shared for word in ["begin", *["continue"] * (len(values) - 2), "end"]]


def _slurs(marks: Iterable[tuple[str, int]]) -> str:
    return "".join(element("slur", type=kind, number=number) for kind, number in marks)


def _tuplet(piece: WrittenNote, neighbours: Neighbours) -> str:
    """The bracket: from the first member of a group to the last that follows it directly."""
    tuplet = piece.event.tuplet
    if tuplet is None or tuplet.actual == tuplet.normal:
        return ""
    before, after = neighbours
    marks = ""
    if piece.first and not (tuplet.index and _follows(before, tuplet, -1)):
        marks += element("tuplet", type="start", number=1)
    if piece.last and not (tuplet.index + 1 < tuplet.size and _follows(after, tuplet, 1)):
        marks += element("tuplet", type="stop", number=1)
    return marks


def _follows(event: Timed | None, tuplet: Tuplet, step: int) -> bool:
    other = None if event is None else event.tuplet
    return other is not None and (other.actual, other.normal, other.index) == (
        tuplet.actual,
        tuplet.normal,
        tuplet.index + step,
    )


def _lyrics(piece: WrittenNote) -> str:
    return "".join(map(_lyric, piece.reach.syllables)) if piece.first else ""


def _lyric(syllable: Syllable) -> str:
    if syllable.held:
        return element("lyric", element("extend", type=syllable.held), number=syllable.verse)
    return element(
        "lyric",
        element("syllabic", syllable.place),
        element("text", text(syllable.text)),
        "<extend/>" if syllable.extended else "",
        number=syllable.verse,
    )
