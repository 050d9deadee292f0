"""One tune to MIDI bytes, repeats played out, every note on its exact tick."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import lcm
from typing import Any

from musicgen.errors import InvalidTuneError
from musicgen.playback import PlayedBar, Timeline, separate, timeline
from musicgen.theory import Key, Meter, default_qpm
from musicgen.tune import Tempo, Tune

USUAL_TICKS_PER_QUARTER = 480
MAX_TICKS_PER_QUARTER = 0x7FFF
MAX_DELTA = 0x0FFFFFFF
VELOCITY = 80
FLUTE = 73  # General MIDI program, counted from 0; it sounds at once and keeps its sound
DRUM_CHANNEL = 9
MAX_BAR_PIECES = 4  # short bars that may make up a full one

# MIDI knows major and minor only; the other modes keep their signature and say the nearer one.
_MINOR_MODES = ("minor", "dorian", "phrygian", "locrian")
_MAJOR_NAMES = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
_MINOR_NAMES = tuple(f"{t}m" for t in ("Ab", "Eb", "Bb", "F", "C", "G", "D", "A")) + tuple(
    f"{t}m" for t in ("E", "B", "F#", "C#", "G#", "D#", "A#")
)

_HEADING, _OFF, _ON = range(3)  # the order of what happens at one tick
_Event = tuple[int, int, str, dict[str, Any]]  # tick, order, type of message, its fields


def render(tunes: Sequence[Tune]) -> bytes:
    """A type 1 file: a first track with title, tempo, meter and key, then one track per voice.

    A tune without a tempo gets that of its rhythm in `theory.RHYTHM_QPM`. A bar that is shorter or
    longer than its meter (a pickup, above all) gets a time signature of its own length, and the
    next bar the meter again, as sequencers do; where two short bars make a full one, as at a
    repeat, none is needed.

    Raises:
        InvalidTuneError: several tunes, no notes, pitches beyond MIDI, too fine or too long.
    """
    if len(tunes) != 1:
        raise InvalidTuneError(
            f"a MIDI file holds one tune, not {len(tunes)}; write one file for each"
        )
    tune = tunes[0]
    played = timeline(tune)
    if not played.notes:
        raise InvalidTuneError(f"'{tune.title}' has no notes to write as MIDI")
    beyond = next((n.midi for n in played.notes if not 0 <= n.midi <= 127), None)
    if beyond is not None:
        raise InvalidTuneError(
            f"'{tune.title}' has pitch {beyond}, beyond MIDI's 0 to 127; transpose it"
        )
    return _write_file(tune, played, _ticks_per_quarter(tune, played))


def _write_file(tune: Tune, played: Timeline, ticks_per_quarter: int) -> bytes:
    import mido

    def ticks(place: Fraction) -> int:
        exact = place * ticks_per_quarter
        assert exact.denominator == 1
        return exact.numerator

    end = ticks(played.duration)
    file = mido.MidiFile(type=1, ticks_per_beat=ticks_per_quarter, charset="utf-8")
    heading: list[_Event] = [(0, _HEADING, "track_name", {"name": tune.title})]
    heading += [(ticks(at), _HEADING, kind, fields) for at, kind, fields in _headings(tune, played)]
    file.tracks.append(_track(heading, end))
    for number, voice in enumerate(tune.voices):
        channel = number % 15
        channel += channel >= DRUM_CHANNEL
        program = FLUTE if voice.program is None else voice.program
        name = voice.name or voice.id or tune.title
        events: list[_Event] = [
            (0, _HEADING, "track_name", {"name": name}),
            (0, _HEADING, "program_change", {"channel": channel, "program": program}),
        ]
        for note in separate([n for n in played.notes if n.voice == number]):
            fields = {"channel": channel, "note": note.midi, "velocity": VELOCITY}
            events.append((ticks(note.onset), _ON, "note_on", fields))
            fields = {"channel": channel, "note": note.midi, "velocity": 0}
            events.append((ticks(note.onset + note.duration), _OFF, "note_off", fields))
        file.tracks.append(_track(events, end))
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def _track(events: list[_Event], end: int) -> Any:
    """A track with delta times; it ends where the tune does, silence included."""
    import mido

    track = mido.MidiTrack()
    position = 0
    for tick, _, kind, fields in sorted(events, key=lambda event: event[:2]):
        if tick - position > MAX_DELTA:
            raise InvalidTuneError("a silence too long for MIDI; shorten it")
        message = mido.Message if kind in mido.messages.SPEC_BY_TYPE else mido.MetaMessage
        track.append(message(kind, time=tick - position, **fields))
        position = tick
    track.append(mido.MetaMessage("end_of_track", time=max(end - position, 0)))
    return track


def _ticks_per_quarter(tune: Tune, played: Timeline) -> int:
    """480 where every onset and end is on such a tick, else the next number that makes it so."""
    places = [note.onset for note in played.notes]
    places += [note.onset + note.duration for note in played.notes]
    places += [at for at, _ in played.changes] + [bar.onset for bar in played.bars]
    finest = lcm(*{place.denominator for place in places}, played.duration.denominator)
    ticks = finest * -(-USUAL_TICKS_PER_QUARTER // finest)
    if ticks > MAX_TICKS_PER_QUARTER:
        raise InvalidTuneError(
            f"'{tune.title}' needs {finest} ticks per quarter note, more than MIDI's "
            f"{MAX_TICKS_PER_QUARTER}; use simpler tuplets"
        )
    return ticks


def _headings(tune: Tune, played: Timeline) -> Iterator[tuple[Fraction, str, dict[str, Any]]]:
    """Tempos, time signatures and key signatures with their onsets in quarters."""
    start = Fraction(0)
    tempos = [(start, tune.tempo)] if tune.tempo is not None and tune.tempo.qpm else []
    tempos = tempos or [(start, Tempo(Fraction(default_qpm(tune.rhythm))))]
    tempos += [(at, change.tempo) for at, change in played.changes if change.tempo is not None]
    for at, tempo in tempos:
        if tempo.qpm is not None and tempo.qpm > 0:
            microseconds = min(max(round(60_000_000 / tempo.qpm), 1), 0xFFFFFF)
            yield at, "set_tempo", {"tempo": microseconds}
    for at, beats, unit in _time_signatures(played.bars):
        yield at, "time_signature", {"numerator": beats, "denominator": unit}
    keys = [(start, tune.key)]
    keys += [(at, change.key) for at, change in played.changes if change.key is not None]
    for at, key in keys:
        yield at, "key_signature", {"key": _key_name(key)}


def _key_name(key: Key) -> str:
    fifths = min(max(key.fifths, -7), 7)
    return (_MINOR_NAMES if key.mode in _MINOR_MODES else _MAJOR_NAMES)[fifths + 7]


def _time_signatures(bars: Sequence[PlayedBar]) -> Iterator[tuple[Fraction, int, int]]:
    """(onset, beats, unit) wherever the meter changes, or a bar is not as long as it says."""
    written: tuple[int, int] | None = None
    bars = [bar for bar in bars if bar.duration]
    i = 0
    while i < len(bars):
        bar, full = bars[i], bars[i].meter.bar_duration
        length, used = bar.duration, 1
        while i > 0 and full is not None and length < full and i + used < len(bars):
            if bars[i + used].meter != bar.meter or used == MAX_BAR_PIECES:
                break
            length, used = length + bars[i + used].duration, used + 1
        if full is None:
            wanted = None
        elif length == full:
            wanted = _as_meter(bar.meter, full)
        else:
            length, used = bar.duration, 1
            is_last = i + 1 == len(bars)
            wanted = _as_meter(bar.meter, full if is_last and length < full else length)
        if wanted is not None and wanted != written:
            yield bar.onset, *wanted
            written = wanted
        i += used


def _as_meter(meter: Meter, length: Fraction) -> tuple[int, int] | None:
    """A time signature for a bar of some length, in the unit of its meter or a finer one."""
    unit = meter.unit
    while unit <= 64:
        beats = length * unit / 4
        if beats.denominator == 1 and 0 < beats <= 255:
            return int(beats), unit
        unit *= 2
    return None
