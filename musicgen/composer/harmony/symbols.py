"""Chords written with a tune: as symbols, in its ABC text, or as a second voice.

with_symbols(tune, {(0, 0): "G", (1, 3): "D7"})      # place: bar, event of the bar
write_text(text, tune, symbols)                      # the same in the text it was read from
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

from musicgen.errors import InvalidTuneError
from musicgen.formats.abc_notation.lines import is_field
from musicgen.formats.abc_notation.places import TuneText
from musicgen.formats.abc_notation.scanner import TOKEN, is_chord_symbol, subgroup
from musicgen.formats.abc_notation.text import decode_text
from musicgen.music.chord_symbols import ChordSymbol, parse_chord
from musicgen.music.performance.accompaniment import BASS_FROM, CHORD_FROM
from musicgen.music.theory import Key, spell
from musicgen.music.tune import Bar, Change, Chord, Event, Note, Rest, Timed, Tune, Voice, marks_of

# Bar and event of the bar, counted from 0, of the first voice.
Symbols = Mapping[tuple[int, int], str]
# Signs that belong to the note after them and stand after its chord symbol (ABC 2.1, 4.20).
_BEFORE_NOTE = frozenset({"decoration", "letter", "microtone", "quoted"})
_COMMENT = re.compile(r"(?<!\\)%.*")
GUITAR = 24  # General MIDI number of the nylon-string guitar, from 0
_SOUNDS = frozenset({"note", "rest", "bar_rest", "chord_open"})


def with_symbols(tune: Tune, symbols: Symbols) -> Tune:
    """The tune with these chord symbols in its first voice and no others there."""
    if not tune.voices:
        return tune
    first, *others = tune.voices
    bars = tuple(_marked(number, bar, symbols) for number, bar in enumerate(first.bars))
    return replace(tune, voices=(replace(first, bars=bars), *others))


def _marked(number: int, bar: Bar, symbols: Symbols) -> Bar:
    return replace(
        bar,
        events=tuple(_named(e, symbols.get((number, i), "")) for i, e in enumerate(bar.events)),
    )


def _named(event: Event, symbol: str) -> Event:
    before = marks_of(event)
    others = tuple(text for text in before.annotations if not is_chord_symbol(text))
    if isinstance(event, Change):
        return (
            event
            if event.signs is None
            else replace(event, signs=replace(before, annotations=others))
        )
    marks = replace(before, chord_symbol=symbol, annotations=others)
    return event if marks == before else replace(event, marks=marks)


def n_symbols(tune: Tune) -> int:
    """How many chord symbols the first voice has."""
    return sum(bool(event.marks.chord_symbol) for bar in tune.bars for event in bar.timed)


def write_text(page: TuneText, tune: Tune, symbols: Symbols) -> str:
    """The text of a tune with these chord symbols and not another character changed, but for the
    chord symbols that were there, which are taken out.

    Raises:
        InvalidTuneError: the text cannot be marked so that it reads as the tune with its symbols.
    """
    wanted = with_symbols(tune, symbols)
    text = page.text
    for begin, end, new in sorted(_edits(text, tune, symbols), reverse=True):
        text = text[:begin] + new + text[end:]
    if page.read(text) != wanted:
        raise InvalidTuneError("its text cannot be marked place by place")
    return text


def _edits(text: str, tune: Tune, symbols: Symbols) -> Iterator[tuple[int, int, str]]:
    """The replacements: (begin, end, new text)."""
    for number, bar in enumerate(tune.bars):
        places = [i for i, event in enumerate(bar.events) if not isinstance(event, Change)]
        names = [symbols.get((number, i), "") for i in places]
        yield from _edits_of_bar(list(_tokens(text, *(bar.span or (0, 0)))), names)


def _edits_of_bar(
    tokens: list[tuple[int, re.Match[str]]], names: list[str]
) -> Iterator[tuple[int, int, str]]:
    """The edits of one bar, whose notes, chords and rests get `names` in order ("": none)."""
    waiting = iter(names)
    pending: int | None = None  # where the signs that belong to the next note begin
    inside = False  # a chord's brackets
    for offset, token in tokens:
        kind = token.lastgroup or ""
        begin, end = offset + token.start(), offset + token.end()
        if kind == "quoted" and is_chord_symbol(_plain(subgroup(token, "quoted", 1))):
            yield begin, end, ""
        elif kind in _SOUNDS and not inside:
            name = next(waiting, "")
            if name:
                at = begin if pending is None else pending
                yield at, at, f'"{name}"'
            pending = None
        elif kind in _BEFORE_NOTE:
            pending = begin if pending is None else pending
        elif kind != "space":
            pending = None
        inside = kind == "chord_open" or (inside and kind != "chord_close")


def _plain(text: str) -> str:
    return " ".join(decode_text(text).split())


def _tokens(text: str, start: int, end: int) -> Iterator[tuple[int, re.Match[str]]]:
    """The signs of a bar's music, with the offset of the line that each was found in."""
    position = start
    for line in text[start:end].splitlines(keepends=True):
        begins_line = position == 0 or text[position - 1] in "\r\n"
        if not (begins_line and (line.startswith("%") or is_field(line))):
            bare = _COMMENT.sub("", line.rstrip("\r\n"))
            yield from ((position, token) for token in TOKEN.finditer(bare))
        position += len(line)


def backed(tune: Tune) -> Tune:
    """The tune with another voice that holds each chord, its bass below, until the next.

    It is for formats without chord symbols, such as MIDI; recordings are played with a livelier
    accompaniment from the same symbols (`performance`).
    """
    if not tune.voices:
        return tune
    bars: list[Bar] = []
    key, symbol = tune.key, None
    for bar in tune.bars:
        events: list[Timed] = []
        for length, sounding, in_force in _spans(bar, key, symbol):
            key, symbol = in_force, sounding
            if length:
                events.append(_struck(sounding, length, key))
        bars.append(replace(bar, events=tuple(events), overlays=()))
    return replace(
        tune, voices=(*tune.voices, Voice(id="chords", program=GUITAR, bars=tuple(bars)))
    )


def _spans(
    bar: Bar, key: Key, symbol: ChordSymbol | None
) -> Iterator[tuple[Fraction, ChordSymbol | None, Key]]:
    """(length, chord, key) of the stretches of a bar between its chord symbols, in order; the last
    may be empty and says what is in force at the bar's end."""
    length = Fraction(0)
    for event in bar.events:
        if isinstance(event, Change):
            key = event.key or key
            continue
        found = parse_chord(event.marks.chord_symbol) if event.marks.chord_symbol else None
        if found is not None:
            yield length, symbol, key
            length, symbol = Fraction(0), found
        length += event.duration
    yield length, symbol, key


def _struck(symbol: ChordSymbol | None, length: Fraction, key: Key) -> Timed:
    if symbol is None or not symbol.intervals:
        return Rest(length)
    upper = sorted(CHORD_FROM + (pitch - CHORD_FROM) % 12 for pitch in symbol.pitch_classes)
    bass = BASS_FROM + (symbol.bass - BASS_FROM) % 12
    return Chord(tuple(Note(spell(midi, key), length) for midi in (bass, *upper)), length)
