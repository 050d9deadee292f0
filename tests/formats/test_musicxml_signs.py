"""Signs of a score that stand for music or text: repeats of measures, jumps, chords, credits, and
numbers that make no sense. The authority is the MusicXML 4.0 reference unless a test names one."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest

from musicgen.formats.abc_notation import to_abc
from musicgen.formats.musicxml.reading import from_musicxml, part
from musicgen.music.playback import played_notes, playing_order
from musicgen.music.tune import Tune

HEAD = "<part-list><score-part id='P1'><part-name>Air</part-name></score-part></part-list>"
START = (
    "<attributes><divisions>4</divisions><key><fifths>0</fifths><mode>major</mode></key>"
    "<time><beats>2</beats><beat-type>4</beat-type></time></attributes>"
)


def score(*measures: str, head: str = "", start: str = START) -> bytes:
    """A score of one part in 2/4, four divisions to the quarter, a line for each measure."""
    lines = [f"<measure number='{n}'>{m}</measure>" for n, m in enumerate(measures, 1)]
    lines[0] = lines[0].replace(">", f">{start}", 1)
    body = "\n".join(lines)
    return (
        f"<score-partwise version='4.0'>\n{head}{HEAD}<part id='P1'>\n{body}\n</part>"
        "</score-partwise>"
    ).encode()


def note(pitch: str = "C4", duration: object = 4, inside: str = "<voice>1</voice>") -> str:
    """A <note>, by default of a quarter."""
    return (
        f"<note><pitch><step>{pitch[0]}</step><octave>{pitch[1]}</octave></pitch>"
        f"<duration>{duration}</duration>{inside}</note>"
    )


def bar(*pitches: str) -> str:
    return "".join(map(note, pitches))


def read(*measures: str, head: str = "", start: str = START) -> Tune:
    return from_musicxml(score(*measures, head=head, start=start), "file.musicxml")


def abc(tune: Tune) -> str:
    return " ".join(to_abc(tune).partition("\nK:")[2].partition("\n")[2].split())


def order(tune: Tune) -> list[int]:
    """Numbers of the bars as they are played, from 1."""
    return [number + 1 for number in playing_order(tune)[0]]


def sound(**attributes: str) -> str:
    return f"<sound {' '.join(f'{name}={value!r}' for name, value in attributes.items())}/>"


def directed(kind: str, **attributes: str) -> str:
    """A <direction> with a sign and its meaning."""
    return (
        f"<direction><direction-type>{kind}</direction-type>"
        f"{sound(**attributes) if attributes else ''}</direction>"
    )


A, B, C, D = bar("C4", "D4"), bar("E4", "F4"), bar("G4", "A4"), bar("B4", "C5")
CODA, SEGNO, LEAVE = sound(coda="c"), sound(segno="s"), sound(tocoda="c")
CAPO, BACK = sound(dacapo="yes"), sound(dalsegno="s")
LEAVE_SIGN = directed("<coda/>", tocoda="c")  # the same in a <direction>
CAPO_WORDS = directed("<words>repeat</words>", dacapo="yes")
TO_CODA = directed("<words>To Coda</words></direction-type><direction-type><coda/>")


@pytest.mark.parametrize(
    ("measures", "played"),
    [
        ((A, B + LEAVE, C + CAPO, CODA + D), [1, 2, 3, 1, 2, 4]),
        ((A, SEGNO + B, C + BACK, D), [1, 2, 3, 2, 3, 4]),
        ((A, B + sound(fine="yes"), C, D + CAPO), [1, 2, 3, 4, 1, 2]),
        ((A, SEGNO + B + LEAVE, C + BACK, CODA + D), [1, 2, 3, 2, 4]),
        ((A, B + sound(fine="no"), C, D + sound(dacapo="no")), [1, 2, 3, 4]),
        ((A, B + LEAVE_SIGN, C + CAPO_WORDS, directed("<coda/>", coda="c") + D),
         [1, 2, 3, 1, 2, 4]),
        ((A, B + TO_CODA, C + directed("<words>D.C. al Coda</words>"), directed("<coda/>") + D),
         [1, 2, 3, 1, 2, 4]),
    ],
)  # fmt: skip
def test_the_way_through_a_score_is_followed_by_its_sounds(
    measures: tuple[str, ...], played: list[int]
) -> None:
    assert order(read(*measures)) == played


def harmony(root: str, kind: str = "major", offset: int | None = None) -> str:
    place = "" if offset is None else f"<offset>{offset}</offset>"
    return (
        f"<harmony><root><root-step>{root}</root-step></root><kind>{kind}</kind>{place}</harmony>"
    )


TRIAD = note("C4", 8) + note("E4", 8).replace("<note>", "<note><chord/>")


@pytest.mark.parametrize(
    ("measure", "text"),
    [
        (harmony("C") + harmony("A", "minor", 4) + note("C5", 8), '"C"c2- "Am"c2'),
        (harmony("F") + harmony("G", "dominant", 4) + harmony("C", "major", 6) + note("C5", 8),
         '"F"c2- "G7"c-"C"c'),
        (harmony("C", "major", 4) + note("C5", 8), 'c2- "C"c2'),
        # Where the harmony comes after the note, one step back.
        (harmony("C") + note("C5", 8) + harmony("A", "minor", -4), '"C"c2- "Am"c2'),
        (harmony("C") + harmony("A", "minor") + note("C5", 8), '"C""^Am"c4'),
        (harmony("C") + harmony("G", "major", 4) + "<note><rest/><duration>8</duration></note>",
         '"C"z2 "G"z2'),
        (harmony("C") + harmony("G", "major", 4) + TRIAD,
         '"C"[C-E-]2 "G"[CE]2'),
        (note("C5", 8, "<tie type='start'/>") + harmony("G", "major", -4), 'c2- "G"c2-'),
    ],
)  # fmt: skip
def test_chord_symbols_over_one_note_stand_where_they_are(measure: str, text: str) -> None:
    tune = read(measure, A)
    assert abc(tune).partition(" |")[0] == text
    assert [n.duration for n in played_notes(read(measure, A)) if n.onset == 0] in ([], [2], [2, 2])
    assert tune.warnings == ()


def credit(text: str, kind: str = "", **attributes: str) -> str:
    kind = f"<credit-type>{kind}</credit-type>" if kind else ""
    page = attributes.pop("page", "1")
    given = " ".join(f"{name.replace('_', '-')}='{v}'" for name, v in attributes.items())
    return f"<credit page='{page}'>{kind}<credit-words {given}>{text}</credit-words></credit>"


def style(inside: str) -> str:
    return f"<attributes><measure-style>{inside}</measure-style></attributes>"


REST = "<note><rest measure='yes'/><duration>8</duration></note>"
ONE = style("<measure-repeat type='start'>1</measure-repeat>")
TWO = style("<measure-repeat type='start' slashes='2'>2</measure-repeat>")
STOP = style("<measure-repeat type='stop'/>")


@pytest.mark.parametrize(
    ("measures", "text"),
    [
        ((A, ONE + REST, STOP + B), "C2 D2 | C2 D2 | E2 F2"),
        ((A, ONE + REST, REST, STOP + B), "C2 D2 | C2 D2 | C2 D2 | E2 F2"),
        ((A, ONE, STOP + B), "C2 D2 | C2 D2 | E2 F2"),  # nothing at all in the measure
        ((A, B, TWO + REST, REST, STOP + C), "C2 D2 | E2 F2 | C2 D2 | E2 F2 | G2 A2"),
        ((A, ONE + B, STOP + C), "C2 D2 | E2 F2 | G2 A2"),  # written out, as they should be
        ((ONE + REST, STOP + A), "Z | C2 D2"),
    ],
)
def test_a_repeated_measure_sounds_as_the_one_before(measures: tuple[str, ...], text: str) -> None:
    tune = read(*measures)
    assert abc(tune).removesuffix(" |").strip() == text
    assert len(tune.warnings) == (measures[0] != A)


def test_an_empty_measure_lasts_a_bar() -> None:
    tune = read(A, "", B)
    assert [bar.duration for bar in tune.bars] == [2, 2, 2]
    assert played_notes(tune)[2].onset == 4
    pickup = score("", A).replace(b"number='1'", b"number='0' implicit='yes'")
    assert played_notes(from_musicxml(pickup, ""))[0].onset == 0


@pytest.mark.parametrize(
    ("head", "title", "composer", "others"),
    [
        (credit("My Tune", "title") + credit("Trad.", "composer") + credit("a reel", "subtitle")
         + credit("Ann", "lyricist"),
         "My Tune", "Trad.", (("T", "a reel"), ("N", "lyricist: Ann"))),
        # Without types, as MuseScore 1 and 2 write them.
        (credit("a reel", justify="center", font_size="12")
         + credit("My\nTune", justify="center", font_size="24")
         + credit("Trad.", justify="right", font_size="12")
         + credit("II", justify="center", font_size="48", page="2"),
         "My Tune", "Trad.", ()),
        # The score's own elements prevail.
        ("<movement-title>Real</movement-title><identification><creator type='composer'>Bach"
         "</creator></identification>" + credit("X", "title") + credit("Y", "composer"),
         "Real", "Bach", ()),
        ("", "file", "", ()),
    ],
)  # fmt: skip
def test_titles_and_names_are_read_off_the_page(
    head: str, title: str, composer: str, others: tuple[tuple[str, str], ...]
) -> None:
    tune = read(A, head=head)
    assert (tune.title, tune.composer, tune.fields) == (title, composer, others)


def divisions(text: str) -> str:
    return f"<attributes><divisions>{text}</divisions></attributes>"


VALUED = "<voice>1</voice><type>quarter</type>"


@pytest.mark.parametrize(
    ("second", "warning"),
    [
        (note("E4", "NaN", VALUED) + note("F4"), "durations that make no sense ('NaN')"),
        (note("E4", -4, VALUED) + note("F4"), "durations that make no sense ('-4')"),
        (note("E4", "1e18", VALUED) + note("F4"), "durations that make no sense ('1e18')"),
        (note("E4", 10**8, VALUED) + note("F4"), "durations that make no sense ('100000000')"),
        (B + "<backup><duration>-8</duration></backup>", "durations that make no sense ('-8')"),
        (divisions("0") + B, "divisions that make no sense ('0')"),
        (divisions("NaN") + B, "divisions that make no sense ('NaN')"),
        (sound(tempo="1e999") + B, "tempos that make no sense ('1e999')"),
        (B + note("C5").replace("<note>", "<note><cue/>"), "cue notes left out"),
        (directed("<octave-shift type='down'/>") + B + directed("<octave-shift type='stop'/>"),
         "octave signs (8va, 8vb) left out; notes are as they sound"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_or_is_left_out_is_said_with_its_line(
    second: str, warning: str
) -> None:
    tune = read(A, second, C)
    assert [n.midi for n in played_notes(tune)] == [60, 62, 64, 65, 67, 69]
    assert [n.onset for n in played_notes(tune)] == [0, 1, 2, 3, 4, 5] or "cue" in warning
    (found,) = tune.warnings
    assert (found.what.startswith(warning), found.line) == (True, 4)


@pytest.mark.parametrize(
    ("declared", "real", "doubt"),
    [
        ("utf-8", "latin-1", "is not in the encoding utf-8; read as Windows-1252"),
        ("klingon-1", "utf-8", "declares the encoding klingon-1, which is unknown or wrong"),
        ("utf-16", "utf-8", "declares the encoding utf-16, which is unknown or wrong"),
        ("windows-1252", "cp1252", ""),
    ],
)
def test_an_encoding_that_is_not_the_declared_one_is_said(
    declared: str, real: str, doubt: str
) -> None:
    title = "<work><work-title>Café</work-title></work>"
    text = score(A, head=title).decode()
    data = f"<?xml version='1.0' encoding='{declared}'?>{text}".encode(real)
    tune = from_musicxml(data, "x.xml")
    assert tune.title == "Café"
    assert [(bool(re.search(doubt, w.what)), w.line) for w in tune.warnings] == (
        [(True, 1)] if doubt else []
    )


def test_a_note_of_an_endless_duration_does_not_move_the_others() -> None:
    second = note("E4", "Infinity", VALUED) + note("F4")
    assert played_notes(read(A, second))[-1].duration == Fraction(1)


def test_repeated_measures_and_signs_of_one_measure_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(part, "MAX_COPIED", 3)
    tune = read(A, ONE + REST, REST, STOP + B)
    assert abc(tune).removesuffix(" |") == "C2 D2 | C2 D2 | Z | E2 F2"
    assert [w.line for w in tune.warnings] == [5]
    crowded = read(harmony("C", "major", 4) * 1200 + A)
    assert [w.what for w in crowded.warnings] == ["signs of a measure beyond 1000 left out: 200"]
