"""Reading ABC: every trap that real tunebooks set, each as one line of music."""

from __future__ import annotations

from fractions import Fraction

import pytest

from musicgen.errors import ParseError
from musicgen.formats.abc_notation import parse, parse_text
from musicgen.music.performance import perform
from musicgen.music.playback import played_notes
from musicgen.music.theory import CUT_TIME, FREE_METER, Key, Meter
from musicgen.music.tune import Bar, Change, Chord, Event, Note, Rest, Tempo, Tune, Tuplet
from tests import DATA


def read(music: str, *, meter: str = "4/4", key: str = "C", unit: str = "1/8") -> Tune:
    reading = parse_text(f"X:1\nT:t\nM:{meter}\nL:{unit}\nK:{key}\n{music}\n")
    assert len(reading.tunes) == 1, reading.rejected
    return reading.tunes[0]


def spell(event: Event) -> str:
    """A note as name and eighths, a rest as z, a chord in brackets, a change as its kind."""
    if isinstance(event, Change):
        if event.signs is not None:
            return f"<{' '.join(event.signs.decorations + event.signs.annotations)}>"
        return f"<{event.key or event.meter or event.tempo or event.part or event.text}>"
    eighths = str(event.duration * 2)
    if isinstance(event, Rest):
        return ("z" if event.visible else "x") + eighths
    if isinstance(event, Chord):
        return "[" + " ".join(n.pitch.name for n in event.notes) + "]" + eighths
    return f"{event.pitch.name}:{eighths}" + "-" * event.tie


def notes(music: str, **header: str) -> str:
    tune = read(music, **header)
    return " | ".join(" ".join(spell(e) for e in bar.events) for bar in tune.bars)


def lines(music: str, **header: str) -> list[tuple[object, ...]]:
    """Of each bar: start of repeat, ending, end of repeat, bar line."""

    def line(bar: Bar) -> tuple[object, ...]:
        return bar.repeat_start, bar.volta, bar.repeat_end, bar.barline

    return [line(bar) for bar in read(music, **header).bars]


def warnings(music: str, **header: str) -> list[str]:
    return [w.what for w in read(music, **header).warnings]


