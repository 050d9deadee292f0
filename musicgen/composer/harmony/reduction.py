"""Chords of music in parts: the major, minor, diminished or dominant chord that fits each slot.

    chords_of(chorale)    # the slots of its highest voice, each with the chord of all voices

A chord's score is the time its notes sound minus the time that other notes do; notes at the slot's
beginning count double, and so does a bass that is its root (a simple form of the template matching
of Pardo and Birmingham, "Algorithms for chordal analysis", Computer Music Journal 26(2), 2002).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate

import numpy as np

from musicgen.composer.harmony.chords import KINDS, N_CHORDS, chord_name, notes_of, root_of
from musicgen.composer.harmony.slots import Slot, slots_of
from musicgen.music.theory import Key
from musicgen.music.tune import Chord, Note, Rest, Tune, Voice

FEWEST_VOICES = 3
# What a kind of chord has to fit better than a plain triad to be believed, in quarters of time.
_RARER = {"": 0.0, "m": 0.0, "7": 0.35, "dim": 0.25}
_BASS = 1.0
_OUTSIDE = 1.0

# (onset, end, MIDI pitch) in quarters of the music as written
Sounding = tuple[Fraction, Fraction, int]


def chords_of(tune: Tune) -> list[Slot]:
    """The slots of the first voice with the chords that all voices make there; [] for fewer than
    three voices. Where nothing sounds the chord before holds."""
    if len(tune.voices) < FEWEST_VOICES:
        return []
    sounding = sorted(note for voice in tune.voices for note in _notes(voice))
    onsets = [onset for onset, _, _ in sounding]
    longest = max((end - onset for onset, end, _ in sounding), default=Fraction(0))
    bars = [Fraction(0), *accumulate(bar.duration for bar in tune.bars)]
    found: list[Slot] = []
    written = ""
    for slot in slots_of(tune):
        start = bars[slot.bar] + slot.place
        end = start + slot.duration
        near = sounding[bisect_right(onsets, start - longest) : bisect_right(onsets, end)]
        heard = [n for n in near if n[0] < end and n[1] > start]
        written = _best(heard, start, end, slot.key) if heard else written
        found.append(replace(slot, written=written))
    return found


def _notes(voice: Voice) -> list[Sounding]:
    notes, position = [], Fraction(0)
    for event in voice.events:
        end = position + event.duration
        if isinstance(event, Chord):
            notes += [(position, end, note.midi) for note in event.notes]
        elif isinstance(event, Note):
            notes.append((position, end, event.midi))
        else:
            assert isinstance(event, Rest)
        position = end
    return notes


def _best(heard: Sequence[Sounding], start: Fraction, end: Fraction, key: Key) -> str:
    times = np.zeros(12)
    for onset, stop, midi in heard:
        time = float(min(stop, end) - max(onset, start))
        times[(midi - key.tonic_pitch_class) % 12] += time * (2 if onset <= start else 1)
    first = [midi for onset, _, midi in heard if onset <= start] or [n[2] for n in heard]
    bass = (min(first) - key.tonic_pitch_class) % 12
    scale = times.sum() / max(1, len(KINDS))

    def fit(chord: int) -> float:
        inside = sum(times[note] for note in notes_of(chord))
        rarer = _RARER[KINDS[(chord - 1) % len(KINDS)]] * scale
        on_root = _BASS * scale if root_of(chord) == bass else 0.0
        return float(inside - _OUTSIDE * (times.sum() - inside) + on_root - rarer)

    return chord_name(max(range(1, N_CHORDS), key=fit), key)


def learned_slots(tune: Tune) -> list[Slot]:
    """The slots of a tune with what there is to learn: its chord symbols, or else the chords that
    its voices make."""
    written = slots_of(tune)
    return written if any(slot.written for slot in written) else chords_of(tune)
