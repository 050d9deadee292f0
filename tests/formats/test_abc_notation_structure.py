"""ABC as musicians write it: signs at bar lines, overlays of several bars, lyrics, broken rhythm.

Sections are those of the ABC standard 2.1.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from musicgen.formats import musicxml
from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.music.playback import playing_order, timeline
from musicgen.music.tune import Change, Tune

HEAD = "X:1\nT:t\nM:4/4\nL:1/4\nK:C\n"


def read(music: str) -> Tune:
    (tune,) = parse_text(f"{HEAD}{music}\n").tunes
    assert not tune.warnings
    return tune


def music_of(tune: Tune) -> str:
    """The music of a tune as ABC."""
    text = to_abc(tune)
    assert parse_text(text).tunes == (tune,)
    return text.split("K:C\n")[1].rstrip("\n")


def heard(tune: Tune) -> str:
    """Notes as MIDI number, length and onset, by onset and pitch."""
    notes = sorted(timeline(tune).notes, key=lambda note: (note.onset, note.midi))
    return " ".join(f"{note.midi}:{note.duration}@{note.onset}" for note in notes)


# 4.14: a decoration may belong to a bar line. Bars from 1, as any primer has them played.
ORDERS = [
    ("CD|!segno!EF|GA!coda!|Bc!D.S.alcoda!|!coda!c2|]", "1 2 3 4 2 3 5"),
    ("CD!segno!|EF|GA!dacoda!|Bc!D.S.alcoda!|!coda!c2|]", "1 2 3 4 2 3 5"),
    ("CD!segno!|EF|GA!coda!|Bc !D.S.alcoda!!coda!|c2|]", "1 2 3 4 2 3 5"),
    ('CD"^Segno"|EF|GA"^To Coda"|Bc"^D.S. al Coda"|"^Coda"c2|]', "1 2 3 4 2 3 5"),
    ("CD|EF O|GA!D.C.alcoda!|O c2|]", "1 2 3 1 2 4"),
    ("CD|EF!fine!|GA!D.C.alfine!|]", "1 2 3 1 2"),
    ('CD S|EF"^Fine"|GA"^D.S. al Fine"|]', "1 2 3 2"),
    ("CD|!segno!EF|GA!segno!!D.S.!|]", "1 2 3 2 3"),
    ('CD|EF|GA:|"^D.C."\n|:Bc:|', "1 2 3 1 2 3 1 2 3 4"),
]


@pytest.mark.parametrize(("music", "bars"), ORDERS, ids=[music for music, _ in ORDERS])
def test_signs_before_a_bar_line_belong_to_it(music: str, bars: str) -> None:
    tune = read(music)
    for version in (tune, parse_text(to_abc(tune)).tunes[0]):
        assert " ".join(str(i + 1) for i in playing_order(version)[0]) == bars


AT_BAR_LINES = [
    "A B c d !D.C.! |",
    'A B c d "^slow""_Fine"!coda! ||',
    "A B c d !segno! | Se4 |",  # abc2midi knows "S" only before notes
    "A B c d H | e4 |",  # but "!fermata!" it plays on the next note
    'A B c d "^Segno" [|]|',  # abc2midi takes "[|]" alone for a chord
    "A4 | B4 {cd} | {e}f4 {/g} |]",  # grace notes at the end of a bar are none of the next
]


@pytest.mark.parametrize("music", AT_BAR_LINES)
def test_signs_at_a_bar_line_stay_there(music: str) -> None:
    tune = read(music)
    assert music_of(tune) == music
    (again,) = musicxml.parse(musicxml.render([tune])).tunes
    assert again.voices == tune.voices


def test_grace_notes_before_a_bar_line_that_begins_a_line_stay_there() -> None:
    assert music_of(read("AAAA\n{cd} | efga|")) == "A A A A {cd} | e f g a |"
    assert read("A4 {cd}\n| efga|").voices == read("A4\n{cd} | efga|").voices


# 4.20: annotations and decorations share a place; each kind keeps its order, annotations go first.
ORDERS_OF_SIGNS = [
    ('!f!"^x"T"_y"A', '"^x""_y"!f!TA'),
    ('T"Am""^x"{c}A', '{c}"Am""^x"TA'),
    ('"^x"!f!(A-A)', '("^x"!f!A-A)'),  # abcjs reads no ")-"
    ("(GA-)A", "(GA-)A"),
    ("vu.A", "vu.A"),
]


@pytest.mark.parametrize(("given", "written"), ORDERS_OF_SIGNS)
def test_signs_are_written_in_the_order_of_the_standard(given: str, written: str) -> None:
    assert music_of(read(f"{given}|")).replace(" ", "") == f"{written}|"


def test_signs_after_a_bar_line_belong_to_the_next_note() -> None:
    tune = read("C4|\n!f!D4|\n!segno!E4|]")
    assert [event.marks.decorations for event in tune.voices[0].events] == [(), ("f",), ("segno",)]
    assert not any(isinstance(event, Change) for bar in tune.bars for event in bar.events)


# 7.4: each & goes back by a bar line; after "(&" to that place.
OVERLAYS = [
    ("CDEF|GABc && c4|e4|C4|", "CDEF & c4 | GABc & e4 | C4 |"),
    ("CDEF|GABc| && c4|e4|C4|", "CDEF & c4 | GABc & e4 | C4 |"),
    ("C4|D4|E4 &&& c4|d4|e4|F4|", "C4 & c4 | D4 & d4 | E4 & e4 | F4 |"),
    ("(& CDEF|GABc & c4|e4 &)|C4|", "CDEF & c4 | GABc & e4 | C4 |"),
    ("(& C4|D4 & E4|F4 & G4|A4 &)|B4|", "C4 & E4 & G4 | D4 & F4 & A4 | B4 |"),
    ("C2 (& D2|E4 & F2|G4 &)|", "C2 D2 & x2 F2 | E4 & G4 |"),
    ("C4|D4 && c4-|c4|E4|", "C4 & c4- | D4 & c4 | E4 |"),
    ("C4|&c4|D4|", "C4 & c4 | D4 |"),
]


@pytest.mark.parametrize(("music", "bar_by_bar"), OVERLAYS, ids=[music for music, _ in OVERLAYS])
def test_an_overlay_of_several_bars_sounds_with_them(music: str, bar_by_bar: str) -> None:
    tune = read(music)
    assert heard(tune) == heard(read(bar_by_bar))
    assert heard(read(music_of(tune))) == heard(tune)


# 5.1; a backslash at the end as in ABC 2.0: abcm2ps and abc2midi go on with the next w:.
LYRICS = [
    ("w:a b c d\\\nw:e f g h", "a b c d e f g h"),
    ("w:a b c d\\ \nw:e f g h\nw:i", "a,i b c d e f g h"),
    (r"w:a\_b c\-d e- f", "a_b c-d e- f"),
    ("w:a b\\", "a b"),
]


@pytest.mark.parametrize(("lines", "syllables"), LYRICS, ids=[lines for lines, _ in LYRICS])
def test_lyrics_with_escapes_and_continued_lines(lines: str, syllables: str) -> None:
    tune = read(f"CDEF|GABc|\n{lines}")
    sung = [",".join(event.marks.lyrics) for event in tune.voices[0].events]
    assert " ".join(filter(None, sung)) == syllables
    assert music_of(tune)


def test_continued_lyrics_end_with_their_line_of_music() -> None:
    tune = read("CDEF|\nw:a b\\\nGABc|\nw:e f")
    assert [e.marks.lyrics for e in tune.voices[0].events] == [
        ("a",), ("b",), (), (), ("e",), ("f",), (), ()
    ]  # fmt: skip


AS_WRITTEN = [
    "A>B c<d e2 f2 |",  # 4.4
    "A>>B c<<d e2 f2 |",
    "(AB)>cd e4 |",
    "[Ac]>B (3c3/d/e f4 |",  # abcjs reads no sign in a tuplet
    "A3B c4 |",  # no sign where whole lengths say the same
    "A>B- B2 c4 |",
    "A/>B/c d2 e4 |",
    "A2 {a}(3GFG A4 |",
    "kA8 |",  # a letter without a meaning
    "A8 :|\n|| B8 |",
    "|: A8 |1 B8 :|2 c8 :|\n|: d8 :|",
    "|: A8 |1 B8 :|2 c8 :|3 d8 |]",
]


@pytest.mark.parametrize("music", AS_WRITTEN)
def test_music_comes_back_as_musicians_write_it(music: str) -> None:
    (tune,) = parse_text(f"{HEAD.replace('L:1/4', 'L:1/8')}{music}\n").tunes
    assert music_of(tune) == music


def test_ties_that_join_other_pitches_are_one_slur() -> None:
    assert music_of(read("(3D-E-F G2 A|")) == "(3(DEF) G2 A |"


def test_a_blank_that_keeps_a_text_from_being_a_chord_symbol_becomes_a_sign() -> None:
    assert music_of(read('" Fine"A4|')) == '"^Fine"A4 |'


@pytest.mark.skipif(shutil.which("abc2midi") is None, reason="needs abc2midi (abcmidi)")
@pytest.mark.parametrize("music", ["A>B c<d|(AB)>c d2|", "{a}(3GFG A2 B|A/>B/c d2|", "C4 & c4|D4|"])
def test_abc2midi_plays_what_is_written(music: str, tmp_path: Path) -> None:
    import mido

    (tmp_path / "tune.abc").write_text(to_abc(read(music)))
    command = ["abc2midi", "tune.abc", "-o", "tune.mid", "-NGRA"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Error" not in done.stdout
    struck = []
    midi = mido.MidiFile(tmp_path / "tune.mid")
    for track in midi.tracks:
        now = 0
        for message in track:
            now += message.time
            if message.type == "note_on" and message.velocity:
                struck.append((now / midi.ticks_per_beat, message.note))
    expected = sorted((n.onset, n.midi) for n in timeline(read(music)).notes)
    assert [midi for _, midi in sorted(struck)] == [midi for _, midi in expected]
    assert sorted(at for at, _ in struck) == pytest.approx([at for at, _ in expected], abs=0.01)


@pytest.mark.parametrize(
    "music", ["A>B c<d|(AB)>c d2|", "{a}(3GFG A2 B|A/>B/c d2|", "|:C4:|\n||D4:|"]
)
def test_abcjs_plays_what_is_written(music: str) -> None:
    from scripts.checks.abc_programs import abcjs, plain

    require_abcjs()
    tune = plain(read(music))
    ((warnings, notes),) = abcjs([to_abc(tune)])
    assert warnings == []
    expected = sorted((n.onset, n.midi) for n in timeline(tune).notes)
    assert [midi for _, midi in sorted((at, midi) for midi, at, *_ in notes)] == [
        m for _, m in expected
    ]
    assert sorted(at for _, at, *_ in notes) == pytest.approx([at for at, _ in expected], abs=0.01)


def require_abcjs() -> None:
    node = shutil.which("node")
    found = node and subprocess.run(
        [node, "-e", 'require("abcjs")'], capture_output=True, check=False
    )
    if not found or found.returncode:
        pytest.skip("needs node and the npm package abcjs, found by NODE_PATH")
