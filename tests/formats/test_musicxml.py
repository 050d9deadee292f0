"""MusicXML: exact durations, what is written around notes, and music21 as an independent reader."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from xml.etree import ElementTree as ET

import music21
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen.errors import InvalidTuneError
from musicgen.formats import rendered
from musicgen.formats.abc_notation import parse
from musicgen.formats.musicxml.accidentals import Accidentals
from musicgen.formats.musicxml.barlines import ending_stops
from musicgen.formats.musicxml.beaming import beam
from musicgen.formats.musicxml.harmony import harmony
from musicgen.formats.musicxml.lengths import written
from musicgen.formats.musicxml.lines import reach
from musicgen.formats.musicxml.reading import from_musicxml
from musicgen.formats.musicxml.writing import to_musicxml
from musicgen.music.playback import timeline
from musicgen.music.theory import MODE_FIFTHS, Key, Meter, Pitch
from musicgen.music.tune import Bar, Note, Tune, Tuplet, Voice
from tests.tunes import tunes

HEAD = "X:1\nT:Test\nM:6/8\nL:1/8\nK:D\n"


def tune(body: str, head: str = HEAD) -> Tune:
    return parse((head + body + "\n").encode(), "test.abc").tunes[0]


def measures(body: str, head: str = HEAD) -> list[ET.Element]:
    return list(ET.fromstring(to_musicxml(tune(body, head))).iter("measure"))


def texts(elements: list[ET.Element], path: str) -> list[str]:
    return [found.text or "" for element in elements for found in element.iterfind(path)]


def test_durations_of_every_measure_add_up_in_whole_divisions() -> None:
    written_tune = tune("(3ABc d2e f3/2g/2|a>b c'/2d'3/2|(5ABcde f|")
    root = ET.fromstring(to_musicxml(written_tune))
    divisions = int(root.findtext(".//divisions") or 0)
    for bar, measure in zip(written_tune.bars, root.iter("measure"), strict=True):
        total = sum(int(d.text or 0) for d in measure.iterfind("note/duration"))
        assert Fraction(total, divisions) == bar.duration


def test_music21_reads_the_same_notes_at_the_same_times() -> None:
    ours = tune("e|A3 {c}BAG|(3efg e [dF]BG|1 ^c=cB A2z:|2 B3- B3|]")
    score = music21.converter.parseData(to_musicxml(ours), format="musicxml", forceSource=True)
    theirs = [
        (Fraction(n.quarterLength), sorted(p.midi for p in n.pitches))
        for n in score.recurse().notes
        if not n.duration.isGrace
    ]
    expected = []
    for event in ours.voices[0].events:
        notes = getattr(event, "notes", (event,))
        pitches = sorted(n.midi for n in notes if isinstance(n, Note))
        expected += [(event.duration, pitches)] if pitches else []
    assert theirs == expected


def test_music21_reads_the_same_repeats_and_endings() -> None:
    ours = tune("|:A3 B3|1 c3 d3:|2 e3 f3||g3 a3|]")
    score = music21.converter.parseData(to_musicxml(ours), format="musicxml", forceSource=True)
    played = score.parts[0].expandRepeats().recurse().notes
    assert [n.pitch.name for n in played] == ["A", "B", "C#", "D", "A", "B", "E", "F#", "G", "A"]


@given(st.fractions(min_value=Fraction(1, 64), max_value=12, max_denominator=64))
def test_values_add_up_to_the_duration_that_they_write(duration: Fraction) -> None:
    try:
        values = written(duration, None)
    except InvalidTuneError:
        return
    assert sum(value.duration for value in values) == duration


@pytest.mark.parametrize(
    ("duration", "shown"),
    [
        (Fraction(1, 2), [("eighth", 0)]),
        (Fraction(3), [("half", 1)]),
        (Fraction(7, 2), [("half", 2)]),
        (Fraction(5, 2), [("half", 0), ("eighth", 0)]),
        (Fraction(1, 3), [("eighth", 0)]),
    ],
)
def test_a_duration_is_the_fewest_values(duration: Fraction, shown: list[tuple[str, int]]) -> None:
    assert [(value.type, value.dots) for value in written(duration, None)] == shown


def test_a_member_of_a_tuplet_is_written_longer_than_it_sounds() -> None:
    (value,) = written(Fraction(1, 3), Tuplet(3, 2, 3, 0))
    assert (value.type, value.actual, value.normal) == ("eighth", 3, 2)


def test_a_duration_without_a_name_is_an_error_that_names_the_bar() -> None:
    bar = Bar(events=(Note(Pitch("A", 0, 4), Fraction(1, 2**20)),))
    with pytest.raises(InvalidTuneError) as error:
        to_musicxml(Tune(title="Odd", voices=(Voice(bars=(bar,)),)))
    assert (
        str(error.value) == "'Odd': bar 1: a duration of 1/1048576 quarter notes cannot be written"
    )


def test_a_tune_without_music_is_an_error() -> None:
    with pytest.raises(InvalidTuneError, match="'Empty': there is no music to write"):
        to_musicxml(Tune(title="Empty"))


def test_several_tunes_do_not_go_into_one_musicxml_file() -> None:
    with pytest.raises(InvalidTuneError, match="holds one tune, not 2"):
        rendered([tune("A3 A3|")] * 2, ".musicxml")


def test_a_pickup_is_measure_0_and_is_not_counted() -> None:
    found = measures("A|B3 c3|d3 e2|]")
    assert [m.get("number") for m in found] == ["0", "1", "2"]
    assert found[0].get("implicit") == "yes"


@pytest.mark.parametrize(
    ("meter", "music", "beams"),
    [
        ("6/8", "ABc def", "begin continue end begin continue end"),
        ("6/8", "A2c def", "begin continue end"),
        ("4/4", "ABcd efga", "begin continue continue end begin continue continue end"),
        ("4/4", "A2cd efga", "begin end begin continue continue end"),
        ("4/4", "A/2B/2c de fgab", "begin continue end begin end begin continue continue end"),
        ("2/4", "ABcd", "begin end begin end"),
        ("5/8", "ABcde", "begin continue end begin end"),
        ("3/4", "ABzcde", "begin end begin end"),
    ],
)
def test_notes_are_beamed_by_beat(meter: str, music: str, beams: str) -> None:
    (measure,) = measures(f"{music}|", HEAD.replace("6/8", meter))
    assert texts([measure], "note/beam[@number='1']") == beams.split()


def test_a_short_note_under_a_dotted_one_has_a_hook() -> None:
    (measure,) = measures("A3/2B/2 c>d e/2f3/2 g2|", HEAD.replace("6/8", "4/4"))
    assert texts([measure], "note/beam[@number='2']") == [
        "backward hook",
        "backward hook",
        "forward hook",
    ]


def test_no_beam_crosses_a_rest_or_a_beat() -> None:
    slots = [(Fraction(i, 2), None if i == 1 else written(Fraction(1, 2), None)[0]) for i in (0, 1)]
    assert beam(slots, Meter((2,), 4), Fraction(0)) == [[], []]


def test_an_accidental_is_printed_once_a_bar_and_is_taken_back() -> None:
    signs = Accidentals(Key("D"))
    natural, sharp = Pitch("C", 0, 5), Pitch("C", 1, 5)
    assert [signs.printed(p, tied=False) for p in (sharp, natural, natural, sharp)] == [
        "",
        "natural",
        "",
        "sharp",
    ]
    assert signs.printed(Pitch("C", 0, 4), tied=False) == "natural"
    signs.start_bar()
    assert signs.printed(natural, tied=True) == ""
    assert signs.printed(natural, tied=False) == "natural"


def test_a_tie_that_finds_no_note_rings_on() -> None:
    bar = Bar(events=(Note(Pitch("A", 0, 4), Fraction(4), tie=True),))
    ours = Tune(voices=(Voice(bars=(bar, bar, Bar(events=(Note(Pitch("B", 0, 4)),)))),))
    first, second, _ = ET.fromstring(to_musicxml(ours)).iter("measure")
    assert [t.get("type") for t in first.iter("tied")] == ["start"]
    assert [t.get("type") for t in second.iter("tied")] == ["stop", "let-ring"]


def test_a_long_note_is_split_into_tied_values() -> None:
    (measure,) = measures("A5|", HEAD.replace("6/8", "5/8"))
    assert texts([measure], "note/type") == ["half", "eighth"]
    assert [t.get("type") for t in measure.iter("tie")] == ["start", "stop"]


@pytest.mark.parametrize(
    ("music", "slurs"),
    [
        ("(ABc) def", "start stop"),
        ("(AB(c)de) f", "start stop start stop"),
        ("(A(Bc)d) ef", "start start stop stop"),
        ("(ABc def", ""),
        ("ABc) def", ""),
    ],
)
def test_slurs_are_paired_or_left_out(music: str, slurs: str) -> None:
    found = [s.get("type") for m in measures(f"{music}|") for s in m.iter("slur")]
    assert found == slurs.split()


def test_slurs_that_overlap_have_different_numbers() -> None:
    found = reach(list(tune("(A(Bc)d) ef|").voices[0].events))
    assert len({number for here in found for _, number in here.slurs.marks}) == 2


def test_a_tuplet_has_one_bracket() -> None:
    found = [t.get("type") for m in measures("(3ABc (3def (3gab|") for t in m.iter("tuplet")]
    assert found == ["start", "stop"] * 3


def test_syllables_know_their_place_in_the_word() -> None:
    (measure,) = measures("ABc def|\nw: di-ddle-dum dee_ do")
    assert texts([measure], "note/lyric/syllabic") == ["begin", "middle", "end", "single", "single"]
    assert texts([measure], "note/lyric/text") == ["di", "ddle", "dum", "dee", "do"]
    assert [e.get("type") for e in measure.iter("extend")] == [None, "stop"]


def test_ornaments_bowing_and_words_are_what_they_are() -> None:
    (measure,) = measures('TA2 ~B .c vd "^slow"e !fermata!f|')
    for name in ("trill-mark", "turn", "staccato", "down-bow", "fermata"):
        assert len(list(measure.iter(name))) == 1, name
    assert texts([measure], "direction/direction-type/words") == ["slow"]


def test_an_unknown_decoration_is_kept() -> None:
    (measure,) = measures("!wiggle!A3 B3|")
    assert texts([measure], "note/notations/other-notation") == ["wiggle"]


@pytest.mark.parametrize(
    ("symbol", "parts"),
    [
        ("Am", ("A", None, "minor", None)),
        ("F#m7/C#", ("F", "1", "minor-seventh", "C")),
        ("Bbmaj7", ("B", "-1", "major-seventh", None)),
        ("Gx", ("G", None, "other", None)),
    ],
)
def test_a_chord_symbol_is_root_kind_and_bass(symbol: str, parts: tuple[str, ...]) -> None:
    xml = harmony(symbol)
    assert xml is not None
    root = ET.fromstring(xml)
    names = ("root/root-step", "root/root-alter", "kind", "bass/bass-step")
    kind = root.find("kind")
    assert kind is not None
    found = (*(root.findtext(n) for n in names[:2]), kind.text, root.findtext(names[3]))
    assert found == parts


def test_what_is_no_chord_symbol_is_none() -> None:
    assert harmony("play louder") is None


def test_two_endings_open_and_close() -> None:
    found = [
        (e.get("number"), e.get("type"))
        for m in measures("|:A6|1 B6:|2 c6||")
        for e in m.iter("ending")
    ]
    assert found == [("1", "start"), ("1", "stop"), ("2", "start"), ("2", "stop")]


def test_an_ending_that_nothing_closes_is_as_long_as_the_one_before() -> None:
    bars = [Bar(), Bar(volta=(1,), repeat_end=1), Bar(volta=(2,)), *[Bar()] * 7]
    assert ending_stops(bars) == {1: "1", 2: "2"}


def test_voices_share_repeats_and_the_shorter_one_rests() -> None:
    body = "V:1\n|:A6|B6:|c6|]\nV:2\nD,6|E,6|"
    root = ET.fromstring(to_musicxml(tune(body)))
    parts = list(root.iter("part"))
    assert [len(list(p.iter("measure"))) for p in parts] == [3, 3]
    assert [len(list(p.iter("repeat"))) for p in parts] == [2, 2]
    assert [r.get("measure") for r in parts[1].iter("rest")] == ["yes"]
    assert [c.text for c in root.iter("sign")] == ["G", "F"]


def test_titles_cannot_break_the_document() -> None:
    nasty = Tune(title='<a & "b"> \x00\x1b', voices=tune("A6|").voices)
    root = ET.fromstring(to_musicxml(nasty))
    assert root.findtext("work/work-title") == '<a & "b"> '


ROUND_TRIPS = [
    "TA2 ~B .c vd !fz!e|!wiggle!f6|",
    '"Am7"A3 "G(Em)"B3|"Fine"c3 "^slow"d3|"<x"e3 "@1,2 y"f3|"tr"g6|',
    "|:A6|[1 B6:|[2,3 c6:|]|:(ABc) d(ef|g6)|((A3 B3) c|A6 [|]",
    "(3ABc (3:2:2d2e (5:4:5ABcde f|{/a}b{ab}c2 d3|A5-A B/2B3/2|",
    "[ceg]3 [ce]-e2|A6 & c3 d3|x3 z3|Z|",
    "ABc def|\nw:di-ddle-dum dee_ do\nw:* a b~c * - _",
    '[K:Hp]A3 [M:3/4]B3|[Q:3/8=40]c6|[Q:"lento"]d6|[P:B]e6|[I:staves 1]f6|',
]


@pytest.mark.parametrize("body", ROUND_TRIPS)
@pytest.mark.parametrize("key", ["D", "Ador", "Hp", "D exp ^c", "none", "Emix=f"])
def test_what_was_written_is_read_back_to_the_last_field(body: str, key: str) -> None:
    head = HEAD.replace("K:D", f"R:jig\nP:AB\nO:Clare\nQ:5/8=33.3\nW:la\nW:\nK:{key}")
    ours = tune(body, head)
    assert from_musicxml(to_musicxml(ours).encode()) == ours


@pytest.mark.parametrize("tonic", [step + sign for step in "ABCDEFG" for sign in ("", "b", "#")])
def test_every_key_is_read_back(tonic: str) -> None:
    for mode in MODE_FIFTHS:  # Fb locrian has 13 flats, B# lydian 13 sharps
        ours = replace(tune("A6|"), key=Key(tonic, mode))
        assert from_musicxml(to_musicxml(ours).encode()).key == ours.key


def test_voices_are_read_back_as_they_were() -> None:
    ours = tune("V:T1 name=Air clef=treble-8 snm=A\n|:A6|B6:|c6|]\nV:2\n[K:G]D,6|[Q:90]E,6|")
    assert from_musicxml(to_musicxml(ours).encode()) == ours


@settings(deadline=None, max_examples=60)
@given(tunes())
def test_any_tune_is_read_back_with_the_same_music(ours: Tune) -> None:
    try:
        written_tune = to_musicxml(ours)
    except InvalidTuneError:
        return
    read = from_musicxml(written_tune.encode())
    assert (read.title, read.key, read.meter, read.unit) == (
        ours.title.strip(), ours.key, ours.meter, ours.unit,
    )  # fmt: skip
    assert [(n.onset, n.midi, n.duration, n.voice) for n in timeline(read).notes] == [
        (n.onset, n.midi, n.duration, n.voice) for n in timeline(ours).notes
    ]


def test_music_does_not_depend_on_remarks() -> None:
    ours = tune('|:~A3 "Am"B>c d|A5-A:|')
    plain = re.sub(r"<\?musicgen.*?\?>", "", to_musicxml(ours))
    read = from_musicxml(plain.encode())
    assert [n.midi for n in timeline(read).notes] == [n.midi for n in timeline(ours).notes]
    assert [b.repeat_end for b in read.bars] == [0, 1]


def test_other_heading_lines_are_kept() -> None:
    found = ET.fromstring(to_musicxml(tune("A6|", HEAD.replace("K:", "O:Clare\nR:jig\nK:"))))
    fields = {f.get("name"): f.text for f in found.iterfind("identification//miscellaneous-field")}
    assert fields == {"rhythm": "jig", "abc O": "Clare"}
