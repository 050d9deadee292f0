"""A place in ABC text: the note that a letter there would be, found by reading a probe.

Seven notes are written there. The reader shows the unit, the accidentals in force, an open tuplet,
half of a dotted pair, a bar that is open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from musicgen.errors import InvalidTuneError
from musicgen.formats.abc_notation.event_drafts import scaled
from musicgen.formats.abc_notation.tunebook import parse_text
from musicgen.music.theory import Key, Meter, Pitch
from musicgen.music.tune import Bar, Change, Note, Rest, Timed, Tune, Tuplet

PROBE = "CDEFGAB"
_JOINS = ("", " ", "\n", " |", "\n|")


@dataclass(frozen=True, slots=True)
class TuneText:
    """The text of one tune. `heading` are the lines of its file that it depends on; `is_ended` says
    that a line end follows the text in its file."""

    text: str
    heading: str = ""
    is_ended: bool = False

    def read(self, text: str | None = None) -> Tune | None:
        """The tune of this text or of another one; None unless it is exactly one."""
        tunes = parse_text(self.heading + (self.text if text is None else text)).tunes
        return tunes[0] if len(tunes) == 1 else None

    @property
    def line_end(self) -> str:
        """How its lines end."""
        return "\r\n" if "\r\n" in self.text else "\n"


@dataclass(frozen=True, slots=True)
class Place:
    """The state of the reader at a place in a text.

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
    """The end of the music of a page, and the text that joins new music to it."""

    page: TuneText
    join: str
    tune: Tune
    place: Place

    @property
    def is_open(self) -> bool:
        """Whether the music stops inside a bar."""
        return any(True for _ in self.place.bars[-1].timed)


def find_stop(page: TuneText, plain: Tune | None = None) -> Stop:
    """The end of the music of a page, whose tune `plain` is (None: it is read).

    Raises:
        InvalidTuneError: nothing can follow, for the reason given.
    """
    plain = plain or page.read()
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
    """The place with a full bar at its end left open, which the reader closes at a line end."""
    *bars, empty = place.bars
    is_needed = any(True for _ in empty.timed) or empty.volta or empty.repeat_start
    if is_needed or not bars or plain.bars[-1].barline or plain.bars[-1].repeat_end:
        return place
    return replace(place, bars=(*bars[:-1], replace(bars[-1], barline="")))


def examine(probed: Tune, plain: Tune | None) -> Place | None:
    """The place of the probe at the end of a tune; None if the probe changes the notes before it.

    Only the note before a "<" or ">" may get another length. A tie without a next note stays.
    """
    if len(probed.voices) != 1 or not probed.bars:
        return None
    *before, last = probed.bars
    n = len(PROBE)
    notes = [event for event in last.events[-n:] if isinstance(event, Note)]
    if "".join(note.pitch.step for note in notes) != PROBE or last.overlays:
        return None
    bars = (*before, replace(last, events=last.events[:-n]))
    if plain is not None:
        kept = _same_given(bars, plain.bars)
        if kept is None:
            return None
        bars = kept
    changes = [event for bar in bars for event in bar.events if isinstance(event, Change)]
    first, end = notes[0], notes[-1]
    unit = end.duration / _scale(end)
    return Place(
        bars=bars,
        key=[probed.key, *(change.key for change in changes if change.key)][-1],
        meter=[probed.meter, *(change.meter for change in changes if change.meter)][-1],
        unit=unit,
        octave=first.pitch.octave - 4,
        altered={note.pitch.step: note.pitch.alter for note in notes},
        tuplet=first.tuplet,
        broken=first.duration / _scale(first) / unit,
    )


def _scale(event: Timed) -> Fraction:
    return event.tuplet.scale if event.tuplet is not None else Fraction(1)


def _same_given(bars: tuple[Bar, ...], plain: Sequence[Bar]) -> tuple[Bar, ...] | None:
    """The bars as the probe shows them, with a last tie as the plain reading has it."""
    events = [event for bar in bars for event in bar.timed]
    given = [event for bar in plain for event in bar.timed]
    if len(events) != len(given) or not given:
        return None
    expected = [(sound(event), event.duration) for event in given]
    actual = [(sound(event), event.duration) for event in events]
    if expected[:-1] != actual[:-1] or expected[-1][0][0] != actual[-1][0][0]:
        return None
    i = max(i for i, bar in enumerate(bars) if any(True for _ in bar.timed))
    k = max(k for k, event in enumerate(bars[i].events) if not isinstance(event, Change))
    last = stretched(given[-1], events[-1].duration)
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
    return event if event.duration == duration else scaled(event, duration / event.duration)
