"""SVG path data as absolute moves, lines and cubic curves.

outline("M0 0h10v5z")   # [("M", (0, 0)), ("L", (10, 0)), ("L", (10, 5)), ("Z", ())]
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Segment = tuple[str, tuple[float, ...]]

_TOKEN = re.compile(r"([A-Za-z])|(-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")
_ARGUMENTS = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "Z": 0}


def outline(data: str) -> list[Segment]:
    """Segments of the "d" of a path; arcs do not occur in what we draw.

    Raises:
        ValueError: another command than those of `_ARGUMENTS`.
    """
    pen = _Pen()
    for command, numbers in _commands(data):
        pen.draw(command, numbers)
    return pen.segments


def _commands(data: str) -> Iterator[tuple[str, tuple[float, ...]]]:
    tokens = [(m[1], m[2]) for m in _TOKEN.finditer(data)]
    i, command = 0, ""
    while i < len(tokens):
        letter, _ = tokens[i]
        if letter:
            command, i = letter, i + 1
        count = _ARGUMENTS.get(command.upper())
        if count is None:
            raise ValueError(f"path command '{command}'")
        yield command, tuple(float(number) for _, number in tokens[i : i + count])
        i += count
        if command in "Mm":
            command = "L" if command == "M" else "l"  # further pairs are lines


class _Pen:
    """Where the pen is, and what it has drawn."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.x = self.y = 0.0
        self.start = (0.0, 0.0)
        self.control: tuple[float, float] | None = None
        self.previous = ""

    def draw(self, command: str, numbers: tuple[float, ...]) -> None:
        upper = command.upper()
        dx, dy = (self.x, self.y) if command.islower() else (0.0, 0.0)
        if upper == "H":
            numbers = (numbers[0] + dx, self.y)
        elif upper == "V":
            numbers = (self.x, numbers[0] + dy)
        else:
            numbers = tuple(n + (dy if i % 2 else dx) for i, n in enumerate(numbers))
        if upper in "CSQT":
            self._curve(upper, numbers)
        elif upper == "Z":
            self.segments.append(("Z", ()))
            self.x, self.y = self.start
        else:
            self.segments.append(("M" if upper == "M" else "L", numbers))
            self.x, self.y = numbers
            self.start = (self.x, self.y) if upper == "M" else self.start
        self.previous = upper

    def _curve(self, kind: str, numbers: tuple[float, ...]) -> None:
        here = (self.x, self.y)
        if kind in "ST":
            smooth = self.previous in ("CS" if kind == "S" else "QT") and self.control
            cx, cy = self.control if smooth and self.control else here
            numbers = (2 * here[0] - cx, 2 * here[1] - cy, *numbers)
        if kind in "QT":
            self.control = (numbers[0], numbers[1])
            (qx, qy), (x, y) = numbers[:2], numbers[2:]
            first = (here[0] + 2 / 3 * (qx - here[0]), here[1] + 2 / 3 * (qy - here[1]))
            second = (x + 2 / 3 * (qx - x), y + 2 / 3 * (qy - y))
            numbers = (*first, *second, x, y)
        else:
            self.control = (numbers[2], numbers[3])
        self.segments.append(("C", numbers))
        self.x, self.y = numbers[4:]
