"""The order in which written music is played: repeats, endings, parts, da capo; ties joined.

timeline(tune).notes       # every note with its onset and duration in quarters
unfold(tune)               # the same music without repeat signs
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import takewhile

from musicgen.errors import InvalidTuneError
from musicgen.music.playback.order import implicit_repeat_starts, playing_order
from musicgen.music.theory import Key, Meter
from musicgen.music.tune import Bar, Change, Event, Note, Tempo, Tune, Voice, highest, notes_of

__all__ = [
    "PlayedBar",
    "PlayedNote",
    "Timeline",
    "implicit_repeat_starts",
    "melody",
    "played_notes",
    "playing_order",
    "separate",
    "tempo_map",
    "timeline",
    "unfold",
]

MAX_PLAYED_EVENTS = 1_000_000


@dataclass(frozen=True, slots=True)
class PlayedNote:
    """A sounding note: onset and duration in quarters, MIDI pitch, number of its voice from 0.

    `place` is where it is written: number of the bar and number among the timed events of the bar,
    both from 0; of tied notes the first. None for a note of an overlay.
    """

    onset: Fraction
    duration: Fraction
    midi: int
    voice: int = 0
    place: tuple[int, int] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class PlayedBar:
    """A bar as it is played: its onset and length in quarters, and the meter it is written in."""

    onset: Fraction
    duration: Fraction
    meter: Meter


@dataclass(frozen=True, slots=True)
class Timeline:
    """A whole tune in time.

    `changes` are keys, meters and tempos with their onsets in quarters, without the heading's;
    where a repeat or a jump goes back, they restore the key, meter and tempo of that place. `bars`
    are those of the first voice.
    """

    notes: tuple[PlayedNote, ...]
    changes: tuple[tuple[Fraction, Change], ...]
    bars: tuple[PlayedBar, ...]
    duration: Fraction


@dataclass(frozen=True, slots=True)
class _Context:
    """The key, meter and tempo in force at some place."""

    key: Key
    meter: Meter
    tempo: Tempo | None

    def after(self, change: Change) -> _Context:
        return _Context(
            change.key or self.key, change.meter or self.meter, change.tempo or self.tempo
        )

    def changes_to(self, other: _Context) -> list[Change]:
        """The changes that lead from this context to another."""
        changes = []
        if other.key != self.key:
            changes.append(Change(key=other.key))
        if other.meter != self.meter:
            changes.append(Change(meter=other.meter))
        if other.tempo not in (None, self.tempo):
            changes.append(Change(tempo=other.tempo))
        return changes


def unfold(tune: Tune) -> Tune:
    """The tune written out in playing order, without repeat signs, endings and part order."""
    voices = []
    for voice, order in zip(tune.voices, playing_order(tune), strict=True):
        contexts = _contexts(tune, voice.bars)
        current, bars = contexts[0], []
        for i in order:
            events = (*current.changes_to(contexts[i]), *voice.bars[i].events)
            bars.append(
                replace(voice.bars[i], events=events, repeat_start=False, repeat_end=0, volta=())
            )
            current = contexts[i + 1]
        voices.append(replace(voice, bars=tuple(bars)))
    return replace(tune, voices=tuple(voices), parts="")


def played_notes(tune: Tune) -> list[PlayedNote]:
    """Every note as it sounds, repeats played out and ties joined, by onset, voice and pitch.

    Grace notes take no time and are left out.
    """
    return list(timeline(tune).notes)


def melody(voice: Voice) -> list[tuple[int | None, Fraction]]:
    """The main line of a voice as written, each bar once: (MIDI pitch, or None for a rest; duration
    in quarters). Tied notes are joined, chords stand for their highest note."""
    line: list[tuple[int | None, Fraction]] = []
    tied: int | None = None
    for event in voice.events:
        top = highest(event)
        midi = None if top is None else top.midi
        if midi is not None and midi == tied:
            line[-1] = (midi, line[-1][1] + event.duration)
        elif event.duration:
            line.append((midi, event.duration))
        tied = midi if top is not None and top.tie else None
    return line


def separate(notes: Sequence[PlayedNote]) -> Iterator[PlayedNote]:
    """The notes of one voice, given by onset, none overlapping another of its pitch: an instrument
    strikes such a note again, and MIDI could not tell the two apart."""
    sounding: dict[int, PlayedNote] = {}
    for note in notes:
        before = sounding.get(note.midi)
        if before is not None and before.onset == note.onset:
            sounding[note.midi] = max(before, note, key=lambda n: n.duration)
            continue
        if before is not None:
            yield replace(before, duration=min(before.duration, note.onset - before.onset))
        sounding[note.midi] = note
    yield from sounding.values()


def tempo_map(tune: Tune) -> list[tuple[Fraction, Fraction]]:
    """(onset in quarters, quarters a minute) of each tempo, that of the heading first."""
    tempos = [] if tune.tempo is None else [(Fraction(0), tune.tempo.qpm)]
    tempos += [(at, c.tempo.qpm) for at, c in timeline(tune).changes if c.tempo is not None]
    return [(at, qpm) for at, qpm in tempos if qpm is not None and qpm > 0]


def timeline(tune: Tune) -> Timeline:
    """All notes as played, with their onsets, and the changes of key, meter and tempo.

    Raises:
        InvalidTuneError: more than `MAX_PLAYED_EVENTS` events or too many bars would be played.
    """
    orders = playing_order(tune)
    n_events = 0
    for voice, order in zip(tune.voices, orders, strict=True):
        sizes = [sum(map(len, bar.lines)) for bar in voice.bars]
        n_events += sum(sizes[i] for i in order)
    if n_events > MAX_PLAYED_EVENTS:
        raise InvalidTuneError(
            f"{n_events} notes to play once repeats are written out, more than "
            f"{MAX_PLAYED_EVENTS}; shorten the repeats"
        )
    players = [_Player(tune, number, order) for number, order in enumerate(orders)]
    notes = [note for player in players for note in player.notes]
    notes.sort(key=lambda n: (n.onset, n.voice, n.midi))
    return Timeline(
        notes=tuple(notes),
        changes=tuple(players[0].changes) if players else (),
        bars=tuple(players[0].bars) if players else (),
        duration=max((p.position for p in players), default=Fraction(0)),
    )


def _contexts(tune: Tune, bars: Sequence[Bar]) -> list[_Context]:
    """The context, in written order, at the start of each bar and after the last."""
    contexts = [_Context(tune.key, tune.meter, tune.tempo)]
    for bar in bars:
        context = contexts[-1]
        for event in bar.events:
            if isinstance(event, Change):
                context = context.after(event)
        contexts.append(context)
    return contexts


class _Player:
    """Plays one voice of a tune: collects notes (ties joined), changes and bars."""

    def __init__(self, tune: Tune, voice: int, order: Sequence[int]) -> None:
        self.voice = voice
        self.position = Fraction(0)
        self.notes: list[PlayedNote] = []
        self.changes: list[tuple[Fraction, Change]] = []
        self.bars: list[PlayedBar] = []
        # By pitch and end: indices of notes that are tied on from there.
        self._tied: dict[tuple[int, Fraction], list[int]] = {}
        bars = tune.voices[voice].bars
        contexts = _contexts(tune, bars)
        current = contexts[0]
        for i in order:
            onset = self.position
            self.changes += [(onset, change) for change in current.changes_to(contexts[i])]
            for line in bars[i].overlays:
                self._play_line(line)
            self.position = self._play_line(bars[i].events, i)
            current = contexts[i + 1]
            meter = current.meter if _starts_with_meter(bars[i]) else contexts[i].meter
            self.bars.append(PlayedBar(onset, self.position - onset, meter))

    def _play_line(self, events: tuple[Event, ...], bar: int | None = None) -> Fraction:
        position, number = self.position, 0  # of the timed event
        for event in events:
            if isinstance(event, Change):
                if event.key or event.meter or event.tempo:
                    self.changes.append((position, event))
                continue
            for note in notes_of(event):
                self._strike(note, position, None if bar is None else (bar, number))
            position += event.duration
            number += 1
        return position

    def _strike(self, note: Note, onset: Fraction, place: tuple[int, int] | None) -> None:
        if note.duration <= 0:
            return
        midi, end = note.midi, onset + note.duration
        tied = self._tied.get((midi, onset))
        if tied:
            index = tied.pop()
            self.notes[index] = replace(self.notes[index], duration=end - self.notes[index].onset)
        else:
            index = len(self.notes)
            self.notes.append(PlayedNote(onset, note.duration, midi, self.voice, place))
        if note.tie:
            self._tied.setdefault((midi, end), []).append(index)


def _starts_with_meter(bar: Bar) -> bool:
    changes = takewhile(lambda event: isinstance(event, Change), bar.events)
    return any(isinstance(change, Change) and change.meter for change in changes)
