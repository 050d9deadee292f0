"""A tune with its chords as a second voice, for formats that know notes alone, such as MIDI.

Recordings are played with a livelier accompaniment from the same symbols (`performance`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from musicgen.music.chord_symbols import ChordSymbol, parse_chord
from musicgen.music.performance.accompaniment import BASS_FROM, CHORD_FROM
from musicgen.music.theory import Key, spell
from musicgen.music.tune import Bar, Change, Chord, Note, Rest, Timed, Tune, Voice

GUITAR = 24  # General MIDI number of the nylon-string guitar, from 0


def backed(tune: Tune) -> Tune:
    """The tune with another voice that holds each chord, its bass below, until the next."""
    if not tune.voices:
        return tune
    bars: list[Bar] = []
    key, symbol = tune.key, None
    for bar in tune.bars:
        events: list[Timed] = []
        for length, sounding, in_force in _spans(bar, key, symbol):
            key, symbol = in_force, sounding
            if length:
                events.append(_struck(sounding, length, key))
        bars.append(replace(bar, events=tuple(events), overlays=()))
    return replace(
        tune, voices=(*tune.voices, Voice(id="chords", program=GUITAR, bars=tuple(bars)))
    )


def _spans(
    bar: Bar, key: Key, symbol: ChordSymbol | None
) -> Iterator[tuple[Fraction, ChordSymbol | None, Key]]:
    """(length, chord, key) of the stretches of a bar between its chord symbols, in order; the last
    may be empty and says what is in force at the bar's end."""
    length = Fraction(0)
    for event in bar.events:
        if isinstance(event, Change):
            key = event.key or key
            continue
        found = parse_chord(event.marks.chord_symbol) if event.marks.chord_symbol else None
        if found is not None:
            yield length, symbol, key
            length, symbol = Fraction(0), found
        length += event.duration
    yield length, symbol, key


def _struck(symbol: ChordSymbol | None, length: Fraction, key: Key) -> Timed:
    if symbol is None or not symbol.intervals:
        return Rest(length)
    upper = sorted(CHORD_FROM + (pitch - CHORD_FROM) % 12 for pitch in symbol.pitch_classes)
    bass = BASS_FROM + (symbol.bass - BASS_FROM) % 12
    notes = tuple(Note(spell(midi, key), length) for midi in (bass, *upper))
    return Chord(notes, length)
