"""Bar lines, repeats and endings of ABC: what their many spellings mean."""

from __future__ import annotations

import re
from functools import lru_cache

MAX_PASS = 16


_HIDDEN = re.compile(r"\[\|\](?=:+\|)")  # an invisible line, to hold a sign, before a repeat ends


@lru_cache(maxsize=256)
def read_barline(text: str) -> tuple[int, str, bool]:
    """Times to repeat what ends here, the line at the right of the bar, whether a repeat begins.

    ":|" is (1, "|", False), "::" (1, "|", True), "||:" (0, "||", True), ":|]" (1, "|]", False).
    """
    text = text.replace(" ", "").replace("\t", "")
    text = _HIDDEN.sub("", text)
    inner = text.strip(":")
    if not inner:
        return len(text) - 1, "|", True
    ends = len(text) - len(text.lstrip(":"))
    starts = text.endswith(":") or (not ends and ":" in inner)
    for spelling, line in _LINES:
        if spelling in inner:
            return ends, line, starts
    return ends, "|", starts


# The first that occurs decides.
_LINES = (("[|]", "[|]"), ("]", "|]"), ("[", "[|"), (".", ".|"), ("||", "||"))


def write_barline(line: str, repeat_end: int, *, holds_signs: bool) -> str:
    """The text of a bar line at which `repeat_end` repeats end, as other programs know it too: none
    knows ":[|", and abc2midi takes "[|]" for a chord unless another line follows, which a sign may
    have and which is left away otherwise, so that the line stays invisible."""
    if line == "[|]" and holds_signs:
        line = "[|]|"
    apart = repeat_end and line.startswith(("[", "."))
    return ":" * repeat_end + ("| " * bool(apart)) + line


@lru_cache(maxsize=256)
def read_passes(text: str) -> tuple[int, ...]:
    """Passes of an ending: "1" is (1,), "1,3" (1, 3), "1-3" (1, 2, 3)."""
    passes: list[int] = []
    for first, last in re.findall(r"([0-9]+)(?:-([0-9]+))?", text):
        passes += range(int(first), min(int(last or first), MAX_PASS) + 1)
    return tuple(dict.fromkeys(p for p in passes if 0 < p <= MAX_PASS))
