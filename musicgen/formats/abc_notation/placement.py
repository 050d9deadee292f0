"""Places ABC notes in their voice: pitch, tuplet, broken rhythm, ties, the signs before them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from musicgen.formats.abc_notation import decorations
from musicgen.formats.abc_notation.drafts import (
    E,
    Pending,
    VoiceDraft,
    scaled,
    tied,
    with_signs,
    with_slurs,
)
from musicgen.formats.abc_notation.scanner import ALTERS, factor, pitch_of
from musicgen.music.theory import Pitch
from musicgen.music.tune import NO_MARKS, Chord, Note, Rest, Timed, notes_of

# Words at a bar line that belong to the note before it.
_CLOSING_TEXT = re.compile(r"[\^_<>@]?\s*(?:D\.? ?C\b|D\.? ?S\b|fine\b|da ?capo|dal ?segno)", re.I)


class Placer:
    """Places notes in `voice`. `scope` is how far an accidental reaches in its bar: "pitch" (all
    octaves, the default), "octave" or "not". `warn` takes a text and a column."""

    def __init__(self, voice: VoiceDraft, warn: Callable[[str, int], None]) -> None:
        self.voice = voice
        self.warn = warn
        self.scope = "pitch"

    def voice_for_event(self) -> VoiceDraft:
        """The voice, ready for an event: a bar that was full at a line end without a bar line is
        closed."""
        voice = self.voice
        if voice.line_end:
            self.warn("no bar line at the end of the line before; read as one", 0)
            self.settle(0)
            voice.close_bar("|", voice.bar.end)
            voice.bars[-1].line_break = True
        return voice

    def pitch(self, sign: str | None, letter: str, octave: str) -> Pitch:
        """The sounding pitch; its accidental holds for the rest of the bar."""
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
                tied_alters = {p.diatonic: p.alter for p in _pitches(voice.last)}
                alter = tied_alters.get(pitch.diatonic, alter)
        return replace(pitch, alter=alter)

    def place(self, event: Timed) -> None:
        """Append an event, with the tuplet, broken rhythm, tie and signs that are open."""
        voice = self.voice
        if voice.is_silent and type(event) is not Rest:
            voice.n_silent += len(notes_of(event))
            event = Rest(event.duration)
        tuplet = voice.lane.tuplet
        if tuplet is not None:
            event = scaled(event, Fraction(tuplet.normal, tuplet.actual), tuplet.next())
            if tuplet.index == tuplet.size:
                voice.lane.tuplet = None
        if voice.broken is not None:
            first, second = voice.broken
            voice.broken = None
            voice.amend_last(lambda last: scaled(last, first))
            event = scaled(event, second)
        if voice.lane.tie:
            self._resolve_tie(event)
        voice.append(self.marked(event))
        voice.busy = voice.lane.tuplet is not None

    def marked(self, event: E) -> E:
        """The event with the signs that stood before it, which are used up."""
        pending, self.voice.pending = self.voice.pending, None
        return event if pending is None else replace(event, marks=pending.marks())

    def _resolve_tie(self, event: Timed) -> None:
        """Close an open tie; a tie sign between different pitches is a slur."""
        voice = self.voice
        pitches = frozenset(_pitches(event))
        if type(event) is Rest:
            voice.lane.keep_tie()
        elif voice.last is None or pitches.isdisjoint(_pitches(voice.last)):
            voice.amend_last(lambda last: with_slurs(last, 1, 0))
            voice.before_next().closed += 1
        else:
            voice.amend_last(lambda last: tied(last, pitches))
        voice.lane.tie = False

    def outer(self) -> Pending:
        """Signs for the next note, or for the chord that is open."""
        chord = self.voice.chord
        if chord is None:
            return self.voice.before_next()
        chord.pending = chord.pending or Pending()
        return chord.pending

    def close_chord(self, length: str) -> None:
        """Place the chord that is open, with the length after its bracket."""
        voice = self.voice
        draft = voice.chord
        assert draft is not None
        voice.chord = None
        surplus, voice.pending = voice.pending, draft.pending
        if surplus is not None:
            voice.before_next().decorations += surplus.decorations
        if not draft.notes:
            return
        chord = Chord(tuple(draft.notes), draft.notes[0].duration)
        self.place(scaled(chord, factor(length) or Fraction(1)))
        if draft.broken:
            self.begin_broken(draft.broken)

    def begin_broken(self, signs: str) -> None:
        """Lengthen one note and shorten the other: > makes 3/2 and 1/2, >> 7/4 and 1/4."""
        short = Fraction(1, 2 ** len(signs))
        pair = (2 - short, short)
        self.voice.broken = pair if signs[0] == ">" else (pair[1], pair[0])
        self.voice.busy = True

    def settle(self, column: int) -> None:
        """Close the chord, broken rhythm and signs that are open before a bar line or the end."""
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

    def finish(self) -> None:
        """End the voice: the signs that are still open go to its last note."""
        self.settle(0)
        voice = self.voice
        for lane in voice.lanes:
            if lane.tie:
                where = "" if lane is voice.lanes[0] else " of its overlay"
                self.warn(f"a tie leads to no note{where}", 0)
                lane.keep_tie()
        signs, last = voice.pending, voice.last
        if signs is None or last is None:
            return
        if signs.grace is not None or signs.opened:
            self.warn("grace notes or a slur after the last note are left out", 0)
        texts = signs.annotations
        if last.marks.chord_symbol and signs.chord_symbol:
            texts = [signs.chord_symbol, *texts]
        elif signs.chord_symbol:
            last = replace(last, marks=replace(last.marks, chord_symbol=signs.chord_symbol))
        last = with_slurs(with_signs(last, texts, signs.decorations), 0, signs.closed)
        voice.lane.events[voice.lane.index] = last


def _pitches(event: Timed) -> list[Pitch]:
    if type(event) is Note:
        return [event.pitch]
    return [note.pitch for note in event.notes] if type(event) is Chord else []
