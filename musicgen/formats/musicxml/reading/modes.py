"""Major or minor, where a score gives a key signature and no mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from musicgen.formats.musicxml.reading.attributes import tonic
from musicgen.formats.musicxml.values import LeftOut
from musicgen.music.theory import Key, profile_fit
from musicgen.music.tune import Bar, Change, Chord, Note, Tune


def with_modes(tune: Tune, left_out: LeftOut) -> Tune:
    """The tune with the mode of each signature told by the music under it: by the lowest of its
    last notes where that is a tonic, else by what fits its notes better (Krumhansl's profiles)."""
    lines = [voice.bars for voice in tune.voices]
    starts = [0, *_changing_bars(lines)]
    stops = [*starts[1:], max(map(len, lines))]
    keys: dict[int, Key] = {}  # start of a section -> its key
    for start, stop in zip(starts, stops, strict=True):
        key = _key_from(tune.key if start == 0 else None, lines, start)
        if key is not None and key.mode == "major":
            keys[start] = _choose(key, [bars[start:stop] for bars in lines])
    names = ", ".join(dict.fromkeys(map(str, keys.values())))
    left_out[f"key signatures without a mode, read as {names}"] += len(keys)
    voices = tuple(
        replace(
            voice,
            bars=tuple(
                _with_key(bar, keys[i]) if i in keys and i else bar
                for i, bar in enumerate(voice.bars)
            ),
        )
        for voice in tune.voices
    )
    return replace(tune, key=keys.get(0, tune.key), voices=voices)


def _changing_bars(lines: Sequence[Sequence[Bar]]) -> list[int]:
    changing = {
        i
        for bars in lines
        for i, bar in enumerate(bars)
        for event in bar.events
        if i and isinstance(event, Change) and event.key is not None
    }
    return sorted(changing)


def _key_from(key: Key | None, lines: Sequence[Sequence[Bar]], start: int) -> Key | None:
    for bars in lines:
        for event in bars[start].events if key is None and start < len(bars) else ():
            if isinstance(event, Change) and event.key is not None:
                return event.key
    return key


def _choose(major: Key, lines: Sequence[Sequence[Bar]]) -> Key:
    minor = Key(tonic(major.fifths, "minor"), "minor")
    bass = _last_bass(lines)
    for key in (major, minor):
        if bass is not None and bass % 12 == key.tonic_pitch_class:
            return key
    heard = [Fraction(0)] * 12
    for note in (note for bars in lines for bar in bars for note in _notes(bar)):
        heard[note.midi % 12] += note.duration
    return max((major, minor), key=lambda key: profile_fit(heard, key))


def _last_bass(lines: Sequence[Sequence[Bar]]) -> int | None:
    """The lowest of the last notes of all voices in the last bar that has any."""
    for i in reversed(range(max(map(len, lines)))):
        last = [_notes(bars[i]) for bars in lines if i < len(bars)]
        ends = [notes[-1].midi for notes in last if notes]
        if ends:
            return min(ends)
    return None


def _notes(bar: Bar) -> list[Note]:
    """Notes in the order written; of a chord the lowest last."""
    found: list[Note] = []
    for event in bar.events:
        if isinstance(event, Note):
            found.append(event)
        elif isinstance(event, Chord):
            found += sorted(event.notes, key=lambda note: -note.midi)
    return found


def _with_key(bar: Bar, key: Key) -> Bar:
    """The bar with the mode of this key in its change of key, if that is the same signature."""
    events = tuple(
        Change(key=key)
        if isinstance(event, Change) and event.key is not None and event.key.fifths == key.fifths
        else event
        for event in bar.events
    )
    return replace(bar, events=events)
