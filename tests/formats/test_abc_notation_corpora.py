"""ABC as corpora and web pages have it: tunes without X:, tokens apart, remnants of HTML."""

from __future__ import annotations

import pytest

from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.music.tune import Tune

# The form of folk-rnn's data sets: no X:, no T:, a blank line between tunes (ABC 2.1, 2.2).
FOLK_RNN = """\
M:4/4
K:Cmaj
|: G A B c 2 d /2 e 3/2 c | (3 c d e 2 [ C E ] 2 z 2 |1 c' 4 G 4 :| |2 A > B c < d G 4 |]

M:6/8
K:Ddor
|: d 2 c A 3 | G A B ^c d e :|

M:4/4
K:Gmaj
G 8 | [ G 2 B 2 ] 3 c 2 |
"""


def music_of(tune: Tune) -> str:
    return to_abc(tune).split("\nK:")[1].rstrip("\n")


def test_tunes_without_x_and_with_tokens_apart_are_read_one_by_one() -> None:
    reading = parse_text(FOLK_RNN)
    assert [music_of(tune) for tune in reading.tunes] == [
        "C\n|: GA Bc2d<ec | (3cde2 [CE]2z2 |1 c'4 G4 :|2 A>B c<d G4 |]",
        "Ddor\n|: d2c A3 | GAB ^cde :|",
        "G\nG8 | [GB]6 c2 |",
    ]
    assert [tune.source.line for tune in reading.tunes if tune.source] == [1, 5, 9]
    assert not [tune.warnings for tune in reading.tunes if tune.warnings]
    assert not reading.rejected


def test_a_change_after_a_blank_line_still_belongs_to_a_tune_with_x() -> None:
    (tune,) = parse_text("X:1\nT:t\nM:4/4\nL:1/8\nK:C\nC8|\n\nM:3/4\nK:G\nF6|\n").tunes
    assert len(tune.bars) == 2


@pytest.mark.parametrize(
    ("music", "expected"),
    [("A4 | 1 B4 :| 2 c4 |]", "A4 |1 B4 :|2 c4 |]"), ("A4|2 B4|", "A4 |2 B4 |")],
)
def test_numbers_after_a_bar_line_are_endings(music: str, expected: str) -> None:
    (tune,) = parse_text(f"X:1\nT:t\nM:2/4\nL:1/8\nK:C\n{music}\n").tunes
    assert music_of(tune) == f"C\n{expected}"


# No HTML is ABC: the notes are those between the tags; entities stand for their characters.
MARKUP = [
    ("AB<br>cd|e4|<br/>", "AB cd | e4 |"),
    ("<p>A2c2|</p>\n&nbsp;\n<BR />e4|", "A2 c2 | e4 |"),
    ("A&gt;B c&lt;d &amp; e4|", "A>B c<d & e4 |"),
    ("&quot;Am&quot;A4|", '"Am"A4 |'),
    ('<span class="x">A4</span>|', "A4 |"),
    ("A<b>c d|", "A/b9/4c/d |"),  # broken rhythm
    ("F<<A AF>>c|", "F<<A AF>>c |"),
    ('"&lt;br&gt;"A4|', '"<br>"A4 |'),
]


@pytest.mark.parametrize(("music", "expected"), MARKUP, ids=[music for music, _ in MARKUP])
def test_html_left_in_a_tune_is_no_music(music: str, expected: str) -> None:
    (tune,) = parse_text(f"X:1\nT:t\nM:2/4\nL:1/8\nK:C\n{music}\n").tunes
    assert music_of(tune) == f"C\n{expected}"


def test_html_around_fields_is_left_out_and_said() -> None:
    page = "<pre>X:7<br>\nT:The&nbsp;Reel<br/>\nR:reel<br>\nM:4/4\nL:1/8\nK:D<br>\nd8|]</pre>\n"
    (tune,) = parse_text(page).tunes
    assert (tune.number, tune.title, tune.rhythm, tune.key.tonic) == (7, "The Reel", "reel", "D")
    assert [w.what for w in tune.warnings] == ["tags of HTML are left out"]


def test_a_fault_behind_markup_keeps_its_column() -> None:
    (tune,) = parse_text("X:1\nT:t\nL:1/8\nK:D\nA<br>B&amp;c ] d|\n").tunes
    assert [(w.what, w.column) for w in tune.warnings if "HTML" not in w.what] == [
        ("']' closes nothing; left out", 14)
    ]
