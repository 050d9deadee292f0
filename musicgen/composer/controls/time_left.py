"""The number of notes that a part can still hold before each end that it may have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from musicgen.tokens.melody.grammar import Limits, State, ends


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """The time that is left before the part or ending ends: `turn` if other music follows, `end` if
    it ends on a tonic. Each is in smallest notes: to the end of the bar (-1: it cannot end so), and
    after that bar. `smallest` is in units.

    The methods return the largest number of notes that can follow, for both kinds of end.
    """

    turn: tuple[float, int]
    end: tuple[float, int]
    smallest: Fraction

    def slots(self) -> tuple[int, int]:
        """Now."""
        return int(sum(self.turn)), int(sum(self.end))

    def after_note(self, state: State) -> tuple[int, int]:
        """After a note or rest of the current length."""
        written = state.length if state.length is not None else Fraction(1)
        if state.tuplet is None:
            return self._less(written / self.smallest, 0)
        left, scale, default = state.tuplet
        if state.length is None and default is not None:
            written = default
        return self._less(left * written * scale / self.smallest, left - 1)

    def after_lengths(
        self, state: State, slots: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """After notes of many lengths, given in smallest notes: (V,), (V,)."""
        left, scale = (1, Fraction(1)) if state.tuplet is None else state.tuplet[:2]
        turn, end = (self._left(kind, slots * float(left * scale), left - 1) for kind in self._both)
        return turn, end

    def after_tuplet(self, size: int) -> tuple[int, int]:
        """When a tuplet of `size` notes of any length begins."""
        turn, end = (-1 if in_bar < 0 else size + later for in_bar, later in self._both)
        return turn, end

    @property
    def _both(self) -> tuple[tuple[float, int], tuple[float, int]]:
        return self.turn, self.end

    def _less(self, slots: Fraction, more: int) -> tuple[int, int]:
        used = np.array(float(slots))
        turn, end = (int(self._left(kind, used, more)) for kind in self._both)
        return turn, end

    @staticmethod
    def _left(
        kind: tuple[float, int], slots: NDArray[np.float64], more: int
    ) -> NDArray[np.float64]:
        in_bar, later = kind
        fits = slots <= in_bar + 1e-9
        return np.where(fits, np.floor(in_bar + later - slots + 1e-9) + more, -1)


def latest_end(state: State, limits: Limits, fits: Callable[[int], bool]) -> tuple[float, int]:
    """The time until the last end that fits, in smallest notes: to the end of the bar, and after
    it; (-1, 0) for none."""
    lengths = list(ends(state, limits))
    returns = motif_bar(state, limits)
    if returns:
        lengths = sorted({n for n in lengths if n <= returns} | {returns})
    grid = state.unit * (limits.smallest or Fraction(1, 4))
    full, pickup, bar = state.full, state.pickup, state.bar
    for n in reversed(lengths):
        if n <= bar or not fits(n):
            continue
        short = Fraction(0) if n == returns else pickup  # the bar before a motif is whole
        if state.in_pickup:
            in_bar, later = pickup - state.position, (n - bar) * full - short
        elif n == bar + 1:
            in_bar, later = full - short - state.position, Fraction(0)
        else:
            in_bar, later = full - state.position, (n - bar - 1) * full - short
        if in_bar >= 0:
            return float(in_bar / grid), int(later / grid)  # a tuplet's notes lie off the grid
    return -1, 0


def motif_bar(state: State, limits: Limits) -> int:
    """The bar of the first part before which a motif returns later; 0 for none."""
    if limits.motif_return is None or state.part or state.volta:
        return 0
    bar = limits.motif_return[0]
    return bar if state.bar < bar else 0
