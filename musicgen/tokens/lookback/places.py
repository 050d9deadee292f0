"""The places of a tune: a bar, a position in it, and how many tokens were read there already.

Signs of repeats and endings are left out. Bars are counted through the tune; a pickup belongs to
the bar that it completes, and a second ending stands where the first one does and is not looked up
itself.
"""

from __future__ import annotations

from collections.abc import Sequence

# Part (0: by bars of the tune), bar, position in ticks, tokens at that position.
Place = tuple[int, int, int, int]


class TunePlaces:
    """A tune that grows by one token a step: where it is, and the token that followed each place.

    `bar` counts through the tune, `position` is in ticks, `n_read` the tokens at this position
    before the last; `number` is that of the part, from 1, and `bar_of_part` counts in it.
    """

    def __init__(self) -> None:
        self.bar = self.bar_of_part = 0
        self.position = self.n_read = -1
        self.number = 1
        self._counted = (0, 0)  # part and bar of the part that were counted last
        self._ending = 0
        self._first_ending = 0  # bar of the tune in which it began
        self._place = (-1, -1)
        self._part = 0
        self._followed: dict[Place, int] = {}
        self._open: tuple[Place, Place] | None = None  # the places that the next token follows

    def advance(self, token: int, state: Sequence[int]) -> None:
        """Read a token and the grammar's position, bar and part after it."""
        position, bar, part = state
        if self._open is not None:
            for place in self._open:
                self._followed[place] = token
        self._count(bar, part // 6, part % 3)
        here = (self.bar, position)
        is_sign = part != self._part  # a sign only changes the part or the ending
        self.n_read = self.n_read + 1 if here == self._place and not is_sign else 0
        self._place, self._part = here, part
        self.number, self.bar_of_part, self.position = part // 6 + 1, bar, position
        in_tune = (0, self.bar, position, self.n_read)
        in_part = (self.number, bar, position, self.n_read)
        is_looked_up = (bar or position) and self._ending != 2
        self._open = (in_tune, in_part) if is_looked_up else None

    def _count(self, bar: int, part: int, ending: int) -> None:
        if bar and (part, bar) != self._counted:
            self.bar += 1
            self._counted = (part, bar)
        if ending != self._ending:
            if ending == 1:
                self._first_ending = self.bar
            elif ending == 2:
                self.bar = self._first_ending
            self._ending = ending

    def token_at(self, bar: int, position: int) -> int:
        """The token that followed this place of an earlier bar of the tune, after as many tokens
        as have been read here; 0 where there is none."""
        return self._followed.get((0, bar, position, self.n_read), 0)

    def token_of_part_before(self) -> int:
        """The token that followed this place in the part before; 0 where there is none."""
        if self.number == 1:
            return 0
        place = (self.number - 1, self.bar_of_part, self.position, self.n_read)
        return self._followed.get(place, 0)
