"""Which melody token may come next: bars that add up, repeats that close, endings, final lines.

    state = start()
    allowed(state) -> Options      what a valid tune may say next
    advance(state, token) -> State total: also follows what a valid tune would not say

One set of rules drives constrained decoding (`GrammarConstraint`), the check of real tunes
(`irregularity`) and the extra inputs of the networks (`features`). What it promises of a
tune it has let through:

- each bar sums to the meter; a part starts with the tune's pickup, and the last bar of every part
  and ending leaves exactly the pickup's length open;
- every `|:` is closed by `:|`, a first ending is followed by a second, and the tune ends with `:|`
  or `|]`;
- tuplets are complete, and a tie leads to the same pitch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from musicgen.theory import rhythm_meters
from musicgen.tokenizer.tokens import HEADER_KINDS, Token, parse_token

ZERO = Fraction(0)
ONE = Fraction(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far a tune may go; they make every sampling end.

    `part_bars` and `ending_bars` are the most bars of a part or of an ending, `parts` the most
    parts, `min_part_bars` the fewest bars of a part. `smallest` is the shortest single length, in
    units (None: as the vocabulary has it, or a quarter): every other is a multiple of it, so that
    what is left of a bar can always be filled.
    `meters_of_rhythm` holds a type of tune to the meters it is danced in; collections do not.
    """

    part_bars: int = 32
    min_part_bars: int = 2
    ending_bars: int = 4
    parts: int = 8
    smallest: Fraction | None = None
    meters_of_rhythm: bool = True


