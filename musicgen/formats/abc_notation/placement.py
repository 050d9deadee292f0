"""Places ABC notes in their voice: pitch, tuplet, broken rhythm, ties, the signs before them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from musicgen.formats.abc_notation.drafts import VoiceDraft
from musicgen.formats.abc_notation.event_drafts import (
    E,
    Pending,
    scaled,
    tied,
    with_signs,
    with_slurs,
)
from musicgen.formats.abc_notation.scanner import ALTERS, factor, pitch_of
from musicgen.music.theory import Pitch
from musicgen.music.tune import NO_MARKS, Chord, Note, Rest, Timed, notes_of


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
            self.close_open(0)
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
        is_slur = voice.lane.tie and self._resolve_tie(event)
        voice.append(self.marked(event))
        if is_slur:
            voice.lane.slur_end = voice.last
        voice.busy = voice.lane.tuplet is not None

    def marked(self, event: E) -> E:
        """The event with the signs that stood before it, which are used up."""
        pending, self.voice.pending = self.voice.pending, None
        return event if pending is None else replace(event, marks=pending.marks())

    def _resolve_tie(self, event: Timed) -> bool:
        """Close an open tie; a tie sign between different pitches is a slur, then True."""
        voice = self.voice
        voice.lane.tie = False
        pitches = frozenset(_pitches(event))
        if type(event) is Rest:
            voice.lane.keep_tie()
        elif voice.last is None or pitches.isdisjoint(_pitches(voice.last)):
            moved = voice.last is not None and voice.last is voice.lane.slur_end
            voice.amend_last(lambda last: with_slurs(last, 1 - moved, -moved))
            voice.before_next().closed += 1
            return True
        else:
            voice.amend_last(lambda last: tied(last, pitches))
        return False

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
        """Close what is open before a bar line or the end, where signs without a note stay."""
        self.close_open(column)
        voice = self.voice
        if voice.pending is None or (voice.bar.empty and not voice.bars):
            return
        # Those between two bar lines belong to the next note unless they end a passage.
        bar = voice.bars[-1] if voice.bar.empty else voice.current
        bar.add_signs(voice.pending.take_signs(closing=voice.bar.empty))
        if voice.pending.marks() == NO_MARKS:
            voice.pending = None

    def close_open(self, column: int) -> None:
        """Close the chord and the broken rhythm that are open."""
        voice = self.voice
        if voice.chord is not None:
            self.warn("a chord is not closed; closed here", column)
            self.close_chord("")
        if voice.broken is not None:
            self.warn("a broken rhythm sign has no note after it in its bar; left out", column)
            voice.broken = None

    def finish(self) -> None:
        """End the voice: signs stay after its last note; a chord symbol or slur goes to it."""
        self.close_open(0)
        voice = self.voice
        for lane in voice.lanes:
            if lane.tie:
                where = "" if lane is voice.lanes[0] else " of its overlay"
                self.warn(f"a tie leads to no note{where}", 0)
                lane.keep_tie()
        signs, last = voice.pending, voice.last
        if signs is None or last is None:
            return
        if signs.opened:
            self.warn("a slur after the last note is left out", 0)
        voice.bar.add_signs(signs.take_signs(closing=False))
        if last.marks.chord_symbol and signs.chord_symbol:
            last = with_signs(last, [signs.chord_symbol], [])
        elif signs.chord_symbol:
            last = replace(last, marks=replace(last.marks, chord_symbol=signs.chord_symbol))
        last = with_slurs(last, 0, signs.closed)
        voice.lane.events[voice.lane.index] = last


def _pitches(event: Timed) -> list[Pitch]:
    if type(event) is Note:
        return [event.pitch]
    return [note.pitch for note in event.notes] if type(event) is Chord else []
