"""Major or minor, where a score gives a key signature and no mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from musicgen.formats.musicxml.lines import notes_of
from musicgen.formats.musicxml.values import LeftOut
from musicgen.music.theory import Key, profile_fit
from musicgen.music.tune import Bar, Change, Note, Tune


def with_modes(tune: Tune, left_out: LeftOut) -> Tune:
    """The tune with the mode of each signature estimated from its notes: by the lowest of the last
    notes where that is a tonic, else by the better fit to Krumhansl's profiles."""
    lines = [voice.bars for voice in tune.voices]
    starts = [0, *sorted({i for bars in lines for i, bar in enumerate(bars) if i and _keys(bar)})]
    stops = [*starts[1:], max(map(len, lines))]
    keys: dict[int, Key] = {}  # start of a section -> its key
    for start, stop in zip(starts, stops, strict=True):
        changes = [key for bars in lines for bar in bars[start : start + 1] for key in _keys(bar)]
        key = changes[0] if start else tune.key
        if key.mode == "major":
            keys[start] = _choose(key, [bars[start:stop] for bars in lines])
    names = ", ".join(dict.fromkeys(map(str, keys.values())))
    left_out[f"key signatures without a mode, read as {names}"] += len(keys)
    key = keys.pop(0, tune.key)
    voices = tuple(
        replace(voice, bars=tuple(_with_key(bar, keys.get(i)) for i, bar in enumerate(voice.bars)))
        for voice in tune.voices
    )
    return replace(tune, key=key, voices=voices)


def _keys(bar: Bar) -> list[Key]:
    """The changes of key in a bar."""
    return [event.key for event in bar.events if isinstance(event, Change) and event.key]


def _choose(major: Key, lines: Sequence[Sequence[Bar]]) -> Key:
    minor = Key.of_signature(major.fifths, "minor")
    bass = _last_bass(lines)
    for key in (major, minor):
        if bass is not None and bass % 12 == key.tonic_pitch_class:
            return key
    durations = [Fraction(0)] * 12  # by pitch class
    for note in (note for bars in lines for bar in bars for note in _notes(bar)):
        durations[note.midi % 12] += note.duration
    return max((major, minor), key=lambda key: profile_fit(durations, key))


def _last_bass(lines: Sequence[Sequence[Bar]]) -> int | None:
    """The lowest of the last notes of all voices in the last bar that has any."""
    for i in reversed(range(max(map(len, lines)))):
        bars_of_voices = [_notes(bars[i]) for bars in lines if i < len(bars)]
        if last_pitches := [notes[-1].midi for notes in bars_of_voices if notes]:
            return min(last_pitches)
    return None


def _notes(bar: Bar) -> list[Note]:
    """Notes in the order written; of a chord the lowest last."""
    return [
        note for event in bar.timed for note in sorted(notes_of(event), key=lambda note: -note.midi)
    ]


def _with_key(bar: Bar, key: Key | None) -> Bar:
    """The bar with the mode of this key in its change of key, if that is the same signature."""
    if key is None:
        return bar
    events = tuple(
        Change(key=key)
        if isinstance(event, Change) and event.key is not None and event.key.fifths == key.fifths
        else event
        for event in bar.events
    )
    return replace(bar, events=events)
