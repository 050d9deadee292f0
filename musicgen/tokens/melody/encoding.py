"""Single-line tunes to melody tokens and back, exactly.

    >>> encode(melody(tune).tune)
    ['R:jig', 'M:6/8', 'L:1/8', 'K:D', 'mode:major', 'up:0', '|:', '1', '2', '3', ... ':|']

`melody` reduces a tune to the things that tokens represent and counts those it leaves out;
`decode(encode(t)) == t` for every tune it returns. `table` lists the tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import InvalidTuneError
from musicgen.music.playback import implicit_repeat_starts
from musicgen.music.theory import (
    C_MAJOR,
    Key,
    Meter,
    Pitch,
    canonical_rhythm,
    is_well_spelled,
)
from musicgen.music.tune import (
    NO_MARKS,
    Bar,
    Change,
    Chord,
    Event,
    Marks,
    Note,
    Rest,
    Timed,
    Tune,
    Tuplet,
    Voice,
    marks_of,
)
from musicgen.tokens.melody.table import (
    HEADER_KINDS,
    MAX_UNITS,
    Token,
    parse_token,
    pitch_token,
    tuplet_token,
)

NAME = "melody"


@dataclass(frozen=True, slots=True)
class ReducedMelody:
    """A tune reduced to the melody language, and how many things of each kind were left out."""

    tune: Tune
    dropped: Counter[str]


# --- reducing -------------------------------------------------------------------------------


def melody(tune: Tune) -> ReducedMelody:
    """Reduce a tune to the things that melody tokens represent.

    Left out and counted: grace notes, decorations, text, chord symbols, lyrics, lower notes of
    chords, layout. Put in canonical form: repeats get an explicit start, the last bar a final
    line, and an empty bar gives its marks to its neighbour. The heading keeps rhythm, meter,
    unit and key.

    Raises:
        InvalidTuneError: melody tokens cannot represent it; the message is the reason.
    """
    tune = tune.without_drums
    if len(tune.voices) != 1:
        raise InvalidTuneError("more than one voice" if tune.voices else "no music")
    if tune.meter.bar_duration is None:
        raise InvalidTuneError("no meter")
    if tune.meter.bar_duration > MAX_UNITS * tune.unit:
        raise InvalidTuneError(f"bars of more than {MAX_UNITS} units")
    dropped: Counter[str] = Counter()
    bars = merge_empty_bars([_reduce_bar(bar, dropped) for bar in tune.bars])
    if not any(isinstance(e, Note) for bar in bars for e in bar.events):
        raise InvalidTuneError("no notes")
    reduced = Tune(
        rhythm=canonical_rhythm(tune.rhythm),
        meter=Meter(tune.meter.beats, tune.meter.unit, tune.meter.symbol),
        unit=tune.unit,
        key=Key(tune.key.tonic, tune.key.mode) if tune.key.tonic else C_MAJOR,
        voices=(Voice(bars=tuple(explicit_repeats(bars))),),
    )
    return ReducedMelody(reduced, dropped)


def _reduce_bar(bar: Bar, dropped: Counter[str]) -> Bar:
    if bar.overlays:
        raise InvalidTuneError("more than one voice (overlay)")
    if bar.repeat_end > 1:
        raise InvalidTuneError("a part played more than twice")
    events: list[Event] = []
    for event in bar.events:
        if isinstance(event, Change):
            if event.key is not None:
                raise InvalidTuneError("key change inside the tune")
            if event.meter is not None:
                raise InvalidTuneError("meter change inside the tune")
            dropped.update(marks_left_out(marks_of(event)))
            dropped["text and tempo changes"] += event.signs is None
        else:
            events.append(_reduce_event(event, dropped))
    return Bar(
        events=tuple(events),
        repeat_start=bar.repeat_start,
        volta=bar.volta,
        repeat_end=bar.repeat_end,
        barline=bar.barline if bar.barline in ("||", "|]") and not bar.repeat_end else "|",
    )


def _reduce_event(event: Timed, dropped: Counter[str]) -> Timed:
    dropped.update(marks_left_out(event.marks))
    if isinstance(event, Rest):
        return Rest(event.duration, tuplet=event.tuplet)
    if isinstance(event, Chord):
        dropped["lower notes of chords"] += len(event.notes) - 1
        top = max(event.notes, key=lambda note: note.midi)
        return Note(top.pitch, event.duration, top.tie, event.tuplet)
    return Note(event.pitch, event.duration, event.tie, event.tuplet)


def marks_left_out(marks: Marks) -> list[str]:
    """The kinds of marks of a note that no token represents."""
    if marks == NO_MARKS:
        return []
    present = {
        "chord symbols": marks.chord_symbol,
        "annotations": marks.annotations,
        "decorations": marks.decorations,
        "grace notes": marks.grace,
        "slurs": marks.slurs_opened,
        "lyrics": any(marks.lyrics),
    }
    return [name for name, value in present.items() if value]


def merge_empty_bars(bars: Sequence[Bar]) -> list[Bar]:
    """Drop bars without time; their marks go to the bar before or after."""
    kept: list[Bar] = []
    start = False
    volta: tuple[int, ...] = ()
    for bar in bars:
        if bar.events:
            kept.append(
                replace(bar, repeat_start=bar.repeat_start or start, volta=bar.volta or volta)
            )
            start, volta = False, ()
            continue
        start, volta = start or bar.repeat_start, bar.volta or volta
        if kept:
            last = kept[-1]
            repeat_end = max(last.repeat_end, bar.repeat_end)
            strongest = max(last.barline, bar.barline, key=("|", "||", "|]").index)
            kept[-1] = replace(
                last, repeat_end=repeat_end, barline="|" if repeat_end else strongest
            )
    return kept


def explicit_repeats(bars: Sequence[Bar]) -> list[Bar]:
    """Give every repeat its start, and the tune its final bar line.

    Inside a repeated part a double bar line divides nothing and becomes a plain one; elsewhere a
    final one divides parts as a double one does.
    """
    result = list(bars)
    for start in implicit_repeat_starts(bars):
        result[start] = replace(result[start], repeat_start=True)
    opened, ending = False, 0
    for i, bar in enumerate(result):
        opened = opened or bar.repeat_start
        ending = bar.volta[0] if bar.volta else ending
        if bar.repeat_end:
            goes_on = i + 1 < len(result) and bool(result[i + 1].volta)
            opened = opened and goes_on
            ending = ending if goes_on else 0
        elif bar.barline != "|":
            inside = opened and ending < 2
            result[i] = replace(bar, barline="|" if inside else "||")
            if not inside:
                opened, ending = False, 0
    if result:
        last = result[-1]
        result[-1] = replace(last, barline="|" if last.repeat_end else "|]")
    return result


# --- encoding -------------------------------------------------------------------------------


def pickup_of(tune: Tune) -> Fraction:
    """Length in quarters of the incomplete first bar; 0 when the tune begins with a full one."""
    full = tune.meter.bar_duration
    first = tune.bars[0].duration if tune.bars else Fraction(0)
    return first if full is not None and first < full and len(tune.bars) > 1 else Fraction(0)


def encode_header(tune: Tune) -> list[str]:
    """The header tokens, in the order of `HEADER_KINDS`."""
    return [
        f"R:{tune.rhythm}",
        f"M:{tune.meter}",
        f"L:{tune.unit / 4}",
        f"K:{tune.key.tonic}",
        f"mode:{tune.key.mode}",
        f"up:{pickup_of(tune)}",
    ]


def encode(tune: Tune) -> list[str]:
    """Tokens of a tune in melody form (see `melody`), without `<bos>` and `<eos>`.

    Raises:
        InvalidTuneError: a tuplet or a note that tokens cannot represent.
    """
    return encode_header(tune) + encode_bars(tune, tune.bars)


def encode_bars(tune: Tune, bars: Sequence[Bar], *, unfinished: bool = False) -> list[str]:
    """Tokens of some bars of a tune in melody form; the last may be `unfinished`, in a tuplet."""
    tokens: list[str] = []
    for i, bar in enumerate(bars):
        if bar.repeat_start:
            tokens.append("|:")
        if bar.volta:
            tokens.append("[" + ",".join(map(str, bar.volta)))
        tokens += _encode_events(tune, bar.events, unfinished and i == len(bars) - 1)
        tokens.append(":|" if bar.repeat_end else bar.barline)
    return tokens


def _encode_events(tune: Tune, events: Iterable[Event], unfinished: bool) -> list[str]:
    tokens: list[str] = []
    expected: tuple[Tuplet, int] | None = None  # the open tuplet and the index that must follow
    default = Fraction(1)
    for event in events:
        if isinstance(event, (Change, Chord)):
            raise InvalidTuneError("not in melody form; reduce it with melody() first")
        tuplet = event.tuplet
        index = tuplet.index if tuplet is not None else 0
        if (expected[1] if expected is not None else 0) != index:
            raise InvalidTuneError("a tuplet that is cut by a bar line or incomplete")
        if tuplet is None or tuplet.index == 0:
            default = Fraction(1)
        if tuplet is not None and tuplet.index == 0:
            tokens.append(tuplet_token(tuplet.actual, tuplet.normal, tuplet.size))
        length = event.duration / tune.unit
        if tuplet is not None:
            length /= tuplet.scale
        if length != default:
            tokens.append(f"*{length}")
            default = length if tuplet is not None else default
        tokens.append("z" if isinstance(event, Rest) else _pitch_text(event.pitch, tune.key))
        if isinstance(event, Note) and event.tie:
            tokens.append("-")
        closing = tuplet is None or tuplet.index + 1 == tuplet.size
        expected = None if closing or tuplet is None else (tuplet, tuplet.index + 1)
    if expected is not None and not unfinished:
        raise InvalidTuneError("a tuplet that is cut by a bar line or incomplete")
    return tokens


def _pitch_text(pitch: Pitch, key: Key) -> str:
    alter = pitch.alter - key.signature[pitch.step]
    if abs(alter) > 2:
        raise InvalidTuneError(f"an accidental too far from the key ({pitch.name} in {key})")
    return pitch_token(pitch.diatonic - key.tonic_diatonic, alter)


# --- decoding -------------------------------------------------------------------------------


def decode(tokens: Sequence[str]) -> Tune:
    """The tune of tokens, without `<bos>`, `<eos>` and `<pad>`.

    A sequence that stops inside a bar gives a last bar without a bar line.

    Raises:
        InvalidTuneError: tokens that are not a melody (never for what the grammar allows).
    """
    parsed = [parse_token(t) for t in tokens if t not in ("<bos>", "<eos>", "<pad>")]
    header = {token.kind: token.value for token in parsed[: len(HEADER_KINDS)]}
    if tuple(header) != HEADER_KINDS:
        raise InvalidTuneError(f"the first tokens must be {', '.join(HEADER_KINDS)}")
    tune = Tune(
        rhythm=header["rhythm"],
        meter=header["meter"],
        unit=header["unit"],
        key=Key(header["tonic"], header["mode"]),
    )
    bars = decode_bars(tune, parsed[len(HEADER_KINDS) :])
    return replace(tune, voices=(Voice(bars=tuple(bars)),))


def decode_bars(tune: Tune, tokens: Iterable[Token]) -> list[Bar]:
    """Bars from parsed body tokens, in the key and unit of `tune`."""
    bars: list[Bar] = []
    reader = _BarReader(tune)
    for token in tokens:
        closed = reader.feed(token)
        if closed is not None:
            bars.append(closed)
    if reader.events or reader.started:
        bars.append(replace(reader.bar(""), barline=""))
    if bars and bars[-1].barline == "||":  # a melody's last line is final
        bars[-1] = replace(bars[-1], barline="|]")
    return bars


class _BarReader:
    """Collects tokens until a bar is complete."""

    def __init__(self, tune: Tune) -> None:
        self.tune = tune
        self._clear()

    def _clear(self) -> None:
        self.events: list[Event] = []
        self.started = False
        self.volta: tuple[int, ...] = ()
        self.length: Fraction | None = None
        self.tuplet: Tuplet | None = None  # the membership of the next note
        self.default = Fraction(1)

    def feed(self, token: Token) -> Bar | None:
        """Take one token; the finished bar when it closes one."""
        match token.kind:
            case "close":
                bar = self.bar(str(token.value))
                self._clear()
                return bar
            case "repeat":
                self.started = True
            case "volta":
                self.volta = token.value
            case "length":
                self.length = token.value
            case "tuplet":
                actual, normal, size = token.value
                self.tuplet = Tuplet(actual, normal, size, 0)
            case "pitch" | "rest":
                self._add(token)
            case "tie":
                if not self.events or not isinstance(self.events[-1], Note):
                    raise InvalidTuneError("a tie that follows no note")
                self.events[-1] = replace(self.events[-1], tie=True)
            case _:
                raise InvalidTuneError(f"a {token.kind} token inside the music")
        return None

    def _add(self, token: Token) -> None:
        length = self.length if self.length is not None else self.default
        tuplet, scale = self.tuplet, Fraction(1)
        self.length = None
        if tuplet is not None:
            self.default, scale = length, tuplet.scale
            self.tuplet = replace(tuplet, index=tuplet.index + 1)
            if self.tuplet.index == tuplet.size:
                self.tuplet, self.default = None, Fraction(1)
        duration = length * self.tune.unit * scale
        if token.kind == "rest":
            self.events.append(Rest(duration, tuplet=tuplet))
        else:
            self.events.append(Note(pitch_of(token, self.tune.key), duration, tuplet=tuplet))

    def bar(self, close: str) -> Bar:
        """The bar collected so far, ended by a bar line."""
        return Bar(
            events=tuple(self.events),
            repeat_start=self.started,
            volta=self.volta,
            repeat_end=1 if close == ":|" else 0,
            barline="|" if close == ":|" else close,
        )


def pitch_of(token: Token, key: Key) -> Pitch:
    """The pitch that a pitch token means in a key."""
    steps, relative = token.value
    natural = Pitch.from_diatonic(key.tonic_diatonic + steps, 0)
    return _respell(natural, key.signature[natural.step] + relative)


def well_spelled(tokens: Iterable[Token], key: Key) -> NDArray[np.bool_]:
    """Which tokens may be written in a key: all but pitches that are not `is_well_spelled` there:
    (V,)."""
    return np.array([t.kind != "pitch" or is_well_spelled(pitch_of(t, key), key) for t in tokens])


def _respell(natural: Pitch, alter: int) -> Pitch:
    """The pitch `alter` semitones from a natural, moved to a neighbour past a double accidental."""
    if abs(alter) <= 2:
        return Pitch(natural.step, alter, natural.octave)
    moved = Pitch.from_diatonic(natural.diatonic + (1 if alter > 0 else -1), 0)
    return Pitch(moved.step, natural.midi + alter - moved.midi, moved.octave)
