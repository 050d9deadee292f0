"""The outline of a tune: how many bars each of its written parts has, and which are repeated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from musicgen.grammar.limits import DEFAULT, Limits, Part
from musicgen.grammar.state import FEATURE_SIZES

# For each written part its full bars (a first ending counted, a second not) and whether it stands
# between repeat signs; () is an outline that is not known.
Outline = tuple[tuple[int, bool], ...]


def outline_of(features: NDArray[np.integer]) -> Outline:
    """The outline that the `features` (T, F) of a tune's tokens show; () where a part is shorter or
    longer than `Limits` let a new tune have it, or there are too many."""
    bar, part = features[:, 1].astype(int), features[:, 2].astype(int)
    number, repeated, ending = part // 6, part // 3 % 2, part % 3
    last = np.flatnonzero(np.diff(number) > 0)  # the last token of each part
    found = []
    begin = 0
    for end in last.tolist():
        first_ending = np.flatnonzero(ending[begin : end + 1] == 1)  # its last row is behind `:|`
        at = begin + first_ending[-1] - 1 if ending[end] == 2 and len(first_ending) else end
        found.append((int(bar[at]), bool(repeated[end])))
        begin = end + 1
    return tuple(found) if may_be_new(tuple(found)) else ()


def may_be_new(outline: Outline) -> bool:
    """Whether a new tune may have this outline."""
    longest = min(DEFAULT.part_bars, FEATURE_SIZES["bar"] - 2)
    fits = all(DEFAULT.min_part_bars <= bars <= longest for bars, _ in outline)
    return fits and 0 < len(outline) < DEFAULT.parts


def limits_of(outline: Outline) -> Limits:
    """What holds a tune to an outline."""
    return Limits(form=tuple(Part(repeated=twice, bars=bars) for bars, twice in outline))