MUSIC = [
    # pitch and length
    ("C,,c'' ^^F__b|", "C2:1 C7:1 F##4:1 Bbb5:1"),
    ("A/B//c/4d3/2e3/|", "A4:1/2 B4:1/4 C5:1/4 D5:3/2 E5:3/2"),
    ("B2``G2|", "B4:2 G4:2"),
    ("c0 d|", "C5:1 D5:1"),
    ("d=3DB|", "D5:1 B4:1"),
    # accidentals last to the bar line, in all octaves
    ("^cc'C|c|", "C#5:1 C#6:1 C#4:1 | C5:1"),
    ("^c&c|", "C#5:1"),
    ("^3/2cc^/c_/4B=1/2A|", "C#5:1 C#5:1 C5:1 B4:1 A4:1"),
    ("^c4-|c2c2|", "C#5:4- | C#5:2 C5:2"),
    ("^c4 [1 c4 :|[2 c4|]", "C#5:4 | C#5:4 | C5:4"),
    # rests
    ("z2 x8|", "z2 x8"),
    ("Z2|A8|", "z8 | z8 | A4:8"),
    ("G3 ZAB|", "G4:3 z1 A4:1 B4:1"),
    # broken rhythm in its disguises
    ("A>B c<d|", "A4:3/2 B4:1/2 C5:1/2 D5:3/2"),
    ("F<<A AF>>c|", "F4:1/4 A4:7/4 A4:1 F4:7/4 C5:1/4"),
    ('(">"D>B,)|', "D4:3/2 B3:1/2"),
    ('(c"0"<A)|', "C5:1/2 A4:3/2"),
    ('G>"4".e|', "G4:3/2 E5:1/2"),
    ("(A>{Bd})F|", "A4:3/2 F4:1/2"),
    ("A>(Bc)|", "A4:3/2 B4:1/2 C5:1"),
    ("[Ae>]c|", "[A4 E5]3/2 C5:1/2"),
    ("[A>e>]c|", "[A4 E5]3/2 C5:1/2"),
    ("(e2>d2)|", "E5:3 D5:1"),
    ("A> B z>A|", "A4:3/2 B4:1/2 z3/2 A4:1/2"),
    ("G> ||B|", "G4:1 | B4:1"),
    # chords
    ("[D^A]2 [CE2]/|", "[D4 A#4]2 [C4 E4]1/2"),
    ("+E3A3+ c|", "[E4 A4]3 C5:1"),
    ("[Ac] [e2c2(3A/B/c/|", "[A4 C5]1 [E5 C5]2 A4:1/3 B4:1/3 C5:1/3"),
    # tuplets
    ("(3ABc d|", "A4:2/3 B4:2/3 C5:2/3 D5:1"),
    ("((3ecA) d|", "E5:2/3 C5:2/3 A4:2/3 D5:1"),
    ("(3:2AAAA2|", "A4:2/3 A4:2/3 A4:2/3 A4:2"),
    ("(3:2:2 G4A2 B|", "G4:8/3 A4:4/3 B4:1"),
    ("!f!(6:6ABcdef g|", "A4:1 B4:1 C5:1 D5:1 E5:1 F5:1 G5:1"),
    # decorations and quoted text never eat a note
    ("HA2 TB u(3Acd|", "A4:2 B4:1 A4:2/3 C5:2/3 D5:2/3"),
    ('("p"F4)|', "F4:4"),
    ("yAy2B|", "A4:1 B4:1"),
    # fields in the music
    ("A||[K:D]f [M:2/4]c|", "A4:1 | <D major> F#5:1 <2/4> C#5:1"),
    ("[L:1/4]A[P:B]B|", "A4:2 <B> B4:2"),
    ("egdB A2| M:2/4 c2 B|", "E5:1 G5:1 D5:1 B4:1 A4:2 | <2/4> C5:2 B4:1"),
    ("E4|\nM:3/4 egdB A2|\nA|", "E4:4 | <3/4> E5:1 G5:1 D5:1 B4:1 A4:2 | A4:1"),
    # line ends
    ("ABcd\nefga|", "A4:1 B4:1 C5:1 D5:1 E5:1 F5:1 G5:1 A5:1"),
    ("A8\nB8|", "A4:8 | B4:8"),
    ("A8\n|B8|", "A4:8 | B4:8"),
    ("A8\\\nB8|", "A4:8 B4:8"),
    ("A4|!\nB4|!\n", "A4:4 | B4:4"),
    ("A4!D.C.!|B4!\n", "A4:4 <D.C.> | B4:4"),
    ("\nA4|\n\nB4|", "A4:4 | B4:4"),
]


@pytest.mark.parametrize(("music", "expected"), MUSIC, ids=[m for m, _ in MUSIC])
def test_music_is_read_as_a_musician_reads_it(music: str, expected: str) -> None:
    assert notes(music) == expected


def test_the_nine_tuplet_depends_on_compound_meter() -> None:
    run = "(9A,//B,//C//D//E//F//G//A//B//|"
    assert read(run, meter="6/8").bars[0].duration == Fraction(3, 8)  # nine in the time of three
    assert read(run, meter="2/4").bars[0].duration == Fraction(2, 8)
    first = next(read(run, meter="6/8").bars[0].timed)
    assert first.tuplet == Tuplet(9, 3, 9, 0)


LINES = [
    ("A|B|]", [(False, (), 0, "|"), (False, (), 0, "|]")]),
    ("|:A:|:B:|", [(True, (), 1, "|"), (True, (), 1, "|")]),
    ("A::B:|]", [(False, (), 1, "|"), (True, (), 1, "|]")]),
    ("A::\nB|", [(False, (), 1, "|"), (True, (), 0, "|")]),
    ("A|||:B:||", [(False, (), 0, "||"), (True, (), 1, "||")]),
    ("dc:||:B|", [(False, (), 1, "||"), (True, (), 0, "|")]),
    ("|:A[|]:|B|]", [(True, (), 1, "|"), (False, (), 0, "|]")]),  # 4.8: the line is invisible
    ("A[|]B[|C.|D", [(False, (), 0, s) for s in ("[|]", "[|", ".|", "")]),
    ("|1A:|2B|", [(False, (1,), 1, "|"), (False, (2,), 0, "|")]),
    ("A|[1,3 B:|[2 c|]", [(False, (), 0, "|"), (False, (1, 3), 1, "|"), (False, (2,), 0, "|]")]),
    ("A|1-3 B:|\n4 c|", [(False, (), 0, "|"), (False, (1, 2, 3), 1, "|"), (False, (4,), 0, "|")]),
    ('|["1" A:|["2-3" B|', [(False, (1,), 1, "|"), (False, (2, 3), 0, "|")]),
    ("A [1 B:|[2 c|]", [(False, (), 0, ""), (False, (1,), 1, "|"), (False, (2,), 0, "|]")]),
    ("A::|B|", [(False, (), 2, "|"), (False, (), 0, "|")]),
    ("A|\n:B:|", [(False, (), 0, "|"), (True, (), 1, "|")]),
    ("A|\n|:B|", [(False, (), 0, "|"), (True, (), 0, "|")]),
]


