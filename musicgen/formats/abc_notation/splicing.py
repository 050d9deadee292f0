"""ABC text with bars appended or replaced, every other character as it was written.

    stop = find_stop(page)                 # where the music stops, as the reader understands it
    append(stop, new_bars, goes_on=False)  # the text with more music after it, and its tune
    replace_bars(page, tune, {4: events})  # the text with another fifth bar, and its tune

`places` finds the state of the reader at a place in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from musicgen.errors import InvalidTuneError
from musicgen.formats.abc_notation.lines import is_field
from musicgen.formats.abc_notation.notes import AbcNoteWriter
from musicgen.formats.abc_notation.places import (
    PROBE,
    Place,
    Stop,
    TuneText,
    examine,
    sound,
    stretched,
)
from musicgen.formats.abc_notation.scanner import TOKEN
from musicgen.formats.abc_notation.writer import BARS_A_LINE, VoiceWriter, is_on_beat
from musicgen.music.theory import Meter, Pitch
from musicgen.music.tune import Bar, Change, Event, Tune

_HEAVY = ("||", "|]", "[|", "[|]")
_UNKNOWN = 99  # no alteration: the next note of the step writes its own
_MUSIC = frozenset(
    {
        "note", "microtone", "broken", "tuplet", "slur_open", "slur_close", "tie", "quoted",
        "grace",
        "chord_open", "chord_close", "rest", "bar_rest", "spacer", "overlay", "decoration", "plus",
        "letter",
    }
)  # fmt: skip
_FIELDS = frozenset({"field", "bare_field"})
_COMMENT = re.compile(r"(?<!\\)%.*")
_TUPLET_SIGN = re.compile(r"\(\d+(?::\d*){0,2}")


class _Scribe(AbcNoteWriter):
    """Writes notes at a place. With `cautious`, a step that has been altered in the bar gets its
    accidental every time, so that it reads the same however far accidentals reach."""

    def __init__(self, tune: Tune, place: Place, *, cautious: bool) -> None:
        super().__init__(replace(tune, unit=place.unit, key=place.key))
        self.octave = place.octave
        self.cautious = cautious
        unsure = {s for s, alter in place.altered.items() if alter != self.signature[s]}
        for event in place.bars[-1].timed if place.bars else ():
            pitches, _ = sound(event)
            unsure |= {p.step for p in pitches if p.alter != self.signature[p.step]}
        self.altered = {**self.signature, **place.altered, **dict.fromkeys(unsure, _UNKNOWN)}
        if place.tuplet is not None:
            self.groups[0] = replace(place.tuplet, index=place.tuplet.index - 1)

    def _pitch(self, pitch: Pitch) -> str:
        text = super()._pitch(pitch)
        if self.cautious and text[0] in "^_=":
            self.altered = self.altered | {pitch.step: _UNKNOWN}
        return text


def _write(events: Sequence[Event], scribe: _Scribe, tune: Tune, meter: Meter, at: Fraction) -> str:
    """Notes that begin `at` quarters into their bar, beamed by beat."""
    writer = VoiceWriter(tune, leads=False)
    writer.notes, writer.meter = scribe, meter
    writer._lane(events, 0, at, only=False)
    return writer.text.strip()


def _scribe_at(page: TuneText, tune: Tune, place: Place) -> _Scribe:
    return _Scribe(tune, place, cautious="propagate-accidentals" in page.heading + page.text)


def append(stop: Stop, bars: Sequence[Bar], *, goes_on: bool) -> tuple[str, Tune]:
    """The page's text and after it `bars`, in the layout of what is there, and the tune of both.

    With `goes_on` the first of them is the rest of the bar that the music stops in.

    Raises:
        InvalidTuneError: the reader would not read it back as these notes.
    """
    page, place = stop.page, stop.place
    scribe = _scribe_at(page, stop.tune, place)
    layout = _Layout.of(stop)
    text, line_end = page.text + stop.join, page.line_end
    for number, bar in enumerate(bars):
        first = number == 0
        at = place.bars[-1].duration if first and goes_on else Fraction(0)
        if number and place.meter.bar_duration is not None and _starts_part(bars[number - 1]):
            at = max(Fraction(0), place.meter.bar_duration - bar.duration)
        events = _undo_broken(bar.events, place) if first else bar.events
        content = _write(events, scribe, stop.tune, place.meter, at)
        if first and place.tuplet is not None and place.tuplet.index == 0:
            content = _TUPLET_SIGN.sub("", content, count=1)
        text += layout.opening(text, bar, goes_on=first and goes_on)
        announced = first and (place.tuplet is not None or place.broken != 1)
        if content and not announced:
            text += layout.gap(text, at, place.meter, goes_on=first and goes_on)
        text += content + layout.closing(text + content, bar, counts=at == 0 or goes_on)
        scribe.end_bar()
        if number + 1 < len(bars):
            text += layout.line_break(bar, bars[number + 1], line_end)
    return text, _require_same(stop, text, bars, goes_on=goes_on)


def _starts_part(before: Bar) -> bool:
    return before.repeat_end > 0 or before.barline in _HEAVY


def _undo_broken(events: Sequence[Event], place: Place) -> Sequence[Event]:
    """The first note as it is written behind a "<" or ">" that changes its length."""
    if place.broken == 1 or not events or isinstance(events[0], Change):
        return events
    return (stretched(events[0], events[0].duration / place.broken), *events[1:])


@dataclass(slots=True)
class _Layout:
    """The layout of bars on lines: blanks around bar lines or not, bars per line."""

    spaced: bool
    per_line: int
    on_line: int

    @staticmethod
    def of(stop: Stop) -> _Layout:
        """The layout of the existing music; four bars a line where it shows none."""
        text = stop.page.text
        body = text[text.rfind("\nK:") + 1 :]
        loose, tight = len(re.findall(r"\S \|", body)), len(re.findall(r"[^\s|:]\|", body))
        counts, on_line = [], 0
        full = stop.place.meter.bar_duration or Fraction(0)
        for bar in stop.place.bars:
            on_line += bar.duration >= full > 0
            if bar.line_break:
                counts.append(on_line)
                on_line = 0
        usual = max(counts, key=counts.count) if counts else BARS_A_LINE
        return _Layout(
            loose > tight, max(usual, 1), 0 if stop.join.endswith(("\n", "\r")) else on_line
        )

    def opening(self, text: str, bar: Bar, *, goes_on: bool) -> str:
        """A repeat that begins, an ending."""
        opened = "" if goes_on else "|:" * bar.repeat_start
        if opened and text and not text.endswith(("\n", "\r")):
            opened = "\n" + opened if text[-1] in "|:]" else opened
            self.on_line = 0
        passes = "" if goes_on or not bar.volta else f"[{','.join(map(str, bar.volta))}"
        blank = " " if passes and (text + opened)[-1:] not in ("\n", " ", "") else ""
        return opened + blank + passes

    def gap(self, text: str, at: Fraction, meter: Meter, *, goes_on: bool) -> str:
        """The blank, if any, between the first note and the text before it."""
        if not text or text[-1].isspace():
            return ""
        if goes_on:
            on_beat = bool(meter.beats) and is_on_beat(meter, at)
            return " " if on_beat and text[-1] not in '([{^_="!~.>-<' else ""
        return " " if self.spaced or text[-1].isdigit() else ""

    def closing(self, text: str, bar: Bar, *, counts: bool) -> str:
        """The bar line; a pickup does not count as a bar of the line."""
        line = ":" * bar.repeat_end + (bar.barline or "|" * bool(bar.repeat_end))
        if text.endswith(":") and line.startswith(":"):
            line = line[1:]  # half a repeat sign was there already
        self.on_line += counts
        apart = text.endswith("|") or (self.spaced and not text[-1:].isspace())
        return f"{' ' * (apart and not text.endswith(':'))}{line}"

    def line_break(self, bar: Bar, after: Bar, line_end: str) -> str:
        """Between two bars: a new line, or nothing."""
        ends = _starts_part(bar) or after.repeat_start
        if (after.volta and after.volta[0] > 1) or not (ends or self.on_line >= self.per_line):
            return ""
        self.on_line = 0
        return line_end


def _require_same(stop: Stop, text: str, bars: Sequence[Bar], *, goes_on: bool) -> Tune:
    """The tune of a text, in which `bars` follow the page's.

    Raises:
        InvalidTuneError: it is not read so.
    """
    given = list(stop.place.bars)
    added = list(bars)
    head = given.pop()
    if goes_on and added:
        added[0] = replace(added[0], events=(*head.events, *added[0].events))
    elif added and given and not any(True for _ in added[0].timed):
        given[-1] = replace(given[-1], repeat_end=added.pop(0).repeat_end)  # its line made a repeat
    result = stop.page.read(text)
    wanted = [_shape(bar) for bar in (*given, *added)]
    if result is None or [_shape(bar) for bar in result.bars] != wanted:
        raise InvalidTuneError("no text after it would be read as the notes that are meant")
    return result


def _shape(bar: Bar) -> tuple[object, ...]:
    """The facts of a bar that must be read back: its notes and the repeat at its end."""
    return tuple((sound(event), event.duration) for event in bar.timed), bar.repeat_end


# --- other bars -----------------------------------------------------------------------------


def replace_bars(
    page: TuneText, tune: Tune, contents: Mapping[int, Sequence[Event]]
) -> tuple[str, Tune]:
    """The text of a page, whose tune `tune` is, with other notes in some bars (numbers from 0 in
    the first voice), and the tune of that text.

    Only the notes of a bar and what belongs to them are replaced: bar lines, line ends, fields
    and comments stay.

    Raises:
        InvalidTuneError: a bar that cannot be replaced, or music outside that would change.
    """
    text = page.text
    for index in sorted(contents, reverse=True):
        bar = tune.bars[index]
        assert bar.span is not None
        pieces = list(_music_in(page.text, *bar.span))
        if not pieces:
            raise InvalidTuneError(f"bar {index + 1} of the text has no notes of its own")
        start, end = pieces[0]
        probed = page.read(page.text[:start] + PROBE)
        place = None if probed is None else examine(probed, None)
        if place is None:
            raise InvalidTuneError("the text holds a sign that has to be read across the bar line")
        at = _upbeat(tune.bars, index, place.meter)
        scribe = _scribe_at(page, tune, replace(place, bars=(), altered={}))
        for later_start, later_end in reversed(pieces[1:]):
            text = text[:later_start] + text[later_end:]
        text = text[:start] + _write(contents[index], scribe, tune, place.meter, at) + text[end:]
    return text, _require_outside(page, tune, text, contents)


def _upbeat(bars: Sequence[Bar], index: int, meter: Meter) -> Fraction:
    """Where in its bar the music of a pickup begins; 0 for a full bar."""
    starts = index == 0 or bars[index].repeat_start or _starts_part(bars[index - 1])
    full = meter.bar_duration
    return max(full - bars[index].duration, Fraction(0)) if starts and full else Fraction(0)


def _music_in(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The stretches of a bar's text that hold its notes, a line each.

    Raises:
        InvalidTuneError: a field in the midst of the notes.
    """
    position = start
    for line in text[start:end].splitlines(keepends=True):
        begins_line = position == 0 or text[position - 1] in "\r\n"
        if not (begins_line and (line.startswith("%") or (line[1:2] == ":" and is_field(line)))):
            tokens = list(TOKEN.finditer(_COMMENT.sub("", line.rstrip("\r\n"))))
            music = [token for token in tokens if token.lastgroup in _MUSIC]
            if music:
                first, last = music[0].start(), music[-1].end()
                if any(t.lastgroup in _FIELDS and first < t.start() < last for t in tokens):
                    raise InvalidTuneError("a field stands between the notes of a bar")
                yield position + first, position + last
        position += len(line)


def _require_outside(
    page: TuneText, tune: Tune, text: str, contents: Mapping[int, Sequence[Event]]
) -> Tune:
    """The tune of a text in which `contents` are the notes of some bars and all else is as before.

    Raises:
        InvalidTuneError: it is not read so.
    """
    result = page.read(text)
    if result is None or len(result.bars) != len(tune.bars):
        raise InvalidTuneError("no text there would be read as the notes that are meant")
    for index, (before, after) in enumerate(zip(tune.bars, result.bars, strict=True)):
        if index in contents:
            if _shape(replace(before, events=tuple(contents[index]))) != _shape(after):
                raise InvalidTuneError("no text there would be read as the notes that are meant")
        elif before != after:
            reason = "lyrics" if any(any(e.marks.lyrics) for e in before.timed) else "signs"
            raise InvalidTuneError(f"{reason} outside the bars would move to other notes")
    return result
