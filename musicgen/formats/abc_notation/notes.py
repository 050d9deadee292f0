"""Notes, chords and rests as ABC text: accidentals where needed, tuplets, lengths, signs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from musicgen.errors import InvalidTuneError
from musicgen.formats.abc_notation.decorations import LETTERS, SHORT, is_name
from musicgen.formats.abc_notation.scanner import letter_of, tuplet_times
from musicgen.formats.abc_notation.text import quote
from musicgen.music.theory import Key, Meter, Pitch
from musicgen.music.tune import (
    Change,
    Chord,
    Event,
    Grace,
    Marks,
    Note,
    Rest,
    Timed,
    Tune,
    Tuplet,
    notes_of,
)

SIGNS = {0: "=", 1: "^", 2: "^^", -1: "_", -2: "__"}
_NAME = re.compile(r"[^!\s|\"\\%]{1,40}")
MAX_LENGTH_NUMBER = 9999
# Signs that abc2midi knows only in full at a bar line; others, such as a fermata, it would play on
# the next note.
_SPELT_OUT = frozenset(("segno", "coda", "upbow", "downbow"))
_LETTER = re.compile(f"(?![{''.join(LETTERS)}])[H-WYh-w]")
# Length of a note over that of the next: the sign between them, the note over its written length.
_BROKEN = {
    factor / (2 - factor): (sign * n, factor)
    for n in (1, 2, 3)
    for sign, factor in ((">", 2 - Fraction(1, 2**n)), ("<", Fraction(1, 2**n)))
}


def _ratio(event: Timed, after: Event) -> Fraction | None:
    """The length of a note over that of the next; None where no sign may stand between them."""
    for each in (event, after):
        if isinstance(each, Change | Rest) or each.tuplet is not None:  # in which abcjs reads none
            return None
        if any(note.duration != each.duration for note in notes_of(each)):
            return None
    assert not isinstance(after, Change)
    tied = any(note.tie for note in notes_of(event))
    return None if tied or not after.duration else event.duration / after.duration


class AbcNoteWriter:
    """Writes notes in order, with the accidentals of the bar and the open tuplets as its state."""

    def __init__(self, tune: Tune) -> None:
        self.name = tune.title or f"X:{tune.number}"
        self.unit = tune.unit
        self.octave = 0  # how many octaves higher notes sound than they are written
        self.short = {} if any(f[0] == "U" for f in tune.fields) else SHORT
        self.groups: dict[int, Tuplet | None] = {}
        self.tied: dict[int, frozenset[Pitch]] = {}  # from the last event of each lane
        self.held: frozenset[Pitch] = frozenset()  # by ties into this event
        self.set_key(tune.key)

    def set_key(self, key: Key) -> None:
        """Set the signature of the notes that follow."""
        self.signature: dict[str, int] = key.signature
        self.end_bar()

    def end_bar(self) -> None:
        """End the accidentals of the bar."""
        self.altered = self.signature
        self.altered_there: dict[tuple[str, int], int] = {}  # by step and octave

    begin_overlay = end_bar

    def write(self, event: Timed, lane: int, *, bar_rest: bool, meter: Meter) -> str:
        """Text of an event with all its signs."""
        tuplet = self._tuplet(event.tuplet, lane, meter)
        scale = event.tuplet.scale if event.tuplet is not None else Fraction(1)
        before, after = self._marks(event.marks, letters=not bar_rest)
        self.held = self.tied.get(lane, frozenset())
        self.tied[lane] = frozenset(note.pitch for note in notes_of(event) if note.tie)
        if isinstance(event, Note):
            body = self._pitch(event.pitch) + self._length(event.duration / scale)
            after = "-" * event.tie + after  # abcjs knows no ")-"
        elif isinstance(event, Chord):
            body = self._chord(event, scale)
        elif bar_rest and event.duration == (meter.bar_duration or 4) and event.tuplet is None:
            body = "Z" if event.visible else "X"
        else:
            body = ("z" if event.visible else "x") + self._length(event.duration / scale)
        if tuplet and event.marks.grace is not None:  # as musicians write it
            opening = before.index("}") + 1
            return f"{before[:opening]}{tuplet}{before[opening:]}{body}{after}"
        return f"{tuplet}{before}{body}{after}"

    def broken_pairs(
        self, events: Sequence[Event], at: Fraction
    ) -> dict[int, tuple[str, Fraction]]:
        """The notes to write as broken rhythm, by index: the sign after a note, and its length over
        the written one. Music starts at `at` in the bar."""
        pairs: dict[int, tuple[str, Fraction]] = {}
        for index, (event, after) in enumerate(pairwise(events)):
            if isinstance(event, Change):
                continue
            onset, at = at, at + event.duration
            ratio = _ratio(event, after)
            if index in pairs or ratio not in _BROKEN or isinstance(after, Change):
                continue
            sign, factor = _BROKEN[ratio]
            length = event.duration / factor
            parts = event.duration / self.unit, after.duration / self.unit
            if onset % length == 0 and any(part.denominator > 1 for part in parts):
                pairs[index], pairs[index + 1] = (sign, factor), ("", 2 - factor)
        return pairs

    def signs(self, marks: Marks) -> str:
        """Text of signs that stand at a bar line."""
        return self._marks(marks, letters=False)[0]

    def _chord(self, chord: Chord, scale: Fraction) -> str:
        even = all(note.duration == chord.duration for note in chord.notes)
        if not chord.notes or chord.notes[0].duration != chord.duration:
            raise InvalidTuneError(
                f"{self.name}: a chord must be as long as its first note; change one of them"
            )
        inner = []
        for note in chord.notes:
            before, after = self._marks(note.marks)
            length = "" if even else self._length(note.duration / scale)
            inner.append(f"{before}{self._pitch(note.pitch)}{length}{'-' * note.tie}{after}")
        return f"[{''.join(inner)}]{self._length(chord.duration / scale) if even else ''}"

    def _pitch(self, pitch: Pitch) -> str:
        """A note with its accidental where it needs one, however far those before reach: through
        all octaves, which is the default (11.3), or through one, as for abcjs, to which that of
        a note tied from the bar before is not one of its bar."""
        sign, place = "", (pitch.step, pitch.octave)
        there = self.altered_there.get(place, self.signature[pitch.step])
        if self.altered[pitch.step] != pitch.alter or there != pitch.alter:
            sign = SIGNS[pitch.alter]
            self.altered = self.altered | {pitch.step: pitch.alter}
            if pitch not in self.held:
                self.altered_there = self.altered_there | {place: pitch.alter}
        return sign + letter_of(pitch.step, pitch.octave - self.octave)

    def _length(self, duration: Fraction) -> str:
        length = duration / self.unit
        top, bottom = length.numerator, length.denominator
        if length <= 0 or max(top, bottom) > MAX_LENGTH_NUMBER:
            raise InvalidTuneError(
                f"{self.name}: a note of {duration} quarters cannot be written; quantise it first"
            )
        if bottom == 1:
            return "" if top == 1 else str(top)
        return f"{top if top > 1 else ''}/{bottom if bottom > 2 else ''}"

    def _tuplet(self, tuplet: Tuplet | None, lane: int, meter: Meter) -> str:
        """The sign before the first of a group, in its shortest form; "" for the others."""
        before = self.groups.get(lane)
        expected = 0 if before is None else before.index + 1
        if tuplet is None and not expected:
            return ""
        if tuplet is None or tuplet.index not in (0, expected):
            raise InvalidTuneError(f"{self.name}: a tuplet is incomplete; give it all of its notes")
        self.groups[lane] = None if tuplet.index == tuplet.size - 1 else tuplet
        if tuplet.index:
            return ""
        usual = tuplet.normal == tuplet_times(tuplet.actual, meter.compound)
        normal = "" if usual else tuplet.normal
        if tuplet.size != tuplet.actual:
            return f"({tuplet.actual}:{normal}:{tuplet.size}"
        return f"({tuplet.actual}:{normal}" if normal else f"({tuplet.actual}"

    def _marks(self, marks: Marks, *, letters: bool = True) -> tuple[str, str]:
        """The text of marks before and after a note, in the order of the standard (4.20);
        without `letters` some signs are spelt out."""
        before = "(" * marks.slurs_opened
        if marks.grace is not None:
            before += self._grace(marks.grace)
        if marks.chord_symbol:
            before += quote(marks.chord_symbol)
        before += "".join(map(quote, marks.annotations))
        for name in marks.decorations:
            if name in self.short and (letters or name not in _SPELT_OUT):
                before += self.short[name]
            elif self.short and _LETTER.fullmatch(name):
                before += name  # one that has no meaning
            elif _NAME.fullmatch(name) and is_name(name):
                before += f"!{name}!"
            else:
                before += quote(f"^{name}")
        return before, ")" * marks.slurs_closed

    def _grace(self, grace: Grace) -> str:
        notes = []
        for note in grace.notes:
            before, after = self._marks(note.marks)
            text = self._pitch(note.pitch) + self._length(note.duration)
            notes.append(f"{before}{text}{'-' * note.tie}{after}")
        return f"{{{'/' * grace.slashed}{''.join(notes)}}}"
