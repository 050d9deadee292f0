"""A browser for tests of the studio's page, and what a visit to it may not leave behind."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import musicgen.studio
from musicgen.studio import jobs, requests
from musicgen.studio.access import HEADERS

STATIC = Path(musicgen.studio.__file__).parent / "static"
HERE = "http://127.0.0.1:9"  # answered by `Canned`, not by the network
# Sound goes to no device; nobody has to click before it may begin.
_ARGUMENTS = ["--autoplay-policy=no-user-gesture-required", "--mute-audio", "--no-sandbox"]
_PATIENCE_MS = 120_000  # for a busy machine
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium as this machine has it. Without one the tests are skipped, but fail where the
    environment says CI."""
    path = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
    )
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _do_without("playwright is not installed: pip install '.[dev]'")
    if not path:
        _do_without("no Chromium on the PATH: apt install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path, args=_ARGUMENTS, timeout=_PATIENCE_MS
        )
        yield chromium
        chromium.close()


def _do_without(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Visit:
    """A page, and what the browser complained of: errors, refused content, lost requests."""

    page: Any
    complaints: list[str] = field(default_factory=list)

    def takes(self, number: int, *, timeout: float = 60_000) -> Any:
        """The takes that are shown, once so many are whole."""
        from playwright.sync_api import expect

        found = self.page.locator(".gallery .take:not(.composing):visible")
        expect(found).to_have_count(number, timeout=timeout)
        return found

    def abc(self, take: Any) -> str:
        """The ABC text of a take."""
        take.get_by_role("tab", name="ABC").click()
        return str(take.locator("pre.abc").text_content())


@contextmanager
def visit(chromium: Any, **settings: Any) -> Iterator[Visit]:
    """A new page in a browser of its own settings; nothing may be complained of on it."""
    context = chromium.new_context(**settings)
    context.set_default_timeout(_PATIENCE_MS)
    here = Visit(context.new_page())

    def hear(message: Any) -> None:
        if message.type in ("error", "warning"):
            here.complaints.append(message.text)

    here.page.on("console", hear)
    here.page.on("pageerror", lambda error: here.complaints.append(str(error)))
    yield here
    context.close()
    assert here.complaints == []


class Canned:
    """The server's answers, made in this process: everything but the sampling is the real thing."""

    def __init__(self, tunes: list[str]) -> None:
        self.tunes = tunes
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def into(self, page: Any) -> None:
        """Answer all that the page asks for."""
        page.route("**/*", self._answer)

    def _answer(self, route: Any) -> None:
        path = urlsplit(route.request.url).path
        if not path.startswith("/api/"):
            file = STATIC / (path.removeprefix("/static/").strip("/") or "index.html")
            route.fulfill(body=file.read_bytes(), headers=HEADERS, content_type=_TYPES[file.suffix])
            return
        body = json.loads(route.request.post_data or "{}")
        self.asked.append((path, body))
        route.fulfill(
            body=self._api(path.removeprefix("/api/"), body), content_type="application/json"
        )

    def _api(self, name: str, body: Mapping[str, Any]) -> bytes:
        if name == "choices":
            return json.dumps(choices()).encode()
        if name == "takes":
            return b"\n".join([*self._events(), b'{"event":"end"}', b""])
        plain = json.dumps(body).encode()
        if name == "export":
            return list(jobs.export(plain))[1]
        return _job(name, plain)

    def _events(self) -> Iterator[bytes]:
        for number, abc in enumerate(self.tunes):
            tune = json.loads(_job("tune", json.dumps({"abc": abc}).encode()))
            nearest = [{"title": "<b>Old</b>", "similarity": 0.31}]
            tune["likelihood_bits"] = 2.5
            tune["novelty"] = {"verdict": "new", "copied_bars": 1, "nearest": nearest}
            yield json.dumps({"event": "take", "take": number, "tune": tune}).encode()


@cache
def _job(name: str, body: bytes) -> bytes:
    return {"tune": jobs.tune, "change": jobs.change}[name](body)


def choices() -> dict[str, Any]:
    """Everything that can be asked for, as the server lists it."""
    return requests.choices({}) | {
        "instruments": ["fiddle", "flute"],
        "model": {"name": "celtic", "card": "# A card"},
    }


def colours(css: str) -> list[dict[str, str]]:
    """The custom properties that are colours: those of the light page, and of the dark one."""
    blocks = re.findall(r":root \{(.*?)\n *\}", css, re.DOTALL)
    found = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", block)) for block in blocks]
    return [found[0], found[0] | found[1]]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21; WCAG 2.2, relative luminance."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: str) -> float:
    digits = color.lstrip("#")
    digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
