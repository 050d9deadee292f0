"""Connections between the notes of a line: ties, slurs, syllables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from musicgen.music.tune import Chord, Marks, Note, Rest, Timed

# (inside a word, more of the word follows) -> <syllabic>
_SYLLABIC = {(0, 0): "single", (0, 1): "begin", (1, 1): "middle", (1, 0): "end"}
MAX_SLURS = 16  # open at once; MusicXML numbers them


@dataclass(slots=True)
class Slurs:
    """Slurs at one note, as (type, number) with type "start" or "stop"."""

    marks: list[tuple[str, int]] = field(default_factory=list)


@dataclass(slots=True)
class Connections:
    """Connections of an event to its neighbours. `graces` are the slurs of its grace notes."""

    tied_from: frozenset[int] = frozenset()  # MIDI pitches that go on sounding
    tied_to: frozenset[int] = frozenset()
    slurs: Slurs = field(default_factory=Slurs)
    graces: list[Slurs] = field(default_factory=list)
    syllables: tuple[Syllable, ...] = ()


@dataclass(frozen=True, slots=True)
class Syllable:
    """A syllable of a note: verse from 1, place in its word, whether later notes hold it.

    `held` is "continue" or "stop" for a note that holds the syllable of one before, without text.
    """

    verse: int
    text: str
    place: str  # single, begin, middle, end
    extended: bool
    held: str = ""


def reach(events: Sequence[Timed]) -> list[Connections]:
    """One for each note, chord and rest of a line, bar lines aside."""
    connections = [Connections() for _ in events]
    for (event, left), (after, right) in pairwise(zip(events, connections, strict=True)):
        ties = {note.midi for note in notes_of(event) if note.tie}
        left.tied_to = right.tied_from = frozenset(ties & {note.midi for note in notes_of(after)})
    _slur(events, connections)
    _sing(events, connections)
    return connections


def notes_of(event: Timed) -> tuple[Note, ...]:
    """The notes of a note or chord; none of a rest."""
    if isinstance(event, Rest):
        return ()
    return event.notes if isinstance(event, Chord) else (event,)


def _slur(events: Sequence[Timed], found: Sequence[Connections]) -> None:
    """Pair the openings with the closings; those without a partner are left out."""
    pending: list[Slurs] = []
    pairs: list[tuple[Slurs, Slurs]] = []
    for marks, slurs in _slur_places(events, found):
        for _ in range(min(marks.slurs_closed, len(pending))):
            # (c (d) e): one slur ends at d and the next begins, so the older one ends
            pairs.append((pending.pop(0 if marks.slurs_opened else -1), slurs))
        pending += [slurs] * marks.slurs_opened
    _number(pairs, [slurs for _, slurs in _slur_places(events, found)])


def _slur_places(
    events: Sequence[Timed], found: Sequence[Connections]
) -> Iterable[tuple[Marks, Slurs]]:
    for event, here in zip(events, found, strict=True):
        graces = event.marks.grace.notes if event.marks.grace else ()
        if len(here.graces) < len(graces):
            here.graces = [Slurs() for _ in graces]
        yield from zip((grace.marks for grace in graces), here.graces, strict=True)
        yield event.marks, here.slurs


def _number(pairs: Sequence[tuple[Slurs, Slurs]], places: Sequence[Slurs]) -> None:
    """Give the slurs numbers, so that those open at the same time differ."""
    position = {id(slurs): i for i, slurs in enumerate(places)}
    free = list(range(1, MAX_SLURS + 1))
    open_until: list[tuple[int, int]] = []
    for first, last in sorted(pairs, key=lambda p: (position[id(p[0])], position[id(p[1])])):
        start, stop = position[id(first)], position[id(last)]
        if start == stop:
            continue
        for end, number in [pair for pair in open_until if pair[0] < start]:
            open_until.remove((end, number))
            free.append(number)
        if not free:
            continue
        free.sort()
        number = free.pop(0)
        open_until.append((stop, number))
        first.marks.append(("start", number))
        last.marks.insert(0, ("stop", number))


def _sing(events: Sequence[Timed], found: Sequence[Connections]) -> None:
    sung = [
        (event.marks.lyrics, here)
        for event, here in zip(events, found, strict=True)
        if not isinstance(event, Rest)
    ]
    within: set[int] = set()  # verses in the middle of a word
    for i, (lyrics, here) in enumerate(sung):
        after = sung[i + 1][0] if i + 1 < len(sung) else ()
        syllables = []
        for verse, written in enumerate(lyrics):
            is_held = verse < len(after) and after[verse] == "_"
            if written == "_":
                kind = "continue" if is_held else "stop"
                syllables.append(Syllable(verse + 1, "", "single", is_held, kind))
            if written in ("", "_", "-"):
                continue
            more = written.endswith("-")
            place = _SYLLABIC[verse in within, more]
            syllables.append(Syllable(verse + 1, written.rstrip("-"), place, not more and is_held))
            within = within | {verse} if more else within - {verse}
        here.syllables = tuple(syllables)
