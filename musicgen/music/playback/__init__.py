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
from musicgen.music.playback.order import (
    implicit_repeat_starts,
    jump_meaning,
    jump_signs,
    part_order,
    playing_order,
)
from musicgen.music.theory import Key, Meter
from musicgen.music.transposition import by_semitones, move_key
from musicgen.music.tune import NO_MARKS, Bar, Change, Event, Note, Tune, Voice, highest, notes_of

__all__ = [
    "PlayedBar",
    "PlayedNote",
    "Timeline",
    "implicit_repeat_starts",
    "jump_meaning",
    "jump_signs",
    "melody",
    "once",
    "parts_in_order",
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

    `key` is that of the heading, at sounding pitch. `changes` are keys and meters of the first
    voice and tempos of all, with their onsets in quarters, without the heading's; where a repeat or
    a jump goes back, they restore the key, meter and tempo of that place. `programs` are (onset,
    number of the voice, General MIDI program), without those that the voices begin with. `bars` are
    those of the first voice.
    """

    key: Key

    notes: tuple[PlayedNote, ...]
    changes: tuple[tuple[Fraction, Change], ...]
    programs: tuple[tuple[Fraction, int, int], ...]
    bars: tuple[PlayedBar, ...]
    duration: Fraction


# What holds at a place however a player comes there. Programs and transpositions are directives to
# the player, which go on over a repeat until the next, as for abc2midi and abcjs.
_STATES = ("key", "meter", "tempo", "clef")


@dataclass(frozen=True, slots=True)
class _Context:
    """The key, meter, tempo and so on (`_STATES`) in force at some place of a voice."""

    states: tuple[Any, ...]

    @staticmethod
    def at_start(tune: Tune, voice: Voice) -> _Context:
        return _Context((tune.key, tune.meter, tune.tempo, voice.clef))

    @property
    def meter(self) -> Meter:
        meter: Meter = self.states[1]
        return meter

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


def once(tune: Tune) -> Tune:
    """The tune without anything that sends a player back, so that every bar is played once."""

    def plain(bar: Bar) -> Bar:
        events = tuple(
            e if isinstance(e, Change) else replace(e, marks=replace(
                e.marks, decorations=(), annotations=())) if e.marks != NO_MARKS else e
            for e in bar.events
            if not isinstance(e, Change) or (e.part, e.text, e.signs) == (None, None, None)
        )  # fmt: skip
        return replace(bar, events=events, repeat_start=False, repeat_end=0, volta=())

    voices = tuple(replace(v, bars=tuple(map(plain, v.bars))) for v in tune.voices)
    return replace(tune, voices=voices, parts="")


@dataclass(frozen=True, slots=True)
class PartsInOrder:
    """A tune with its parts written out in the order of P:, and their repeats still as signs.

    `places` has for each bar the number of the one that it is, `repeats` the bars in which a repeat
    begins, with a sign or not, and `added` for each voice and bar how many changes before its music
    only restore what was in force there.
    """

    tune: Tune
    places: tuple[int, ...]
    repeats: frozenset[int]
    added: tuple[tuple[int, ...], ...]


def parts_in_order(tune: Tune) -> PartsInOrder | None:
    """The parts as they are played; None where they are written so, or a bar is not among them."""
    ordered = part_order(tune.bars, tune.parts)
    if ordered is None or len({len(voice.bars) for voice in tune.voices}) > 1:
        return None
    places, repeats = ordered
    everything = tuple(range(len(tune.bars)))
    if places == everything or {*places} != {*everything} or places[0] != 0:
        return None
    voices, added = [], []
    for voice in tune.voices:
        contexts = _contexts(tune, voice)
        before = [contexts[0], *(contexts[i + 1] for i in places)]
        restored = [
            [
                change
                for change in b.changes_to(contexts[i])
                if not _sets_anew(voice.bars[i], change)
            ]
            for b, i in zip(before, places, strict=False)
        ]
        bars = (
            replace(voice.bars[i], events=(*changes, *voice.bars[i].events))
            for i, changes in zip(places, restored, strict=True)
        )
        voices.append(replace(voice, bars=tuple(bars)))
        added.append(tuple(map(len, restored)))
    return PartsInOrder(replace(tune, voices=tuple(voices)), places, repeats, tuple(added))


def _sets_anew(bar: Bar, change: Change) -> bool:
    """Whether a bar itself begins with a change of this kind."""
    (kind,) = (name for name in _STATES if getattr(change, name) is not None)
    first = takewhile(lambda event: isinstance(event, Change), bar.events)
    return any(getattr(event, kind) is not None for event in first)


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
        key=_sounding_key(tune),
        notes=tuple(notes),
        changes=tuple(_shared_changes(players)),
        programs=tuple((at, p.voice, number) for p in players for at, number in p.programs),
        bars=tuple(players[0].bars) if players else (),
        duration=max((p.position for p in players), default=Fraction(0)),
    )


def _sounding_key(tune: Tune) -> Key:
    semitones = tune.voices[0].transposition if tune.voices else 0
    return move_key(tune.key, by_semitones(tune.key, semitones))


def _shared_changes(players: Sequence[_Player]) -> list[tuple[Fraction, Change]]:
    """Keys and meters of the first voice; tempos of all voices, of each place and sort once."""
    shared = [item for player in players[:1] for item in player.changes]
    tempos = {at for at, change in shared if change.tempo is not None}
    for player in players[1:]:
        others = [(at, c) for at, c in player.changes if c.tempo is not None and at not in tempos]
        tempos |= {at for at, _ in others}
        shared += others
    return sorted(shared, key=lambda item: item[0])


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
        self.programs: list[tuple[Fraction, int]] = []
        self.semitones = tune.voices[voice].transposition  # from written to sounding pitch
        self.bars: list[PlayedBar] = []
        # By pitch and end: indices of notes that are tied on from there.
        self._tied: dict[tuple[int, Fraction], list[int]] = {}
        bars = tune.voices[voice].bars
        percussion = tune.voices[voice].percussion
        self._keys = None if percussion is None else dict(percussion)
        contexts = _contexts(tune, tune.voices[voice])
        current = contexts[0]
        for i in order:
            onset = self.position
            for change in current.changes_to(contexts[i]):
                self._change(onset, change)
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
                self._change(position, event)
                continue
            for note in notes_of(event):
                self._strike(note, position, None if bar is None else (bar, number))
            position += event.duration
            number += 1
        return position

    def _change(self, onset: Fraction, change: Change) -> None:
        if change.program is not None:
            self.programs.append((onset, change.program))
        elif change.transposition is not None:
            self.semitones = change.transposition
        elif change.key is not None:
            moved = move_key(change.key, by_semitones(change.key, self.semitones))
            self.changes.append((onset, Change(key=moved)))
        elif change.meter is not None or change.tempo is not None:
            self.changes.append((onset, change))

    def _strike(self, note: Note, onset: Fraction, place: tuple[int, int] | None) -> None:
        if note.duration <= 0:
            return
        sounding = note.midi + self.semitones
        midi = sounding if self._keys is None else self._keys.get(note.midi, note.midi)
        end = onset + note.duration
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
