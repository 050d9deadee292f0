"""The studio's page in a browser, with answers made here: what it shows, and that all can use it.

tests/test_studio_browser.py drives it with the server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from musicgen.formats.abc_notation import parse_text
from musicgen.music.validation import validate
from tests.studio_browser import HERE, STATIC, Canned, Visit, browser, colours, contrast, visit

JIG = """X:1
T:A jig & <b>a half</b>
R:jig
M:6/8
L:1/8
K:D
A|dfe d2A|BAF A2A|dfe d2e|fed e2A|dfe d2A|BAF A2e|fdf ede|d3 d2|]
"""
REEL = "X:1\nT:A reel\nR:reel\nM:4/4\nL:1/8\nK:Ador\n|:A2eA dAeA|G2BG dGBG:|\n"
SOURCES = sorted(STATIC.iterdir())


# --- as it is written -----------------------------------------------------------------------------


def test_nothing_is_loaded_from_elsewhere_or_put_in_as_html() -> None:
    for path in SOURCES:
        text = path.read_text()
        addresses = re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", text)
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}, path.name
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text
        )
        assert len(text.splitlines()) < 400, path.name
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<style|style=|\son\w+=|<script(?! type=\"module\" src=\")", page)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_have_the_contrast_that_wcag_asks(theme: int) -> None:
    found = colours((STATIC / "studio.css").read_text())[theme]
    grounds = [found[name] for name in ("ground", "card", "field", "wash")]
    for name in ("ink", "soft", "accent", "given", "good", "warn", "bad"):
        for ground in grounds[:3]:
            assert contrast(found[name], ground) >= 4.5, (name, ground)  # text, 1.4.3
    for name in ("s0", "s1", "s2", "s3", "edge"):
        for ground in grounds[1:3]:
            assert contrast(found[name], ground) >= 3, (name, ground)  # graphics, 1.4.11
    assert contrast(found["on-accent"], found["accent"]) >= 4.5
    assert contrast(found["ink"], found["wash"]) >= 4.5


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#fff", "#000") == pytest.approx(21)
    assert contrast("#777777", "#fff") == pytest.approx(4.48, abs=0.01)


# --- in a browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


@contextmanager
def opened(chromium: Any, canned: Canned) -> Iterator[Visit]:
    with visit(chromium, viewport={"width": 1280, "height": 800}) as found:
        canned.into(found.page)
        found.page.goto(f"{HERE}/#kind=generate&seed=0&number=2&rhythm=jig&end_on_tonic=true")
        found.takes(2)
        yield found


@pytest.fixture(scope="module")
def canned() -> Canned:
    return Canned([JIG, REEL])


@pytest.fixture(scope="module")
def seen(chromium: Any, canned: Canned) -> Iterator[Visit]:
    """A page with two takes, for tests that leave them as they are."""
    with opened(chromium, canned) as found:
        yield found


@pytest.fixture
def here(chromium: Any, canned: Canned) -> Iterator[Visit]:
    """A page with two takes."""
    with opened(chromium, canned) as found:
        yield found


def test_a_link_fills_the_form_and_asks_for_what_it_says(seen: Visit, canned: Canned) -> None:
    asked = dict(next(body for path, body in canned.asked if path == "/api/takes"))
    size = asked.pop("size")
    assert 70 <= size <= 200
    assert asked == {
        "kind": "generate",
        "seed": 0,
        "number": 2,
        "controls": {"rhythm": "jig", "end_on_tonic": True},
        "sampling": {},
        "selection": {},
    }
    assert seen.page.get_by_label("Rhythm", exact=True).input_value() == "jig"
    assert seen.page.get_by_label("End on the tonic").is_checked()


def test_titles_are_text(seen: Visit) -> None:
    take = seen.page.get_by_role("article", name="A jig & <b>a half</b>")
    assert take.get_by_role("heading").text_content() == "A jig & <b>a half</b>"
    assert seen.page.locator(".take b").count() == 0
    assert "Nearest: <b>Old</b>, 31 % alike" in take.locator(".badge.new").text_content()


def test_every_control_has_a_name_and_every_id_is_one(here: Visit) -> None:
    for section in ("Compose", "Continue", "Change"):
        here.page.get_by_role("button", name=section, exact=True).first.click()
        nameless = here.page.evaluate(
            """() => [...document.querySelectorAll(
              "button, input, select, textarea, summary, [tabindex='0']")]
            .filter((e) => e.checkVisibility() && !(e.labels?.length || e.ariaLabel || e.title
              || e.textContent.trim() || e.getAttribute("aria-labelledby")))
            .map((e) => e.outerHTML)"""
        )
        assert nameless == []
    ids = here.page.evaluate("() => [...document.querySelectorAll('[id]')].map((e) => e.id)")
    ours = [one for one in ids if not re.fullmatch(r"E[0-9A-F]{3}.*", one)]  # glyphs of scores
    assert len(ours) == len(set(ours))
    dangling = here.page.evaluate(
        """() => [...document.querySelectorAll("[aria-describedby], [aria-controls], [for]")]
        .flatMap((e) => ["aria-describedby", "aria-controls", "for"]
          .flatMap((name) => (e.getAttribute(name) ?? "").split(" ")))
        .filter((id) => id && !document.getElementById(id))"""
    )
    assert dangling == []


def test_focus_goes_through_a_take_in_the_order_it_is_read(seen: Visit) -> None:
    seen.page.locator(".take").first.focus()
    order = []
    for _ in range(9):
        seen.page.keyboard.press("Tab")
        order.append(
            seen.page.evaluate(
                "() => document.activeElement.ariaLabel ?? document.activeElement.textContent"
            )
        )
    assert order[0] == "Rename"
    assert order[1].startswith("new")
    assert order[3:6] == ["Play", "Place in the tune", "Score"]
    assert order[6:] == ["Keep", "Change", "Continue"]


def test_keys_work_on_the_take_that_has_the_focus(here: Visit) -> None:
    page = here.page
    page.locator(".take").first.focus()
    page.keyboard.press("k")
    assert page.locator(".take.kept").count() == 1
    assert page.locator("#to-tunebook").get_attribute("aria-label") == "Tunebook, 1 tune"
    page.keyboard.press("l")
    page.keyboard.press("3")
    assert page.locator(".take pre.abc:visible").text_content() == REEL
    page.keyboard.press("x")
    here.takes(1)
    page.get_by_role("button", name="Undo").click()
    here.takes(2)


def test_renaming_changes_the_title_in_the_abc(here: Visit) -> None:
    take = here.page.locator(".take").nth(1)
    take.get_by_role("button", name="Rename").click()
    here.page.keyboard.type("The \u201cnew\u201d <i>one</i>")
    here.page.keyboard.press("Enter")
    take.get_by_role("heading", name="The \u201cnew\u201d <i>one</i>").wait_for()
    assert "T:The \u201cnew\u201d <i>one</i>\n" in here.abc(take)


def test_bars_are_chosen_with_mouse_and_keyboard(here: Visit) -> None:
    page = here.page
    page.locator(".take").first.get_by_role("button", name="Change").click()
    bars = page.locator(".desk .target.bar")
    bars.nth(2).click()
    says = page.locator(".selection")
    assert re.fullmatch(r"Bar \d is chosen\.", says.text_content())
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert bars.evaluate_all("(all) => all.map((e) => e.ariaSelected)")[1:6] == [
        "false",
        *["true"] * 3,
        "false",
    ]
    page.keyboard.press("Escape")
    assert says.text_content().startswith("Choose bars")
    assert bars.nth(1).get_attribute("aria-label").endswith("D5 F♯5 E5 D5 A4")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    bars.nth(4).click(modifiers=["Shift"])
    assert page.locator(".desk [aria-selected=true].bar").count() == 5


def test_abc_by_hand_is_underlined_where_it_is_wrong(here: Visit) -> None:
    page = here.page
    page.locator(".take").nth(1).get_by_role("button", name="Change").click()
    page.locator(".desk").get_by_role("tab", name="ABC").click()
    area = page.get_by_label("ABC text of the tune")
    wrong = REEL.replace("dAeA|G", "dAeA2|G")
    area.fill(wrong)
    problem = page.locator(".desk .problems button").first
    problem.wait_for()
    line, column = re.match(r"Line (\d+), column (\d+)", problem.text_content()).groups()
    assert line == "7"
    start = wrong.index("|:") + int(column) - 1
    marked = page.locator(".desk .marks mark").first.text_content()
    assert wrong[start:].startswith(marked)
    problem.click()
    assert area.evaluate("(e) => e.selectionStart") == start
    area.fill("nothing at all")
    page.locator(".desk .problems .error").first.wait_for()


def test_history_undoes_and_redoes(here: Visit) -> None:
    page = here.page
    page.locator(".take").nth(1).get_by_role("button", name="Change").click()
    desk = page.locator(".desk")
    undo, redo = (page.get_by_role("button", name=name) for name in ("Undo", "Redo"))
    assert undo.is_disabled()
    page.get_by_role("button", name="Semitone up").click()
    desk.get_by_text("Reel in Bb dorian").wait_for()
    page.get_by_role("button", name="Semitone up").click()
    desk.get_by_text("Reel in B dorian").wait_for()
    undo.click()
    undo.click()
    assert page.get_by_label("ABC text of the tune").input_value() == REEL
    assert undo.is_disabled()
    redo.click()
    desk.get_by_text("Reel in Bb dorian").wait_for()
    desk.get_by_role("tab", name="Score").focus()
    page.keyboard.press("Control+z")
    desk.get_by_text("Reel in A dorian").wait_for()


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (390, "dark")])
def test_a_phone_shows_all_without_scrolling_sideways(
    chromium: Any, canned: Canned, width: int, scheme: str
) -> None:
    phone: dict[str, Any] = {"is_mobile": True, "has_touch": True, "reduced_motion": "reduce"}
    size = {"width": width, "height": 740}
    with visit(chromium, viewport=size, color_scheme=scheme, **phone) as found:
        canned.into(found.page)
        found.page.goto(f"{HERE}/#kind=generate&seed=0&number=2")
        take = found.takes(2).first
        take.get_by_role("button", name="Keep").click()
        # A phone makes the page smaller instead of scrolling it where something is too wide.
        widths = "() => [innerWidth, document.documentElement.scrollWidth]"
        assert found.page.evaluate(widths) == [width, width]
        take.get_by_role("button", name="Change").click()
        desk = found.page.locator(".desk").bounding_box()
        assert desk["y"] < found.page.get_by_role("button", name="Vary").bounding_box()["y"]
        for section in ("Continue", "Tunebook", "Compose"):
            assert found.page.evaluate(widths) == [width, width]
            found.page.locator(f"#to-{section.lower()}").click()
        colour = found.page.locator(".score .note").first.evaluate(
            "(e) => getComputedStyle(e).fill"
        )
        ground = found.page.locator(".take").first.evaluate(
            "(e) => getComputedStyle(e).backgroundColor"
        )
        assert contrast(_hex(colour), _hex(ground)) > 12
        assert found.page.evaluate("() => document.getAnimations().length") == 0


def _hex(color: str) -> str:
    return "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", color)[:3])


# --- its modules ----------------------------------------------------------------------------------

SKETCHES = """async () => {
  const { toAbc, KEYS, METERS, LENGTHS } = await import("/static/sketch.js");
  let seed = 7;
  const draw = (n) => { seed = (seed * 1103515245 + 12345) % 2147483648; return seed % n; };
  const all = [];
  for (const key of KEYS) for (const meter of METERS) {
    const events = Array.from({ length: 30 }, () => ({
      pitch: draw(9) === 0 ? null : 57 + draw(28), length: LENGTHS[draw(LENGTHS.length)][0] }));
    all.push({ events, abc: toAbc(events, { key, meter, title: "Beginning" }) });
  }
  return all;
}"""


def test_clicked_notes_are_those_that_the_abc_has(seen: Visit) -> None:
    sketches = seen.page.evaluate(SKETCHES)
    assert len(sketches) == 19 * 7
    for sketch in sketches:
        tune = parse_text(sketch["abc"]).tunes[0]
        assert tune.warnings == ()
        assert [p for p in validate(tune) if p.bar < len(tune.bars)] == []
        pitches, lengths, tied = [], [], False
        for note in (event for bar in tune.bars for event in bar.timed):
            pitch = note.pitch.midi if hasattr(note, "pitch") else None
            if tied or (pitch is None and pitches and pitches[-1] is None):
                lengths[-1] += note.duration * 4
            else:
                pitches.append(pitch)
                lengths.append(note.duration * 4)
            tied = getattr(note, "tie", False)
        wanted: list[list[Any]] = []
        for event in sketch["events"]:
            if event["pitch"] is None and wanted and wanted[-1][0] is None:
                wanted[-1][1] += event["length"]
            else:
                wanted.append([event["pitch"], event["length"]])
        assert [list(pair) for pair in zip(pitches, lengths, strict=True)] == wanted


def test_links_say_what_was_asked(seen: Visit) -> None:
    request = {
        "kind": "generate",
        "seed": 5,
        "number": 3,
        "controls": {"key": "A dorian", "bars": 16, "end_on_tonic": True, "form": "AABB"},
        "sampling": {"temperature": 0.85, "top_k": 12},
        "selection": {"best_of": 4, "judge": "structure"},
    }
    rewriting = {
        "kind": "infill",
        "seed": 0,
        "number": 2,
        "bars": "5-8",
        "abc": JIG,
        "controls": {},
        "sampling": {},
        "selection": {},
    }
    for asked in (request, rewriting):
        found = seen.page.evaluate(
            """async (request) => {
              const { linkOf, read } = await import("/static/permalink.js");
              const { fields } = await (await fetch("/api/choices")).json();
              return read(new URL(linkOf({ request, take: 1 })).hash, fields);
            }""",
            asked,
        )
        assert found == {"request": asked, "take": 1}


def test_which_note_sounds(seen: Visit) -> None:
    lengths = [(0.0, 0.5), (0.5, 1.0), (0.5, 0.5), (1.0, 0.5)]
    notes = [{"onset": onset, "duration": duration} for onset, duration in lengths]
    times = [-1.0, 0.0, 0.49, 0.5, 1.2, 1.6, 2.0]
    found = seen.page.evaluate(
        """async ([notes, times]) => {
          const { heard } = await import("/static/player.js");
          return times.map((time) => heard(notes, time));
        }""",
        [notes, times],
    )
    assert found == [[], [0], [0], [1, 2], [1, 3], [3], []]


# --- without a browser ----------------------------------------------------------------------------


def test_without_a_browser_tests_are_skipped_with_a_message_but_never_in_ci(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    monkeypatch.delenv("CI", raising=False)
    with (
        pytest.raises(pytest.skip.Exception, match="no Chromium on the PATH: apt install"),
        browser(),
    ):
        pass
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no Chromium on the PATH"), browser():
        pass
