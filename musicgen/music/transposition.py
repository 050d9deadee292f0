"""A whole tune in another key, or as it sounds: notes, chord symbols, changes of key."""

from __future__ import annotations

import re
from dataclasses import replace

from musicgen.config import Accepted, arguments
from musicgen.errors import ConfigError
from musicgen.music.chord_symbols import Spelling, spelled_chord
from musicgen.music.theory import (
    ACCIDENTAL_TEXT,
    ACCIDENTALS,
    Interval,
    Key,
    Pitch,
    parse_key,
    spell,
    tonic_name,
    transpose_pitch,
)
from musicgen.music.tune import (
    Bar,
    Change,
    Chord,
    Event,
    Marks,
    Note,
    Rest,
    Tune,
    Voice,
    require_tune,
)

MOST_SEMITONES = 24


@arguments(to=Accepted('a key such as "G", or semitones such as "+2"'))
def transpose(tune: Tune, to: str) -> Tune:
    """Move a tune to a key such as "G" or "Em" (by the smaller way, its mode stays), or by
    semitones such as "+2" or "-12".

    Raises:
        ConfigError: `to` is neither.
    """
    tune = require_tune(tune)
    return move(tune, _interval(tune.key, to))


def move(tune: Tune, interval: Interval) -> Tune:
    """A whole tune moved by a spelled interval, its key too."""
    return _Mover(interval).tune(tune)


def move_voice(voice: Voice, interval: Interval) -> Voice:
    """A voice moved by an interval, its changes of key included."""
    return _Mover(interval).voice(voice)


def move_key(key: Key, interval: Interval) -> Key:
    """A key moved by an interval; one without a tonic stays."""
    return _Mover(interval).key(key)


def at_concert_pitch(tune: Tune) -> Tune:
    """The tune with the voices of transposing instruments written as they sound. The heading's key
    is moved with the first voice."""
    if not any(map(_transposes, tune.voices)):
        return tune
    voices = tuple(_sounding(voice, tune.key) for voice in tune.voices)
    by = tune.voices[0].transposition
    return replace(tune, key=move_key(tune.key, by_semitones(tune.key, by)), voices=voices)


def _transposes(voice: Voice) -> bool:
    return voice.percussion is None and (
        voice.transposition != 0
        or any(isinstance(e, Change) and e.transposition for bar in voice.bars for e in bar.events)
    )


def _sounding(voice: Voice, key: Key) -> Voice:
    if not _transposes(voice):
        return voice
    mover, bars = _Mover(by_semitones(key, voice.transposition)), []
    for bar in voice.bars:
        overlays = tuple(tuple(map(mover.event, line)) for line in bar.overlays)
        events: list[Event] = []
        for event in bar.events:
            if isinstance(event, Change) and event.transposition is not None:
                mover = _Mover(by_semitones(key, event.transposition))
                continue
            if isinstance(event, Change):
                key = event.key or key
            events.append(mover.event(event))
        bars.append(replace(bar, events=tuple(events), overlays=overlays))
    return replace(voice, transposition=0, bars=tuple(bars))


def _interval(key: Key, to: str) -> Interval:
    text = to.strip()
    if re.fullmatch(r"[+-]?\d{1,3}", text):
        semitones = int(text)
        if abs(semitones) > MOST_SEMITONES:
            raise ConfigError(f"transpose '{to}': more than {MOST_SEMITONES} semitones")
        return by_semitones(key, semitones)
    target = parse_key(text)
    if target is None:
        raise ConfigError(f"transpose '{to}': write a key such as G, or semitones such as +2")
    return Interval.between(key, target)


def by_semitones(key: Key, semitones: int) -> Interval:
    """The interval of so many semitones that moves a key to the usual spelling of the other."""
    tonic = tonic_name(key.mode, (key.tonic_pitch_class + semitones) % 12)
    near = Interval.between(key, Key(tonic, key.mode))
    octaves = (semitones - near.semitones) // 12
    return Interval(near.steps + 7 * octaves, near.semitones + 12 * octaves)


class _Mover:
    """Moves everything in a tune by one interval."""

    def __init__(self, interval: Interval) -> None:
        self.interval = interval

    def tune(self, tune: Tune) -> Tune:
        return replace(tune, key=self.key(tune.key), voices=tuple(map(self.voice, tune.voices)))

    def voice(self, voice: Voice) -> Voice:
        if voice.percussion is not None:
            return voice
        return replace(voice, bars=tuple(map(self._bar, voice.bars)))

    def _bar(self, bar: Bar) -> Bar:
        overlays = tuple(tuple(map(self.event, line)) for line in bar.overlays)
        return replace(bar, events=tuple(map(self.event, bar.events)), overlays=overlays)

    def event(self, event: Event) -> Event:
        """The event moved; of changes, those of key."""
        if isinstance(event, Change):
            key = None if event.key is None else self.key(event.key)
            signs = None if event.signs is None else self._marks(event.signs)
            return replace(event, key=key, signs=signs)
        marks = self._marks(event.marks)
        if isinstance(event, Chord):
            return replace(event, notes=tuple(map(self._note, event.notes)), marks=marks)
        if isinstance(event, Rest):
            return replace(event, marks=marks)
        return self._note(event)

    def _note(self, note: Note) -> Note:
        return replace(note, pitch=self._pitch(note.pitch), marks=self._marks(note.marks))

    def _pitch(self, pitch: Pitch) -> Pitch:
        return transpose_pitch(pitch, self.interval)

    def _marks(self, marks: Marks) -> Marks:
        if marks.grace is None and not marks.chord_symbol:
            return marks
        grace = marks.grace
        if grace is not None:
            grace = replace(grace, notes=tuple(map(self._note, grace.notes)))
        symbol = marks.chord_symbol
        spelled = spelled_chord(symbol)
        if spelled is not None:
            bass = "/" + self._spelled(spelled.bass) if spelled.bass else ""
            symbol = self._spelled(spelled.root) + spelled.kind + bass
        return replace(marks, grace=grace, chord_symbol=symbol)

    def _spelled(self, spelling: Spelling) -> str:
        moved = self._pitch(Pitch(*spelling, 4))
        if abs(moved.alter) > 1:
            moved = spell(moved.midi, Key())
        return moved.step + ACCIDENTAL_TEXT[moved.alter]

    def key(self, key: Key) -> Key:
        if key.mode == "none" and key.accidentals:  # all of its signature is its own
            moved = (self._pitch(Pitch(step, alter, 4)) for step, alter in key.signature.items())
            signs = tuple((pitch.step, pitch.alter) for pitch in moved if pitch.alter)
            return replace(self.key(replace(key, accidentals=())), accidentals=signs)
        if not key.tonic:
            return key
        tonic = self._pitch(Pitch(key.tonic[0], ACCIDENTALS[key.tonic[1:]], 4))
        altered = [self._pitch(Pitch(*accidental, 4)) for accidental in key.accidentals]
        accidentals = tuple((pitch.step, pitch.alter) for pitch in altered)
        return Key(tonic.step + ACCIDENTAL_TEXT[tonic.alter], key.mode, accidentals)
