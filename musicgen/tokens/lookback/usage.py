"""Usage columns: how often the tune has had rests, tuplets, dotted notes and the like.

A tune keeps to its means: who has written no rest in sixteen bars will hardly write one. A network
forgets what it has not seen for long, so it brings in too much that is new. These columns are
inputs; they predict nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from musicgen.tokens.lookback.places import TunePlaces
from musicgen.tokens.melody.table import Token

# At least COUNTS[i] occurrences are in bucket i + 1.
COUNTS = np.array([1, 2, 4, 8, 16])
_MOST = int(COUNTS[-1])
_BUCKETS: list[int] = np.searchsorted(COUNTS, np.arange(_MOST + 1), side="right").tolist()
NAMES = ("rests", "ties", "tuplets", "accidentals", "short", "dotted", "long")


def usage_sizes(vocab_size: int) -> dict[str, int]:
    """Names and sizes of the columns, in order: every value is in [0, size)."""
    return {f"{name}_used": len(COUNTS) + 1 for name in NAMES}


def kind_of(token: Token) -> int | None:
    """Index in `NAMES` of what a token is counted as."""
    match token.kind:
        case "rest" | "tie" | "tuplet":
            return ("rest", "tie", "tuplet").index(token.kind)
        case "pitch":
            return 3 if token.value[1] else None
        case "length":
            if token.value < 1:
                return 4
            return 5 if Fraction(token.value).numerator % 3 == 0 else 6
    return None


class UsageTracker:
    """The columns of one tune. `kinds` gives `kind_of` each id."""

    def __init__(self, kinds: Sequence[int | None]) -> None:
        self._kinds = kinds
        self._counts = [0] * len(NAMES)

    def advance(self, token: int, places: TunePlaces) -> list[int]:
        """The columns after one more token."""
        kind = self._kinds[token]
        if kind is not None:
            self._counts[kind] = min(self._counts[kind] + 1, _MOST)
        return [_BUCKETS[count] for count in self._counts]