@pytest.mark.parametrize(("music", "expected"), LINES, ids=[m for m, _ in LINES])
def test_bar_lines_repeats_and_endings_in_all_spellings(
    music: str, expected: list[tuple[object, ...]]
) -> None:
    assert lines(music) == expected


def test_a_tie_sign_between_different_pitches_is_a_slur() -> None:
    first, second = read("G3-A|").bars[0].timed
    assert isinstance(first, Note)
    assert not first.tie
    assert (first.marks.slurs_opened, second.marks.slurs_closed) == (1, 1)


def test_a_tie_reaches_over_the_bar_line_and_a_space_or_text_may_part_it() -> None:
    first, second = (next(bar.timed) for bar in read('e2 -|"Am/c"e2|').bars)
    assert isinstance(first, Note)
    assert first.tie
    assert second.marks.chord_symbol == "Am/c"


@pytest.mark.parametrize("symbol", ["Am", "C7", "D/f+", "Am/c", "Bb", "F#m7b5", "Gsus4", "N.C."])
def test_chord_symbols_are_told_from_other_text(symbol: str) -> None:
    (note,) = read(f'"{symbol}"A|').bars[0].timed
    assert (note.marks.chord_symbol, note.marks.annotations) == (symbol, ())


@pytest.mark.parametrize("text", ["D.S.", "Segno", "p", "4", "^slow", "_mf", "Fine", "1st time"])
def test_other_quoted_text_is_an_annotation(text: str) -> None:
    (note,) = read(f'"{text}"A|').bars[0].timed
    assert (note.marks.chord_symbol, note.marks.annotations) == ("", (text,))


DECORATIONS = [
    ("HA|", ("fermata",)),
    (".~A|", ("staccato", "roll")),
    ("!trill!!>!A|", ("trill", "accent")),
    ("+fermata+A|", ("fermata",)),
    ("!Segno!|: \\\nA|", ("segno",)),
    ("kA|", ("k",)),
    ("!ferm!A|", ("ferm",)),
]


@pytest.mark.parametrize(("music", "names"), DECORATIONS, ids=[m for m, _ in DECORATIONS])
def test_decorations_in_every_form_belong_to_a_note(music: str, names: tuple[str, ...]) -> None:
    (note,) = read(music).bars[0].timed
    assert note.marks.decorations == names


def test_user_symbols_and_macros_are_resolved() -> None:
    head = "X:1\nT:t\nU:W=!turn!\nm:~g2={a}g{f}g\nm:~n4=n{o}n{m}n2\nL:1/8\nK:C\n"
    tune = parse_text(head + "WA ~g2 ~c4|\n").tunes[0]
    a, *rest = tune.bars[0].timed
    assert a.marks.decorations == ("turn",)
    assert [spell(e) for e in rest] == ["G5:1", "G5:1", "C5:1", "C5:1", "C5:2"]
    graces = [e.marks.grace.notes[0].pitch.name for e in rest if e.marks.grace is not None]
    assert graces == ["A5", "F5", "D5", "B4"]
    assert tune.fields == (("U", "W=!turn!"),)


def test_grace_notes_keep_their_slurs_and_slash() -> None:
    (note,) = read("{/(ga)}B2|").bars[0].timed
    grace = note.marks.grace
    assert grace is not None
    assert grace.slashed
    assert [n.pitch.name for n in grace.notes] == ["G5", "A5"]
    assert (grace.notes[0].marks.slurs_opened, grace.notes[1].marks.slurs_closed) == (1, 1)


