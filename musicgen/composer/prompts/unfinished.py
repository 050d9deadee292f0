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
    tonal,
)
from musicgen.errors import ControlError, InvalidTuneError
from musicgen.formats.abc_notation.places import Stop, find_stop
from musicgen.formats.abc_notation.splicing import append
from musicgen.formats.midi.splicing import MidiChunks, TickedNote
from musicgen.music.playback import timeline
from musicgen.music.theory import Key, Meter
from musicgen.music.tune import Bar, Change, Tune, require_tune
from musicgen.tokens.melody.encoding import decode_bars
from musicgen.tokens.melody.grammar import State, state_after
from musicgen.tokens.melody.table import parse_token


@dataclass(frozen=True, slots=True)
class UnfinishedMelody:
    """An unfinished tune that has been understood.

    `bars` are those given, the last of which is open or, where a repeat or an ending has just
    begun, empty; `plan` is what the model reads and may write.
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
        tune = require_tune(tune)
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
            if self.form.strengthened:  # in the text a bar line made a repeat is a bar of its own
                new.insert(0, Bar(repeat_end=1, barline="|"))
            text, finished = append(self.stop, new, goes_on=self.is_open)
            return CompletedTune(
                at_path_of(self.tune, finished), {".abc": self.source_file.continued(text)}
            )
        if self.is_open:
            begun = given.pop()
            new[0] = replace(
                begun,
                events=(*begun.events, *new[0].events),
                barline=new[0].barline,
                repeat_end=new[0].repeat_end,
                span=None,
            )
        elif given and not any(True for _ in given[-1].timed):
            begun = given.pop()
            new[0] = replace(
                new[0],
                events=(*begun.events, *new[0].events),
                repeat_start=begun.repeat_start or new[0].repeat_start,
                volta=begun.volta or new[0].volta,
            )
        if self.form.strengthened:
            given[-1] = replace(given[-1], repeat_end=1, barline="|")
        bars = [*given, *new]
        if self.form.repeats_from is not None and self.source_file.midi:
            numbers = [i for i, bar in enumerate(self.bars) if any(True for _ in bar.timed)]
            number = numbers[self.form.repeats_from]
            bars[number] = replace(bars[number], repeat_start=True)
        voice = replace(self.tune.voices[0], bars=tuple(bars))
        finished = replace(self.tune, voices=(voice,), source=None)
        exact = {".mid": self._midi(finished)} if self.source_file.midi else {}
        return CompletedTune(finished, exact)

    def _new_bars(self, written: Sequence[str]) -> list[Bar]:
        """Bars of the new tokens; copies have all the signs of the bars that they repeat."""
        frame = Tune(key=self.key, unit=self.tune.unit, meter=self.meter)
        bars = decode_bars(frame, map(parse_token, (*self.plan.opening, *written)))
        for i, measure in enumerate(self.plan.measures):
            if measure.copy_of is not None:
                bars[i] = replace(bars[i], events=tuple(self.bars[measure.copy_of].timed))
        if self.plan.opening and bars:
            n_given = sum(1 for _ in self.bars[-1].timed)
            bars[0] = replace(bars[0], events=bars[0].events[n_given:])
        return bars

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


def _read(tune: Tune, n_bars: int | None) -> UnfinishedMelody:
    if len(tune.voices) != 1:
        raise InvalidTuneError("more than one voice" if tune.voices else "no music")
    source_file = SourceFile.of(tune)
    stop = find_stop(source_file.tune_text, tune) if source_file.tune_text is not None else None
    bars = stop.place.bars if stop is not None else _stopped_bars(tune, bool(source_file.midi))
    encoded = encode_melody(tune, bars)
    if not encoded:
        raise InvalidTuneError("no notes")
    meter = prevailing_meter(encoded)
    full = meter.bar_duration
    assert full is not None
    begun = bars[-1]
    is_open = any(True for _ in begun.timed) and not begun.barline and not begun.repeat_end
    last = encoded[-1]
    own = last.meter.bar_duration
    has_begun = not any(True for _ in begun.timed)
    stopped = Stopped(
        encoded,
        unit=tune.unit,
        full=full,
        is_open=is_open,
        own_full=full if own is None or not is_open else own,
        tied=bool(last.notes) and getattr(last.notes[-1], "tie", False),
        begun=has_begun and begun.repeat_start,
        volta=begun.volta if has_begun else (),
        unmarked=bool(source_file.midi),
    )
    form = outline(stopped, n_bars)
    written = last.written
    if has_begun:
        for event in begun.events:
            written = event.key or written if isinstance(event, Change) else written
    key = tonal(written)
    plan = _plan(tune, stopped, form, (key, written), meter, stop)
    return UnfinishedMelody(tune, source_file, stop, tuple(bars), key, meter, is_open, form, plan)


def _stopped_bars(tune: Tune, from_midi: bool) -> tuple[Bar, ...]:
    """The bars given, less what a file of sounds cannot know: that its last bar line is final."""
    bars = list(tune.bars)
    while bars and not (
        any(True for _ in bars[-1].timed) or bars[-1].repeat_start or bars[-1].volta
    ):
        bars.pop()
    if from_midi and bars and bars[-1].barline == "|]":
        encoded = encode_melody(tune, bars)
        full = encoded[-1].meter.bar_duration if encoded else None
        bars[-1] = replace(bars[-1], barline="|" if bars[-1].duration == full else "")
    return tuple(bars)


def _plan(
    tune: Tune,
    stopped: Stopped,
    form: Outline,
    keys: tuple[Key, Key],
    meter: Meter,
    stop: Stop | None,
) -> BarPlan:
    """The tokens that the model reads, and the state of the grammar after them."""
    encoded = stopped.encoded_bars
    key, written = keys
    measures = form.measures
    if written.accidentals:
        measures = [replace(measure, keys=keys) for measure in measures]
    tokens = list(header_tokens(tune, key, meter, form.pickup))
    opening: list[str] = []
    for i, bar in enumerate(encoded):
        opens = bar.opens
        if i == form.repeats_from and "|:" not in opens:
            opens = ("|:", *opens)
        music = note_tokens(bar.notes, bar.key, tune.unit)
        is_last = i + 1 == len(encoded)
        if is_last and stopped.is_open:
            opening = list(music)
            tokens += [*opens, *music]
            break
        close = ":|" if is_last and form.strengthened else bar.close or "|"
        tokens += [*opens, *music, close]
    if form.repeats_from == len(encoded) or stopped.begun:
        tokens.append("|:")
    if stopped.volta:
        tokens.append(f"[{','.join(map(str, stopped.volta))}")
    if stop is not None:
        opening += _dangling(stop, tokens)
    return BarPlan(
        tuple(tokens),
        _fitted(state_after(tokens)),
        tuple(measures),
        opening=tuple(opening) if stopped.is_open or opening else (),
        ends_on_tonic=True,
    )


def _dangling(stop: Stop, tokens: list[str]) -> list[str]:
    """A tuplet or a length that the text announces and no note has yet."""
    place = stop.place
    announced = []
    if place.tuplet is not None and place.tuplet.index == 0:
        group = place.tuplet
        size = "" if group.size == group.actual else f":{group.size}"
        announced.append(f"({group.actual}:{group.normal}{size}")
    if place.broken != 1:
        announced.append(f"*{place.broken * place.unit / stop.tune.unit}")
    tokens += announced
    return announced


def _fitted(state: State) -> State:
    """The grammar's state, made to fit: what is given must not become longer by a tie, and a bar
    that is longer than a pickup is none."""
    in_pickup = state.in_pickup and state.position <= state.pickup
    return replace(state, after_note=False, in_pickup=in_pickup, closed="")
