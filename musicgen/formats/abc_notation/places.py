"""A place in ABC text: what a note written there would be, found out by asking the reader.

Seven notes are written there, and the reader tells what it makes of them: the unit, accidentals in
force, an open tuplet, half a dotted pair, a bar that is open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from musicgen.errors import InvalidTuneError
from musicgen.formats.abc_notation.tunebook import parse_text
from musicgen.music.theory import Key, Meter, Pitch
from musicgen.music.tune import Bar, Change, Chord, Note, Rest, Timed, Tune, Tuplet

PROBE = "CDEFGAB"
_JOINS = ("", " ", "\n", " |", "\n|")


@dataclass(frozen=True, slots=True)
class TuneText:
    """The text of one tune. `heading` are lines of its file that it needs in order to be read;
    `is_ended` says that a line end follows the text in its file."""

    text: str
    heading: str = ""
    is_ended: bool = False

    def read(self, text: str | None = None) -> Tune | None:
        """The tune as the reader has it, or with another text; None unless it is exactly one."""
        tunes = parse_text(self.heading + (self.text if text is None else text)).tunes
        return tunes[0] if len(tunes) == 1 else None

    @property
    def line_end(self) -> str:
        """How its lines end."""
        return "\r\n" if "\r\n" in self.text else "\n"


@dataclass(frozen=True, slots=True)
class Place:
    """What a note written at some place of a text would be.

    `bars` are those before it: the last is open or holds no music yet. `unit` in quarters;
    `octave` is how many octaves higher than written; `tuplet` the membership of the next note;
    `broken` the factor of its length after "<" or ">".
    """

    bars: tuple[Bar, ...]
    key: Key
    meter: Meter
    unit: Fraction
    octave: int
    altered: Mapping[str, int]
    tuplet: Tuplet | None
    broken: Fraction


@dataclass(frozen=True, slots=True)
class Stop:
    """Where the music of a page stops, and what joins the new music to it."""

    page: TuneText
    join: str
    tune: Tune
    place: Place

    @property
    def is_open(self) -> bool:
        """Whether the music stops inside a bar."""
        return any(True for _ in self.place.bars[-1].timed)


def find_stop(page: TuneText) -> Stop:
    """Where and how the music stops.

    Raises:
        InvalidTuneError: nothing can follow, for the reason given.
    """
    plain = page.read()
    if plain is None or len(plain.voices) != 1:
        raise InvalidTuneError("more than one voice" if plain else "not one readable tune")
    ended = [page.line_end] if page.is_ended else []
    half_repeat = ["|"] if page.text.rstrip().endswith(":") else []
    for join in (*half_repeat, *ended, *_JOINS):
        join = join.replace("\n", page.line_end)
        if not join and page.text[-1:] in "^_=":
            continue  # an accidental without its note
        probed = page.read(page.text + join + PROBE)
        place = None if probed is None else examine(probed, plain)
        if place is not None:
            return Stop(page, join, plain, place if "|" in join else _unclosed(place, plain))
    raise InvalidTuneError("the text stops where no note can follow")


def _unclosed(place: Place, plain: Tune) -> Place:
    """A full bar at a line end is read as closed; here it is left for its bar line to come."""
    *bars, empty = place.bars
    told = any(True for _ in empty.timed) or empty.volta or empty.repeat_start
    if told or not bars or plain.bars[-1].barline or plain.bars[-1].repeat_end:
        return place
    return replace(place, bars=(*bars[:-1], replace(bars[-1], barline="")))


def examine(probed: Tune, plain: Tune | None) -> Place | None:
    """What the probe at the end of a tune shows; None if it changes the notes before it.

    Only the note before a "<" or ">" may get another length. A tie that leads nowhere yet stays.
    """
    if len(probed.voices) != 1 or not probed.bars:
        return None
    *before, last = probed.bars
    n = len(PROBE)
    notes = [event for event in last.events[-n:] if isinstance(event, Note)]
    if "".join(note.pitch.step for note in notes) != PROBE or last.overlays:
        return None
    rest = replace(last, events=last.events[:-n])
    bars = (*before, rest)
    if plain is not None:
        kept = _same_given(bars, plain.bars)
        if kept is None:
            return None
        bars = kept
    key, meter = probed.key, probed.meter
    for bar in bars:
        for event in bar.events:
            if isinstance(event, Change):
                key, meter = event.key or key, event.meter or meter
    first, end = notes[0], notes[-1]
    unit = end.duration / _scale(end)
    return Place(
        bars,
        key,
        meter,
        unit,
        first.pitch.octave - 4,
        {note.pitch.step: note.pitch.alter for note in notes},
        first.tuplet,
        first.duration / _scale(first) / unit,
    )


def _scale(event: Timed) -> Fraction:
    return event.tuplet.scale if event.tuplet is not None else Fraction(1)


def _same_given(bars: tuple[Bar, ...], plain: Sequence[Bar]) -> tuple[Bar, ...] | None:
    """The bars as the probe shows them, with a last tie as the plain reading has it."""
    found = [(i, k) for i, bar in enumerate(bars) for k in range(len(bar.events))]
    places = [(i, k) for i, k in found if not isinstance(bars[i].events[k], Change)]
    events = [bars[i].events[k] for i, k in places]
    given = [event for bar in plain for event in bar.timed]
    if len(events) != len(given) or not given:
        return None
    told = [(sound(event), event.duration) for event in given]
    seen = [(sound(event), event.duration) for event in events if not isinstance(event, Change)]
    if told[:-1] != seen[:-1] or told[-1][0][0] != seen[-1][0][0]:
        return None
    i, k = places[-1]
    last = stretched(given[-1], seen[-1][1])
    changed = (*bars[i].events[:k], last, *bars[i].events[k + 1 :])
    return (*bars[:i], replace(bars[i], events=changed), *bars[i + 1 :])


def sound(event: Timed) -> tuple[tuple[Pitch, ...], bool]:
    """Pitches, and whether they are tied to what follows."""
    if isinstance(event, Rest):
        return (), False
    if isinstance(event, Note):
        return (event.pitch,), event.tie
    return tuple(note.pitch for note in event.notes), any(note.tie for note in event.notes)


def stretched(event: Timed, duration: Fraction) -> Timed:
    """The note, chord or rest with another length."""
    if event.duration == duration:
        return event
    if isinstance(event, Chord):
        by = duration / event.duration
        notes = tuple(replace(note, duration=note.duration * by) for note in event.notes)
        return replace(event, notes=notes, duration=duration)
    return replace(event, duration=duration)