KEYS = [
    ("D Major", Key("D")),
    ("F# Minor", Key("F#", "minor")),
    ("EM", Key("E", "minor")),  # capitals do not matter in a mode
    ("AMixolydian", Key("A", "mixolydian")),
    ("Dmix=c", Key("D", "mixolydian", (("C", 0),))),
    ("D exp _b ^f", Key("D", "none", (("B", -1), ("F", 1)))),
    ("Hp", Key("", "none", (("F", 1), ("C", 1), ("G", 0)))),
    ("HP", Key("", "none", (("F", 1), ("C", 1), ("G", 0)))),
    ("none", Key("", "none")),
    ("", Key("", "none")),
    ("G % pentatonic", Key("G")),
    ("Bb clef=bass", Key("Bb")),
    ("Es", Key("Eb")),
]


@pytest.mark.parametrize(("text", "key"), KEYS, ids=[k for k, _ in KEYS])
def test_keys_in_every_spelling(text: str, key: Key) -> None:
    assert read("A|", key=text).key == key


METERS = [
    ("C|", CUT_TIME),
    ("none", FREE_METER),
    ("2+3/8", Meter((2, 3), 8)),
    ("(2+3)/8", Meter((2, 3), 8)),
    ("2/2]", Meter((2,), 2)),
    ("FREI4/4", FREE_METER),
    (" 6/8 % jig", Meter((6,), 8)),
]


@pytest.mark.parametrize(("text", "meter"), METERS, ids=[m for m, _ in METERS])
def test_meters_in_every_spelling(text: str, meter: Meter) -> None:
    assert read("A|", meter=text).meter == meter


@pytest.mark.parametrize(("meter", "unit"), [("2/4", "1/4"), ("3/4", "1/2"), ("6/8", "1/2")])
def test_the_unit_length_follows_from_the_meter(meter: str, unit: str) -> None:
    tune = parse_text(f"X:1\nT:t\nM:{meter}\nK:C\nA|\n").tunes[0]
    assert tune.unit == Fraction(unit)


TEMPOS = [
    ("1/4=120", Tempo(Fraction(120))),
    ('"Slow" 3/8=60', Tempo(Fraction(60), Fraction(3, 2), "Slow")),
    ("120", Tempo(Fraction(120), Fraction(1, 2))),
    ("C3=40", Tempo(Fraction(40), Fraction(3, 2))),
    ('"Allegro"', Tempo(None, text="Allegro")),
]


@pytest.mark.parametrize(("text", "tempo"), TEMPOS, ids=[t for t, _ in TEMPOS])
def test_tempos_old_and_new(text: str, tempo: Tempo) -> None:
    assert parse_text(f"X:1\nQ:{text}\nL:1/8\nK:C\nA|\n").tunes[0].tempo == tempo


def test_fields_between_the_key_and_the_music_belong_to_the_heading() -> None:
    tune = parse_text("X:1\nM:4/4\nK:A\nM:6/8\nP:A\nf|\n").tunes[0]
    assert tune.meter == Meter((6,), 8)
    assert tune.bars[0].events[0] == Change(part="A")


WARNED = [
    ("G> ||", "a broken rhythm sign has no note after it in its bar; left out"),
    ("A8\nB|", "no bar line at the end of the line before; read as one"),
    ("|:A|B|", "the repeat that begins in bar 1 is never closed"),
    ("A#|", "'#' has no meaning here; left out"),
    ("G3 ZA|", "'Z' inside a bar is read as a short rest"),
    ("A-", "a tie leads to no note"),
    ("A&C-", "a tie leads to no note of its overlay"),
    ("[Ac|", "a chord is not closed; closed here"),
    ("^3/2A|", "a microtone is read without its fraction of a semitone"),
    ("A8|B8|\n&&&c8|d8|", "an overlay goes back by more bars than there are"),
]


@pytest.mark.parametrize(("music", "what"), WARNED, ids=[m for m, _ in WARNED])
def test_what_is_wrong_is_put_up_with_and_said(music: str, what: str) -> None:
    assert what in warnings(music)


