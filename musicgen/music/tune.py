"""Tune, Voice, Bar, Note, Chord, Rest: the one data model, frozen and without any input or output.

    Tune(title="Kesh", meter=Meter((6,), 8), key=Key("G"), voices=(Voice(bars=(Bar(...), ...)),))

A tune is written music, not a performance: repeats are marks, not copies (`playback.unfold` plays
them out). Change one with `dataclasses.replace`. Durations are `Fraction`s of a quarter note.
Pitches are those of MusicXML's <pitch>: as they sound, the octave of the clef included, except in a
voice for a transposing instrument, which is as its player reads it (`Voice.transposition`).
Fields that say where something came from (`source`, `span`, `warnings`, `line_break`) take no
part in equality.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

from musicgen.errors import OptionError, printable
from musicgen.music.theory import C_MAJOR, COMMON_TIME, Key, Meter, Pitch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EIGHTH = Fraction(1, 2)

# Right-hand bar lines. "" is no line at all (the music stops without one).
BARLINES = ("", "|", "||", "|]", "[|", ".|", "[|]")
SECTION_LINES = ("||", "|]", "[|")  # those that end a section


@dataclass(frozen=True, slots=True)
class Tuplet:
    """Membership of a note in a group: `actual` in the time of `normal` (a triplet is 3, 2).

    `size` notes belong to the group and this is number `index` (from 0), so that a group can be
    recognised from any of its members. A note's `duration` is already scaled.
    """

    actual: int
    normal: int
    size: int
    index: int

    @property
    def scale(self) -> Fraction:
        """Sounding over written duration."""
        return Fraction(self.normal, self.actual)


@dataclass(frozen=True, slots=True)
class Grace:
    """Grace notes before a note; their durations are as written and take no time in the bar."""

    notes: tuple[Note, ...]
    slashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Signs and text around a note, chord or rest that do not change its pitch or time.

    `decorations` are canonical names ("trill", "roll", "fermata"); unknown ones are kept as they
    are. `annotations` keep their placement sign ("^slow"). `lyrics` has one syllable a verse; a
    trailing "-" joins it to the next, "_" holds the one before, "" is none.
    """

    chord_symbol: str = ""
    annotations: tuple[str, ...] = ()
    decorations: tuple[str, ...] = ()
    grace: Grace | None = None
    slurs_opened: int = 0
    slurs_closed: int = 0
    lyrics: tuple[str, ...] = ()


NO_MARKS = Marks()


@dataclass(frozen=True, slots=True)
class Note:
    """One note. `duration` is what sounds, tuplet included; `tie` joins it to the next note."""

    pitch: Pitch
    duration: Fraction = EIGHTH
    tie: bool = False
    tuplet: Tuplet | None = None
    marks: Marks = NO_MARKS

    @property
    def midi(self) -> int:
        """MIDI note number of the pitch."""
        return self.pitch.midi


@dataclass(frozen=True, slots=True)
class Chord:
    """Notes struck together, in the order written. `duration` is the time it takes in the bar,
    that of its first note (ABC 2.1, section 4.17); notes may be longer or shorter."""

    notes: tuple[Note, ...]
    duration: Fraction = EIGHTH
    tuplet: Tuplet | None = None
    marks: Marks = NO_MARKS


@dataclass(frozen=True, slots=True)
class Rest:
    """Silence. `visible` is False for ABC's x; `full_bar` marks a rest that stands for a bar."""

    duration: Fraction = EIGHTH
    visible: bool = True
    full_bar: bool = False
    tuplet: Tuplet | None = None
    marks: Marks = NO_MARKS


