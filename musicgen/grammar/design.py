"""What is decided of a tune before it is written: its parts, where they end, and its compass.

    outline = outline_of(features, tokens)    # ((8, True, False), (8, True, True))
    limits_of(outline)                        # what holds a new tune to it
    design = Design(outline, compass_of(tokens))
    Foresight([design]).rows(features)        # what that says about each place

A composer knows where a phrase is going before it gets there. A network is told the same by columns
beside the grammar's: how many bars and parts are left, whether the part ends on the tonic, and
between which pitches the tune moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicgen.grammar.limits import DEFAULT, Limits, Part
from musicgen.grammar.state import FEATURE_SIZES
from musicgen.tokenizer.tokens import parse_token

_MOST_BARS, _MOST_PARTS = 16, 3  # that are told apart
_DEEPEST, _HIGHEST = -14, 21  # staff steps from the tonic of octave 4 that are told apart
# Number of values of each column; 0 is always "nobody knows".
FORESIGHT_SIZES = {
    "bars_left": _MOST_BARS + 2,
    "parts_left": _MOST_PARTS + 2,
    "comes_home": 3,
    "lowest": _HIGHEST - _DEEPEST + 2,
    "highest": _HIGHEST - _DEEPEST + 2,
}
_IN_SECOND_ENDING = _MOST_BARS + 1


class OutlinePart(NamedTuple):
    """A written part: its full bars (a first ending counted, a second not), whether it stands
    between repeat signs, and whether its last note is the tonic (None: nobody knows)."""

    bars: int
    repeated: bool
    home: bool | None = None


Outline = tuple[OutlinePart, ...]  # () is an outline that is not known
Compass = tuple[int, int]  # lowest and highest pitch, in staff steps from the tonic of octave 4


class Design(NamedTuple):
    """A tune as a whole, as far as it is known."""

    outline: Outline = ()
    compass: Compass | None = None


class Designs(NamedTuple):
    """What tunes that begin alike look like as a whole: outlines and compasses, with counts."""

    outlines: tuple[tuple[Outline, int], ...] = ()
    compasses: tuple[tuple[Compass, int], ...] = ()


def outline_of(features: NDArray[np.integer], tokens: Sequence[str]) -> Outline:
    """The outline that a tune's tokens (T,) and their `features` (T, F) show; () where a part is
    shorter or longer than `Limits` let a new tune have it, or there are too many."""
    bar, part = features[:, 1].astype(int), features[:, 2].astype(int)
    number, repeated, ending = part // 6, part // 3 % 2, part % 3
    last = np.flatnonzero(np.diff(number) > 0)  # the last token of each part
    found = []
    begin = 0
    for end in last.tolist():
        first_ending = np.flatnonzero(ending[begin : end + 1] == 1)  # its last row is behind `:|`
        at = begin + first_ending[-1] - 1 if ending[end] == 2 and len(first_ending) else end
        found.append(OutlinePart(int(bar[at]), bool(repeated[end]), _ends_home(tokens[: end + 1])))
        begin = end + 1
    return tuple(found) if may_be_new(tuple(found)) else ()


def _ends_home(tokens: Sequence[str]) -> bool:
    """Whether the last pitch is the tonic, in any octave."""
    parsed = map(parse_token, reversed(tokens))
    steps, alter = next((token.value for token in parsed if token.kind == "pitch"), (1, 0))
    return bool(steps % 7 == 0 and alter == 0)


def compass_of(tokens: Sequence[str]) -> Compass | None:
    """Lowest and highest pitch of a tune; None where it has none."""
    parsed = map(parse_token, tokens)
    steps = [token.value[0] for token in parsed if token.kind == "pitch"]
    return (min(steps), max(steps)) if steps else None


def may_be_new(outline: Outline) -> bool:
    """Whether a new tune may have this outline."""
    longest = min(DEFAULT.part_bars, FEATURE_SIZES["bar"] - 2)
    fits = all(DEFAULT.min_part_bars <= part.bars <= longest for part in outline)
    return fits and 0 < len(outline) < DEFAULT.parts


def limits_of(outline: Outline) -> Limits:
    """What holds a tune to an outline."""
    return Limits(form=tuple(Part(repeated=part.repeated, bars=part.bars) for part in outline))


def outline_in(limits: Limits) -> Outline:
    """The outline that limits leave, every part ending on the tonic; () where they leave bars or
    parts open."""
    if limits.total_bars is not None or any(part.bars is None for part in limits.form):
        return ()
    return tuple(OutlinePart(p.bars or 0, bool(p.repeated), home=True) for p in limits.form)


class Foresight:
    """What the designs of B tunes say about the place where each of them stands."""

    def __init__(self, designs: Sequence[Design]) -> None:
        outlines = [design.outline for design in designs]
        n, most = len(outlines), max(map(len, outlines), default=0)
        self._n_parts = np.array([len(outline) for outline in outlines], np.int64)
        self._compass = np.zeros((n, 2), np.int64)
        for row, design in enumerate(designs):
            if design.compass is not None:
                self._compass[row] = 1 + np.clip(design.compass, _DEEPEST, _HIGHEST) - _DEEPEST
        self._bars = np.zeros((n, most + 1), np.int64)
        self._home = np.zeros((n, most + 1), np.int64)
        for row, outline in enumerate(outlines):
            for column, part in enumerate(outline):
                self._bars[row, column] = part.bars
                self._home[row, column] = 0 if part.home is None else 1 + part.home

    def rows(self, features: NDArray[np.integer]) -> NDArray[np.int64]:
        """The columns of `FORESIGHT_SIZES`, (B, 5), for the grammar's features (B, F)."""
        bar, part = features[:, 1].astype(np.int64), features[:, 2].astype(np.int64)
        number, ending = np.minimum(part // 6, self._bars.shape[1] - 1), part % 3
        parts_left = self._n_parts - part // 6
        at = np.arange(len(number)), number
        left = np.clip(self._bars[at] - np.maximum(bar - 1, 0), 1, _MOST_BARS)
        left[ending == 2] = _IN_SECOND_ENDING
        known = self._n_parts > 0
        in_part = known & (parts_left > 0)
        return np.column_stack(
            [
                np.where(in_part, left, 0),
                np.where(known, 1 + np.clip(parts_left, 0, _MOST_PARTS), 0),
                np.where(in_part, self._home[at], 0),
                self._compass,
            ]
        )

    def keep(self, rows: NDArray[np.integer]) -> Foresight:
        """That of these rows only, in this order."""
        kept = object.__new__(Foresight)
        kept._n_parts, kept._bars, kept._home, kept._compass = (
            array[rows] for array in (self._n_parts, self._bars, self._home, self._compass)
        )
        return kept
