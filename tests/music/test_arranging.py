"""Tunes cut short and made other dances: what is kept, what is refused."""

from __future__ import annotations

import pytest

from musicgen.errors import ControlError
from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.music.arranging import cut, one_voice, to_rhythm
from musicgen.music.playback import melody
from musicgen.music.tune import Tune
from musicgen.music.validation import validate

KESH = """X:1
T:Kesh
R:jig
M:6/8
L:1/8
Q:3/8=110
K:G
D|:G3 GAB|"D"A3 ABd|edd gdd|(3efg e BAG:|
|:d|B2d d2B|G>AB c3|[GB]2z A3-|A3 G2:|
"""


def read(abc: str) -> Tune:
    (tune,) = parse_text(abc).tunes
    return tune


def music(tune: Tune) -> str:
    return to_abc(tune).partition("\nK:")[2].partition("\n")[2]


def test_three_eighths_become_a_quarter_and_two_eighths() -> None:
    reel = to_rhythm(read(KESH), "reel")
    assert (str(reel.meter), reel.rhythm, reel.tempo) == ("C|", "reel", None)
    assert music(reel).splitlines()[1] == '|: G4 G2AB | "D"A4 A2Bd | e2dd g2dd | e5/4fg3/4e B2AG :|'


def test_equal_notes_get_the_lilt_of_a_jig() -> None:
    reel = read("X:1\nT:R\nR:reel\nM:C|\nK:D\nA2|d2fd e2ce|A4 B4|d6|]\n")
    assert music(to_rhythm(reel, "jig")) == "A | d2f/d/ e2c/e/ | A3 B3 | d5 |]\n"


@pytest.mark.parametrize(
    ("rhythm", "meter"),
    [
        ("polka", "2/4"),
        ("hornpipe", "C"),
        ("march", "6/8"),
        ("slide", "6/8"),
        ("Single Jig", "6/8"),
    ],
)
def test_a_dance_has_the_meter_that_goes_with_it(rhythm: str, meter: str) -> None:
    assert str(to_rhythm(read(KESH), rhythm).meter) == meter


def test_a_triplet_stays_one_where_all_is_stretched_alike() -> None:
    reel = read("X:1\nT:R\nR:reel\nM:C|\nK:D\n(3ABc d2 e4|]\n")
    polka = to_rhythm(reel, "polka")
    assert [event.tuplet is not None for event in polka.bars[0].timed] == [True] * 3 + [False] * 2
    assert polka.bars[0].duration == 2


@pytest.mark.parametrize("rhythm", ["reel", "polka", "slide", "strathspey", "jig"])
def test_notes_bars_and_repeats_stay(rhythm: str) -> None:
    before = read(KESH.replace("A3-", "A3"))
    after = to_rhythm(before, rhythm)
    pitches = [[midi for midi, _ in melody(tune.voices[0])] for tune in (before, after)]
    assert pitches[0] == pitches[1]
    signs = [[(b.repeat_start, b.repeat_end, b.barline) for b in t.bars] for t in (before, after)]
    assert signs[0] == signs[1]
    faults = [{(fault.bar, fault.kind) for fault in validate(tune)} for tune in (before, after)]
    assert faults[0] == faults[1]
    assert read(to_abc(after)) == after


@pytest.mark.parametrize(
    ("abc", "rhythm", "message"),
    [
        (
            KESH,
            "waltz",
            "rhythm: a waltz has other beats in a bar than 6/8; its meters are 3/4, 3/8",
        ),
        (KESH, "tango", "rhythm 'tango': no dance that is known; use jig, "),
        (
            KESH.replace("edd gdd", "[M:9/8]edd gdd edd"),
            "reel",
            "rhythm: the tune changes its meter",
        ),
        (KESH.replace("M:6/8", "M:none"), "reel", "rhythm: a reel has other beats"),
        (KESH.replace("M:6/8", "M:7/8"), "reel", "rhythm: a reel has other beats"),
    ],
)
def test_what_cannot_be_danced_is_refused(abc: str, rhythm: str, message: str) -> None:
    with pytest.raises(ControlError) as error:
        to_rhythm(read(abc), rhythm)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("place", "end"),
    [
        ((0, 0), None),
        ((1, 0), "D |\n"),
        ((1, 1), "D |\n|: G3\n"),
        ((4, 2), "edd gdd | (3ef\n"),
        ((6, 1), ":|\n|: d | B2\n"),
        ((9, 1), "| G>AB c3 | [GB]2z A3- | A3\n"),
        ((9, 0), "| G>AB c3 | [GB]2z A3 |\n"),
        ((9, 2), None),
        ((99, 0), None),
        ((-1, 0), None),
    ],
)
def test_a_tune_is_cut_before_any_note(place: tuple[int, int], end: str | None) -> None:
    tune = read(KESH)
    if end is None:
        with pytest.raises(ControlError, match="place"):
            cut(tune, place)
        return
    assert music(cut(tune, place)).endswith(end)


def test_other_voices_stop_at_the_same_bar() -> None:
    duet = read("X:1\nT:D\nM:2/4\nL:1/8\nK:D\nV:1\nABcd|efga|\nV:2\nD4|E4|\n")
    assert [len(voice.bars) for voice in cut(duet, (1, 2)).voices] == [2, 1]


def test_one_voice_is_a_line_of_its_own() -> None:
    tune = read("X:1\nT:Two\nM:2/4\nL:1/8\nK:D\nV:1\nABcd & F4|d4|]\nV:2\nDEFG|D4|]\n")
    assert [music(one_voice(tune, n)) for n in (1, 2)] == ["AB cd | d4 |]\n", "DE FG | D4 |]\n"]
    for number in (0, 3, -1):
        with pytest.raises(ControlError, match=f"voice {number}: the tune has 2"):
            one_voice(tune, number)
