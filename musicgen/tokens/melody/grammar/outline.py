"""The outline of a tune: its parts, their bars, and whether each ends on the tonic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from musicgen.tokens.melody.grammar.limits import DEFAULT, PartPlan
from musicgen.tokens.melody.grammar.rules import is_tonic
from musicgen.tokens.melody.grammar.state import FEATURE_SIZES
from musicgen.tokens.melody.table import parse_token

# The form of a tune, as in `Limits.form`; () is an unknown outline.
Outline = tuple[PartPlan, ...]


def outline_of(features: NDArray[np.integer], tokens: Sequence[str]) -> Outline:
    """The outline that a tune's tokens (T,) and their `features` (T, F) show; () where a part is
    shorter or longer than `Limits` let a new tune have it, or there are too many."""
    bar, part = features[:, 1].astype(int), features[:, 2].astype(int)
    number, repeated, ending = part // 6, part // 3 % 2, part % 3
    last = np.flatnonzero(np.diff(number) > 0)  # the last token of each part
    parts = []
    begin = 0
    for end in last.tolist():
        first_ending = np.flatnonzero(ending[begin : end + 1] == 1)  # its last row is behind `:|`
        last_bar = begin + first_ending[-1] - 1 if ending[end] == 2 and len(first_ending) else end
        parts.append(
            PartPlan(
                repeated=bool(repeated[end]),
                bars=int(bar[last_bar]),
                ends_on_tonic=_ends_on_tonic(tokens[: end + 1]),
            )
        )
        begin = end + 1
    return tuple(parts) if may_be_new(tuple(parts)) else ()


def _ends_on_tonic(tokens: Sequence[str]) -> bool:
    """Whether the last pitch is the tonic, in any octave."""
    parsed = map(parse_token, reversed(tokens))
    return next((is_tonic(token) for token in parsed if token.kind == "pitch"), False)


def leaving_open(outline: Outline) -> Outline:
    """The same parts, which may end on any note."""
    return tuple(replace(part, ends_on_tonic=None) for part in outline)


def may_be_new(outline: Outline) -> bool:
    """Whether a new tune may have this outline."""
    longest = min(DEFAULT.part_bars, FEATURE_SIZES["bar"] - 2)
    fits = all(DEFAULT.min_part_bars <= (part.bars or 0) <= longest for part in outline)
    return fits and 0 < len(outline) < DEFAULT.parts
