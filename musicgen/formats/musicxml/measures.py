"""The bars of one voice as <measure> elements."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate, count

from musicgen.errors import InvalidTuneError
from musicgen.formats.musicxml.accidentals import Accidentals
from musicgen.formats.musicxml.attributes import (
    attributes,
    clef_of,
    default_tempo,
    rehearsal,
    tempo,
)
from musicgen.formats.musicxml.barlines import bar_remark, left_barline
from musicgen.formats.musicxml.beaming import beam
from musicgen.formats.musicxml.instruments import DrumWriter, instrument
from musicgen.formats.musicxml.jumps import Jumps
from musicgen.formats.musicxml.lengths import written
from musicgen.formats.musicxml.lines import Connections, reach
from musicgen.formats.musicxml.notes import NoteWriter, WrittenNote
from musicgen.formats.musicxml.remarks import change_remark, opening_remark, remark
from musicgen.music.clefs import Clef, parse_clef
from musicgen.music.playback import PartsInOrder
from musicgen.music.tune import Bar, Change, Event, Rest, Timed, Tune, Voice

VOICES_APART = 4  # numbers that a voice and its overlays have in a part of several staves
_NOTE = re.compile("<note(?=[ >])(?!><grace)")


@dataclass(frozen=True, slots=True)
class Shape:
    """Layout that all voices share: divisions of a quarter, bar lines, starts of systems."""

    divisions: int
    bars: Sequence[Bar]  # with the repeat marks of all voices
    endings: Mapping[int, str]  # bar -> numbers of the ending that stops after it
    line_starts: frozenset[int] = frozenset()
    named: bool = False
    all_modes: bool = False
    tempos: frozenset[tuple[int, Fraction]] = frozenset()  # bar and onset of the first voice's
    jumps: Jumps = field(default_factory=Jumps)
    ordered: PartsInOrder | None = None  # of parts that are written out


@dataclass(frozen=True, slots=True)
class PartPlace:
    """The place of a voice in its part, counted from 1: the part; of several `staves` the staff,
    else 0; `order` counts the voices of the part from 0."""

    part: int
    staff: int = 0
    staves: int = 0
    order: int = 0
    begins_staff: bool = True

    @property
    def first_voice(self) -> int:
        """What numbers of voices and overlays begin after."""
        return self.order * VOICES_APART


class MeasureWriter:
    """Writes the measures of one voice, one after the other."""

    def __init__(self, tune: Tune, voice: Voice, shape: Shape, place: PartPlace) -> None:
        self.tune = tune
        self.voice = voice
        self.shape = shape
        self.meter = tune.meter
        self.accidentals = Accidentals(tune.key)
        self.semitones = voice.transposition  # now
        self.part = place.part
        self.place = place
        drums = None if voice.percussion is None else DrumWriter(voice, self.part)
        self.notes = NoteWriter(self.accidentals, shape.divisions, drums)
        self.notes.staff = place.staff
        self.notes.instrument = instrument(voice, self.part, voice.program)
        self.reaches = iter(reach(list(voice.events)))
        self.leading = voice is tune.voices[0]  # tempo, parts and jumps are written once
        self.jumps = shape.jumps if self.leading else Jumps()
        self.notes.jumps_apart = bool(self.jumps)

    def write(self, index: int) -> tuple[str, Fraction]:
        """The content of a measure, without the bar line at its right, and where it ends; where
        another voice has more bars, this one rests."""
        shared = self.shape.bars[index]
        self.accidentals.start_bar()
        bar = self._bar(index, shared)
        events = list(bar.events)
        own = bar if index < len(self.voice.bars) else None
        parts = [bar_remark(own, shared, ends_ending=index in self.shape.endings)]
        if (ordered := self.shape.ordered) is not None:
            added = ordered.added[self.tune.voices.index(self.voice)][index]
            parts.append(remark("place", [ordered.places[index], added]))
        if self.place.order == 0:
            if index and index in self.shape.line_starts:
                parts.append('<print new-system="yes"/>')
            parts.append(left_barline(shared))
        if index == 0:
            parts.append(self._opening(events))
        parts.append(self.jumps.left.get(index, ""))
        try:
            music, position = self._music(index, events, bar)
        except InvalidTuneError as error:
            raise InvalidTuneError(f"bar {index + 1}: {error}") from None
        return "".join([*parts, music, self.jumps.right.get(index, "")]), position

    def _bar(self, index: int, shared: Bar) -> Bar:
        if index < len(self.voice.bars):
            return self.voice.bars[index]
        return Bar(events=(Rest(shared.duration, full_bar=True),) if shared.duration else ())

    def _opening(self, events: list[Event]) -> str:
        """Clef, key, meter and tempo at the beginning; takes in changes before the first note."""
        key, meter, speed = self.tune.key, self.tune.meter, self.tune.tempo
        changes: list[Change] = []
        while events and isinstance(change := events[0], Change):
            changes.append(change)
            events.pop(0)
        own = [c for c in changes if c.is_of_voice]
        changes = [c for c in changes if not c.is_of_voice]
        for change in changes:
            key, meter, speed = change.key or key, change.meter or meter, change.tempo or speed
        exact = ""
        if any(change.key or change.meter or change.tempo for change in changes):
            exact = opening_remark(self.tune, changes)
            changes = [c for c in changes if c.part and self.leading]
        events[:0] = [*own, *changes]
        self.meter = meter
        self.accidentals.set_key(key)
        start = attributes(
            divisions=self.shape.divisions,
            key=None if self.place.order or self.voice.percussion is not None else key,
            meter=None if self.place.order else meter,
            clef=clef_of(self.voice) if self.place.begins_staff else None,
            transposition=self.voice.transposition or None,
            all_modes=self.shape.all_modes,
            staves=0 if self.place.order else self.place.staves,
            staff=self.place.staff,
        )
        if not self.leading:
            own_tempo = speed != self.tune.tempo and (0, Fraction(0)) not in self.shape.tempos
            return exact + start + (tempo(speed) if speed and own_tempo else "")
        played = tempo(speed) if speed else ""
        if speed is None or speed.qpm is None:
            played += default_tempo(self.tune.rhythm)
        return exact + start + played

    def _music(self, index: int, events: list[Event], bar: Bar) -> tuple[str, Fraction]:
        parts = [self._line(index, events, self.reaches, number=1)]
        position = bar.duration
        for number, overlay in enumerate(bar.overlays, 2):
            timed = [event for event in overlay if not isinstance(event, Change)]
            parts.append(self.notes.back(position))
            parts.append(self._line(index, list(overlay), iter(reach(timed)), number=number))
            position = sum((event.duration for event in timed), Fraction(0))
        return "".join(parts), position

    def _line(
        self, index: int, events: list[Event], reaches: Iterator[Connections], *, number: int
    ) -> str:
        items: list[Change | WrittenNote] = []
        onset = Fraction(0)
        alone = sum(not isinstance(event, Change) for event in events) == 1
        for event in events:
            if isinstance(event, Change):
                items.append(event)
                continue
            items += _pieces(event, next(reaches, Connections()), onset, alone=alone)
            onset += event.duration
        pieces = [item for item in items if isinstance(item, WrittenNote)]
        self._beam(index, pieces, onset)
        around = [None, *(piece.event for piece in pieces), None]
        neighbours = zip(around, around[2:], strict=False)
        texts, number_of_event, onset = [], -1, Fraction(0)
        for item in items:
            if isinstance(item, Change):
                texts.append(self._change(item, number, (index, onset)))
                continue
            onset = item.onset + item.duration
            number_of_event += item.first
            note = self.notes.write(item, self.place.first_voice + number, next(neighbours))
            named = self.shape.named and number == 1
            texts.append(self._name(note, (index, number_of_event), item.onset) if named else note)
        return "".join(texts)

    def _name(self, note: str, place: tuple[int, int], onset: Fraction) -> str:
        """Notes with ids; those of one event differ by where they begin and their order."""
        voice, numbers = self.tune.voices.index(self.voice), count()
        name = f"e{voice}.{place[0]}.{place[1]}.{onset * self.shape.divisions}"
        return _NOTE.sub(lambda _: f'<note id="{name}-{next(numbers)}"', note)

    def _beam(self, index: int, pieces: list[WrittenNote], length: Fraction) -> None:
        slots = [(p.onset, None if isinstance(p.event, Rest) else p.value) for p in pieces]
        shift = Fraction(0)
        full = self.meter.bar_duration
        if full is not None and length < full and self._starts_late(index):
            shift = full - length
        for piece, words in zip(pieces, beam(slots, self.meter, shift), strict=True):
            piece.beams = words

    def _starts_late(self, index: int) -> bool:
        """Whether a short bar is a pickup: at the beginning, or after a repeat or a double bar."""
        if index == 0:
            return True
        before = self.shape.bars[index - 1]
        return bool(before.repeat_end) or before.barline not in ("|", "", ".|")

    def _change(self, change: Change, number: int, place: tuple[int, Fraction]) -> str:
        if change.key is not None:
            self.accidentals.set_key(change.key)
        self.meter = change.meter or self.meter
        if change.transposition == self.semitones:
            return change_remark(change)
        if change.transposition is not None:
            self.semitones = change.transposition
        if self.place.order and not change.clef and not change.signs:
            return change_remark(change)  # as in the part's first voice, or of no staff
        if change.key or change.meter or change.transposition is not None:
            return attributes(
                key=change.key,
                meter=change.meter,
                transposition=change.transposition,
                all_modes=self.shape.all_modes,
            )
        if change.clef is not None:
            clef = parse_clef(change.clef) or Clef("G", 2)
            return attributes(clef=clef, staff=self.place.staff)
        if change.program is not None:
            self.notes.instrument = instrument(self.voice, self.part, change.program)
            return change_remark(change)
        if change.tempo is not None and (self.leading or place not in self.shape.tempos):
            return tempo(change.tempo)
        if change.signs is not None:
            return self.notes.signs(change.signs, self.place.first_voice + number)
        label = change.part or ""
        if self.leading and label == " ".join(label.split()) != "":
            return rehearsal(label)
        return change_remark(change)


def _pieces(
    event: Timed, joined: Connections, onset: Fraction, *, alone: bool
) -> list[WrittenNote]:
    if isinstance(event, Rest) and event.full_bar and alone:
        return [WrittenNote(event, joined, onset, event.duration)]
    values = written(event.duration, event.tuplet)
    onsets = accumulate((value.duration for value in values), initial=onset)
    pieces = [
        WrittenNote(event, joined, start, value.duration, value, first=False, last=False)
        for start, value in zip(onsets, values, strict=False)
    ]
    pieces[0].first = pieces[-1].last = True
    return pieces
