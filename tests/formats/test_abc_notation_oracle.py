"""ABC against abc2midi, an independent reader: the same notes, and the known differences."""

from __future__ import annotations

import importlib
import shutil
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.music.tune import Tune
from tests import DATA
from tests.bundled import abc_files

pytestmark = pytest.mark.skipif(shutil.which("abc2midi") is None, reason="needs abc2midi")
EXPLAINED = DATA / "abc2midi_differences.md"


@pytest.fixture(scope="module")
def compare() -> ModuleType:
    return importlib.import_module("scripts.checks.abc2midi")


def tune(music: str, *, meter: str = "6/8") -> Tune:
    return parse_text(f"X:1\nT:t\nM:{meter}\nL:1/8\nK:D\n{music}\n").tunes[0]


EQUAL = ("equal as played", "equal though abc2midi reports an error")
SAME = [
    "|:ABc dfe|c>de B>cd:|[1 e3 d3:|[2 d6|]",
    "A|:B2c d2e:|f2g a2b|g6|]",
    "^cc'C =c3|^c6-|c6|(3ABc (5ABcde (9A,//B,//C//D//E//F//G//A//B//|",
    '(">"D>B,) (c"0"<A)|(A>{Bd})F F<<A AF>>c|',
    "[D^A]2 [CE2]/ z2|Z2|HA2 x4|G3-A2-A|",
    "A2 [M:2/4]B2 [K:Bb] e2|[L:1/4]f g|",
    "[K:EM]c2 f2 g2|",
]


@pytest.mark.parametrize("music", SAME)
def test_the_same_is_played(music: str, compare: ModuleType, tmp_path: Path) -> None:
    assert compare.judge(tune(music), tmp_path)[0] in EQUAL


# Why it plays otherwise, and what it makes of it.
KNOWN = [
    ("a Z among notes is a slip for z; there it is a whole bar", "G3 ZAB|c6|"),
    ("chords between + signs are older than its grammar", "+E3A3+ cBA|"),
    ("each note of a chord has its own length; there all have the first's", "[a2c]2 B2|c6|"),
    ("music on the line of an M: field is not left out", "A6|\nM:9/8 EDC DA,B, CDE|\nA3|"),
]


@pytest.mark.parametrize(("why", "music"), KNOWN, ids=[w for w, _ in KNOWN])
def test_known_differences(why: str, music: str, compare: ModuleType, tmp_path: Path) -> None:
    assert compare.judge(tune(music), tmp_path)[0] == "different"


def test_only_compound_meters_make_a_five_in_the_time_of_three(
    compare: ModuleType, tmp_path: Path
) -> None:
    """By 4.13, 3/4 is not compound; abc2midi takes three there too."""
    run = "(5A/B/c/d/e/ f2|"
    assert compare.judge(tune(run, meter="2/4"), tmp_path)[0] == "equal as played"
    assert compare.judge(tune(run, meter="3/4"), tmp_path)[0] == "different"


# Music that is played in another order, and how it compares.
ORDER = [
    ("a final bar line", "A6|B6|]c6|d6:|", "equal with plain repeat signs"),
    ("endings", "A6|1B6:|2c6||d6|e6:|", "equal with plain repeat signs"),
    ("a last ending that is closed by :|", "|:A6|1B6:|2c6:|", "equal with plain repeat signs"),
    ("da capo", "A6|B6|!D.C.!c6|]", "equal with jumps left out"),
    ("a first ending alone in having a number", "A6|1B6:|c6|]", "equal as played"),
]


@pytest.mark.parametrize(("what", "music", "verdict"), ORDER, ids=[o[0] for o in ORDER])
def test_the_order_of_playing(
    what: str, music: str, verdict: str, compare: ModuleType, tmp_path: Path
) -> None:
    assert compare.judge(tune(music), tmp_path)[0] == verdict


def test_beams_of_half_bars_are_read_as_they_were(compare: ModuleType, tmp_path: Path) -> None:
    piece = tune("GABc dedB|c2 (3ABc d>e f/g/a|z2 AB cdef|]", meter="C")
    again = parse_text(to_abc(piece)).tunes[0]
    assert again == piece
    assert compare.judge(again, tmp_path)[0] == "equal as played"


def explained() -> dict[tuple[str, int], str]:
    """File and line of each tune in the list of differences, and the verdict on it."""
    rows = [line.strip("| ").split(" | ") for line in EXPLAINED.read_text().splitlines()]
    reasons = {row[0] for row in rows if len(row) == 2}
    listed = [row for row in rows if len(row) == 5 and row[1].isdigit()]
    assert reasons.issuperset(why for row in listed for why in row[4].split(", "))
    return {(row[0], int(row[1])): row[3] for row in listed}


@pytest.mark.slow
@pytest.mark.parametrize("collection", ["oneills1850", "ryansMammoth", "airdsAirs"])
def test_every_difference_in_the_bundled_tunes_is_explained(
    collection: str, compare: ModuleType, tmp_path: Path
) -> None:
    found = Counter[str]()
    differing: dict[tuple[str, int], str] = {}
    for path in abc_files(collection):
        for tune, verdict, _ in compare.compare(path, tmp_path):
            found[verdict] += 1
            if verdict in ("equal with plain repeat signs", "different"):
                differing[path.name, tune.source.line] = verdict
    names = {path.name for path in abc_files(collection)}
    assert differing == {place: v for place, v in explained().items() if place[0] in names}
    judged = sum(found[verdict] for verdict in compare.JUDGED)
    assert found["different"] / judged <= 0.005
