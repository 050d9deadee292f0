"""The state of a tune after some tokens: position in the bar, part, ending, tuplet, tie."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce

from musicgen.tokens.melody.table import HEADER_KINDS, Token, parse_token

ZERO = Fraction(0)
ONE = Fraction(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The state of a tune. Positions and lengths are in quarter notes.

    `header` counts the header tokens read; `full` is the length of a full bar. `bar` counts the
    finished full bars of this part (the pickup bar is not one) and `ending_bar` those of this
    ending; `in_pickup` says that the current bar is a pickup. `length` is a length token waiting
    for its note; `tuplet` is (notes left, scale, written length or None before the first note).
    `tie` says that a tie waits for its note. `before` counts the bars of earlier parts and
    `first_ending` those of the first ending, as long as the second lasts. `hurry` asks for the
    earliest valid end.
    """

    header: int = 0
    rhythm: str = ""
    full: Fraction = ZERO
    unit: Fraction = ZERO
    pickup: Fraction = ZERO
    position: Fraction = ZERO
    in_pickup: bool = False
    length: Fraction | None = None
    tuplet: tuple[int, Fraction, Fraction | None] | None = None
    after_note: bool = False
    after_tuplet: bool = False
    tie: bool = False
    bar: int = 0
    part: int = 0
    repeat: bool = False
    volta: tuple[int, ...] = ()
    ending_bar: int = 0
    first_ending: int = 0
    before: int = 0
    part_open: bool = False
    closed: str = ""
    hurry: bool = False
    done: bool = False

    def __hash__(
        self,
    ) -> int:  # of the fields that mostly differ; a Fraction's own is slow
        at, length, pickup = self.position, self.length, self.pickup
        return hash(
            (
                (self.bar, self.part, self.repeat, self.volta, self.ending_bar, self.closed),
                (at.numerator, at.denominator, pickup.numerator, pickup.denominator),
                length is not None and (length.numerator, length.denominator),
                self.tuplet is not None and self.tuplet[0],
                (self.header, self.full.numerator, self.unit.denominator, self.rhythm),
                (self.after_note, self.after_tuplet, self.tie, self.in_pickup),
            )
        )


def start() -> State:
    """The state before the first header token."""
    return State()


def advance(state: State, token: Token) -> State:
    """The state after a token. Total: every token of an irregular tune gives some state."""
    match token.kind:
        case "<eos>":
            return replace(state, done=True)
        case "rhythm" | "meter" | "unit" | "tonic" | "mode" | "pickup":
            return _read_header(state, token)
        case "repeat":
            return replace(state, repeat=True, closed="")
        case "volta":
            return replace(state, volta=token.value, ending_bar=0, closed="")
        case "length":
            return replace(state, length=token.value, after_note=False)
        case "tuplet":
            actual, normal, size = token.value
            return replace(state, tuplet=(size, Fraction(normal, actual), None), after_note=False)
        case "pitch" | "rest":
            return _sound(state, token)
        case "tie":
            return replace(state, tie=True, after_note=False)
        case "close":
            return _close(state, str(token.value))
    return state


def state_after(tokens: Iterable[str]) -> State:
    """The state after some tokens of a tune, the heading included."""
    return reduce(advance, map(parse_token, tokens), start())


def _read_header(state: State, token: Token) -> State:
    read = replace(state, header=HEADER_KINDS.index(token.kind) + 1)
    match token.kind:
        case "rhythm":
            return replace(read, rhythm=token.value)
        case "meter":
            return replace(read, full=token.value.bar_duration)
        case "unit":
            return replace(read, unit=token.value)
        case "pickup":
            # The rhythm has done its work; forgetting it makes more states equal.
            return replace(read, pickup=token.value, in_pickup=token.value > 0, rhythm="")
    return read


def _sound(state: State, token: Token) -> State:
    tuplet, scale = state.tuplet, ONE
    written = state.length if state.length is not None else ONE
    if tuplet is not None:
        left, scale, default = tuplet
        if state.length is None and default is not None:
            written = default
        tuplet = (left - 1, scale, written) if left > 1 else None
    return replace(
        state,
        position=state.position + written * state.unit * scale,
        length=None,
        tuplet=tuplet,
        after_note=token.kind == "pitch",
        after_tuplet=state.tuplet is not None and tuplet is None,
        tie=False,
        part_open=True,
        closed="",
    )


def _close(state: State, line: str) -> State:
    opened = replace(
        state,
        position=ZERO,
        in_pickup=False,
        length=None,
        tuplet=None,
        after_note=False,
        after_tuplet=False,
    )
    if state.in_pickup and line == "|":
        return opened
    ending_bar = state.ending_bar + bool(state.volta)
    cleared = replace(opened, bar=state.bar + 1, ending_bar=ending_bar)
    if line == "|":
        return cleared
    if line == ":|" and in_first_ending(state):
        return replace(cleared, closed=":|1", first_ending=ending_bar, tie=False)
    return replace(
        cleared,
        closed=line,
        bar=0,
        part=state.part + 1,
        repeat=False,
        volta=(),
        ending_bar=0,
        first_ending=0,
        before=state.before + state.bar + 1 - ending_bar * bool(state.first_ending),
        part_open=False,
        in_pickup=bool(state.pickup),
        tie=False,
    )


def in_first_ending(state: State) -> bool:
    """Whether the current ending is left by going back."""
    return 1 in state.volta


TICKS_PER_QUARTER = 24
FEATURE_SIZES = {"position": 6 * TICKS_PER_QUARTER + 1, "bar": 34, "part": 48, "inside": 24}


def features(state: State) -> tuple[int, int, int, int]:
    """The state as small integers, each below its `FEATURE_SIZES`.

    position: ticks (24 a quarter) since the bar line, a pickup counted from the end of its bar.
    bar: 0 in the header or a pickup, else 1 + the bar's number in its part.
    part: number of the part, whether it is repeated, which ending.
    inside: notes left in a tuplet, whether a tie is open.
    """
    at = state.position
    if state.in_pickup:
        at += state.full - state.pickup
    position = min(int(at * TICKS_PER_QUARTER), FEATURE_SIZES["position"] - 1)
    in_music = state.header == len(HEADER_KINDS) and not state.in_pickup
    bar = min(1 + state.bar, FEATURE_SIZES["bar"] - 1) if in_music else 0
    ending = min(state.volta[0], 2) if state.volta else 0
    part = (min(state.part, 7) * 2 + state.repeat) * 3 + ending
    left = min(state.tuplet[0], 11) if state.tuplet is not None else 0
    return position, bar, part, left * 2 + state.tie


def count_bars(row: tuple[int, int, int, int], *, bar: int, part: int) -> tuple[int, int, int, int]:
    """The `features` of a state in its part's first bar and the first part, moved to another."""
    position, first, ending, inside = row
    moved = min(first + bar, FEATURE_SIZES["bar"] - 1) if first else 0
    return position, moved, ending + min(part, 7) * 6, inside