@dataclass(frozen=True, slots=True)
class Tempo:
    """`bpm` beats a minute of `beat` quarter notes each; either may be missing when only words
    (`text`) are given."""

    bpm: Fraction | None = None
    beat: Fraction = Fraction(1)
    text: str = ""

    @property
    def qpm(self) -> Fraction | None:
        """Quarter notes a minute."""
        return None if self.bpm is None else self.bpm * self.beat


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that takes effect between two notes and takes no time.

    Exactly one of the fields is set. `clef`, `program` and `transposition` are those of `Voice`.
    `part` is a section label (ABC P:). `text` is any other field or directive met in the music, as
    (letter, content), kept for round trips. `signs` are those of a bar line: decorations,
    annotations, grace notes without a note.
    """

    key: Key | None = None
    meter: Meter | None = None
    tempo: Tempo | None = None
    clef: str | None = None
    program: int | None = None
    transposition: int | None = None
    part: str | None = None
    text: tuple[str, str] | None = None
    signs: Marks | None = None

    @property
    def is_of_voice(self) -> bool:
        """Whether it changes one voice alone: its clef, program or transposition."""
        return (self.clef, self.program, self.transposition) != (None, None, None)


Event = Note | Chord | Rest | Change
Timed = Note | Chord | Rest


def notes_of(event: Event | None) -> tuple[Note, ...]:
    """The notes that an event strikes: one, those of a chord, or none."""
    if isinstance(event, Note):
        return (event,)
    return event.notes if isinstance(event, Chord) else ()


def marks_of(event: Event) -> Marks:
    """The marks of a note, chord or rest; the signs of a change."""
    return (event.signs or NO_MARKS) if isinstance(event, Change) else event.marks


def highest(event: Event) -> Note | None:
    """The highest note that an event strikes; None for a rest or a change."""
    return max(notes_of(event), key=lambda note: note.midi, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Everything between two bar lines.

    `repeat_start` is |: at its left, `repeat_end` the number of extra times :| at its right sends
    the player back (usually 1), `volta` the passes on which this ending is played, given only on
    the first bar of the ending. `barline` is the line at the right, one of `BARLINES`.
    `span` is the slice of `Tune.source.text` that the bar was read from.
    """

    events: tuple[Event, ...] = ()
    overlays: tuple[tuple[Event, ...], ...] = ()
    repeat_start: bool = False
    volta: tuple[int, ...] = ()
    repeat_end: int = 0
    barline: str = "|"
    line_break: bool = field(default=False, compare=False)
    span: tuple[int, int] | None = field(default=None, compare=False)

    @property
    def duration(self) -> Fraction:
        """Sum of the durations of the main line, in quarter notes."""
        return sum((event.duration for event in self.timed), Fraction(0))

    @property
    def timed(self) -> Iterator[Timed]:
        """Notes, chords and rests of the main line."""
        return (e for e in self.events if not isinstance(e, Change))

    @property
    def lines(self) -> tuple[tuple[Event, ...], ...]:
        """The main line and the overlays."""
        return (self.events, *self.overlays)


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """One line of music.

    `clef` is a name of `clefs`. `program` is a General MIDI number 0-127 where the source has one.
    `transposition` is the number of semitones from written to sounding pitch. All three are those
    at the beginning; a `Change` may follow.

    In a voice of percussion the pitches are places on the staff, and `percussion` has the General
    MIDI key (35-81) of MIDI pitches, as pairs; a pitch that is not there is its own key. It is None
    in all other voices. Percussion comes after the voices with pitches.
    """

    id: str = ""
    name: str = ""
    clef: str = ""
    properties: str = ""
    program: int | None = None
    transposition: int = 0
    percussion: tuple[tuple[int, int], ...] | None = None
    bars: tuple[Bar, ...] = ()

    @property
    def events(self) -> Iterator[Timed]:
        """Notes, chords and rests of the main line of every bar, in written order."""
        return (event for bar in self.bars for event in bar.timed)

    @property
    def placed(self) -> Iterator[tuple[Fraction, Timed]]:
        """The same with their onsets, in quarter notes from the beginning of the voice."""
        position = Fraction(0)
        for event in self.events:
            yield position, event
            position += event.duration


def has_pitches(voices: Sequence[Voice]) -> bool:
    """Whether there is music other than drums: notes with pitches, or nothing but rests."""
    pitched = [voice for voice in voices if voice.percussion is None]
    drums = any(notes_of(e) for v in voices if v.percussion is not None for e in v.events)
    return bool(pitched) and (not drums or any(notes_of(e) for v in pitched for e in v.events))


