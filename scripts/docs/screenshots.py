"""Pictures of the studio's page for the README, taken in a headless Chromium.

python scripts/docs/screenshots.py FOLDER [--seed 7] [--small]

Needs playwright (`pip install ".[dev]"`) and a Chromium on the PATH. Writes compose.png and
compose-dark.png (four takes and one that plays), continue.png, change.png, surprise.png and
phone.png; the same seed gives the same tunes. Small ones, as in docs/studio, have half the size and
255 colours.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from PIL import Image
from playwright.sync_api import expect, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

ARGUMENTS = ["--autoplay-policy=no-user-gesture-required", "--mute-audio", "--no-sandbox"]
DESKTOP = {"viewport": {"width": 1280, "height": 800}, "device_scale_factor": 2}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2}
BEGINNING = """X:1
T:The beginning
R:jig
M:6/8
L:1/8
K:D
A|dfe d2A|BAF A2A|dfe d2e|fed e2A|
"""
PATIENCE_MS = 120_000


@contextmanager
def studio() -> Iterator[str]:
    """The address of a studio that runs."""
    command = [sys.executable, "-m", "musicgen", "studio", "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = re.search(r"http://\S+", process.stderr.readline())
        if found is None:
            sys.exit("the studio does not start; try musicgen studio")
        yield found[0]
        process.terminate()


def link(**asked: object) -> str:
    """What a page opens with."""
    return "#" + urlencode(asked)


def takes(page: Any, number: int) -> Any:
    """The takes, once so many are whole."""
    found = page.locator(".gallery .take:not(.composing):visible")
    expect(found).to_have_count(number, timeout=PATIENCE_MS)
    return found


def compose(page: Any, address: str, seed: int) -> None:
    """Four jigs side by side."""
    page.goto(address + link(kind="generate", seed=seed, number=4, rhythm="jig", key="D major"))
    takes(page, 4)


def play(page: Any, address: str, seed: int) -> None:
    """A reel while it plays."""
    page.goto(address + link(kind="generate", seed=seed, number=1, rhythm="reel", form="AABB"))
    takes(page, 1).get_by_role("button", name="Play").click()
    page.wait_for_timeout(7000)


def continue_(page: Any, address: str, seed: int) -> None:
    """Two ways on from a beginning."""
    asked = {"kind": "continue", "seed": seed, "number": 2, "abc": BEGINNING, "bars": 16}
    page.goto(address + link(**asked))
    takes(page, 2)


def change(page: Any, address: str, seed: int) -> None:
    """Three versions of some bars."""
    compose_one = link(kind="generate", seed=seed, number=1, rhythm="jig", key="G major", bars=16)
    page.goto(address + compose_one)
    takes(page, 1).get_by_role("button", name="Change").click()
    bars = page.locator(".desk .target.bar")
    bars.nth(4).click()
    bars.nth(6).click(modifiers=["Shift"])
    page.get_by_label("Seed").locator("visible=true").fill(str(seed))
    page.get_by_role("button", name="Rewrite these bars").click()
    takes(page, 3)
    page.mouse.move(0, 0)


def surprise(page: Any, address: str, seed: int) -> None:
    """A jig as the model heard it."""
    page.goto(address + link(kind="generate", seed=seed, number=1, rhythm="jig", form="AABB"))
    take = takes(page, 1)
    take.get_by_role("tab", name="Surprise").click()
    expect(take.locator(".mean")).to_contain_text("bits a note", timeout=PATIENCE_MS)
    take.locator(".surprise .target.note").nth(40).click()
    expect(take.locator(".reading")).to_contain_text("listened", timeout=PATIENCE_MS)


def phone(page: Any, address: str, seed: int) -> None:
    """A take on a phone."""
    page.goto(address + link(kind="generate", seed=seed, number=1, rhythm="jig", key="A dorian"))
    takes(page, 1)
    page.locator(".gallery:visible").evaluate("(e) => e.scrollIntoView()")


SHOTS: dict[str, tuple[Callable[[Any, str, int], None], dict[str, Any]]] = {
    "compose": (compose, DESKTOP),
    "compose-dark": (play, {**DESKTOP, "color_scheme": "dark"}),
    "continue": (continue_, DESKTOP),
    "change": (change, {**DESKTOP, "viewport": {"width": 1280, "height": 1000}}),
    "surprise": (surprise, DESKTOP),
    "phone": (phone, PHONE),
}


def make_small(path: Path) -> None:
    """Half the size, 255 colours: a third of the bytes."""
    picture = Image.open(path).convert("RGB").reduce(2)
    method, dither = Image.Quantize.MEDIANCUT, Image.Dither.NONE
    picture.quantize(255, method=method, kmeans=3, dither=dither).save(path, optimize=True)


def main(folder: Path, *, seed: int = 7, small: bool = False) -> None:
    """Take all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("no Chromium on the PATH")
    with studio() as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=ARGUMENTS)
        for name, (show, settings) in SHOTS.items():
            page = chromium.new_context(**settings).new_page()
            page.set_default_timeout(PATIENCE_MS)
            show(page, address, seed)
            path = folder / f"{name}.png"
            page.screenshot(path=path)
            if small:
                make_small(path)
            print(path)
            page.context.close()
        chromium.close()


if __name__ == "__main__":
    command_line.run(main)
