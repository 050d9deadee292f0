"""Clefs by name."""

from __future__ import annotations

import pytest

from musicgen.music.clefs import Clef, clef_name, clef_octave, parse_clef

CLEFS = {
    "treble": Clef("G", 2),
    "treble-8": Clef("G", 2, -1),
    "bass+8": Clef("F", 4, 1),
    "alto-15": Clef("C", 3, -2),
    "tenor+15": Clef("C", 4, 2),
    "soprano": Clef("C", 1),
    "bass3": Clef("F", 3),
    "treble1": Clef("G", 1),
    "perc": Clef("percussion", 0),
}


@pytest.mark.parametrize(("name", "clef"), CLEFS.items())
def test_a_clef_and_its_name(name: str, clef: Clef) -> None:
    assert parse_clef(name) == clef
    assert clef_name(clef) == name


@pytest.mark.parametrize(
    ("name", "usual"),
    [("Bass", "bass"), ("G2-8", "treble-8"), ("F", "bass"), ("baritone", "bass3")],
)
def test_other_names(name: str, usual: str) -> None:
    assert parse_clef(name) == parse_clef(usual)


@pytest.mark.parametrize("name", ["", "none", "treble-", "treble-9", "xyz", "treble8"])
def test_no_clef(name: str) -> None:
    assert parse_clef(name) is None
    assert clef_octave(name) == 0


def test_a_sign_without_a_name() -> None:
    assert clef_name(Clef("TAB", 5)) == ""
    assert clef_name(Clef("G", 2, 3)) == "treble"
