"""Write one tune as MIDI, through mido: repeats expanded, every note on its exact tick."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from math import lcm
from operator import itemgetter
from typing import Any

from musicgen.errors import ConfigError, InvalidTuneError
from musicgen.formats.midi.grid import COARSEST_ROUNDED
from musicgen.music.instruments import sounding_program
from musicgen.music.performance import Style
from musicgen.music.performance.style import MAX_SWING, tempo_factor
from musicgen.music.performance.timing import Swing, place_bars
from musicgen.music.playback import (
    PlayedBar,
    PlayedNote,
    Timeline,
    once,
    playing_order,
    separate,
    timeline,
)
from musicgen.music.theory import MINOR_MODES, Key, Meter, default_qpm
from musicgen.music.transposition import transpose as transposed
from musicgen.music.tune import Tempo, Tune, Voice

USUAL_TICKS_PER_QUARTER = 480
MAX_TICKS_PER_QUARTER = 0x7FFF
MAX_HUMANIZE_MS = 100.0
VELOCITY, VELOCITY_SPREAD = 80, 0.4  # spread in steps a millisecond of humanising
MAX_DELTA = 0x0FFFFFFF  # ticks between two events: four bytes of seven bits
DRUM_CHANNEL = 9
MAX_BAR_PIECES = 4  # short bars that may make up a full one

# MIDI has major and minor only; the other modes keep their signature and take the nearer of both.
_CHANNEL_MESSAGES = ("note_on", "note_off", "program_change")

# Tick, order among the events of that tick, mido's name for the message, its attributes.
_Event = tuple[int, int, str, dict[str, Any]]
_HEADING, _NOTE_OFF, _PROGRAM, _LYRIC, _NOTE_ON, _END = range(6)


@dataclass(frozen=True, slots=True)
class _Options:
    """How a tune is to be written; see `render`."""

    repeats: bool
    ticks_per_quarter: int | None
    instrument: str
    tempo: str
    swing: float
    humanize: float
    seed: int

    def __post_init__(self) -> None:
        ticks = self.ticks_per_quarter
        if ticks is not None and not 1 <= ticks <= MAX_TICKS_PER_QUARTER:
            raise ConfigError(f"ticks_per_quarter {ticks}: must be 1 to {MAX_TICKS_PER_QUARTER}")
        if not 1 <= self.swing <= MAX_SWING:
            raise ConfigError(f"swing {self.swing:g}: must be 1 to {MAX_SWING:g}")
        if not 0 <= self.humanize <= MAX_HUMANIZE_MS:
            raise ConfigError(f"humanize {self.humanize:g}: must be 0 to {MAX_HUMANIZE_MS:g} ms")


def render(
    tunes: Sequence[Tune],
    *,
    repeats: bool = True,
    ticks_per_quarter: int | None = None,
    instrument: str = "",
    tempo: str = "",
    transpose: str = "",
    swing: float = 1.0,
    humanize: float = 0.0,
    seed: int = 0,
) -> bytes:
    """A type 1 file: a first track with title, tempo, meter and key, then one track per voice.

    A tune without a tempo gets that of its rhythm in `theory.RHYTHM_QPM`. A bar that is shorter or
    longer than its meter (a pickup, above all) gets a time signature of its own length, and the
    next bar the meter again, as sequencers do; where two short bars make a full one, as at a
    repeat, none is needed.

    Args:
        tunes: one.
        repeats: play repeats, endings and jumps; else every bar comes once, as written.
        ticks_per_quarter: resolution. Left out, it is that of the MIDI file the tune came from, or
            480, or the next multiple on which all notes fall exactly. One that is asked for stays,
            and notes that it has no tick for go to the nearest.
        instrument: as in `Style`, for all voices or one each with commas.
        tempo: as in `Style`: "70%", or beats a minute.
        transpose: a key such as "G", or semitones such as "+2".
        swing: long to short of even pairs of short notes, 1 is none.
        humanize: standard deviation of onsets and ends in milliseconds, 0 is none; loudness varies
            with it.
        seed: of the humanising.

    Raises:
        InvalidTuneError: several tunes, no notes, pitches beyond MIDI, too fine or too long.
        ConfigError: an option beyond its range.
    """
    options = _Options(repeats, ticks_per_quarter, instrument, tempo, swing, humanize, seed)
    if len(tunes) != 1:
        raise InvalidTuneError(
            f"a MIDI file holds one tune, not {len(tunes)}; write one file for each"
        )
    tune = transposed(tunes[0], transpose) if transpose else tunes[0]
    tune = tune if repeats else once(tune)
    played = timeline(tune)
    if not played.notes:
        raise InvalidTuneError(f"'{tune.title}' has no notes to write as MIDI")
    beyond = next((n.midi for n in played.notes if not 0 <= n.midi <= 127), None)
    if beyond is not None:
        raise InvalidTuneError(
            f"'{tune.title}' has pitch {beyond}, beyond MIDI's 0 to 127; transpose it"
        )
    return _Writer(tune, played, options).write()


class _Writer:
    """Writes one tune."""

    def __init__(self, tune: Tune, played: Timeline, options: _Options) -> None:
        self.tune, self.played, self.options = tune, played, options
        self.per_quarter = _ticks_per_quarter(tune, played, options.ticks_per_quarter)
        self.random = random.Random(int(options.seed))
        ratio = Fraction(options.swing).limit_denominator(1000)
        self.place = Swing(place_bars(played.bars), played.notes, ratio)
        (_, start), *_ = _tempos(tune, played)
        self.qpm = start.qpm or Fraction(default_qpm(tune.rhythm))
        self.factor = tempo_factor(Style(tempo=options.tempo), self.qpm, tune.meter)

    def write(self) -> bytes:
        """The file."""
        from mido import MidiFile

        end = self.ticks(self.played.duration)
        title: _Event = (0, _HEADING, "track_name", {"name": self.tune.title})
        tracks = [_track([title, *self._headings()], end)]
        notes: list[list[PlayedNote]] = [[] for _ in self.tune.voices]
        for note in self.played.notes:
            notes[note.voice].append(note)
        orders = playing_order(self.tune)
        for number, voice in enumerate(self.tune.voices):
            sung = self._lyrics(voice, orders[number])
            tracks.append(_track([*self._voice(number, voice, notes[number]), *sung], end))
        content = BytesIO()
        MidiFile(type=1, ticks_per_beat=self.per_quarter, charset="utf-8", tracks=tracks).save(
            file=content
        )
        return content.getvalue()

    def ticks(self, place: Fraction) -> int:
        """The tick of a place in quarters; the nearest, where it has none."""
        number, over = divmod(place.numerator * self.per_quarter, place.denominator)
        return number + (2 * over >= place.denominator and over > 0)

    def _headings(self) -> Iterator[_Event]:
        """Tempos, time signatures and key signatures."""
        for onset, tempo in _tempos(self.tune, self.played):
            if tempo.qpm is not None and tempo.qpm > 0:
                microseconds = round(60_000_000 / (tempo.qpm * self.factor))
                value = {"tempo": min(max(microseconds, 1), 0xFFFFFF)}
                yield self.ticks(onset), _HEADING, "set_tempo", value
        for onset, beats, unit in _time_signatures(self.played.bars):
            meter = {"numerator": beats, "denominator": unit}
            yield self.ticks(onset), _HEADING, "time_signature", meter
        keys = [(Fraction(0), self.played.key)]
        keys += [(onset, c.key) for onset, c in self.played.changes if c.key is not None]
        for onset, key in keys:
            signature, is_minor = min(max(key.fifths, -7), 7), key.mode in MINOR_MODES
            tonic = Key.of_signature(signature, "minor" if is_minor else "major").tonic
            name = f"{tonic}m" if is_minor else tonic
            yield self.ticks(onset), _HEADING, "key_signature", {"key": name}

    def _voice(self, number: int, voice: Voice, notes: Sequence[PlayedNote]) -> Iterator[_Event]:
        channel = number % 15
        channel += channel >= DRUM_CHANNEL
        if voice.percussion is not None:
            channel = DRUM_CHANNEL
        yield 0, _HEADING, "track_name", {"name": voice.name or voice.id or self.tune.title}
        changes = [(at, program) for at, n, program in self.played.programs if n == number]
        last: int | None = None
        for onset, given in [(Fraction(0), voice.program), *changes]:
            program = sounding_program(
                voice, given, number=number, instrument=self.options.instrument
            )
            if program != last:
                message = {"channel": channel, "program": program}
                yield self.ticks(self.place(onset)), _PROGRAM, "program_change", message
            last = program
        for note in separate(notes):
            first = self.ticks(self.place(note.onset))
            last = self.ticks(self.place(note.onset + note.duration))
            if self.options.swing == 1:  # round durations where onsets are, as other programs do
                last = min(last, first + self.ticks(note.duration))
            velocity = VELOCITY
            if self.options.humanize:
                first, last, velocity = self._humanized(first, last)
            if last <= first:
                raise InvalidTuneError(
                    f"'{self.tune.title}' has notes shorter than a tick at {self.per_quarter} "
                    "ticks per quarter note; ask for more"
                )
            key = {"channel": channel, "note": note.midi}
            yield first, _NOTE_ON, "note_on", {**key, "velocity": velocity}
            yield last, _NOTE_OFF, "note_off", {**key, "velocity": 0}

    def _humanized(self, first: int, last: int) -> tuple[int, int, int]:
        """Onset, end and velocity with random deviations."""
        spread = self.options.humanize / 1000 * float(self.qpm * self.factor) / 60
        ticks = spread * self.per_quarter
        first = max(round(first + self.random.gauss(0, ticks)), 0)
        last = max(round(last + self.random.gauss(0, ticks)), first + 1)
        loud = VELOCITY + self.random.gauss(0, VELOCITY_SPREAD * self.options.humanize)
        return first, last, min(max(round(loud), 20), 127)

    def _lyrics(self, voice: Voice, order: Sequence[int]) -> Iterator[_Event]:
        """A syllable at each note that has one; the n-th time a bar is played, its n-th verse."""
        n_verses = max((len(e.marks.lyrics) for e in voice.events), default=0)
        if not n_verses:
            return
        times: Counter[int] = Counter()
        position = Fraction(0)
        for number in order:
            verse = times[number] % n_verses
            times[number] += 1
            for event in voice.bars[number].timed:
                verses = event.marks.lyrics
                syllable = verses[verse] if verse < len(verses) else ""
                if syllable and syllable != "_":
                    yield self.ticks(self.place(position)), _LYRIC, "lyrics", {"text": syllable}
                position += event.duration


def _track(events: Iterable[_Event], end: int) -> Any:
    """A mido track that ends where the tune does, final silence included.

    Raises:
        InvalidTuneError: a gap between two events is too long for MIDI.
    """
    from mido import Message, MetaMessage, MidiTrack

    ordered = sorted(events, key=itemgetter(0, 1))
    ordered.append((max(end, ordered[-1][0]), _END, "end_of_track", {}))
    track, position = MidiTrack(), 0
    for tick, _, kind, attributes in ordered:
        if tick - position > MAX_DELTA:
            raise InvalidTuneError("a silence too long for MIDI; shorten it")
        message = Message if kind in _CHANNEL_MESSAGES else MetaMessage
        track.append(message(kind, time=tick - position, **attributes))
        position = tick
    return track


def _ticks_per_quarter(tune: Tune, played: Timeline, asked: int | None) -> int:
    """The resolution that was asked for; else that of the source, or 480, or the next multiple that
    has a tick for every onset and end."""
    if asked is not None:
        return asked
    own = tune.source.ticks_per_quarter if tune.source is not None else 0
    places = {note.onset for note in played.notes}
    places |= {note.onset + note.duration for note in played.notes}
    places |= {at for at, _ in played.changes} | {bar.onset for bar in played.bars}
    finest = lcm(*{place.denominator for place in places}, played.duration.denominator)
    # Where a resolution has no tick for a tuplet, the source has already rounded.
    if own and (own % finest == 0 or own >= COARSEST_ROUNDED):
        return own
    usual = own or USUAL_TICKS_PER_QUARTER
    ticks = lcm(own, finest) if own else finest * -(-usual // finest)
    if ticks > MAX_TICKS_PER_QUARTER:
        ticks = finest * -(-USUAL_TICKS_PER_QUARTER // finest)
    if ticks > MAX_TICKS_PER_QUARTER:
        raise InvalidTuneError(
            f"'{tune.title}' needs {finest} ticks per quarter note, more than MIDI's "
            f"{MAX_TICKS_PER_QUARTER}; use simpler tuplets"
        )
    return ticks


def _tempos(tune: Tune, played: Timeline) -> list[tuple[Fraction, Tempo]]:
    """Tempos from the beginning on, the usual one of the rhythm where there is none."""
    start = Fraction(0)
    tempos = [(start, tune.tempo)] if tune.tempo is not None and tune.tempo.qpm else []
    changes = [(at, c.tempo) for at, c in played.changes if c.tempo is not None]
    if not tempos and not any(at == start and tempo.qpm for at, tempo in changes):
        tempos = [(start, Tempo(Fraction(default_qpm(tune.rhythm))))]
    return tempos + changes


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
            wanted = _as_meter(bar.meter, full if i + 1 == len(bars) and length < full else length)
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
