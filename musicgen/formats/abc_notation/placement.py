"""Putting ABC notes into their voice: pitch, tuplets, broken rhythm, ties, waiting signs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from musicgen.formats.abc_notation import decorations
from musicgen.formats.abc_notation.drafts import (
    Pending,
    VoiceDraft,
    scaled,
    tied,
    with_marks,
    with_signs,
    with_slurs,
)
from musicgen.formats.abc_notation.scanner import ALTERS, factor, pitch_of
from musicgen.music.theory import Pitch
from musicgen.music.tune import NO_MARKS, Chord, Note, Rest, Timed

# Words at a bar line that belong to the note before it.
_CLOSING_TEXT = re.compile(r"[\^_<>@]?\s*(?:D\.? ?C\b|D\.? ?S\b|fine\b|da ?capo|dal ?segno)", re.I)


class Placer:
    """Places notes in `voice`. `scope` is how far an accidental reaches in its bar: "pitch" (all
    octaves, the default), "octave" or "not". `warn` takes a text and a column."""

    def __init__(self, voice: VoiceDraft, warn: Callable[[str, int], None]) -> None:
        self.voice = voice
        self.warn = warn
        self.scope = "pitch"

    def pitch(self, sign: str | None, letter: str, octave: str) -> Pitch:
        """The sounding pitch, and the effect of its accidental on the rest of the bar."""
        voice = self.voice
        pitch = pitch_of(letter, octave, 0)
        if voice.octave:
            pitch = replace(pitch, octave=pitch.octave + voice.octave)
        reach = pitch.step if self.scope == "pitch" else f"{pitch.step}{pitch.octave}"
        if sign is not None:
            alter = ALTERS[sign]
            if self.scope != "not":
                voice.altered = voice.altered | {reach: alter}
        else:
            alter = voice.altered.get(reach, voice.signature[pitch.step])
            if voice.lane.tie and voice.lane.events is not voice.events and voice.last:
                # A note tied over a bar line keeps its accidental.
                for before in _pitches(voice.last):
                    if before.diatonic == pitch.diatonic:
                        alter = before.alter
        return replace(pitch, alter=alter)

    def place(self, event: Timed) -> None:
        """Append an event with everything that was waiting for it."""
        voice = self.voice
        group = voice.lane.tuplet
        if group is not None:
            event = scaled(event, Fraction(group.normal, group.actual), group.next())
            if group.index == group.size:
                voice.lane.tuplet = None
        if voice.broken is not None:
            first, second = voice.broken
            voice.broken = None
            voice.amend_last(lambda last: scaled(last, first))
            event = scaled(event, second)
        if voice.lane.tie:
            self._resolve_tie(event)
        if voice.pending is not None:
            event = with_marks(event, voice.pending.marks())
            voice.pending = None
        voice.append(event)
        voice.busy = voice.lane.tuplet is not None

    def _resolve_tie(self, event: Timed) -> None:
        """A tie sign between different pitches is a slur."""
        voice = self.voice
        voice.lane.tie = False
        before = voice.last
        assert before is not None
        if type(event) is Rest:
            voice.amend_last(tied)
            return
        pitches = frozenset(_pitches(event))
        if pitches.isdisjoint(_pitches(before)):
            voice.amend_last(lambda last: with_slurs(last, 1, 0))
            voice.expect().closed += 1
        else:
            voice.amend_last(lambda last: tied(last, pitches))

    def outer(self) -> Pending:
        """Signs for the next note, or for the chord that is open."""
        voice = self.voice
        if voice.chord is None:
            return voice.expect()
        if voice.chord.pending is None:
            voice.chord.pending = Pending()
        return voice.chord.pending

    def close_chord(self, length: str) -> None:
        """Place the chord that is open, with the length after its bracket."""
        voice = self.voice
        draft = voice.chord
        assert draft is not None
        voice.chord = None
        leftover, voice.pending = voice.pending, draft.pending
        if leftover is not None:
            voice.expect().decorations += leftover.decorations
        if not draft.notes:
            return
        by = factor(length) or Fraction(1)
        notes = tuple(replace(n, duration=n.duration * by) for n in draft.notes)
        self.place(Chord(notes, notes[0].duration))
        if draft.broken:
            self.begin_broken(draft.broken)

    def begin_broken(self, signs: str) -> None:
        """Lengthen one note and shorten the other: > makes 3/2 and 1/2, >> 7/4 and 1/4."""
        short = Fraction(1, 2 ** len(signs))
        pair = (2 - short, short)
        self.voice.broken = pair if signs[0] == ">" else (pair[1], pair[0])
        self.voice.busy = True

    def settle(self, column: int) -> None:
        """Before a bar line or the end: nothing may wait for a note of this bar any more."""
        voice = self.voice
        if voice.chord is not None:
            self.warn("a chord is not closed; closed here", column)
            self.close_chord("")
        if voice.broken is not None:
            self.warn("a broken rhythm sign has no note after it in its bar; left out", column)
            voice.broken = None
        pending = voice.pending
        if pending is None or voice.last is None:
            return
        names = [d for d in pending.decorations if d in decorations.CLOSING]
        texts = [a for a in pending.annotations if _CLOSING_TEXT.match(a)]
        if names or texts:
            voice.amend_last(lambda last: with_signs(last, texts, names))
            pending.decorations = [d for d in pending.decorations if d not in names]
            pending.annotations = [a for a in pending.annotations if a not in texts]
        if pending.marks() == NO_MARKS:
            voice.pending = None

    def close_at_line_end(self) -> None:
        """The bar was full at a line end that had no bar line, and music goes on: a new bar."""
        voice = self.voice
        self.warn("no bar line at the end of the line before; read as one", 0)
        self.settle(0)
        voice.close_bar("|", voice.bar.end)
        voice.bars[-1].line_break = True

    def finish(self) -> None:
        """At the end of the voice: what still waits goes to its last note."""
        self.settle(0)
        voice = self.voice
        for lane in voice.lanes:
            if lane.tie:
                own = "" if lane is voice.lanes[0] else " of its overlay"
                self.warn(f"a tie leads to no note{own}", 0)
                lane.keep_tie()
        left = voice.pending
        if left is None or voice.last is None:
            return
        if left.grace is not None or left.opened:
            self.warn("grace notes or a slur after the last note are left out", 0)
        texts, names, closed = left.annotations, left.decorations, left.closed
        marks, symbol = voice.last.marks, left.chord_symbol
        if symbol and not marks.chord_symbol:
            marks = replace(marks, chord_symbol=symbol)
            voice.amend_last(lambda last: with_marks(last, marks))
        elif symbol:
            texts = [symbol, *texts]
        voice.amend_last(lambda last: with_slurs(with_signs(last, texts, names), 0, closed))


def _pitches(event: Timed) -> list[Pitch]:
    if type(event) is Note:
        return [event.pitch]
    return [note.pitch for note in event.notes] if type(event) is Chord else []
