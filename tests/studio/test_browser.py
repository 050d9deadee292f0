"""The studio as a person uses it: the page in a browser, and the server that `musicgen studio` is.

Composing, playing, continuing an upload, rewriting bars, undoing, taking away in every format, and
a link that gives the same take again.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from musicgen.formats import rendered
from musicgen.formats.abc_notation import parse_text
from musicgen.studio.requests import FORMATS
from tests.studio_browser import Visit, browser, visit

pytestmark = pytest.mark.slow

TUNE = """X:1
T:A beginning
R:jig
M:6/8
L:1/8
K:D
A|dfe d2A|BAF A2A|dfe d2e|fed e2A|dfe d2A|BAF A2e|fdf ede|d3 d2|]
"""
# How a file of each format begins.
BEGINNINGS = {
    "abc": rb"X:",
    "mid": rb"MThd",
    "musicxml": rb"<\?xml",
    "svg": rb"<svg",
    "png": rb"\x89PNG",
    "pdf": rb"%PDF",
    "wav": rb"RIFF....WAVE",
    "ogg": rb"OggS",
    "mp3": rb"ID3|\xff[\xe0-\xff]",
    "flac": rb"fLaC",
    "zip": rb"PK",
}


@contextmanager
def served(*options: str) -> Iterator[str]:
    """The address of a studio that runs."""
    command = [sys.executable, "-m", "musicgen", "studio", "--port", "0", "--no-browser", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                          env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:  # fmt: skip
        assert process.stderr is not None
        found = re.search(r"http://\S+", process.stderr.readline())
        assert found is not None
        yield found[0]
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served() as found:
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture
def here(chromium: Any, address: str) -> Iterator[Visit]:
    with visit(
        chromium,
        viewport={"width": 1280, "height": 800},
        permissions=["clipboard-read", "clipboard-write"],
    ) as found:
        found.page.set_default_timeout(60_000)
        found.page.goto(address)
        found.page.locator("body[data-ready]").wait_for()
        yield found


def test_a_studio_for_others_works_with_its_token(chromium: Any) -> None:
    with served("--host", "0.0.0.0") as address, visit(chromium) as other:
        token = address.partition("?token=")[2]
        local = re.sub(r"//[^:/]+", "//127.0.0.1", address)
        other.page.goto(local + "#kind=generate&seed=1&number=1&bars=4")
        other.takes(1, timeout=90_000)
        assert token not in other.page.url
        other.page.reload()  # by its cookie, and what the page remembers
        other.takes(1, timeout=90_000).get_by_role("button", name="Play").click()
        other.page.locator(".score .sounding").first.wait_for()


def compose(here: Visit, number: int, seed: int = 7, **fields: str) -> Any:
    page = here.page
    page.get_by_label("Takes", exact=True).first.fill(str(number))
    page.get_by_label("Seed", exact=True).first.fill(str(seed))
    for label, value in {"Rhythm": "jig", **fields}.items():
        page.get_by_label(label, exact=True).select_option(value)
    page.locator("form:visible").get_by_role("button", name="Compose").click()
    return here.takes(number, timeout=90_000)


def put_on_the_desk(here: Visit, abc: str) -> Any:
    page = here.page
    page.get_by_role("button", name="Change", exact=True).first.click()
    page.get_by_label("ABC text of the tune").fill(abc)
    page.locator(".desk").get_by_role("tab", name="Score").wait_for()
    page.locator(".desk").get_by_role("tab", name="Score").click()
    page.locator(".desk .target.bar").first.wait_for()
    return page.locator(".desk")


def desk_abc(here: Visit) -> str:
    return str(here.page.get_by_label("ABC text of the tune").input_value())


def test_takes_come_as_they_are_sampled_and_play(here: Visit) -> None:
    page = here.page
    page.get_by_label("Takes", exact=True).first.fill("2")
    page.get_by_label("Rhythm", exact=True).select_option("reel")
    page.get_by_label("Key", exact=True).select_option("A")
    page.get_by_label("Mode").select_option("dorian")
    page.locator("form:visible").get_by_role("button", name="Compose").click()
    page.locator(".take.composing .roll .note").first.wait_for()  # while it is being written
    takes = here.takes(2, timeout=90_000)
    assert "Reel in A dorian" in takes.nth(0).locator(".facts").text_content()
    assert takes.locator(".badge.likelihood").count() == 2
    assert takes.locator(".badge.novelty").count() == 2
    takes.nth(0).get_by_role("button", name="Play").click()
    takes.nth(0).get_by_role("button", name="Pause").wait_for()
    lit = takes.nth(0).locator(".score .sounding")
    lit.first.wait_for()
    first = lit.get_attribute("data-event")
    page.wait_for_timeout(1500)
    audio = page.locator("audio")
    assert audio.evaluate("(e) => e.currentTime") > 1.0
    assert not audio.evaluate("(e) => e.paused")
    assert lit.count() == 1
    assert lit.get_attribute("data-event") != first
    takes.nth(0).get_by_role("tab", name="Piano roll").click()
    takes.nth(0).locator(".roll .note.sounding").wait_for()
    takes.nth(1).get_by_role("button", name="Play").click()  # one tune at a time
    takes.nth(1).get_by_role("button", name="Pause").wait_for()
    takes.nth(0).get_by_role("button", name="Play").wait_for()
    takes.nth(1).locator(".score .target.note").nth(24).click()  # plays from there
    page.wait_for_timeout(700)
    assert audio.evaluate("(e) => e.currentTime") > 2.0
    takes.nth(1).get_by_role("button", name="Pause").click()
    assert audio.evaluate("(e) => e.paused")


def test_all_of_it_can_be_done_with_the_keyboard(here: Visit) -> None:
    page, press = here.page, here.page.keyboard.press

    def focused(named: str) -> None:
        """Go on with Tab until something of that name has the focus."""
        for _ in range(120):
            press("Tab")
            element = page.evaluate_handle("() => document.activeElement").as_element()
            name = page.evaluate(
                "(e) => e.ariaLabel ?? e.labels?.[0]?.textContent ?? e.textContent", element
            )
            if element.is_visible() and name.strip() == named:
                return
        raise AssertionError(f"Tab never comes to {named}")

    focused("Skip to the music")
    press("Enter")
    focused("Takes")
    page.keyboard.type("1")
    focused("Rhythm")
    page.keyboard.type("jig")
    press("Control+Enter")
    here.takes(1, timeout=90_000)
    focused("Rename")
    press("p")
    page.locator(".take .score .sounding").first.wait_for()
    press("p")
    press("e")  # change it
    before = desk_abc(here)
    focused("Score")
    press("Tab")  # the bars, which are one stop
    for key in ("ArrowRight", "Enter", "Shift+ArrowRight"):
        press(key)
    page.get_by_text(re.compile(r"Bars \d to \d are chosen")).wait_for()
    focused("Rewrite these bars")
    press("Enter")
    here.takes(3, timeout=90_000)
    focused("Use this")
    press("Enter")
    assert desk_abc(here) != before
    press("Control+z")
    assert desk_abc(here) == before


def test_a_link_gives_the_same_take_again(here: Visit, chromium: Any) -> None:
    takes = compose(here, 3, Meter="6/8")
    second = here.abc(takes.nth(1))
    takes.nth(1).locator("summary", has_text="Take away").click()
    takes.nth(1).get_by_role("button", name="Copy link").click()
    link = here.page.evaluate("() => navigator.clipboard.readText()")
    assert "seed=7" in link
    assert "temperature=" in link
    with visit(chromium) as other:
        other.page.goto(link)
        assert here.abc(other.takes(1, timeout=60_000)) == second
    here.page.go_back()  # to the page without a request
    here.page.go_forward()
    assert here.abc(here.takes(3, timeout=90_000).nth(1)) == second


def upload(here: Visit, file: Path) -> Any:
    """The notes of the given part of a file."""
    here.page.get_by_role("button", name="Continue", exact=True).first.click()
    here.page.set_input_files("#upload", file)
    notes = here.page.locator(".given-part .target.note")
    notes.first.wait_for()
    return notes


def go_on(here: Visit, number: int) -> Any:
    here.page.get_by_label("Takes", exact=True).nth(1).fill(str(number))
    here.page.locator("form:visible").get_by_role("button", name="Continue").click()
    return here.takes(number, timeout=90_000)


@pytest.mark.parametrize("suffix", [".abc", ".musicxml", ".mxl"])
def test_files_of_every_kind_are_continued(here: Visit, tmp_path: Path, suffix: str) -> None:
    given = parse_text(TUNE.replace("d3 d2|]", "d3 d2|")).tunes[0]
    file = tmp_path / f"beginning{suffix}"
    file.write_bytes(rendered([given], suffix))
    n_given = upload(here, file).count()
    take = go_on(here, 1).first
    assert take.locator(".score .given").count() == n_given == 39
    assert take.locator(".score .new").count() > 10
    assert "A beginning" in take.locator("h2").text_content()


def test_a_voice_is_chosen_of_a_file_with_several(here: Visit, tmp_path: Path) -> None:
    file = tmp_path / "two.abc"
    file.write_text("X:1\nT:Two\nM:2/4\nL:1/8\nK:D\nV:1\nABcd|d4|\nV:2\nDEF2|D4|\n")
    assert upload(here, file).count() == 5
    here.page.get_by_label("Voice of the tune").select_option("Voice 2 of 2")
    here.page.locator(".given-part .target.note").nth(4).wait_for(state="detached")
    take = go_on(here, 1).first
    assert "DEF2" in here.abc(take).replace(" ", "")


def test_an_upload_is_cut_and_continued(here: Visit, tmp_path: Path) -> None:
    given = parse_text(TUNE).tunes[0]
    file = tmp_path / "beginning.mid"
    file.write_bytes(rendered([given], ".mid"))
    upload(here, file).nth(16).click()
    here.page.get_by_text("The given part ends in bar 4 with note 1").wait_for()
    take = go_on(here, 2).first
    assert take.locator(".score .given").count() == 17
    assert take.locator(".score .new").count() > 10
    whole = parse_text(here.abc(take)).tunes[0]
    pitches = [e.pitch.midi for bar in whole.bars for e in bar.timed if hasattr(e, "pitch")]
    wanted = [e.pitch.midi for bar in given.bars for e in bar.timed]
    assert pitches[:17] == wanted[:17]
    assert pitches != wanted


def test_bars_are_rewritten_undone_and_redone(here: Visit) -> None:
    desk = put_on_the_desk(here, TUNE)
    page = here.page
    desk.locator(".target.bar").first.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "Enter", "Shift+ArrowRight"):
        page.keyboard.press(key)
    page.get_by_text("Bars 3 to 4 are chosen.").wait_for()  # the pickup is bar 0
    page.get_by_role("button", name="Rewrite these bars").click()
    take = here.takes(3, timeout=90_000).nth(1)
    take.get_by_role("button", name="Use this").click()
    changed = desk_abc(here)
    before, after = (parse_text(abc).tunes[0].bars for abc in (TUNE, changed))
    differing = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert set(differing) <= {3, 4}
    assert differing
    page.get_by_role("button", name="Undo", exact=False).click()
    assert desk_abc(here) == TUNE
    page.get_by_role("button", name="Redo", exact=False).click()
    assert desk_abc(here) == changed
    page.get_by_role("button", name="Vary").click()
    here.takes(3, timeout=90_000)


def test_bars_become_the_motif_of_new_tunes(here: Visit) -> None:
    desk = put_on_the_desk(here, TUNE)
    desk.locator(".target.bar").nth(1).click()
    here.page.keyboard.press("Shift+ArrowRight")
    here.page.get_by_role("button", name="Keep these bars as motif").click()
    here.page.get_by_text("Motif: bars 1-2 of “A beginning”").wait_for()
    here.page.get_by_label("Takes", exact=True).first.fill("1")
    here.page.locator("form:visible").get_by_role("button", name="Compose").click()
    abc = here.abc(here.takes(1, timeout=60_000).first)
    assert "dfe d2A | BAF A2A" in abc


def test_chords_are_written_and_undone(here: Visit) -> None:
    put_on_the_desk(here, TUNE)
    here.page.get_by_role("button", name="Write chords").click()
    here.page.get_by_role("button", name="Undo", disabled=False).wait_for()
    assert len(re.findall(r'"[A-G]m?7?"', desk_abc(here))) >= 4
    here.page.get_by_role("button", name="Undo").click()
    assert desk_abc(here) == TUNE


def test_every_format_is_taken_away(here: Visit) -> None:
    desk = put_on_the_desk(here, TUNE)
    assert set(BEGINNINGS) == set(FORMATS)
    for kind, beginning in BEGINNINGS.items():
        desk.locator("summary", has_text="Take away").click()
        with here.page.expect_download(timeout=60_000) as coming:
            desk.locator(f"[data-format={kind}]").click()
        file = Path(coming.value.path())
        assert coming.value.suggested_filename == f"a-beginning.{kind}"
        assert re.match(beginning, file.read_bytes(), re.DOTALL), kind
    desk.get_by_role("button", name="Keep").click()
    here.page.get_by_role("button", name="Tunebook").click()
    here.page.get_by_text("Take the whole book away").click()
    with here.page.expect_download(timeout=60_000) as coming:
        here.page.locator("#page-tunebook > .bar [data-format=zip]").click()
    names = zipfile.ZipFile(io.BytesIO(Path(coming.value.path()).read_bytes())).namelist()
    assert {"a-beginning.abc", "a-beginning.mp3", "book.abc", "book.pdf"} <= set(names)


def test_surprise_and_attention_are_seen(here: Visit) -> None:
    desk = put_on_the_desk(here, TUNE)
    desk.get_by_role("tab", name="Surprise").click()
    desk.get_by_text("bits a note on average").wait_for()
    coloured = desk.locator(".surprise .note:is(.s0, .s1, .s2, .s3)")
    assert coloured.count() == desk.locator(".surprise .target.note").count()
    desk.locator(".surprise .target.note").nth(20).click()
    desk.get_by_text("listened most to").wait_for()
    assert desk.locator(".surprise .arcs path").count() > 0
    desk.get_by_label("Head").select_option("1")
    desk.get_by_label("Layer").select_option("1")
    desk.get_by_text("listened").wait_for()


def test_what_is_refused_is_said_at_its_field(here: Visit) -> None:
    page = here.page
    page.get_by_label("Form", exact=True).fill("A1")
    page.locator("form:visible").get_by_role("button", name="Compose").click()
    page.locator(".field:has(#compose-form) .error:not(:empty)").wait_for()
    assert page.get_by_label("Form", exact=True).get_attribute("aria-invalid") == "true"
    page.get_by_label("Form", exact=True).fill("AABB")
    page.get_by_label("Takes", exact=True).first.fill("9")
    page.locator("form:visible").get_by_role("button", name="Compose").click()
    page.get_by_text("number: 9 is not from 1 to 8").wait_for()
    assert [c for c in here.complaints if "status of 400" not in c] == []
    here.complaints.clear()  # the browser reports every answer of 400


def test_stopping_keeps_what_is_whole(here: Visit) -> None:
    page = here.page
    page.get_by_label("Takes", exact=True).first.fill("8")
    page.get_by_label("Bars", exact=True).fill("64")
    page.locator("form:visible").get_by_role("button", name="Compose").click()
    page.locator(".take.composing .roll .note").first.wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Stop").wait_for(state="hidden")
    assert page.locator(".take.composing").count() == 0


def test_takes_stay_where_a_later_request_is_refused_or_they_are_not_looked_at(
    here: Visit,
) -> None:
    page = here.page
    page.get_by_label("Takes", exact=True).first.fill("2")
    page.locator("form:visible").get_by_role("button", name="Compose").click()
    page.get_by_role("button", name="Tunebook").click()
    page.wait_for_timeout(6000)
    page.get_by_role("button", name="Compose", exact=True).first.click()
    here.takes(2, timeout=60_000)
    page.locator(".score .target.note").first.wait_for(state="attached")
    page.get_by_label("Form", exact=True).fill("A1")
    page.locator("form:visible").get_by_role("button", name="Compose").click()
    page.locator(".field:has(#compose-form) .error:not(:empty)").wait_for()
    here.takes(2)
    here.complaints.clear()  # of the answer of 400
