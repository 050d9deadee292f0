"""Pages and notebooks: a score and a player for every tune, nothing from outside."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import musicgen
from musicgen.formats.abc_notation import parse
from musicgen.formats.audio import recorder
from musicgen.formats.webpage import MAX_SHOWN, PageEntry, page
from musicgen.music.tune import Tune

ABC = 'X:1\nT:The <Best> & "Last"\nR:jig\nM:6/8\nL:1/8\nK:D\nDFA d2A|B3 B2A|]\n'
VOID = {"meta", "input", "link", "br"}


class Balance(HTMLParser):
    """Fails where an element is closed that is not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def tune() -> Tune:
    return parse(ABC.encode(), "").tunes[0]


@pytest.fixture(autouse=True)
def short_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings have their own tests; here they only have to be put in."""
    monkeypatch.setattr(recorder, "render_mp3", lambda tunes: b"ID3")


def test_tunes_are_written_as_a_page(tune: Tune, tmp_path: Path) -> None:
    musicgen.write([tune, tune], tmp_path / "x.html", title="Two")
    html = (tmp_path / "x.html").read_text()
    assert html.count("<svg ") == 2
    assert "<title>Two</title>" in html


def test_a_page_shows_and_plays_every_tune(tune: Tune) -> None:
    html = page([PageEntry(tune, {"ABC": "best.abc"})] * 5, title="A & B")
    assert html.count("<svg ") == html.count("<audio ") == html.count('href="best.abc"') == 5
    assert "<title>A &amp; B</title>" in html
    assert 'type="search"' in html


def test_a_page_needs_nothing_from_outside(tune: Tune) -> None:
    html = page([PageEntry(tune, {})], title="Tunes")
    addresses = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert all(a.startswith(("#", "data:audio/mpeg;base64,SUQz")) for a in addresses)
    assert "<script src" not in html
    assert "@import" not in html
    assert "url(" not in html


def test_titles_cannot_break_the_page(tune: Tune) -> None:
    html = page([PageEntry(tune, {})], title="<script>")
    assert "<Best>" not in html
    balance = Balance()
    balance.feed(html)
    assert balance.open == []


def test_a_tune_that_cannot_be_engraved_says_why() -> None:
    html = page([PageEntry(Tune(title="Empty"), {})], title="Tunes")
    assert "&#x27;Empty&#x27;: there is no music to write" in html


def test_a_notebook_shows_score_and_player_of_a_tune(tune: Tune) -> None:
    bundle = tune._repr_mimebundle_(include=None, exclude=None)
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/html"].count("<svg ") == bundle["text/html"].count("<audio ") == 1


def test_a_notebook_shows_a_gallery_of_several(tune: Tune) -> None:
    shown = musicgen.show([tune] * (MAX_SHOWN + 2))
    html = shown._repr_html_()
    assert html.count("<svg ") == MAX_SHOWN
    assert "and 2 more" in html
    assert repr(musicgen.show(tune)) == tune.title
