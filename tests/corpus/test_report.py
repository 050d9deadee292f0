"""What a corpus holds, as plain data."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musicgen import corpus
from musicgen.corpus import report as survey
from musicgen.corpus.report_page import bar_chart, histogram, render_page

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
def report(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "book.abc").write_text(BOOK)
    (tmp_path / "bad.mid").write_bytes(b"?")
    found = corpus.load(tmp_path, val=0, test=0)
    facts: dict[str, Any] = survey.report(
        found, not_melodies=[corpus.Omitted("x:1", "A & B", "no <meter>")], irregular=["x:2"]
    )
    return facts


def test_a_report_counts_different_tunes(report: dict[str, Any]) -> None:
    assert report["tunes"] == 2
    assert report["keys"] == {"A dorian": 1, "D major": 1}
    assert report["modes"] == {"dorian": 1, "major": 1}
    assert report["meters"] == {"9/8": 1, "C|": 1}
    assert report["rhythms"] == {"reel": 1, "slip jig": 1}
    assert report["voices"] == {"1": 2}
    assert report["families"]["count"] == 2


def test_a_report_says_how_long_and_how_high(report: dict[str, Any]) -> None:
    assert report["notes"] == 7 + 32
    assert report["notes_per_tune"] == {
        "min": 7,
        "median": 19.5,
        "max": 32,
        "histogram": {"7": 2},
    }
    assert report["lowest_pitch"]["median"] == 65
    assert report["highest_pitch"]["max"] == 76
    assert report["range"]["min"] == 7


def test_a_report_lists_copies_and_what_could_not_be_read(report: dict[str, Any]) -> None:
    (copy,) = report["duplicates"]
    assert copy["id"].endswith("book.abc:15")
    assert copy["same_as"].endswith("book.abc:8")
    assert report["rejected_by_reason"] == {
        "not a MIDI file (no MThd at its start); export it again": 1
    }


def test_a_report_is_plain_data_with_the_sizes_of_the_splits(report: dict[str, Any]) -> None:
    splits = json.loads(json.dumps(report))["splits"]
    assert splits["train"] == {"tunes": 2, "families": 2, "notes": 39}
    assert splits["val"] == splits["test"] == {"tunes": 0, "families": 0, "notes": 0}


def test_messages_are_grouped_without_their_particulars() -> None:
    alike = ["bar 3 is 5/8 long, not '6/8'", "bar 12 is 7/8 long, not 'C|'"]
    assert {survey.kind_of(message) for message in alike} == {"bar ... is ... long, not ..."}


def test_every_tune_is_accounted_for(report: dict[str, Any]) -> None:
    assert report["outcomes"] == {"parsed": 2, "duplicate": 1, "rejected": 1}
    assert [tune["title"] for tune in report["every_tune"]] == ["One", "Two", "Two again", ""]
    assert report["not_melodies_by_reason"] == {"no <meter>": 1}


def test_a_tune_with_warnings_counts_as_repaired(tmp_path: Path) -> None:
    (tmp_path / "a.abc").write_text("X:1\nT:A\nM:2/4\nK:G\nGABc|d4 > |]\n")
    facts = survey.report(corpus.load(tmp_path))
    (tune,) = facts["every_tune"]
    assert tune["outcome"] == "repaired"
    assert tune["reason"].startswith("line 5:")
    assert sum(facts["warnings_by_kind"].values()) == 1
    assert not any(kind.startswith("line") for kind in facts["warnings_by_kind"])


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=60))
def test_a_histogram_counts_every_value_in_few_bins(values: list[int]) -> None:
    summary = survey._summary(values)
    bins = {int(low): n for low, n in summary["histogram"].items()}
    assert sum(bins.values()) == len(values)
    assert len(bins) <= 25
    assert min(bins) <= min(values)
    assert bins[max(bins)] >= sum(value >= max(bins) for value in values)


class Page(HTMLParser):
    """Tags that are open, and all that were met, with their attributes."""

    VOID = ("meta",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.met: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.met.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.met.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_fetches_and_runs_nothing(report: dict[str, Any]) -> None:
    page = Page(render_page(report))
    assert page.open == []
    tags = {tag for tag, _ in page.met}
    assert "svg" in tags
    assert not tags & {"script", "link", "img", "iframe", "object"}
    names = {name for _, attributes in page.met for name in attributes}
    assert not any(name.startswith("on") or name in ("src", "href") for name in names)


def test_what_a_file_says_cannot_become_markup(report: dict[str, Any]) -> None:
    evil = "<script>alert('x')</script>"
    report["families"]["members"] = [[{"id": evil, "title": evil}, {"id": "b", "title": ""}]]
    for key in ("sources", "notices", "irregular"):
        report[key] = [evil]
    for key in ("keys", "rhythms", "by_source", "warnings_by_kind"):
        report[key] = {evil: 1}
    for tune in [*report["every_tune"], *report["rejected"], *report["duplicates"]]:
        tune.update(dict.fromkeys(tune, evil) | {"outcome": "repaired"})
    text = render_page(report)
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_a_chart_names_its_bars_and_sums_up_the_least() -> None:
    counts = {f"k{i}": 100 - i for i in range(30)}
    chart = bar_chart(counts)
    assert chart.count("<rect") == 18
    assert "13 other" in chart
    assert bar_chart({}).startswith("<svg")
    assert histogram({"0": 4, "5": 0, "10": 8}).count("<rect") == 3
