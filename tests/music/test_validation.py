"""Validation: what does not add up is named with its bar, and only that."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.music.theory import Meter, Pitch
from musicgen.music.tune import Bar, Note, Tune, Tuplet, Voice
from musicgen.music.validation import KINDS, fix, validate


def read(music: str, *, meter: str = "3/4") -> Tune:
    return parse_text(f"X:1\nT:t\nM:{meter}\nL:1/4\nK:C\n{music}\n").tunes[0]


SOUND = [
    "A3|B3|]",
    "A|B3|c2|]",  # the last bar makes up the pickup
    "A|B3|c2:|d|e3|f2:|",  # in every section
    "|:A|B3|c2:|\n|:d|e3|f2:|",
    "|:A|B3|[1c2:|[2 c2|]",  # in every ending
    "|:A|B3|[1 c2:|[2 c2||A|B2A|c2|]",
    "A3|B3|[1 c3:|[2 c3|]",
    "A3|B2 [1 c:|[2 d|]",  # endings that begin within a bar
    "A3|[M:2/4]B2|c2|]",
    "A2||B|c3|]",  # a double bar within a bar
    "A3-|A3|]",
    "|:A3-|A3:|",
    "(3A/B/c/ d2|]",
    "[V:1]A3|B3|]\n[V:2]C3|D3|]",
    "Z2|A3|]",
]


@pytest.mark.parametrize("music", SOUND)
def test_sound_music_has_no_problems(music: str) -> None:
    assert [str(p) for p in validate(read(music))] == []


WRONG = [
    ("A3|B4|c3|]", 2, "long", "it is 1 long: 4 of 3 quarters"),
    ("A3|B2|c3|]", 2, "short", "it is 1 short: 2 of 3 quarters"),
    ("A|B3|c3|]", 3, "complement", "it is 3 quarters; after a pickup of 1 the last bar is 2"),
    ("A|B3|c:|d|e3|f2|]", 3, "short", "it is 2 short: 1 of 3 quarters"),
    ("A3|B3|c2|]", 3, "short", "it is 1 short: 2 of 3 quarters"),
    ("A3|:B3|c3|]", 2, "unclosed repeat", "the repeat is never closed"),
    ("A3||B3|c3:|", 2, "unopened repeat", "bar 3 repeats from here without '|:'"),
    ("|:A3|[1B3|[2c3|]", 2, "ending", "ending 1 does not close with ':|'"),
    ("|:A3|B3:|[2c3|]", 3, "ending", "ending 2 follows no ending 1"),
    ("A3|B3", 2, "final bar line", "the music stops without a bar line"),
    ("A3|C,,,,,,3|]", 2, "range", "C-2 is outside MIDI's range"),
    ("A3|B2-z|]", 2, "tie", "a tie leads to no note of its pitch"),
    ("A3|B3-", 2, "tie", "a tie leads to no note of its pitch"),
    ("A3|B2 (3c/d/", 2, "tuplet", "a tuplet has too few notes"),
    ("[V:1]A3|B3|]\n[V:2]C3|]", 0, "voices", "it plays for 3 quarters, the first voice for 6"),
]


@pytest.mark.parametrize(("music", "bar", "kind", "message"), WRONG, ids=[w[0] for w in WRONG])
def test_what_is_wrong_is_named(music: str, bar: int, kind: str, message: str) -> None:
    found = [(p.bar, p.kind, p.message) for p in validate(read(music))]
    assert (bar, kind, message) in found
    assert all(p.kind in KINDS for p in validate(read(music)))


def test_a_problem_has_its_place_in_the_file() -> None:
    tune = parse_text("\n\nX:1\nM:3/4\nL:1/4\nK:C\nA3|B3|\nc3| d4|e3|]\n").tunes[0]
    (problem,) = validate(tune)
    assert (problem.bar, problem.line, problem.column) == (4, 8, 5)
    assert str(problem) == "bar 4: it is 1 long: 4 of 3 quarters"


def test_free_meter_has_no_wrong_lengths() -> None:
    assert validate(read("A|B5|c2|]", meter="none")) == ()


def test_tunes_that_no_file_gave_have_no_place() -> None:
    note = Note(Pitch("C", 0, 4), Fraction(1), tuplet=Tuplet(3, 2, 3, 1))
    bar = Bar(events=(note,), barline="|]")
    found = validate(Tune(meter=Meter((1,), 4), voices=(Voice(bars=(bar,)),)))
    assert [(p.kind, p.line) for p in found] == [("tuplet", 0)]


def test_a_repeat_that_plays_for_ever_is_named() -> None:
    tune = replace(read("A3|]"), parts="(" * 5 + "A" + ")99" * 5)
    tune = replace(tune, voices=read("[P:A]A3|]").voices)
    assert {p.kind for p in validate(tune)} <= {"order"}


REPAIRS = [
    ("A3|B3", ("bar 2: added the final bar line",), "A3 | B3 |]"),
    ("|:A3|B3|]", ("bar 2: closed the repeat",), "|: A3 | B3 :|]"),
    ("A3||B3|c3:|", ("bar 2: opened the repeat that ends in bar 3",), "A3 ||\n|: B3 | c3 :|"),
    ("A3|B3:|", (), "A3 | B3 :|"),
    ("A3|B4|]", (), "A3 | B4 |]"),
]


@pytest.mark.parametrize(("music", "said", "text"), REPAIRS, ids=[r[0] for r in REPAIRS])
def test_only_what_has_one_repair_is_repaired(music: str, said: tuple[str, ...], text: str) -> None:
    fixed, told = fix(read(music))
    assert told == said
    assert to_abc(fixed).split("K:C\n")[1] == f"{text}\n"
    assert fix(fixed) == (fixed, ())
