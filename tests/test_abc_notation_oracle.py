"""ABC against abc2midi, an independent reader: the same notes, and the known differences."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from musicgen.formats.abc_notation import parse, parse_text
from musicgen.tune import Tune
from tests.test_abc_notation_writer import bundled

pytestmark = pytest.mark.skipif(shutil.which("abc2midi") is None, reason="needs abc2midi")
SCRIPT = Path(__file__).parent.parent / "scripts" / "compare_abc2midi.py"


@pytest.fixture(scope="module")
def compare() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compare_abc2midi", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tune(music: str, *, meter: str = "6/8") -> Tune:
    return parse_text(f"X:1\nT:t\nM:{meter}\nL:1/8\nK:D\n{music}\n").tunes[0]


SAME = [
    "|:ABc dfe|c>de B>cd:|[1 e3 d3:|[2 d6|]",
    "A|:B2c d2e:|f2g a2b|g6|]",
    "^cc'C =c3|^c6-|c6|(3ABc (5ABcde (9A,//B,//C//D//E//F//G//A//B//|",
    '(">"D>B,) (c"0"<A)|(A>{Bd})F F<<A AF>>c|',
    "[D^A]2 [CE2]/ z2|Z2|HA2 x4|G3-A2-A|",
    "A2 [M:2/4]B2 [K:Bb] e2|[L:1/4]f g|",
]


@pytest.mark.parametrize("music", SAME)
def test_the_same_is_played(music: str, compare: ModuleType, tmp_path: Path) -> None:
    assert compare.judge(tune(music), tmp_path)[0] == "agree"


# Why it plays otherwise, and what it makes of it.
KNOWN = [
    ("a Z among notes is a slip for z; there it is a whole bar", "G3 ZAB|c6|"),
    ("chords between + signs are older than its grammar", "+E3A3+ cBA|"),
    ("each note of a chord has its own length; there all have the first's", "[a2c]2 B2|c6|"),
    ("music on the line of an M: field is not left out", "A6|\nM:9/8 EDC DA,B, CDE|\nA3|"),
]


@pytest.mark.parametrize(("why", "music"), KNOWN, ids=[w for w, _ in KNOWN])
def test_known_differences(why: str, music: str, compare: ModuleType, tmp_path: Path) -> None:
    assert compare.judge(tune(music), tmp_path)[0] != "agree"


def test_only_compound_meters_make_a_five_in_the_time_of_three(
    compare: ModuleType, tmp_path: Path
) -> None:
    """By 4.13, 3/4 is not compound; abc2midi takes three there too."""
    run = "(5A/B/c/d/e/ f2|"
    assert compare.judge(tune(run, meter="2/4"), tmp_path)[0] == "agree"
    assert compare.judge(tune(run, meter="3/4"), tmp_path)[0] == "differ"


def test_repeats_from_a_double_bar_differ_in_order_only(
    compare: ModuleType, tmp_path: Path
) -> None:
    """By 4.8 a repeat without a beginning goes back to the double bar; there, further."""
    verdict, _ = compare.judge(tune("A6|B6|]c6|d6:|"), tmp_path)
    assert verdict == "agree but for the order of repeats"


@pytest.mark.slow
@pytest.mark.parametrize("collection", ["oneills1850", "ryansMammoth", "airdsAirs"])
def test_the_same_notes_in_nearly_every_bundled_tune(
    collection: str, compare: ModuleType, tmp_path: Path
) -> None:
    verdicts = [
        compare.judge(tune, tmp_path)[0]
        for path in bundled(collection)
        for tune in parse(path.read_bytes(), str(path)).tunes
    ]
    same, differ = sum(v.startswith("agree") for v in verdicts), verdicts.count("differ")
    assert same / (same + differ) >= 0.995