# What makes a written tune regular, whatever its length.
UNLIMITED = Limits(
    part_bars=10_000,
    min_part_bars=1,
    ending_bars=10_000,
    parts=10_000,
    smallest=Fraction(1, 64),
    meters_of_rhythm=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where a tune stands. Positions and lengths are in quarter notes.

    `header` counts the header tokens read; `full` is the length of a full bar. `bar` counts the
    finished full bars of this part (the pickup bar is not one) and `ending_bar` those of this
    ending; `in_pickup` says that the current bar is a pickup. `length` is a length token waiting
    for its note; `tuplet` is (notes left, scale, written length or None before the first note).
    `tie` is the pitch a tie is waiting for. `hurry` asks for the earliest valid end.
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
    tie: bool = False
    bar: int = 0
    part: int = 0
    repeat: bool = False
    volta: tuple[int, ...] = ()
    ending_bar: int = 0
    part_open: bool = False
    closed: str = ""
    hurry: bool = False
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What may come next. `room` is the time left in the bar for notes (0: none), in quarters."""

    header: str = ""
    room: Fraction = ZERO
    unit: Fraction = ZERO
    smallest: Fraction = ONE
    rhythm: str = ""
    full: Fraction = ZERO
    length: Fraction | None = None
    tuplet: tuple[int, Fraction, Fraction | None] | None = None
    tied: bool = False
    tie: bool = False
    opens: frozenset[str] = frozenset()
    closes: frozenset[str] = frozenset()
    end: bool = False


def start(*, hurry: bool = False) -> State:
    """The state before the first header token."""
    return State(hurry=hurry)


# --- following ------------------------------------------------------------------------------


def advance(state: State, token: Token) -> State:
    """The state after a token. Total: an irregular tune is followed as well as can be."""
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
        tie=False,
        part_open=True,
        closed="",
    )


def _close(state: State, line: str) -> State:
    if state.in_pickup and line == "|":
        return replace(
            state, position=ZERO, in_pickup=False, length=None, tuplet=None, after_note=False
        )
    cleared = replace(
        state,
        position=ZERO,
        in_pickup=False,
        length=None,
        tuplet=None,
        after_note=False,
        bar=state.bar + 1,
        ending_bar=state.ending_bar + bool(state.volta),
    )
    if line == "|":
        return cleared
    if line == ":|" and _first_ending(state):
        return replace(cleared, closed=":|1", tie=False)
    return replace(
        cleared,
        closed=line,
        bar=0,
        part=state.part + 1,
        repeat=False,
        volta=(),
        ending_bar=0,
        part_open=False,
        in_pickup=bool(state.pickup),
        tie=False,
    )


def _next_bar(state: State) -> State:
    return replace(state, position=ZERO, length=None, tuplet=None, after_note=False)


def _first_ending(state: State) -> bool:
    return 1 in state.volta


# --- what may come next ---------------------------------------------------------------------


@lru_cache(maxsize=200_000)
def allowed(state: State, limits: Limits = Limits()) -> Options:
    """What a valid tune may say next."""
    if state.done:
        return Options()
    if state.header < len(HEADER_KINDS):
        return Options(
            header=HEADER_KINDS[state.header],
            rhythm=state.rhythm if limits.meters_of_rhythm else "",
            full=state.full,
            unit=state.unit,
            smallest=limits.smallest or Fraction(1, 4),
        )
    if state.closed == "|]":
        return Options(end=True)
    if state.closed == ":|1":
        return Options(opens=frozenset({"[2"}))
    room = _room(state, limits)
    music = Options(
        room=room,
        unit=state.unit,
        smallest=limits.smallest or Fraction(1, 4),
        length=state.length,
        tuplet=state.tuplet,
        tied=state.tie,
        tie=_may_tie(state, room, limits),
    )
    if state.length is not None or state.tuplet is not None:  # a note must follow
        return music
    if state.position > 0:
        closes = _closes(state, limits)
        stuck = room == 0 and not closes and not music.tie  # only after an irregular beginning
        return replace(music, closes=frozenset("|") if stuck else closes)
    ends = state.closed == ":|"
    if ends and (state.part >= limits.parts or state.hurry):
        return Options(end=True)
    return replace(music, opens=_opens(state, limits), end=ends)


def _bar_length(state: State, limits: Limits) -> Fraction:
    """Length that the current bar must reach: the pickup, a full bar, or what ends the tune."""
    if state.in_pickup:
        return state.pickup
    if _must_end(state, limits) and state.position <= state.full - state.pickup:
        return state.full - state.pickup
    return state.full


def _room(state: State, limits: Limits) -> Fraction:
    return max(ZERO, _bar_length(state, limits) - state.position)


def _must_end(state: State, limits: Limits) -> bool:
    """Whether the part or the ending has to end with the current bar."""
    if state.in_pickup:
        return False
    if state.volta:
        return state.hurry or state.ending_bar + 1 >= limits.ending_bars
    return state.hurry or state.bar + 1 >= limits.part_bars


def _another_bar(state: State, limits: Limits) -> bool:
    """Whether the part or ending may go on after the current bar."""
    too_far_to_end = state.position > state.full - state.pickup
    return state.in_pickup or too_far_to_end or not _must_end(state, limits)


def _may_tie(state: State, room: Fraction, limits: Limits) -> bool:
    if not state.after_note:
        return False
    return room > 0 or _another_bar(state, limits)


def _opens(state: State, limits: Limits) -> frozenset[str]:
    opens = set()
    if not state.part_open and not state.repeat and not state.volta:
        opens.add("|:")
    elif (
        state.repeat
        and not state.volta
        and not state.tie
        and not state.in_pickup
        and 1 <= state.bar < limits.part_bars
        and not state.hurry
    ):
        opens.add("[1")
    return frozenset(opens)


def _closes(state: State, limits: Limits) -> frozenset[str]:
    closes = set()
    if state.position == _bar_length(state, limits) and _another_bar(state, limits):
        closes.add("|")
    ends_here = (
        not state.in_pickup
        and state.position == state.full - state.pickup
        and not state.tie
        and (state.hurry or state.bar + 1 >= limits.min_part_bars)
    )
    if ends_here:
        if state.repeat and (not state.volta or _first_ending(state)):
            closes.add(":|")
        else:
            closes.add("|]")
            if state.part + 1 < limits.parts and not state.hurry:
                closes.add("||")
    return frozenset(closes)


# --- matching options with tokens -----------------------------------------------------------


@lru_cache(maxsize=500_000)
def permits(options: Options, token: Token) -> bool:
    """Whether a token is among the options."""
    value = token.value
    if options.header:
        return token.kind == options.header and _header_fits(options, token)
    match token.kind:
        case "pitch":
            return _fits(options)
        case "rest":
            return not options.tied and _fits(options)
        case "length":
            return options.length is None and _length_fits(options, value)
        case "tuplet":
            return _tuplet_fits(options, value)
        case "tie":
            return options.tie
        case "close":
            return value in options.closes
        case "repeat":
            return "|:" in options.opens
        case "volta":
            return f"[{','.join(map(str, value))}" in options.opens
        case "<eos>":
            return options.end
    return False


def _fits(options: Options) -> bool:
    """Whether a note of the length that stands now has room."""
    length = options.length if options.length is not None else ONE
    if options.tuplet is not None:
        left, scale, default = options.tuplet
        if default is None:
            return _leaves_whole(options, length * left * scale)
        return True  # the whole tuplet was measured at its first note
    return _leaves_whole(options, length)


def _length_fits(options: Options, length: Fraction) -> bool:
    if length == 1:
        return False
    if options.tuplet is not None:
        left, scale, default = options.tuplet
        return default is None and _leaves_whole(options, length * left * scale)
    return _leaves_whole(options, length)


def _tuplet_fits(options: Options, value: tuple[int, int, int]) -> bool:
    if options.length is not None or options.tuplet is not None:
        return False
    actual, normal, size = value
    units = Fraction(normal * size, actual)
    return any(_leaves_whole(options, length * units) for length in {ONE, options.smallest})


def _leaves_whole(options: Options, units: Fraction) -> bool:
    """Whether `units` fit into the bar and leave a rest that notes can fill."""
    left = options.room - units * options.unit
    return options.room > 0 and left >= 0 and _whole(left, options.unit * options.smallest)


def _whole(length: Fraction, part: Fraction) -> bool:
    return (length / part).denominator == 1


def _header_fits(options: Options, token: Token) -> bool:
    value = token.value
    if token.kind == "meter":
        meters = rhythm_meters(options.rhythm)
        return not meters or str(value) in meters
    if token.kind == "unit":  # a bar is made of whole smallest notes
        return _whole(options.full, value * options.smallest)
    if token.kind == "pickup":
        return bool(value < options.full) and _whole(value, options.unit * options.smallest)
    return True


def irregularity(tokens: Sequence[str], limits: Limits = UNLIMITED) -> tuple[int, str] | None:
    """First token that a valid tune would not have there, and what it is; None for a valid tune."""
    state, pitch = start(), None
    for i, text in enumerate((*tokens, "<eos>")):
        token = parse_token(text)
        wrong_tie = state.tie and token.kind == "pitch" and token.value != pitch
        if wrong_tie or not permits(allowed(state, limits), token):
            return i, text
        state = advance(state, token)
        pitch = token.value if token.kind == "pitch" else pitch
    return None


# --- what the networks may know of the state ------------------------------------------------

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
