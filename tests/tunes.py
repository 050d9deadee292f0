"""Hypothesis strategies for whole Tunes, such as a format that says everything must carry."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hypothesis import strategies as st

from musicgen.music.theory import (
    COMMON_TIME,
    CUT_TIME,
    FREE_METER,
    MODE_FIFTHS,
    Key,
    Meter,
    Pitch,
    default_unit,
)
from musicgen.music.tune import (
    NO_MARKS,
    Bar,
    Change,
    Chord,
    Event,
    Grace,
    Marks,
    Note,
    Rest,
    Tempo,
    Tune,
    Tuplet,
    Voice,
)

QUARTER = Fraction(1)
LETTERS = st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"))
TEXTS = st.text(LETTERS, min_size=1, max_size=12).map(lambda t: " ".join(t.split())).filter(bool)
METERS = st.sampled_from(
    [Meter((n,), d) for n, d in [(2, 4), (3, 4), (4, 4), (6, 8), (9, 8), (5, 8), (3, 2)]]
    + [COMMON_TIME, CUT_TIME, FREE_METER, Meter((2, 3), 8)]
)
TONICS = [f"{step}{sign}" for step in "ABCDEFG" for sign in ("", "#", "b")]
ALTERATIONS = st.dictionaries(st.sampled_from("ABCDEFG"), st.integers(-2, 2), max_size=2).map(
    lambda found: tuple(found.items())
)
KEYS = st.one_of(
    st.builds(
        Key, st.sampled_from(TONICS), st.sampled_from(sorted(MODE_FIFTHS)), ALTERATIONS
    ).filter(lambda key: all(abs(alter) <= 2 for alter in key.signature.values())),
    st.builds(Key, st.sampled_from(["", *TONICS]), st.just("none"), ALTERATIONS),
)
WORDS = TEXTS.filter(lambda text: "]" not in text)
TEMPOS = st.builds(
    Tempo,
    st.integers(20, 400).map(Fraction),
    st.sampled_from([Fraction(1), Fraction(2), Fraction(1, 2), Fraction(3, 2)]),
    st.just("") | WORDS,
) | st.builds(Tempo, st.none(), text=WORDS)
PITCHES = st.builds(Pitch, st.sampled_from("ABCDEFG"), st.integers(-2, 2), st.integers(1, 8))
DURATIONS = st.sampled_from(
    [Fraction(n, d) for n in (1, 2, 3, 4, 7) for d in (1, 2, 4, 8)] + [Fraction(1, 3)]
)
CHORD_SYMBOLS = st.sampled_from(["", "Am", "C7", "D/f+", "Bb", "F#m7b5", "G(7)", "Esus4"])
ANNOTATIONS = st.lists(
    TEXTS.map(lambda text: f"^{text}") | st.sampled_from(["D.S. al Coda", "_below it", "1"]),
    max_size=2,
).map(tuple)
DECORATIONS = st.lists(
    st.sampled_from(["trill", "roll", "fermata", "D.C.", "crescendo(", "staccato", "4", "odd.one"]),
    max_size=2,
).map(tuple)
GRACE_MARKS = st.just(NO_MARKS) | st.builds(
    Marks, decorations=DECORATIONS, slurs_opened=st.integers(0, 1), slurs_closed=st.integers(0, 1)
)
BAR_SIGNS = st.builds(
    Marks,
    annotations=ANNOTATIONS,
    decorations=DECORATIONS,
    grace=st.none()
    | st.builds(
        Grace, st.lists(st.builds(Note, PITCHES, DURATIONS), min_size=1, max_size=2).map(tuple)
    ),
)
SYLLABLES = st.sampled_from(["la", "Je-", "sus Christ", "_", "ac-cent", "50%", "é~", "-", "a_b*|"])
CLEFS = st.sampled_from(["", "treble", "bass", "alto", "treble-8", "treble+8", "bass-8"])
PROGRAMS = st.integers(0, 127)
TRANSPOSITIONS = st.sampled_from([0, -2, 3, -12])
VOLTAS = st.sampled_from([(), (), (), (1,), (2,), (1, 3)])


@st.composite
def marks(draw: st.DrawFn, *, sung: bool = False) -> Marks:
    """Anything written around a note."""
    graces = st.builds(
        Grace,
        st.lists(
            st.builds(Note, PITCHES, DURATIONS, marks=GRACE_MARKS), min_size=1, max_size=2
        ).map(tuple),
        st.booleans(),
    )
    lyrics: tuple[str, ...] = ()
    if sung:
        first = draw(st.sampled_from(["", "x"]))
        lyrics = draw(st.sampled_from([(), (draw(SYLLABLES),), (first, draw(SYLLABLES))]))
    return Marks(
        chord_symbol=draw(CHORD_SYMBOLS),
        annotations=draw(ANNOTATIONS),
        decorations=draw(DECORATIONS),
        grace=draw(st.none() | graces),
        slurs_opened=draw(st.sampled_from([0, 0, 1])),
        slurs_closed=draw(st.sampled_from([0, 0, 1])),
        lyrics=lyrics,
    )


def maybe_marks(*, sung: bool = False) -> st.SearchStrategy[Marks]:
    """Often none."""
    return st.just(NO_MARKS) | marks(sung=sung)


@st.composite
def chords(draw: st.DrawFn, duration: Fraction, tuplet: Tuplet | None = None) -> Chord:
    """Notes together, of one length or of several."""
    found = draw(st.lists(PITCHES, min_size=1, max_size=3, unique=True))
    lengths = [duration, *(draw(st.sampled_from([duration, duration * 2])) for _ in found[1:])]
    notes = tuple(Note(p, d) for p, d in zip(found, lengths, strict=True))
    return Chord(notes, duration, tuplet, draw(maybe_marks(sung=True)))


@st.composite
def timed(draw: st.DrawFn, tuplet: Tuplet | None = None) -> Event:
    """A note, chord or rest."""
    duration = draw(DURATIONS) * (tuplet.scale if tuplet is not None else 1)
    kind = draw(st.sampled_from(["note", "note", "note", "rest", "chord"]))
    if kind == "rest":
        return Rest(duration, draw(st.booleans()), False, tuplet, draw(maybe_marks()))
    if kind == "chord":
        return draw(chords(duration, tuplet))
    return Note(draw(PITCHES), duration, False, tuplet, draw(maybe_marks(sung=True)))


@st.composite
def groups(draw: st.DrawFn) -> list[Event]:
    """One event, a tied pair, a tuplet, or a change."""
    kind = draw(st.sampled_from(["one", "one", "one", "tie", "tuplet", "change"]))
    if kind == "tie":
        pitch = draw(PITCHES)
        return [
            Note(pitch, draw(DURATIONS), tie=True, marks=draw(maybe_marks())),
            Note(pitch, draw(DURATIONS), marks=draw(maybe_marks())),
        ]
    if kind == "tuplet":
        actual = draw(st.integers(2, 9))
        normal = draw(st.integers(1, 8))
        size = draw(st.integers(1, 4))
        return [draw(timed(Tuplet(actual, normal, size, i))) for i in range(size)]
    if kind == "change":
        return [draw(changes())]
    return [draw(timed())]


def changes() -> st.SearchStrategy[Change]:
    """Any change between notes."""
    return st.one_of(
        st.builds(Change, key=KEYS),
        st.builds(Change, meter=METERS),
        st.builds(Change, tempo=TEMPOS),
        st.builds(Change, clef=CLEFS.filter(bool)),
        st.builds(Change, program=PROGRAMS),
        st.builds(Change, transposition=TRANSPOSITIONS),
        st.builds(Change, part=WORDS),
        st.builds(Change, text=st.tuples(st.sampled_from(["N", "r", "T", "%%"]), TEXTS)),
    )


@st.composite
def bars(draw: st.DrawFn, *, last: bool) -> Bar:
    """A bar, not necessarily one that adds up."""
    events = [e for group in draw(st.lists(groups(), max_size=4)) for e in group]
    events.append(Note(draw(PITCHES), draw(DURATIONS)))
    if draw(st.booleans()) and (signs := draw(BAR_SIGNS)) != NO_MARKS:
        events.append(Change(signs=signs))
    overlay = [e for e in draw(st.lists(timed(), max_size=2)) if not e.marks.lyrics]
    repeat_end = draw(st.sampled_from([0, 0, 1, 2]))
    lines = ["|", "||", "|]", "[|", ".|", "[|]"] + ([""] if last and not repeat_end else [])
    return Bar(
        events=tuple(events),
        overlays=(tuple(overlay),) if overlay else (),
        repeat_start=draw(st.booleans()),
        volta=draw(VOLTAS),
        repeat_end=repeat_end,
        barline=draw(st.sampled_from(lines)),
    )


@st.composite
def voices(draw: st.DrawFn, voice_id: str = "") -> Voice:
    """A line of bars; a nameless one has no name either."""
    count = draw(st.integers(1, 4))
    voice = Voice(
        id=voice_id,
        name=draw(st.sampled_from(["", "Flute 1"])) if voice_id else "",
        clef=draw(CLEFS),
        properties=draw(st.sampled_from(["", 'sname="Fl. 1"', "stem=up"])),
        program=draw(st.none() | PROGRAMS),
        transposition=draw(TRANSPOSITIONS),
        bars=tuple(draw(bars(last=n == count - 1)) for n in range(count)),
    )
    return _without_idle_changes(voice)


def _without_idle_changes(voice: Voice) -> Voice:
    """The voice without changes of its own before its first note, or to what is in force."""
    states: dict[str, object] = {name: getattr(voice, name) for name in _OWN}
    begun, written = False, []
    for bar in voice.bars:
        events = []
        for event in bar.events:
            new = {name: getattr(event, name, None) for name in _OWN}
            new = {name: value for name, value in new.items() if value is not None}
            if new and (not begun or new.items() <= states.items()):
                continue
            states |= new
            begun = begun or not isinstance(event, Change)
            events.append(event)
        written.append(replace(bar, events=tuple(events)))
    return replace(voice, bars=tuple(written))


_OWN = ("clef", "program", "transposition")


@st.composite
def tunes(draw: st.DrawFn, *, max_voices: int = 2) -> Tune:
    """A tune with anything that the model can say and ABC can write."""
    meter = draw(METERS)
    count = draw(st.integers(1, max_voices))
    ids = [""] if count == 1 else [f"S{n}" for n in range(count)]
    title, composer = draw(st.just("") | TEXTS), draw(st.just("") | TEXTS)
    other = st.sampled_from("NSZBDFGHO") if not title else st.sampled_from("TNSZ")
    return Tune(
        title=title,
        number=draw(st.integers(0, 99999)),
        rhythm=draw(st.sampled_from(["", "reel", "slip jig"])),
        composer=composer,
        meter=meter,
        unit=draw(st.sampled_from([default_unit(meter), Fraction(1, 4), Fraction(2)])),
        tempo=draw(st.none() | TEMPOS),
        key=draw(KEYS),
        parts=draw(st.sampled_from(["", "AABB", "(AB)2C"])),
        fields=tuple(draw(st.lists(st.tuples(other, TEXTS), max_size=3))),
        words=tuple(draw(st.lists(TEXTS | st.just(""), max_size=3))),
        voices=tuple(draw(voices(i)) for i in ids),
    )
