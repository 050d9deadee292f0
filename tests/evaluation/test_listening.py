"""The page for blind listening, in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicgen.errors import ConfigError
from musicgen.evaluation.listening import listening_page
from musicgen.formats.abc_notation import parse_text
from musicgen.music.tune import Tune
from tests.studio_browser import browser

TUNE = "X:1\nT:Secret {n}\nC:Nobody\nR:jig\nM:6/8\nL:1/8\nK:D\n|:A3 A3|d3 {last}3:|\n"


def tunes(last: str, n: int = 3) -> list[Tune]:
    """Short tunes whose last note tells the set."""
    return [parse_text(TUNE.format(n=i, last=last)).tunes[0] for i in range(n)]


def test_nothing_on_the_page_names_a_tune_and_too_few_are_refused() -> None:
    page = listening_page(tunes("d"), tunes("f"), n=4)
    assert "Secret" not in page
    assert "Nobody" not in page
    assert page.count("<audio") == 4
    assert page == listening_page(tunes("d"), tunes("f"), n=4)
    assert page != listening_page(tunes("d"), tunes("f"), n=4, seed=1)
    for n in (3, 8):
        with pytest.raises(ConfigError, match=f"{n} tunes to listen to: half of them are real"):
            listening_page(tunes("d"), tunes("f"), n=n)


def test_the_verdicts_are_counted_with_their_interval(tmp_path: Path) -> None:
    """New tunes are told by their drawn score alone: nothing else in the page differs."""
    path = tmp_path / "page.html"
    path.write_text(listening_page(tunes("d", 10), tunes("A", 10), n=20, seed=3))
    with browser() as chromium:
        page = chromium.new_page()
        page.goto(path.as_uri())
        page.check("input[name=tune0][value=known]")
        for i in range(1, 20):
            page.check(f"input[name=tune{i}][value=new]")
        page.click("text=Result")
        truth = [page.inner_text(f"#answer{i}") for i in range(20)]
        assert sorted(truth) == ["new"] * 10 + ["real"] * 10
        n_new = truth[1:].count("new")
        said = page.inner_text("#result")
        assert f"right about {n_new} of 19 tunes" in said
        assert "You knew 1" in said
        assert "cannot surely" in said
        for i in range(20):
            page.check(f"input[name=tune{i}][value={truth[i]}]")
        page.click("text=Result")
        # Wilson's interval of 20 of 20.
        said = page.inner_text("#result")
        assert "right about 20 of 20 tunes: 100 % (95 % interval 84 to 100 %)" in said
        assert "You can tell them apart" in said
