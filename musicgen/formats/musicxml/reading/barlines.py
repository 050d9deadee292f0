"""Bar lines, repeats and endings out of <barline>."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from xml.etree.ElementTree import Element

from musicgen.formats.musicxml.values import LeftOut, content, integer
from musicgen.music.tune import BARLINES

MAX_TIMES = 16
_LINES = {
    "regular": "|",
    "dotted": ".|",
    "dashed": ".|",
    "light-light": "||",
    "light-heavy": "|]",
    "heavy-light": "[|",
    "heavy-heavy": "|]",
    "heavy": "|]",
    "none": "",
    "tick": "|",
    "short": "|",
}
_PASSES = re.compile(r"(\d{1,2})(?:\s*-\s*(\d{1,2}))?")


@dataclass(slots=True)
class MeasureFrame:
    """What all voices have in common in a bar."""

    repeat_start: bool = False
    volta: tuple[int, ...] = ()
    repeat_end: int = 0
    barline: str = "|"
    length: Fraction = Fraction(0)  # of the music in it
    full: Fraction | None = None  # by the meter

    def join(self, other: MeasureFrame) -> None:
        """Take in what another part says of the same bar."""
        self.repeat_start = self.repeat_start or other.repeat_start
        self.volta = self.volta or other.volta
        self.repeat_end = max(self.repeat_end, other.repeat_end)
        if other.barline in _HEAVY or (self.barline == "|" and other.barline == ".|"):
            self.barline = self.barline if self.barline in _HEAVY else other.barline
        self.length = max(self.length, other.length)


_HEAVY = ("||", "|]", "[|", "[|]")


def read_barline(
    element: Element, frames: list[MeasureFrame], after: MeasureFrame, left_out: LeftOut
) -> None:
    """Take in a <barline> of the last of `frames`; `after` is the bar that follows it.

    A sign on the wrong side, such as a forward repeat at the right, counts for the bar beyond.
    """
    left = element.get("location", "right") == "left"
    if element.get("location") == "middle":
        left_out["bar lines within bars left out"] += 1
        return
    here, before = frames[-1], frames[-2] if len(frames) > 1 else None
    repeat, ending = element.find("repeat"), element.find("ending")
    style = _LINES.get(content(element, "bar-style"))
    if repeat is not None and repeat.get("direction") == "forward":
        (here if left else after).repeat_start = True
    elif repeat is not None:
        times = integer(repeat.get("times")) or 2
        closed = before if left else here
        if closed is not None:
            closed.repeat_end = min(max(times - 1, 1), MAX_TIMES)
    elif style is not None and not left:
        here.barline = style
    elif style in _HEAVY and before is not None and not before.repeat_end:
        before.barline = style
    if ending is not None and ending.get("type") == "start":
        here.volta = read_passes(ending.get("number", "")) or read_passes(ending.text or "")


def read_frame(value: Any) -> MeasureFrame | None:
    """What a voice of ours has at its bar, out of a remark; None where that makes no sense."""
    try:
        start, volta, end, line = value
        frame = MeasureFrame(bool(start), tuple(int(n) for n in volta), int(end), str(line))
    except (TypeError, ValueError):
        return None
    sound = line in BARLINES and 0 <= frame.repeat_end <= MAX_TIMES
    return frame if sound and all(0 < n <= MAX_TIMES for n in frame.volta) else None


def read_passes(text: str) -> tuple[int, ...]:
    """Passes of an ending: "1, 2" is (1, 2), "1-3" (1, 2, 3)."""
    passes: list[int] = []
    for first, last in _PASSES.findall(text):
        passes += range(int(first), int(last or first) + 1)
    return tuple(dict.fromkeys(n for n in passes if 0 < n <= MAX_TIMES))
