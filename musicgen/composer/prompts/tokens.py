"""Encode any written melody bar by bar as melody tokens, whatever else its notation holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby

from musicgen.errors import InvalidTuneError
from musicgen.music.theory import (
    BAGPIPE,
    C_MAJOR,
    CHANTER,
    MODE_FIFTHS,
    Key,
    Meter,
    Pitch,
    canonical_rhythm,
)
from musicgen.music.tune import Bar, Change, Chord, Event, Note, Rest, Timed, Tune
from musicgen.tokens.melody.encoding import encode_bars, encode_header, explicit_repeats
from musicgen.tokens.melody.table import token_distance
from musicgen.tokens.vocabulary import Vocabulary

_PLAIN_LINES = ("|", "||", "|]")


@dataclass(frozen=True, slots=True)
class EncodedBar:
    """A bar that holds music. `number` is its place in the voice, from 0; `key` and `meter` those
    in force at its end, the key as tokens have it and as it is `written`; `notes` its single line
    of plain notes; `close` the token of its bar line, "" where the music stops inside it."""

    number: int
    key: Key
    meter: Meter
    notes: tuple[Timed, ...]
    repeat_start: bool
    volta: tuple[int, ...]
    close: str
    written: Key

    @property
    def duration(self) -> Fraction:
        """Length of what it holds, in quarters."""
        return sum((note.duration for note in self.notes), Fraction(0))

    @property
    def opens(self) -> tuple[str, ...]:
        """The tokens before its music."""
        volta = (f"[{','.join(map(str, self.volta))}",) if self.volta else ()
        return ("|:",) * self.repeat_start + volta


def encode_melody(tune: Tune, bars: Sequence[Bar]) -> list[EncodedBar]:
    """The bars of a tune's voice that hold music, reduced to what melody tokens can express.

    Chords become their highest note; overlays, ornaments and texts are left out; each bar is
    encoded in its own key. Bars without music give their marks to a neighbour, and repeats get
    their start, as in `tokens.melody`.
    """
    written, meter = tune.key, tune.meter
    encoded: list[EncodedBar] = []
    reduced: list[Bar] = []
    start, volta = False, tuple[int, ...]()
    for number, bar in enumerate(bars):
        for event in bar.events:
            if isinstance(event, Change):
                written, meter = event.key or written, event.meter or meter
        key = tonal(written)
        start, volta = start or bar.repeat_start, bar.volta or volta
        if not any(True for _ in bar.timed):
            if reduced:
                reduced[-1] = _strengthened(reduced[-1], bar)
            continue
        notes = plain_notes(bar.events, key)
        line = bar.barline if bar.barline in ("", *_PLAIN_LINES) else "|"
        line = "|" if bar.repeat_end else line
        reduced.append(
            Bar(
                events=notes,
                repeat_start=start,
                volta=volta,
                repeat_end=min(bar.repeat_end, 1),
                barline=line,
            )
        )
        encoded.append(EncodedBar(number, key, meter, notes, start, volta, "", written))
        start, volta = False, ()
    if not reduced:
        return []
    last_line = reduced[-1].barline
    reduced[-1] = replace(reduced[-1], barline=last_line or "|")
    marked = explicit_repeats(reduced)
    if not marked[-1].repeat_end:  # where the music stops it need not end
        marked[-1] = replace(marked[-1], barline="||" if last_line in ("||", "|]") else last_line)
    return [
        replace(
            bar, repeat_start=full.repeat_start, close=":|" if full.repeat_end else full.barline
        )
        for bar, full in zip(encoded, marked, strict=True)
    ]


def tonal(key: Key) -> Key:
    """The key of a tonic and a mode that is nearest to a key, which may have signs of its own."""
    if key == BAGPIPE:
        return Key("A", "mixolydian")
    if not key.accidentals:
        return Key(key.tonic, key.mode) if key.tonic and key.mode != "none" else C_MAJOR
    others = [Key.of_signature(fifths) for fifths in range(-7, 8)]
    known = [Key(key.tonic, mode) for mode in (key.mode, *MODE_FIFTHS) if mode != "none"]
    return min(
        known if key.tonic else others,
        key=lambda k: sum(abs(k.signature[s] - alter) for s, alter in key.signature.items()),
    )


def in_signature(pitch: Pitch, key: Key) -> bool:
    """Whether a pitch is in the signature of a key, and for the pipes among their nine notes."""
    fits = pitch.alter == key.signature[pitch.step]
    return fits and (key != BAGPIPE or pitch.midi in CHANTER)


def _strengthened(bar: Bar, empty: Bar) -> Bar:
    """A bar with the bar line and repeat of the empty one after it."""
    if empty.repeat_end or bar.repeat_end:
        return replace(bar, repeat_end=1, barline="|")
    lines = ("", *_PLAIN_LINES)
    other = empty.barline if empty.barline in lines else "|"
    return replace(bar, barline=max(bar.barline, other, key=lines.index))


def plain_notes(events: Iterable[Event], key: Key) -> tuple[Timed, ...]:
    """A single line of notes and rests without marks; groups that are no whole tuplet become
    notes of their plain length, unless more of the tuplet is still to come at the end."""
    line = [_plain(event, key) for event in events if not isinstance(event, Change)]
    result: list[Timed] = []
    i = 0
    while i < len(line):
        group = line[i].tuplet
        if group is None:
            result.append(line[i])
            i += 1
            continue
        j = i
        while j < len(line) and line[j].tuplet == replace(group, index=j - i):
            j += 1
        if j - i == group.size or (j == len(line) and j > i):
            result += line[i:j]
        else:
            j = max(j, i + 1)
            result += [replace(note, tuplet=None) for note in line[i:j]]
        i = j
    return tuple(result)


def _plain(event: Timed, key: Key) -> Timed:
    if isinstance(event, Rest):
        return Rest(event.duration, tuplet=event.tuplet)
    if isinstance(event, Chord):
        if not event.notes:
            return Rest(event.duration, tuplet=event.tuplet)
        top = max(event.notes, key=lambda note: note.midi)
        return Note(_near(top.pitch, key), event.duration, top.tie, event.tuplet)
    return Note(_near(event.pitch, key), event.duration, event.tie, event.tuplet)


def _near(pitch: Pitch, key: Key) -> Pitch:
    """The pitch, spelled so that its accidental is at most two from the key's."""
    relative = pitch.alter - key.signature[pitch.step]
    if abs(relative) <= 2:
        return pitch
    moved = Pitch.from_diatonic(pitch.diatonic + (1 if relative > 0 else -1), 0)
    alter = pitch.midi - moved.midi
    if abs(alter - key.signature[moved.step]) > 2 or abs(alter) > 2:
        return replace(pitch, alter=key.signature[pitch.step])
    return replace(moved, alter=alter)


