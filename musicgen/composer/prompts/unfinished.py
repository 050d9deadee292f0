"""An unfinished melody: its bar plan, and the finished tune joined from the old and new bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from musicgen.composer.prompts.bar_plan import BarPlan
from musicgen.composer.prompts.form import Outline, Stopped, outline
from musicgen.composer.prompts.source_file import CompletedTune, SourceFile, at_path_of
from musicgen.composer.prompts.tokens import (
    encode_melody,
    header_tokens,
    note_tokens,
    prevailing_meter,
)
from musicgen.errors import ControlError, InvalidTuneError
from musicgen.formats.abc_notation.places import Stop, find_stop
from musicgen.formats.abc_notation.splicing import append
from musicgen.formats.midi.splicing import MidiChunks, TickedNote
from musicgen.music.playback import timeline
from musicgen.music.theory import Key, Meter
from musicgen.music.tune import Bar, Change, Event, Tune
from musicgen.tokens.melody.encoding import decode_bars
from musicgen.tokens.melody.grammar import State, advance, start
from musicgen.tokens.melody.table import parse_token


@dataclass(frozen=True, slots=True)
class UnfinishedMelody:
    """An unfinished tune that has been understood.

    `bars` are those given, the last of which is open or, where a repeat or an ending has just
    begun, empty; `plan` is what the model hears and may write.
    """

    tune: Tune
    source_file: SourceFile
    stop: Stop | None
    bars: tuple[Bar, ...]
    key: Key
    meter: Meter
    is_open: bool
    form: Outline
    plan: BarPlan

    @staticmethod
    def read(tune: Tune, n_bars: int | None = None) -> UnfinishedMelody:
        """Understand an unfinished tune that is to have `n_bars` full bars (None: as many as its
        form asks for).

        Raises:
            ControlError: it cannot go on; the message says why.
        """
        try:
            return _read(tune, n_bars)
        except InvalidTuneError as error:
            raise ControlError(f"cannot be continued: {error}; give a single-line melody") from None

    def complete(self, written: Sequence[str]) -> CompletedTune:
        """The finished tune: the bars given, then those that the tokens `written` say.

        Raises:
            InvalidTuneError: the new music cannot be written after the old.
        """
        new = self._new_bars(written)
        given = list(self.bars)
        if self.stop is not None:
            text, whole = append(self.stop, self._joined(new), goes_on=self.is_open)
            whole = at_path_of(self.tune, whole)
            return CompletedTune(whole, {".abc": self.source_file.continued(text)})
        if self.is_open:
            kept, first = given.pop(), new.pop(0)
            new.insert(
                0,
                replace(
                    kept,
                    events=(*kept.events, *first.events),
                    barline=first.barline,
                    repeat_end=first.repeat_end,
                    span=None,
                ),
            )
        elif given and not any(True for _ in given[-1].timed):
            begun = given.pop()
            first = new.pop(0)
            new.insert(
                0,
                replace(
                    first,
                    events=(*begun.events, *first.events),
                    repeat_start=begun.repeat_start or first.repeat_start,
                    volta=begun.volta or first.volta,
                ),
            )
        if self.form.strengthened:
            given[-1] = replace(given[-1], repeat_end=1, barline="|")
        bars = [*given, *new]
        if self.form.repeats_from is not None and self.source_file.midi:
            number = self._heard_numbers[self.form.repeats_from]
            bars[number] = replace(bars[number], repeat_start=True)
        voice = replace(self.tune.voices[0], bars=tuple(bars))
        whole = replace(self.tune, voices=(voice,), source=None)
        return CompletedTune(whole, {".mid": self._midi(whole)} if self.source_file.midi else {})

    @property
    def _heard_numbers(self) -> list[int]:
        return [i for i, bar in enumerate(self.bars) if any(True for _ in bar.timed)]

    def _joined(self, new: list[Bar]) -> list[Bar]:
        """The new bars as text has them: a bar line that is made a repeat is a bar of its own."""
        if not self.form.strengthened:
            return new
        return [Bar(repeat_end=1, barline="|"), *new]

    def _new_bars(self, written: Sequence[str]) -> list[Bar]:
        """Bars of the new tokens; copies have all the signs of the bars that they repeat."""
        frame = Tune(key=self.key, unit=self.tune.unit, meter=self.meter)
        heading = (*self.plan.opening, *written)
        bars = decode_bars(frame, [parse_token(text) for text in heading])
        for i, measure in enumerate(self.plan.measures):
            if measure.copy_of is not None:
                copied = self.bars[measure.copy_of].events
                bars[i] = replace(bars[i], events=tuple(_without_changes(copied)))
        if self.plan.opening and bars:
            bars[0] = replace(bars[0], events=bars[0].events[self._n_heard_open :])
        return bars

    @property
    def _n_heard_open(self) -> int:
        return sum(1 for _ in self.bars[-1].timed)

    def _midi(self, whole: Tune) -> bytes:
        score = MidiChunks.read(self.source_file.midi)
        ticks = score.ticks_per_quarter
        stop = sum((bar.duration for bar in self.bars), Fraction(0))
        played = timeline(whole)
        given = [
            TickedNote(round(n.onset * ticks), round(n.duration * ticks), n.midi)
            for n in played.notes
            if n.onset < stop
        ]
        line = score.line_of(given)
        # A performance was put on beats of its own: then the music goes on where it ends.
        late = 0 if score.is_on_time(line, given) else line.end - round(stop * ticks)
        added = []
        for note in played.notes:
            if note.onset < stop or not 0 <= note.midi <= 127:
                continue
            onset = max(round(note.onset * ticks) + late, line.end)
            end = max(round((note.onset + note.duration) * ticks) + late, onset + 1)
            added.append(TickedNote(onset, end - onset, note.midi))
        return score.replace(
            line,
            added=added,
            meters=[] if late else self._meters(score, whole),
            end=round(played.duration * ticks) + late,
        )

    def _meters(self, score: MidiChunks, whole: Tune) -> list[tuple[int, int, int]]:
        """A time signature after the bar in which the music stops, where the meter then changes."""
        ticks = score.ticks_per_quarter
        n = len(self.bars) - (not any(True for _ in self.bars[-1].timed))
        bar_end = sum((bar.duration for bar in whole.bars[:n]), Fraction(0)) * ticks
        beats, unit = score.meter_at(round(bar_end))
        if Fraction(4 * beats, unit) == self.meter.bar_duration:
            return []
        return [(round(bar_end), sum(self.meter.beats), self.meter.unit)]


def _without_changes(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, Change)]


def _read(tune: Tune, n_bars: int | None) -> UnfinishedMelody:
    if len(tune.voices) != 1:
        raise InvalidTuneError("more than one voice" if tune.voices else "no music")
    source_file = SourceFile.of(tune)
    stop = find_stop(source_file.tune_text, tune) if source_file.tune_text is not None else None
    bars = stop.place.bars if stop is not None else _stopped_bars(tune, bool(source_file.midi))
    heard = encode_melody(tune, bars)
    if not heard:
        raise InvalidTuneError("no notes")
    meter = prevailing_meter(heard)
    full = meter.bar_duration
    assert full is not None
    begun = bars[-1]
    is_open = any(True for _ in begun.timed) and not begun.barline and not begun.repeat_end
    last = heard[-1]
    own = last.meter.bar_duration
    tied = bool(last.notes) and getattr(last.notes[-1], "tie", False)
    has_begun = not any(True for _ in begun.timed)
    stopped = Stopped(
        heard,
        unit=tune.unit,
        full=full,
        is_open=is_open,
        own_full=full if own is None or not is_open else own,
        tied=tied,
        begun=has_begun and begun.repeat_start,
        volta=begun.volta if has_begun else (),
        unmarked=bool(source_file.midi),
    )
    form = outline(stopped, n_bars)
    key = last.key
    if has_begun:
        for event in begun.events:
            key = event.key or key if isinstance(event, Change) else key
    plan = _plan(tune, stopped, form, key, meter, stop)
    return UnfinishedMelody(tune, source_file, stop, tuple(bars), key, meter, is_open, form, plan)


def _stopped_bars(tune: Tune, from_midi: bool) -> tuple[Bar, ...]:
    """The bars given, less what a file of sounds cannot know: that its last bar line is final."""
    bars = list(tune.bars)
    while bars and not any(True for _ in bars[-1].timed):
        if bars[-1].repeat_start or bars[-1].volta:
            break
        bars.pop()
    if from_midi and bars and bars[-1].barline == "|]":
        full = _bar_length(tune, bars)
        bars[-1] = replace(bars[-1], barline="|" if bars[-1].duration == full else "")
    return tuple(bars)


def _bar_length(tune: Tune, bars: Sequence[Bar]) -> Fraction | None:
    heard = encode_melody(tune, bars)
    return heard[-1].meter.bar_duration if heard else None


def _plan(
    tune: Tune, stopped: Stopped, form: Outline, key: Key, meter: Meter, stop: Stop | None
) -> BarPlan:
    """What the model hears, and where that leads."""
    heard = stopped.heard
    tokens = list(header_tokens(tune, key, meter, form.pickup))
    opening: list[str] = []
    for i, bar in enumerate(heard):
        opens = bar.opens
        if i == form.repeats_from and "|:" not in opens:
            opens = ("|:", *opens)
        music = note_tokens(bar.notes, bar.key, tune.unit)
        is_last = i + 1 == len(heard)
        if is_last and stopped.is_open:
            opening = list(music)
            tokens += [*opens, *music]
            break
        close = ":|" if is_last and form.strengthened else bar.close or "|"
        tokens += [*opens, *music, close]
    if form.repeats_from == len(heard) or stopped.begun:
        tokens.append("|:")
    if stopped.volta:
        tokens.append(f"[{','.join(map(str, stopped.volta))}")
    if stop is not None:
        opening += _dangling(stop, tokens)
    state = start()
    for text in tokens:
        state = advance(state, parse_token(text))
    return BarPlan(
        tuple(tokens),
        _where(state, stopped),
        tuple(form.measures),
        opening=tuple(opening) if stopped.is_open or opening else (),
        ends_on_tonic=True,
    )


def _dangling(stop: Stop, tokens: list[str]) -> list[str]:
    """A tuplet or a length that the text announces and no note has yet."""
    place = stop.place
    found = []
    if place.tuplet is not None and place.tuplet.index == 0:
        group = place.tuplet
        size = "" if group.size == group.actual else f":{group.size}"
        found.append(f"({group.actual}:{group.normal}{size}")
    if place.broken != 1:
        found.append(f"*{place.broken * place.unit / stop.tune.unit}")
    tokens += found
    return found


def _where(state: State, stopped: Stopped) -> State:
    """The grammar's state, made to fit: what is given must not become longer by a tie, and a bar
    that is longer than a pickup is none."""
    in_pickup = state.in_pickup and state.position <= state.pickup
    return replace(state, after_note=False, in_pickup=in_pickup, closed="")
