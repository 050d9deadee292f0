"""A tune of which some bars are rewritten, and the tune with the new bars in their places.

Bars have the numbers that they have in print: those of endings count one after the other, and a
pickup counts for none: the first is bar 0, and one before a later part goes with the bar that it
leads into.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate

from musicgen.composer.prompts.bar_plan import BarPlan, PlannedBar
from musicgen.composer.prompts.form import Stopped, sections
from musicgen.composer.prompts.source_file import CompletedTune, SourceFile, at_path_of, ticked_note
from musicgen.composer.prompts.tokens import (
    EncodedBar,
    encode_melody,
    header_tokens,
    note_tokens,
    prevailing_meter,
)
from musicgen.errors import ControlError, InvalidTuneError
from musicgen.formats.abc_notation.splicing import replace_bars
from musicgen.formats.midi.splicing import MidiChunks, TickedNote
from musicgen.music.playback import played_notes
from musicgen.music.tune import (
    NO_MARKS,
    Change,
    Event,
    Marks,
    Note,
    Rest,
    Timed,
    Tune,
    require_tune,
)
from musicgen.tokens.melody.encoding import decode_bars
from musicgen.tokens.melody.grammar import state_after
from musicgen.tokens.melody.table import parse_token
from musicgen.tokens.vocabulary import EOS

Notes = tuple[Timed, ...]
MOST_QUARTERS = 64  # of a bar that is written anew
_RANGE = re.compile(r"\s*(\d{1,5})\s*(?:-\s*(\d{1,5})\s*)?")
# Signs that say where the player goes; they stay when the notes under them change.
_ROAD_SIGNS = frozenset({"segno", "coda", "fine", "D.C.", "D.S.", "dacapo", "dacoda", "fermata"})


@dataclass(frozen=True, slots=True)
class Stretch:
    """Encoded bars [start, stop) to be rewritten: the tokens before them, the tokens that the model
    may write, and the tokens after them, which the model reads, too."""

    start: int
    stop: int
    plan: BarPlan
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InfillTarget:
    """A tune as a model reads it. `numbers` are the printed numbers of the encoded bars."""

    tune: Tune
    source_file: SourceFile
    encoded_bars: tuple[EncodedBar, ...]
    numbers: tuple[int, ...]
    pickup: Fraction

    @staticmethod
    def read(tune: Tune) -> InfillTarget:
        """Understand a tune.

        Raises:
            ControlError: it is no single line in some meter.
        """
        tune = require_tune(tune)
        try:
            if len(tune.voices) != 1:
                raise InvalidTuneError("more than one voice" if tune.voices else "no music")
            encoded = encode_melody(tune, tune.bars)
            if not any(isinstance(note, Note) for bar in encoded for note in bar.notes):
                raise InvalidTuneError("no notes")
            full = prevailing_meter(encoded).bar_duration
        except InvalidTuneError as error:
            raise ControlError(f"cannot be rewritten: {error}; give a single-line melody") from None
        assert full is not None
        stopped = Stopped(encoded, tune.unit, full, is_open=False, own_full=full)
        pickups = {part.start for part in sections(stopped) if part.begins_short}
        full_bars = accumulate(i not in pickups for i in range(len(encoded)))  # up to each
        numbers = tuple(n + (i in pickups and i > 0) for i, n in enumerate(full_bars))
        first = encoded[0].duration if 0 in pickups else Fraction(0)
        pickup = first if first < full else Fraction(0)
        return InfillTarget(tune, SourceFile.of(tune), tuple(encoded), numbers, pickup)

    def select(self, bars: str) -> tuple[int, int]:
        """The encoded bars [start, stop) that "5-8" or "5" asks for.

        Raises:
            ControlError: not such a range, or not within the tune.
        """
        match = _RANGE.fullmatch(bars)
        if match is None:
            raise ControlError(f"--bars '{bars}': write it like 5-8, or 5 for one bar")
        first, last = int(match[1]), int(match[2] or match[1])
        if first > last or first not in self.numbers or last not in self.numbers:
            raise ControlError(
                f"--bars {bars}: the tune has bars {self.numbers[0]} to {self.numbers[-1]}"
            )
        selected = [i for i, number in enumerate(self.numbers) if first <= number <= last]
        return selected[0], selected[-1] + 1

    def stretch(self, start_bar: int, stop_bar: int, changed: Mapping[int, Notes]) -> Stretch:
        """Bars [start, stop) to be written anew in the tune with some bars `changed` already.

        A note tied over an edge of the stretch stays, so that the tie still leads to it.

        Raises:
            ControlError: nothing in them is free, the key changes inside a bar of them, or one is
                too long.
        """
        notes = [changed.get(i, bar.notes) for i, bar in enumerate(self.encoded_bars)]
        for i in range(start_bar, stop_bar):
            self._require_plain(i)
        kept = _tied_over_edges(notes, start_bar, stop_bar)
        if all(sum(kept[i]) >= len(notes[i]) for i in range(start_bar, stop_bar)):
            raise ControlError("the bars hold only notes that are tied over their edges")
        measures = tuple(self._measure(i, notes[i], kept[i]) for i in range(start_bar, stop_bar))
        meter, key = self.encoded_bars[start_bar].meter, self.encoded_bars[start_bar].key
        if meter.bar_duration is None:
            meter = prevailing_meter(self.encoded_bars)
        before = [*header_tokens(self.tune, key, meter, self.pickup)]
        before += [t for i in range(start_bar) for t in self.tokens_of(i, notes[i])]
        after = [t for i in range(stop_bar, len(notes)) for t in self.tokens_of(i, notes[i])]
        state = state_after(before)
        in_pickup = state.in_pickup and self.encoded_bars[start_bar].duration <= state.pickup
        state = replace(state, in_pickup=in_pickup, closed="")
        return Stretch(start_bar, stop_bar, BarPlan(tuple(before), state, measures), (*after, EOS))

    def _require_plain(self, index: int) -> None:
        if self.encoded_bars[index].duration > MOST_QUARTERS:
            raise ControlError(
                f"bar {self.numbers[index]}: longer than {MOST_QUARTERS} quarters; "
                "choose other bars"
            )
        begun = False
        for event in self.tune.bars[self.encoded_bars[index].number].events:
            begun = begun or not isinstance(event, Change)
            if isinstance(event, Change) and begun and (event.key or event.meter):
                raise ControlError(
                    f"bar {self.numbers[index]}: key or meter change inside it; choose other bars"
                )

    def _measure(self, index: int, notes: Notes, kept: tuple[int, int]) -> PlannedBar:
        bar = self.encoded_bars[index]
        n_head, n_tail = kept
        head, tail = notes[:n_head], notes[len(notes) - n_tail :]
        full = sum((note.duration for note in notes), Fraction(0))
        return PlannedBar(
            length=full - sum((note.duration for note in tail), Fraction(0)),
            head=(*bar.opens, *note_tokens(head, bar.key, self.tune.unit)),
            tail=note_tokens(tail, bar.key, self.tune.unit),
            close=bar.close or "|]",
            keys=(bar.key, bar.written) if bar.written.accidentals else None,
        )

    def tokens_of(self, index: int, notes: Notes) -> tuple[str, ...]:
        """The tokens of a bar with these notes."""
        bar = self.encoded_bars[index]
        close = bar.close or "|"
        if index + 1 == len(self.encoded_bars) and close in ("|", "||"):
            close = "|]"
        return (*bar.opens, *note_tokens(notes, bar.key, self.tune.unit), close)

    def notes_of(self, stretch: Stretch, written: Sequence[str]) -> dict[int, Notes]:
        """The notes of each bar of a stretch that the tokens `written` say."""
        result: dict[int, Notes] = {}
        tokens = [parse_token(text) for text in written]
        for i in range(stretch.start, stretch.stop):
            bars = decode_bars(Tune(key=self.encoded_bars[i].key, unit=self.tune.unit), tokens)
            result[i] = tuple(bars[i - stretch.start].timed)
        return result

    def melody_with(self, changed: Mapping[int, Notes]) -> Tune:
        """The tune with other notes in some bars, as a Tune without its text."""
        bars = list(self.tune.bars)
        for i, notes in changed.items():
            number = self.encoded_bars[i].number
            changes = [event for event in bars[number].events if isinstance(event, Change)]
            before = (change for change in changes if change.signs is None)
            events = (*before, *self._with_marks(i, notes))
            bars[number] = replace(bars[number], events=events, span=None)
        voice = replace(self.tune.voices[0], bars=tuple(bars))
        return replace(self.tune, voices=(voice,), source=None)

    def complete(self, changed: Mapping[int, Notes]) -> CompletedTune:
        """The tune with other notes in some bars, all else as it stood in its file.

        Raises:
            ControlError: the file holds something that cannot be kept.
        """
        page = self.source_file.tune_text
        if page is None:
            exact = {".mid": self._midi(changed)} if self.source_file.midi else {}
            return CompletedTune(self.melody_with(changed), exact)
        contents = {self.encoded_bars[i].number: self._with_marks(i, n) for i, n in changed.items()}
        try:
            text, rewritten = replace_bars(page, self.tune, contents)
        except InvalidTuneError as error:
            raise ControlError(f"cannot be rewritten: {error}") from None
        return CompletedTune(
            at_path_of(self.tune, rewritten), {".abc": self.source_file.file_of(text)}
        )

    def _with_marks(self, index: int, notes: Notes) -> list[Event]:
        """New notes with what stays of the bar: the notes that are the same as before, chord
        symbols, texts and road signs at their places, slurs that lead out of it, signs at its bar
        line."""
        bar = self.tune.bars[self.encoded_bars[index].number]
        signs = [e for e in bar.events if isinstance(e, Change) and e.signs is not None]
        return [*self._marked_notes(index, notes), *signs]

    def _marked_notes(self, index: int, notes: Notes) -> list[Event]:
        old = list(self.tune.bars[self.encoded_bars[index].number].timed)
        plain = self.encoded_bars[index].notes
        head = _common(plain, notes)
        tail = _common(plain[head:][::-1], notes[head:][::-1])
        events = [*old[:head], *notes[head : len(notes) - tail], *old[len(old) - tail :]]
        replaced = list(_with_onsets(old))[head : len(old) - tail]
        if not replaced or len(notes) == head + tail:
            return list(events)
        new = list(_with_onsets(events))[head : len(events) - tail]
        for onset, event in replaced:
            marks = _staying(event.marks)
            if marks != NO_MARKS:
                place = next((k for k, (at, _) in enumerate(new) if at >= onset), len(new) - 1)
                events[head + place] = _marked(events[head + place], marks)
        opened, closed = _open_slurs([event for _, event in replaced])
        if closed:
            events[head] = _marked(events[head], Marks(slurs_closed=closed))
        if opened:
            last = head + len(new) - 1
            events[last] = _marked(events[last], Marks(slurs_opened=opened))
        return list(events)

    def _midi(self, changed: Mapping[int, Notes]) -> bytes:
        """The MIDI file with the notes that begin in what has changed taken out, others put in."""
        score = MidiChunks.read(self.source_file.midi)
        ticks = score.ticks_per_quarter
        before, after = played_notes(self.tune), played_notes(self.melody_with(changed))
        same = {(n.onset, n.duration, n.midi) for n in before} & {
            (n.onset, n.duration, n.midi) for n in after
        }
        read = [TickedNote(round(n.onset * ticks), 0, n.midi) for n in before]
        line = score.line_of(read)
        if not score.is_on_time(line, read):
            raise ControlError(
                "cannot be rewritten: the notes of the MIDI file keep to no beat; quantise it first"
            )
        removed = []
        left = list(line.notes)
        for note in before:
            if (note.onset, note.duration, note.midi) in same:
                continue
            tick = note.onset * ticks
            match = min((n for n in left if n[2] == note.midi), key=lambda n: abs(n[0] - tick))
            left.remove(match)
            removed.append(TickedNote(match[0], match[1], match[2]))
        added = [
            ticked_note(n, ticks)
            for n in after
            if (n.onset, n.duration, n.midi) not in same and 0 <= n.midi <= 127
        ]
        return score.replace(line, added=added, removed=removed)


def _tied_over_edges(notes: Sequence[Notes], first: int, stop: int) -> dict[int, tuple[int, int]]:
    """For each bar of [first, stop) how many of its first and last notes must stay."""
    flat = [(i, k) for i in range(first, stop) for k in range(len(notes[i]))]
    before = notes[first - 1] if first else ()
    keep = set[tuple[int, int]]()
    held = bool(before) and _is_tied(before[-1])
    for place in flat:
        if not held:
            break
        keep.add(place)
        held = _is_tied(notes[place[0]][place[1]])
    kept = {i: [sum((i, k) in keep for k in range(len(notes[i]))), 0] for i in range(first, stop)}
    if stop < len(notes):
        for place in reversed(flat):
            if not _is_tied(notes[place[0]][place[1]]) or place in keep:
                break
            kept[place[0]][1] += 1
    return {i: _whole_tuplets(notes[i], head, tail) for i, (head, tail) in kept.items()}


def _whole_tuplets(notes: Notes, head: int, tail: int) -> tuple[int, int]:
    """More notes at both edges, so that no tuplet is cut."""
    while 0 < head < len(notes) and _inside_tuplet(notes[head]):
        head += 1
    while 0 < tail < len(notes) and _inside_tuplet(notes[len(notes) - tail]):
        tail += 1
    return head, min(tail, len(notes) - head)


def _inside_tuplet(note: Timed) -> bool:
    return note.tuplet is not None and note.tuplet.index > 0


def _is_tied(note: Timed) -> bool:
    return isinstance(note, Note) and note.tie


def _common(first: Sequence[Timed], second: Sequence[Timed]) -> int:
    """How many notes two lines begin with alike, up to the last place outside a tuplet."""
    n = 0
    while n < min(len(first), len(second)) and first[n] == second[n]:
        n += 1
    for line in (first, second):
        while 0 < n < len(line) and line[n].tuplet is not None:
            n -= 1
    return n


def _with_onsets(events: Sequence[Timed]) -> Iterator[tuple[Fraction, Timed]]:
    onset = Fraction(0)
    for event in events:
        yield onset, event
        onset += event.duration


def _staying(marks: Marks) -> Marks:
    """The marks of a note that stay when the note changes."""
    return Marks(
        chord_symbol=marks.chord_symbol,
        annotations=marks.annotations,
        decorations=tuple(name for name in marks.decorations if name in _ROAD_SIGNS),
    )


def _open_slurs(events: Sequence[Timed]) -> tuple[int, int]:
    """Slurs that begin in a run of notes and end after it, and that begin before it."""
    opened = closed = 0
    for event in events:
        opened += event.marks.slurs_opened
        inside = min(opened, event.marks.slurs_closed)
        opened, closed = opened - inside, closed + event.marks.slurs_closed - inside
    return opened, closed


def _marked(event: Timed, more: Marks) -> Timed:
    """The note with more signs; a second chord symbol becomes a text."""
    marks = event.marks
    texts = (*marks.annotations, *more.annotations)
    symbol = marks.chord_symbol or more.chord_symbol
    if marks.chord_symbol and more.chord_symbol:
        texts = (*texts, more.chord_symbol)
    return replace(
        event,
        marks=replace(
            marks,
            chord_symbol=symbol,
            annotations=texts,
            decorations=(*marks.decorations, *more.decorations),
            slurs_opened=marks.slurs_opened + more.slurs_opened,
            slurs_closed=marks.slurs_closed + more.slurs_closed,
        ),
    )


def sounding(notes: Mapping[int, Notes]) -> tuple[object, ...]:
    """The sounding pitches and lengths of some bars, to tell versions apart."""
    return tuple(
        (i, None if isinstance(n, Rest) else n.pitch.midi, n.duration, _is_tied(n))
        for i in sorted(notes)
        for n in notes[i]
        if not isinstance(n, Rest) or n.duration
        if isinstance(n, (Note, Rest))
    )
