"""The order in which written music is played: repeats, endings, parts, da capo; ties joined.

timeline(tune).notes       # every note with its onset and duration in quarters
unfold(tune)               # the same music without repeat signs
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import takewhile
from typing import Any

from musicgen.errors import InvalidTuneError
from musicgen.music.playback.order import implicit_repeat_starts, playing_order
from musicgen.music.theory import Meter
from musicgen.music.transposition import at_concert_pitch
from musicgen.music.tune import Bar, Change, Event, Note, Tune, Voice, highest, notes_of

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
    """A sounding note: onset and duration in quarters, MIDI pitch, number of its voice from 0. In a
    voice of percussion `midi` is a General MIDI key.

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

    `changes` are keys and meters of the first voice and tempos of all, with their onsets in
    quarters, without the heading's; where a repeat or a jump goes back, they restore the key, meter
    and tempo of that place. `programs` are (onset, number of the voice, its General MIDI program or
    None) from where a voice changes it. `bars` are those of the first voice.
    """

    notes: tuple[PlayedNote, ...]
    changes: tuple[tuple[Fraction, Change], ...]
    programs: tuple[tuple[Fraction, int, int | None], ...]
    bars: tuple[PlayedBar, ...]
    duration: Fraction


# What a change leaves in force until the next of its kind.
_STATES = ("key", "meter", "tempo", "clef", "program", "transposition")


@dataclass(frozen=True, slots=True)
class _Context:
    """The key, meter, tempo and so on (`_STATES`) in force at some place of a voice."""

    states: tuple[Any, ...]

    @staticmethod
    def at_start(tune: Tune, voice: Voice) -> _Context:
        heading = (tune.key, tune.meter, tune.tempo)
        return _Context((*heading, voice.clef, voice.program, voice.transposition))

    @property
    def meter(self) -> Meter:
        meter: Meter = self.states[1]
        return meter

    @property
    def program(self) -> int | None:
        program: int | None = self.states[4]
        return program

    def after(self, change: Change) -> _Context:
        new = [getattr(change, name) for name in _STATES]
        kept = zip(new, self.states, strict=True)
        return _Context(tuple(old if state is None else state for state, old in kept))

    def changes_to(self, other: _Context) -> list[Change]:
        """The changes that lead from this context to another."""
        return [
            Change(**{name: new})
            for name, old, new in zip(_STATES, self.states, other.states, strict=True)
            if new not in (None, old)
        ]


def unfold(tune: Tune) -> Tune:
    """The tune written out in playing order, without repeat signs, endings and part order."""
    voices = []
    for voice, order in zip(tune.voices, playing_order(tune), strict=True):
        contexts = _contexts(tune, voice)
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
    in quarters). Tied notes are joined, chords stand for their highest note. Percussion has none.
    """
    line: list[tuple[int | None, Fraction]] = []
    tied: int | None = None
    for event in voice.events if voice.percussion is None else ():
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
    tune = at_concert_pitch(tune)
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
        changes=tuple(_shared_changes(players)),
        programs=tuple((at, p.voice, number) for p in players for at, number in p.programs),
        bars=tuple(players[0].bars) if players else (),
        duration=max((p.position for p in players), default=Fraction(0)),
    )


def _shared_changes(players: Sequence[_Player]) -> list[tuple[Fraction, Change]]:
    """Keys and meters of the first voice; tempos of all voices, of each place and sort once."""
    shared = [item for player in players[:1] for item in player.changes if _is_shared(item[1])]
    tempos = {at for at, change in shared if change.tempo is not None}
    for player in players[1:]:
        others = [(at, c) for at, c in player.changes if c.tempo is not None and at not in tempos]
        tempos |= {at for at, _ in others}
        shared += others
    return sorted(shared, key=lambda item: item[0])


def _is_shared(change: Change) -> bool:
    return any((change.key, change.meter, change.tempo))


def _contexts(tune: Tune, voice: Voice) -> list[_Context]:
    """The context, in written order, at the start of each bar and after the last."""
    contexts = [_Context.at_start(tune, voice)]
    for bar in voice.bars:
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
        self.programs: list[tuple[Fraction, int | None]] = []
        self.bars: list[PlayedBar] = []
        # By pitch and end: indices of notes that are tied on from there.
        self._tied: dict[tuple[int, Fraction], list[int]] = {}
        bars = tune.voices[voice].bars
        self._keys = dict(tune.voices[voice].percussion or ())
        contexts = _contexts(tune, tune.voices[voice])
        current = contexts[0]
        for i in order:
            onset = self.position
            self.changes += [(onset, change) for change in current.changes_to(contexts[i])]
            if contexts[i].program != current.program:
                self.programs.append((onset, contexts[i].program))
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
                if event.program is not None:
                    self.programs.append((position, event.program))
                elif _is_shared(event):
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
        midi, end = self._keys.get(note.midi, note.midi), onset + note.duration
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
