"""Pieces of parts written out as tunes: bars, ties, chords, lines beside the first, clefs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from musicgen.formats.midi.notating import Frame, Sound, write_bars
from musicgen.instruments import GENERAL_MIDI
from musicgen.theory import Key, Meter, spell
from musicgen.tokenizer.parts import ROLES, TICKS, Part, Piece
from musicgen.tune import Bar, Chord, Event, Note, Rest, Tune, Voice

CHORALE = "chorale"
_LOW = 57  # mean MIDI pitch under which a part is written in the bass clef

# Onset and end in ticks from the first note of the piece, MIDI pitches struck together; () rests.
Strike = tuple[int, int, tuple[int, ...]]


def tune_of(piece: Piece) -> Tune:
    """The piece in notes. A part that is not one line at a time has chords, and overlays in the
    bars that need them."""
    end = max(part.end for part in piece.parts) - piece.before_music
    voices = []
    for number, part in enumerate(piece.parts):
        first, *others = [
            _write_line(_filled(line, end), piece) for line in _lines(part, piece.before_music)
        ]
        voices.append(_voice(part, number, _with_overlays(first, others)))
    choir = [part.role for part in piece.parts] == ["soprano", "alto", "tenor", "bass"]
    return Tune(
        rhythm=CHORALE if choir else "",
        meter=piece.meters[0][1],
        unit=Fraction(1, 2),
        key=piece.key,
        voices=tuple(voices),
    )


def _lines(part: Part, shift: int) -> list[list[Strike]]:
    """A part as lines that do not overlap, at least one. Notes with one onset and end are a chord;
    each strike joins the first line that is free."""
    together: dict[tuple[int, int], list[int]] = {}
    for onset, duration, midi in part.notes:
        together.setdefault((onset - shift, onset + duration - shift), []).append(midi)
    lines: list[list[Strike]] = [[]]
    for (onset, end), pitches in sorted(together.items(), key=lambda s: (s[0][0], -max(s[1]))):
        free = (line for line in lines if not line or line[-1][1] <= onset)
        line = next(free, None)
        if line is None:
            line = []
            lines.append(line)
        line.append((onset, end, tuple(pitches)))
    return lines


def _filled(line: Sequence[Strike], end: int) -> list[Strike]:
    """The line with its silences, up to `end`."""
    filled: list[Strike] = []
    position = 0
    for strike in [*line, (end, end, ())]:
        if strike[0] > position:
            filled.append((position, strike[0], ()))
        if strike[2]:
            filled.append(strike)
        position = strike[1]
    return filled


def _write_line(line: Sequence[Strike], piece: Piece) -> tuple[Bar, ...]:
    """Bars of one line. Each kind of strike is written as a note of a number of its own, which is
    then replaced by its rest, note or chord."""
    kinds = list(dict.fromkeys(pitches for _, _, pitches in line))
    number = {pitches: i for i, pitches in enumerate(kinds)}
    sounds = [
        Sound(Fraction(onset, TICKS), Fraction(end, TICKS), number[pitches])
        for onset, end, pitches in line
    ]
    meters = [
        (max(Fraction(0), Fraction(onset - piece.before_music, TICKS)), meter)
        for onset, meter in piece.meters
    ]
    if piece.pickup:
        upbeat = Fraction(piece.pickup, TICKS)
        short = (Fraction(0), Meter((piece.pickup,), 4 * TICKS))
        meters = [short, (upbeat, meters[0][1]), *meters[1:]]
    bars = write_bars(sounds, Frame(meters, [(Fraction(0), piece.key)]), sounds[-1].end)
    return tuple(replace(bar, events=_events(bar, kinds, piece.key)) for bar in bars)


def _events(bar: Bar, kinds: Sequence[tuple[int, ...]], key: Key) -> tuple[Event, ...]:
    events = tuple(
        _event(event, kinds[event.midi], key) if isinstance(event, Note) else event
        for event in bar.events
    )
    resting = len(events) == 1 and isinstance(events[0], Rest)
    return (Rest(bar.duration, full_bar=True),) if resting else events


def _event(note: Note, pitches: tuple[int, ...], key: Key) -> Event:
    if not pitches:
        return Rest(note.duration, tuplet=note.tuplet)
    if len(pitches) == 1:
        return replace(note, pitch=spell(pitches[0], key))
    heads = tuple(
        Note(spell(midi, key), note.duration, note.tie) for midi in sorted(pitches, reverse=True)
    )
    return Chord(heads, note.duration, note.tuplet)


def _with_overlays(first: Sequence[Bar], others: Sequence[Sequence[Bar]]) -> tuple[Bar, ...]:
    written = []
    for number, bar in enumerate(first):
        beside = [line[number].events for line in others]
        sounding = tuple(e for e in beside if not all(isinstance(event, Rest) for event in e))
        written.append(replace(bar, overlays=sounding))
    return tuple(written)


def _voice(part: Part, number: int, bars: tuple[Bar, ...]) -> Voice:
    role = ROLES[part.role]
    clef, name = role.clef, role.name
    if not name:
        pitches = [midi for _, _, midi in part.notes]
        clef = "bass" if pitches and sum(pitches) / len(pitches) < _LOW else "treble"
        name = "" if part.program is None else GENERAL_MIDI[part.program].capitalize()
    return Voice(id=str(number + 1), name=name, clef=clef, program=part.program, bars=bars)
