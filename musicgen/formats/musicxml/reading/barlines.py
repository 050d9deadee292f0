"""Bar lines, repeats and endings out of <barline>."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from xml.etree.ElementTree import Element

from musicgen.formats.musicxml.barlines import HEAVY
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
    """The bar lines and the length of a bar, which all voices share."""

    repeat_start: bool = False
    volta: tuple[int, ...] = ()
    repeat_end: int = 0
    barline: str = "|"
    length: Fraction = Fraction(0)  # of the music in it
    full: Fraction | None = None  # by the meter
    is_whole: bool = True  # as long as the meter says, where there is no music in it
    ends_ending: bool = False

    def join(self, other: MeasureFrame) -> None:
        """Add the bar lines and length of another part's bar."""
        self.repeat_start = self.repeat_start or other.repeat_start
        self.volta = self.volta or other.volta
        self.repeat_end = max(self.repeat_end, other.repeat_end)
        self.ends_ending = self.ends_ending or other.ends_ending
        lighter = other.barline in HEAVY or (self.barline == "|" and other.barline == ".|")
        if lighter and self.barline not in HEAVY:
            self.barline = other.barline
        self.length = max(self.length, other.length)


def read_barline(
    element: Element, frames: list[MeasureFrame], after: MeasureFrame, left_out: LeftOut
) -> None:
    """Read a <barline> of the last of `frames`; `after` is the bar that follows it.

    A sign on the wrong side, such as a forward repeat at the right, counts for the bar beyond.
    """
    left = element.get("location") == "left"
    if element.get("location") == "middle":
        left_out["bar lines within bars left out"] += 1
        return
    frame, before = frames[-1], frames[-2] if len(frames) > 1 else None
    repeat, ending = element.find("repeat"), element.find("ending")
    style = _LINES.get(content(element, "bar-style"))
    if repeat is not None and repeat.get("direction") == "forward":
        (frame if left else after).repeat_start = True
    elif repeat is not None:
        repeated = before if left else frame
        if repeated is not None:
            times = 2 if ending is not None else integer(repeat.get("times")) or 2
            repeated.repeat_end = min(max(times - 1, 1), MAX_TIMES)  # endings have their numbers
    elif style is not None and not left:
        frame.barline = style
    elif style in HEAVY and before is not None and not before.repeat_end:
        before.barline = style
    if ending is not None and ending.get("type") == "start":
        frame.volta = read_passes(ending.get("number", "")) or read_passes(ending.text or "")
    elif ending is not None:
        frame.ends_ending = True


def add_starts_after_endings(frames: Sequence[MeasureFrame]) -> None:
    """Give a repeat that begins without a sign after a last ending its start there: a Tune does not
    say where that ending ends, and would have the repeat close it."""
    start = 0  # the bar after the last ending
    for number, frame in enumerate(frames):
        if 0 < start < number + bool(frame.repeat_end) and (frame.volta or frame.repeat_end):
            frames[start].repeat_start = True
        if frame.repeat_start or frame.volta or frame.repeat_end:
            start = 0
        if frame.ends_ending and not frame.repeat_end:
            start = number + 1


def read_frame(value: Any) -> MeasureFrame | None:
    """The bar lines of one voice, from our remark; None where the remark is damaged."""
    try:
        start, volta, end, line = value
        frame = MeasureFrame(bool(start), tuple(int(n) for n in volta), int(end), str(line))
    except (TypeError, ValueError):
        return None
    is_valid = line in BARLINES and 0 <= frame.repeat_end <= MAX_TIMES
    return frame if is_valid and all(0 < n <= MAX_TIMES for n in frame.volta) else None


def read_passes(text: str) -> tuple[int, ...]:
    """Passes of an ending: "1, 2" is (1, 2), "1-3" (1, 2, 3)."""
    passes = (
        n
        for first, last in _PASSES.findall(text)
        for n in range(int(first), int(last or first) + 1)
    )
    return tuple(dict.fromkeys(n for n in passes if 0 < n <= MAX_TIMES))
