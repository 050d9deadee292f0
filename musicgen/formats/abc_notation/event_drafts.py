"""Drafts of events: the signs before a note, chords and tuplets that are open; changed events."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from typing import TypeVar

from musicgen.formats.abc_notation.decorations import CLOSING
from musicgen.music.theory import Pitch
from musicgen.music.tune import Chord, Grace, Marks, Note, Timed, Tuplet

E = TypeVar("E", Note, Timed)
# Words that end a passage, as `CLOSING` signs do.
_CLOSING_TEXT = re.compile(
    r"[\^_<>@]?\s*(?:to ?coda\b|D\.? ?C\b|D\.? ?S\b|fine\b|da ?capo|dal ?segno)", re.I
)


@dataclass(slots=True)
class Pending:
    """Signs before a note that is still to come."""

    chord_symbol: str = ""
    annotations: list[str] = field(default_factory=list)
    decorations: list[str] = field(default_factory=list)
    grace: Grace | None = None
    opened: int = 0
    closed: int = 0

    def take_signs(self, *, closing: bool) -> Marks:
        """Remove the signs that need no note, or with `closing` those that end a passage."""
        names = [d for d in self.decorations if not closing or d in CLOSING]
        texts = [a for a in self.annotations if not closing or _CLOSING_TEXT.match(a)]
        grace = None if closing else self.grace
        self.decorations = [d for d in self.decorations if d not in names]
        self.annotations = [a for a in self.annotations if a not in texts]
        self.grace = self.grace if closing else None
        return Marks(annotations=tuple(texts), decorations=tuple(names), grace=grace)

    def marks(self) -> Marks:
        """The signs as marks of the note."""
        return Marks(
            chord_symbol=self.chord_symbol,
            annotations=tuple(self.annotations),
            decorations=tuple(self.decorations),
            grace=self.grace,
            slurs_opened=self.opened,
            slurs_closed=self.closed,
        )


@dataclass(slots=True)
class ChordDraft:
    """A chord that is open. `pending` are the signs before it, `broken` a broken rhythm sign after
    one of its notes; `old` says that it stands between + signs, as in ABC before 1.6."""

    pending: Pending | None
    old: bool
    notes: list[Note] = field(default_factory=list)
    broken: str = ""


@dataclass(slots=True)
class TupletDraft:
    """A tuplet that is open: `index` of its `size` notes have been read."""

    actual: int
    normal: int
    size: int
    index: int = 0

    def next(self) -> Tuplet:
        """Membership of the next note."""
        tuplet = _tuplet(self.actual, self.normal, self.size, self.index)
        self.index += 1
        return tuplet


_tuplet = lru_cache(maxsize=4096)(Tuplet)  # equal ones are one object


def with_slurs(event: E, opened: int, closed: int) -> E:
    """The event with more slurs that begin or end on it."""
    marks = event.marks
    opened, closed = marks.slurs_opened + opened, marks.slurs_closed + closed
    return replace(event, marks=replace(marks, slurs_opened=opened, slurs_closed=closed))


def with_signs(event: Timed, annotations: list[str], decorations: list[str]) -> Timed:
    """The event with more annotations and decorations."""
    marks = event.marks
    texts, names = (*marks.annotations, *annotations), (*marks.decorations, *decorations)
    return replace(event, marks=replace(marks, annotations=texts, decorations=names))


def scaled(event: Timed, factor: Fraction, tuplet: Tuplet | None = None) -> Timed:
    """The event with its duration multiplied, and as a member of a tuplet if one is given."""
    if type(event) is Chord:
        notes = tuple(replace(note, duration=note.duration * factor) for note in event.notes)
        event = replace(event, notes=notes)
    return replace(event, duration=event.duration * factor, tuplet=tuplet or event.tuplet)


def tied(event: Timed, pitches: frozenset[Pitch] | None = None) -> Timed:
    """The event with its tie set; of a chord, the notes of these pitches (None: all)."""
    if type(event) is Note:
        return replace(event, tie=True)
    if type(event) is Chord:
        notes = tuple(
            replace(note, tie=note.tie or pitches is None or note.pitch in pitches)
            for note in event.notes
        )
        return replace(event, notes=notes)
    return event
