"""Humdrum **kern: notes as music21 reads them, spines, subspines, text, and bad files."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import music21
import pytest

from musicgen import formats
from musicgen.errors import ParseError, UnsupportedFormatError
from musicgen.formats.abc_notation import to_abc
from musicgen.formats.kern import parse
from musicgen.music.playback import timeline
from musicgen.music.tune import Tune

CORPUS = Path(music21.__file__).parent / "corpus"


def read(*rows: str) -> Tune:
    """A file of these rows, cells separated by blanks, notes of a chord by +."""
    text = "\n".join(
        row if row.startswith("!!!") else "\t".join(row.split()).replace("+", " ") for row in rows
    )
    return parse(text.encode(), "x.krn").tunes[0]


def without_repeats(tune: Tune) -> Tune:
    voices = [
        replace(voice, bars=tuple(replace(b, repeat_start=False, repeat_end=0) for b in voice.bars))
        for voice in tune.voices
    ]
    return replace(tune, voices=tuple(voices))


def abc(*rows: str) -> str:
    return to_abc(read(*rows)).partition("\nK:")[2]


@pytest.mark.parametrize("name", ["bach/bwv277.krn", "palestrina/Agnus_00.krn"])
def test_music21_reads_the_same_notes_at_the_same_times(name: str) -> None:
    path = CORPUS / name
    score = music21.converter.parse(path, format="humdrum", forceSource=True)
    theirs = sorted(
        (Fraction(note.offset), pitch.midi, Fraction(note.quarterLength))
        for part in score.stripTies().parts
        for note in part.flatten().notes
        for pitch in note.pitches
    )
    tune = without_repeats(parse(path.read_bytes(), str(path)).tunes[0])
    assert sorted((n.onset, n.midi, n.duration) for n in timeline(tune).notes) == theirs


def test_the_highest_spine_is_the_first_voice() -> None:
    tune = read("!!!OTL: Duet", "!!!COM: Me", "**kern **kern", '*I"Low *I"High', "4C 4c", "*- *-")
    assert [voice.name for voice in tune.voices] == ["High", "Low"]
    assert (tune.title, tune.composer) == ("Duet", "Me")


def test_meter_key_tuplets_graces_ties_and_bar_lines_are_read() -> None:
    rows = ["**kern", "*k[f#]", "*G:", "*M3/4", "8dq", "4gT", "12a", "12b", "12cc", "[4dd", "=2"]
    rows += ["4dd]", "4b+4g", "4f#;", "=3:|!", "2.G_", "==", "*-"]
    assert abc(*rows).replace("\n", " ").strip() == "G {/D}TG2 (3ABc d2- | d2 [BG]2 HF2 :| G,6- |]"


def test_a_spine_that_splits_and_joins_is_two_voices() -> None:
    tune = read("**kern", "*M2/4", "2c", "=", "*^", "4e 2c", "4f .", "*v *v", "=", "2g", "==", "*-")
    (voice,) = tune.voices
    assert [len(bar.overlays) for bar in voice.bars] == [0, 1, 0]


def test_syllables_and_dynamics_belong_to_the_spine_on_their_left() -> None:
    tune = read("**kern **text **dynam", "*M2/4 * *", "4c Ky- p", "4d -ri- <", "= = =", "2e -e ff")
    marks = [event.marks for event in tune.voices[0].events]
    assert [m.lyrics for m in marks] == [("Ky-",), ("ri-",), ("e",)]
    assert [m.decorations for m in marks] == [("p",), ("crescendo(",), ("ff",)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x: holds no **kern spine"),
        ("hello\tworld\n", "x:1: a line of 2 columns comes before any **kern"),
        ("**kern\t**kern\n4c\n", "x:2: a line of 1 columns does not fit its spines"),
        ("**dynam\np\n*-\n", "x: holds no **kern spine"),
        ("**kern\n*-\n", "x: holds no notes and no rests"),
        ("\t".join(["**kern"] * 300), "x:1: has more than 200 spines"),
        ("**kern\n" + "*^\n*^\t*^\n", "x: holds no notes"),
        ("\0\xff\n4c", "x:1: a line of 1 columns comes before"),
    ],
)
def test_what_is_no_kern_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(ParseError) as error:
        parse(text.encode(), "x")
    assert str(error.value).startswith(message)


def test_kern_is_read_by_extension_and_not_written(tmp_path: Path) -> None:
    path = tmp_path / "a.krn"
    path.write_text("**kern\n4c\n==\n*-\n")
    (tune,) = formats.read(path)
    with pytest.raises(UnsupportedFormatError):
        formats.write(tune, path)


def test_what_is_left_out_is_said_with_its_line() -> None:
    (tune,) = parse(b"**kern\t**fing\n*M4/4\t*\n4c\t1\n4d\t.\nd\t.\n*-\t*-\n", "x.krn").tunes
    assert [(w.what, w.line) for w in tune.warnings] == [
        ("a **fing spine left out", 1),
        ("notes without a duration left out", 5),
    ]


@pytest.mark.parametrize(
    ("row", "warning"),
    [
        ("4%0c", "notes without a duration left out"),
        ("1000000000c", "notes without a duration left out"),
        ("4%1000000000c", "notes without a duration left out"),
        ("4.........c", "notes without a duration left out"),
        ("nanc", "notes without a duration left out"),
        ("4", "signs of neither a note nor a rest, read as rests"),
        ("*M0/0", "interpretations that make no sense ('*M0/0'), left out"),
        ("*M-3/4", "interpretations that make no sense ('*M-3/4'), left out"),
        ("*MM0", "interpretations that make no sense ('*MM0'), left out"),
        ("*MM1e999", "interpretations that make no sense ('*MM1e999'), left out"),
        ("*MMnan", "interpretations that make no sense ('*MMnan'), left out"),
        ("*k[zz]", "interpretations that make no sense ('*k[zz]'), left out"),
    ],
)
def test_what_makes_no_sense_is_warned_of_with_its_line(row: str, warning: str) -> None:
    (tune,) = parse(f"**kern\n*M4/4\n4c\n{row}\n4d\n4e\n=\n*-\n".encode()).tunes
    assert [(w.what, w.line) for w in tune.warnings if w.line] == [(warning, 4)]
