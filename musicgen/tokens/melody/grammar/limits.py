"""How long a tune may be: its form, the bars of its parts, and where it may end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache

from musicgen.tokens.melody.grammar.state import State, in_first_ending


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPlan:
    """One written part of a form; None leaves the choice to the model.

    `repeated` says whether it stands between `|:` and `:|`, `bars` is its number of full bars (a
    first ending counted, a second not), `endings` allows a first and a second ending.
    `ends_on_tonic` says whether a note that fills its last bar must be the tonic, in any octave.
    """

    repeated: bool | None = None
    bars: int | None = None
    endings: bool = True
    ends_on_tonic: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on the length of a tune, so that every sampling ends.

    `part_bars` and `ending_bars` are the most bars of a part or of an ending, `parts` the most
    parts, `min_part_bars` the fewest bars of a part. `form` names the parts one by one and
    `total_bars` the bars of all parts together, each written part once; where their number
    is fixed, both endings of a part are equally long. `smallest` is the shortest single length, in
    units (None: that of the vocabulary, or a quarter): every other is a multiple of it, so that the
    rest of a bar can always be filled. `motif_return` is (bar from 0, bars): where in the
    first part a motif comes back, and how long it is; no tie, no ending leads into it and no part
    ends in it. `meters_of_rhythm` holds a type of tune to the meters it is danced in;
    `plain_tuplets` keeps ties out of tuplets and rests out of them and off their ends, where other
    programs misread them. Collections keep to neither.
    """

    part_bars: int = 32
    min_part_bars: int = 4
    ending_bars: int = 4
    parts: int = 8
    form: tuple[PartPlan, ...] = ()
    total_bars: int | None = None
    smallest: Fraction | None = None
    motif_return: tuple[int, int] | None = None
    meters_of_rhythm: bool = True
    plain_tuplets: bool = True

    @cached_property
    def counted(self) -> bool:
        """Whether the number of bars is fixed, so that both endings must be equally long."""
        return (
            self.total_bars is not None
            or self.min_part_bars == self.part_bars
            or any(part.bars is not None for part in self.form)
        )

    @cached_property
    def bounded(self) -> bool:
        """Whether form or bars are given, so that no tune may be hurried to its end."""
        return bool(self.form) or self.counted or self.min_part_bars > Limits.min_part_bars

    def part(self, state: State) -> PartPlan:
        """The plan of the part that a state is in."""
        return self.form[state.part] if state.part < len(self.form) else _ANY

    def motif_comes(self, state: State) -> bool:
        """Whether a motif comes back in the bar after the current one, if the part continues."""
        if self.motif_return is None or state.part or state.volta or state.in_pickup:
            return False
        return state.bar + 1 == self.motif_return[0]

    def may_follow(self, part: int, before: int) -> bool:
        """Whether part number `part` (from 0) may begin after `before` bars in earlier ones."""
        if self.total_bars is not None and before >= self.total_bars:
            return False
        return part < (len(self.form) or self.parts)

    def may_finish(self, part: int, before: int) -> bool:
        """Whether a tune may end with `part` parts and `before` bars in them."""
        if self.total_bars is not None and before < self.total_bars:
            return False
        return part >= len(self.form)


_ANY = PartPlan()
DEFAULT = Limits()
# The limits of a regular written tune, whatever its length.
UNLIMITED = Limits(
    part_bars=10_000,
    min_part_bars=1,
    ending_bars=10_000,
    parts=10_000,
    smallest=Fraction(1, 64),
    meters_of_rhythm=False,
    plain_tuplets=False,
)


def ends(state: State, limits: Limits) -> Sequence[int]:
    """The numbers of bars with which the current part or ending may end, in rising order, as
    `State.bar` counts them (through a second ending)."""
    if state.hurry:
        return (state.bar + 1,)
    lengths = _part_lengths(limits, state.part, state.before)
    if not state.volta:
        return lengths
    start = state.bar - state.ending_bar
    longest = start + limits.ending_bars
    if limits.counted and not in_first_ending(state):
        return (start + max(state.first_ending, 1),)
    if limits.counted:
        return [n for n in lengths if start < n <= longest] or (start + 1,)
    shortest = max(start + 1, limits.min_part_bars)
    return range(shortest, max(longest, shortest) + 1)


def may_open_ending(state: State, limits: Limits) -> bool:
    """Whether the part, at a bar line, can still come to its end within a first ending."""
    if not limits.part(state).endings:
        return False
    if limits.motif_return is not None and not state.part and state.bar < sum(limits.motif_return):
        return False
    if not limits.counted:
        return state.bar < limits.part_bars
    lengths = _part_lengths(limits, state.part, state.before)
    return any(state.bar < n <= state.bar + limits.ending_bars for n in lengths)


def part_length(state: State) -> int:
    """Full bars of the part if it ended with the current one; a second ending is not counted."""
    second = bool(state.volta) and not in_first_ending(state)
    return state.bar - state.ending_bar if second else state.bar + 1


@lru_cache(maxsize=4096)
def _part_lengths(limits: Limits, part: int, before: int) -> Sequence[int]:
    """The possible numbers of bars of part number `part`, after `before` bars in earlier parts."""
    planned = limits.form[part].bars if part < len(limits.form) else None
    if planned is not None:
        return (planned,)
    if limits.motif_return is not None and not part:
        comes, n_bars = limits.motif_return
        free = _part_lengths(replace(limits, motif_return=None), part, before)
        return tuple(n for n in free if n <= comes or n > comes + n_bars)
    if limits.total_bars is None:
        return range(limits.min_part_bars, limits.part_bars + 1)
    rest = limits.total_bars - before
    most = (len(limits.form) or limits.parts) - part - 1  # parts that may come after it
    fewest = most if limits.form else 0
    return tuple(
        n
        for n in range(1, min(limits.part_bars, max(rest, 1)) + 1)
        if (n == rest and not fewest)
        or (n >= limits.min_part_bars and _can_be_shared(limits, rest - n, max(fewest, 1), most))
    ) or (max(rest, 1),)


def _can_be_shared(limits: Limits, bars: int, fewest: int, most: int) -> bool:
    """Whether so many bars can be shared among `fewest` to `most` parts."""
    shares = range(fewest, most + 1)
    return any(k * limits.min_part_bars <= bars <= k * limits.part_bars for k in shares)