@pytest.mark.parametrize("music", ["C4 & E4-|E4|", "C4 & E4-|\nC4 & E4|", "C4 & E4-|E4|C4 & G4|"])
def test_a_tie_of_an_overlay_reaches_whatever_line_has_its_note(music: str) -> None:
    held = played_notes(read(music, unit="1/4"))
    assert 8 in {n.duration for n in held if n.midi == 64}


def test_a_warning_has_its_line_and_column() -> None:
    (warning,) = parse_text("\n\nX:1\nK:C\nABc#d|\n").tunes[0].warnings
    assert (warning.line, warning.column) == (5, 4)


def test_a_voice_without_music_is_left_out_and_said() -> None:
    tune = read("V:1 name=Flute\nV:2 name=Fiddle\nCDEF GABc|c8|]")
    assert [(voice.id, voice.name) for voice in tune.voices] == [("2", "Fiddle")]
    assert [warning.what for warning in tune.warnings] == ["voice 1 has no music and was left out"]
    assert perform(tune).notes
    plain = read("CDEF GABc|c8|]\nV:2")
    assert [voice.id for voice in plain.voices] == [""]


def test_a_file_with_a_header_prose_voices_lyrics_and_repeated_numbers() -> None:
    first, second = parse((DATA / "two_voices.abc").read_bytes(), "two_voices.abc").tunes
    assert (first.title, first.rhythm, str(first.meter)) == ("Song for Two", "waltz", "3/4")
    assert [(v.id, v.name, v.clef, len(v.bars)) for v in first.voices] == [
        ("1", "Upper", "treble", 3),
        ("2", "Lower", "bass", 3),
    ]
    sung = [event.marks.lyrics for event in first.voices[0].events]
    assert sung == [
        ("O", "2. No-"), ("sing", "w"), ("a-", "_"), ("long,", "_"), ("my",), ("friend", "re-"),
    ]  # fmt: skip
    assert [spell(e) for e in first.voices[1].bars[1].overlays[0]] == ["D3:3", "D3:3"]
    assert first.words == ("Printed below the music",)
    assert (second.number, second.key) == (1, Key("D", "none", (("F", 1),)))
    assert second.source is not None
    assert second.source.line == 22


def test_the_parts_of_the_source_text_join_without_loss() -> None:
    tune = read("|:A2|B2:|\n[1 c2|]")
    assert tune.source is not None
    text = tune.source.text
    spans = [bar.span for bar in tune.bars]
    assert [text[s[0] : s[1]] for s in spans if s is not None] == ["|:A2|", "B2:|", "\n[1 c2|]"]


@pytest.mark.parametrize(
    ("data", "title"),
    [
        ("T:Café".encode(), "Café"),
        (b"\xef\xbb\xbfX:1\r\nT:Caf\xc3\xa9", "Café"),
        (b"T:Caf\xe9", "Café"),
        ("\ufeffX:1\nT:Café".encode("utf-16-le"), "Café"),
        (rb"T:Caf\'e \& &eacute; \u00e9", "Café & é é"),
    ],
)
def test_encodings_and_escapes(data: bytes, title: str) -> None:
    wide = data.startswith(b"\xff\xfe")
    rest = "\r\nK:C\r\nA|\r\n".encode("utf-16-le") if wide else b"\r\nK:C\r\nA|\r\n"
    assert parse(data + rest).tunes[0].title == title


def test_a_tune_without_music_is_rejected_with_its_line_and_the_others_are_read() -> None:
    reading = parse_text("X:1\nT:empty\nK:C\n\nX:2\nT:full\nK:C\nA|\n")
    assert [t.title for t in reading.tunes] == ["full"]
    (rejected,) = reading.rejected
    assert (rejected.name, rejected.line) == ("empty", 1)
    assert rejected.reason == "has no music; write some after K:"


def test_binary_content_is_no_abc() -> None:
    with pytest.raises(ParseError) as caught:
        parse(b"MThd\x00\x00\x00\x06", "a.abc")
    assert str(caught.value) == "a.abc: is not text; is it really an ABC file?"


def test_prose_is_no_music_and_a_file_may_hold_no_tune() -> None:
    assert parse_text("Dear all,\n\nA bad egg | indeed.\n").tunes == ()
    assert parse(b"").tunes == ()