@dataclass(frozen=True, slots=True)
class ReadWarning:
    """A fault in a file that a reader passed over; `line` and `column` from 1, 0 if unknown."""

    what: str
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class FileContent:
    """The bytes of a file, shared by all tunes read from it, and the first lines of these tunes."""

    data: bytes = field(repr=False)
    lines: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a tune came from: the file, the 1-based line of its first line, its text verbatim
    ("" for binary formats), the resolution of MIDI (0 for other formats).

    Readers of formats in which a tune can be continued in its own file keep the `file`, and the
    tune as it was `read` without options. Both are lost in a pickle, since that of one tune would
    hold its whole tunebook.
    """

    path: str = ""
    line: int = 0
    text: str = field(default="", repr=False)
    ticks_per_quarter: int = 0
    file: FileContent | None = field(default=None, compare=False, repr=False)
    read: Tune | None = field(default=None, compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return Source, (self.path, self.line, self.text, self.ticks_per_quarter)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Tune:
    """A piece of music with its heading.

    `unit` is the unit note length, in quarters (ABC L:1/8 is 1/2). `parts` is the playing order
    such as "AABB". `fields` are all other heading lines in order, as (letter, text); `words` the
    verses printed below the music.
    """

    title: str = ""
    number: int = 1
    rhythm: str = ""
    composer: str = ""
    meter: Meter = COMMON_TIME
    unit: Fraction = EIGHTH
    tempo: Tempo | None = None
    key: Key = C_MAJOR
    parts: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    words: tuple[str, ...] = ()
    voices: tuple[Voice, ...] = ()
    source: Source | None = field(default=None, compare=False, repr=False)
    warnings: tuple[ReadWarning, ...] = field(default=(), compare=False, repr=False)

    # Functions of modules that import this one, set by `musicgen/__init__.py`: the content that a
    # notebook shows, and a function of `note_table` by name, for a tune with or without repeats.
    display: ClassVar[Callable[[Tune], dict[str, str]] | None] = None
    note_table: ClassVar[Callable[[str, Tune, bool], Any]]

    def read_from(self, source: Source) -> Tune:
        """The tune with a source that remembers it as it was read."""
        return replace(self, source=replace(source, read=self))

    def __repr__(self) -> str:
        """Such as <Tune "The Kesh" 6/8 G, 1 voice, 16 bars>; `to_dict` says all."""
        voices, bars = len(self.voices), len(self.bars)
        return (
            f'<Tune "{printable(self.title)}" {self.meter} {self.key}, '
            f"{voices} voice{'s' * (voices != 1)}, {bars} bar{'s' * (bars != 1)}>"
        )

    @property
    def bars(self) -> tuple[Bar, ...]:
        """Bars of the first voice; () for a tune without music."""
        return self.voices[0].bars if self.voices else ()

    @property
    def without_drums(self) -> Tune:
        """The tune without its voices of percussion."""
        pitched = tuple(voice for voice in self.voices if voice.percussion is None)
        return self if len(pitched) == len(self.voices) else replace(self, voices=pitched)

    def notes(self, *, repeats: bool = True) -> NDArray[np.void]:
        """(N,) notes as they sound, a numpy structured array: `onset` and `duration` in quarters,
        `pitch` (MIDI) and `voice` (from 0). Without `repeats` every bar comes once.

        See `musicgen.music.note_table.notes`.
        """
        table: NDArray[np.void] = Tune.note_table("notes", self, repeats)
        return table

    def note_array(self, *, repeats: bool = True) -> NDArray[np.void]:
        """(N,) notes as they sound, with the fields of partitura's note arrays.

        See `musicgen.music.note_table.note_array`.
        """
        table: NDArray[np.void] = Tune.note_table("note_array", self, repeats)
        return table

    def _repr_mimebundle_(self, **_options: object) -> dict[str, str]:
        """The tune as a notebook shows it: content by MIME type."""
        return {"text/plain": repr(self)} if Tune.display is None else Tune.display(self)

    @property
    def n_notes(self) -> int:
        """Notes and chords over all voices, as written (grace notes and overlays aside)."""
        return sum(not isinstance(e, Rest) for voice in self.voices for e in voice.events)


def require_tune(value: object) -> Tune:
    """The same object, which must be a tune.

    Raises:
        OptionError: it is something else; of a list of tunes the message says to take one.
    """
    if isinstance(value, Tune):
        return value
    hint = "; take one of its tunes, such as tunes[0]" if isinstance(value, list | tuple) else ""
    raise OptionError(f"tune: a Tune is wanted, not {type(value).__name__}{hint}")


@dataclass(frozen=True, slots=True)
class Rejected:
    """A tune that a reader could not read: its name, line (from 1, 0 if unknown) and the reason."""

    name: str
    reason: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of reading one file: the tunes, and those that were left out."""

    tunes: tuple[Tune, ...] = ()
    rejected: tuple[Rejected, ...] = ()
