"""What a corpus holds, as plain data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from musicgen import corpus, survey

SCALE = "CDEFGABc|dcBAGFED"
BOOK = f"""X:1
T:One
R:Slip-Jig
M:9/8
K:Ador
A3 B3 c3|e3 d3 B3|A9|]

X:2
T:Two
R:reel
M:C|
K:D
{SCALE}|{SCALE[::-1].replace("|", "")}|]

X:3
T:Two again
M:C|
K:D
{SCALE}|{SCALE[::-1].replace("|", "")}|]
"""


@pytest.fixture
def report(tmp_path: Path) -> dict[str, object]:
    (tmp_path / "book.abc").write_text(BOOK)
    (tmp_path / "bad.mid").write_bytes(b"?")
    facts: dict[str, object] = survey.report(corpus.load(tmp_path, val=0, test=0))
    return facts


def test_a_report_counts_different_tunes(report: dict[str, object]) -> None:
    assert report["tunes"] == 2
    assert report["keys"] == {"A dorian": 1, "D major": 1}
    assert report["modes"] == {"dorian": 1, "major": 1}
    assert report["meters"] == {"9/8": 1, "C|": 1}
    assert report["rhythms"] == {"reel": 1, "slip jig": 1}
    assert report["voices"] == {"1": 2}
    assert report["families"]["count"] == 2  # type: ignore[index]


def test_a_report_says_how_long_and_how_high(report: dict[str, object]) -> None:
    assert report["notes"] == 7 + 32
    assert report["notes_per_tune"] == {"min": 7, "median": 19.5, "max": 32}
    assert report["lowest_pitch"] == {"min": 61, "median": 65, "max": 69}
    assert report["highest_pitch"] == {"min": 74, "median": 75, "max": 76}


def test_a_report_lists_copies_and_what_could_not_be_read(report: dict[str, object]) -> None:
    (copy,) = report["duplicates"]  # type: ignore[misc]
    assert copy["id"].endswith("book.abc:15")  # type: ignore[has-type]
    assert copy["same_as"].endswith("book.abc:8")  # type: ignore[has-type]
    assert report["rejected_by_reason"] == {
        "not a MIDI file (no MThd at its start); export it again": 1
    }


def test_a_report_is_plain_data_with_the_sizes_of_the_splits(report: dict[str, object]) -> None:
    splits = json.loads(json.dumps(report))["splits"]
    assert splits["train"] == {"tunes": 2, "families": 2, "notes": 39}
    assert splits["val"] == splits["test"] == {"tunes": 0, "families": 0, "notes": 0}


def test_messages_are_grouped_without_their_particulars() -> None:
    alike = ["bar 3 is 5/8 long, not '6/8'", "bar 12 is 7/8 long, not 'C|'"]
    assert {survey.kind_of(message) for message in alike} == {"bar ... is ... long, not ..."}
