"""Pieces of parts written out as tunes: bars, ties, chords, lines beside the first, clefs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import chain

import numpy as np

from musicgen.formats.midi.parts import MidiPart, chord_lines
from musicgen.music.instruments import GENERAL_MIDI
from musicgen.music.notation.bars import ConductorTrack, TimedChord, write_bars
from musicgen.music.notation.rhythms import UNITS
from musicgen.music.tune import Bar, Rest, Tune, Voice
from musicgen.tokens.remi.pieces import ROLES, TICKS, Piece, PiecePart

CHORALE = "chorale"
_LOW = 57  # mean MIDI pitch under which a part is written in the bass clef
_UNITS_A_TICK = UNITS // TICKS


def tune_of(piece: Piece) -> Tune:
    """The piece in notes. A part that is not one line at a time has chords, and overlays in the
    bars that need them."""
    shift = piece.before_music

    def units(ticks: int) -> int:
        return max(0, ticks - shift) * _UNITS_A_TICK

    frame = ConductorTrack(
        meters=[(units(onset), meter) for onset, meter in piece.meters],
        keys=[(0, piece.key)],
        pickup=piece.pickup * _UNITS_A_TICK,
    )
    lines = [_lines(part, shift) for part in piece.parts]
    end = max(part.end for part in piece.parts)
    bars = iter(write_bars(list(chain(*lines)), frame, units(end)))
    voices = []
    for number, (part, of_part) in enumerate(zip(piece.parts, lines, strict=True)):
        first, *others = [next(bars) for _ in of_part]
        voices.append(_voice(part, number, _with_overlays(first, others)))
    choir = [part.role for part in piece.parts] == ["soprano", "alto", "tenor", "bass"]
    return Tune(
        rhythm=CHORALE if choir else "",
        meter=piece.meters[0][1],
        unit=Fraction(1, 2),
        key=piece.key,
        voices=tuple(voices),
    )


def _lines(part: PiecePart, shift: int) -> list[list[TimedChord]]:
    """A part as lines that do not overlap, at least one, in units from the first note on."""
    rows = [
        ((onset - shift) * _UNITS_A_TICK, (onset + duration - shift) * _UNITS_A_TICK, midi)
        for onset, duration, midi in part.notes
    ]
    if ROLES[part.role].single or not rows:
        return [[(onset, end, (midi,)) for onset, end, midi in rows]]
    return chord_lines(MidiPart(1, 1, "", part.program, np.array(rows), ()), [])


def _with_overlays(first: Sequence[Bar], others: Sequence[Sequence[Bar]]) -> tuple[Bar, ...]:
    written = []
    for number, bar in enumerate(first):
        beside = [line[number].events for line in others]
        sounding = tuple(e for e in beside if not all(isinstance(event, Rest) for event in e))
        written.append(replace(bar, overlays=sounding))
    return tuple(written)


def _voice(part: PiecePart, number: int, bars: tuple[Bar, ...]) -> Voice:
    role = ROLES[part.role]
    clef, name = role.clef, role.name
    if not name:
        pitches = [midi for _, _, midi in part.notes]
        clef = "bass" if pitches and sum(pitches) / len(pitches) < _LOW else "treble"
        name = "" if part.program is None else GENERAL_MIDI[part.program].capitalize()
    return Voice(id=str(number + 1), name=name, clef=clef, program=part.program, bars=bars)