# --- tokens ---------------------------------------------------------------------------------


def header_tokens(tune: Tune, key: Key, meter: Meter, pickup: Fraction) -> tuple[str, ...]:
    """The heading of a tune as it goes on in `key` and `meter`."""
    frame = Tune(rhythm=canonical_rhythm(tune.rhythm), meter=meter, unit=tune.unit, key=key)
    return (*encode_header(frame)[:-1], f"up:{pickup}")


def note_tokens(notes: Sequence[Event], key: Key, unit: Fraction) -> tuple[str, ...]:
    """Plain notes of one bar as tokens; the last tuplet may be incomplete."""
    frame = Tune(key=key, unit=unit)
    return tuple(encode_bars(frame, [Bar(events=tuple(notes))], unfinished=True)[:-1])


def prevailing_meter(encoded: Sequence[EncodedBar]) -> Meter:
    """The meter a tune goes on in: the last that held for two bars, else the commonest.

    A bar of another length is a meter of its own in MIDI, and no change of meter.

    Raises:
        InvalidTuneError: free meter, and no length that at least half of the bars share.
    """
    runs = [(meter, len(list(run))) for meter, run in groupby(bar.meter for bar in encoded)]
    lasting = [meter for meter, n in runs if n > 1]
    totals = Counter(bar.meter for bar in encoded)
    meter = lasting[-1] if lasting else max(totals, key=lambda m: (totals[m], m == runs[-1][0]))
    if meter.bar_duration is not None:
        return meter
    closed = Counter(bar.duration for bar in encoded if bar.close)
    length, n = closed.most_common(1)[0] if closed else (Fraction(0), 0)
    unit = 4 * length.denominator
    if n < 2 or 2 * n < closed.total() or unit > 64 or unit & (unit - 1):
        raise InvalidTuneError("no meter, and bars of no regular length")
    return Meter((int(length * length.denominator),), unit)


# --- tokens outside the vocabulary ----------------------------------------------------------


def nearest_tokens(tokens: Iterable[str], vocabulary: Vocabulary) -> list[str]:
    """The tokens, each unknown one replaced by the nearest that the model knows."""
    return vocabulary.replace_unknown(tokens, token_distance)
