"""The rules of which melody token may come next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from musicgen.music.theory import rhythm_meters
from musicgen.tokens.melody.grammar.limits import (
    DEFAULT,
    Limits,
    ends,
    may_open_ending,
    part_length,
)
from musicgen.tokens.melody.grammar.state import ONE, ZERO, State, in_first_ending
from musicgen.tokens.melody.table import HEADER_KINDS, Token


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The tokens that may come next. `room` is the time left in the bar, in quarters (0: none);
    `ends_on_tonic` says whether the pitch must be the tonic (None: free)."""

    header: str = ""
    room: Fraction = ZERO
    unit: Fraction = ZERO
    smallest: Fraction = ONE
    rhythm: str = ""
    full: Fraction = ZERO
    length: Fraction | None = None
    tuplet: tuple[int, Fraction, Fraction | None] | None = None
    rest: bool = False
    tuplets: bool = False
    tie: bool = False
    opens: frozenset[str] = frozenset()
    closes: frozenset[str] = frozenset()
    end: bool = False
    ends_on_tonic: bool | None = None

    def __hash__(
        self,
    ) -> int:  # of the fields that mostly differ; a Fraction's own is slow
        room, length = self.room, self.length
        return hash(
            (
                (self.header, self.rhythm, room.numerator, room.denominator, self.unit.denominator),
                length is not None and (length.numerator, length.denominator),
                self.tuplet is not None and self.tuplet[0],
                (
                    self.rest,
                    self.tuplets,
                    self.tie,
                    self.opens,
                    self.closes,
                    self.end,
                    self.ends_on_tonic,
                ),
            )
        )


def allowed(state: State, limits: Limits = DEFAULT) -> Options:
    """The options of a valid tune after a state."""
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
    room = max(ZERO, bar_length(state, limits) - state.position)
    plain = limits.plain_tuplets
    music = Options(
        room=room,
        unit=state.unit,
        smallest=limits.smallest or Fraction(1, 4),
        length=state.length,
        tuplet=state.tuplet,
        rest=not state.tie and not (plain and (state.tuplet is not None or state.after_tuplet)),
        tuplets=not (plain and state.tie),
        tie=_may_tie(state, room, limits),
        ends_on_tonic=_must_be_tonic(state, room, limits),
    )
    if state.length is not None or state.tuplet is not None:  # a note must follow
        return music
    if state.position > 0:
        closes = _closes(state, limits)
        stuck = room == 0 and not closes and not music.tie  # only after an irregular beginning
        return replace(music, closes=frozenset("|") if stuck else closes)
    finished = state.closed == ":|"
    if finished and (state.hurry or not limits.may_follow(state.part, state.before)):
        return Options(end=True)
    opens = _opens(state, limits)
    if "|:" in opens and limits.part(state).repeated:
        return Options(opens=opens)
    end = finished and limits.may_finish(state.part, state.before)
    return replace(music, opens=opens, end=end)


def _must_be_tonic(state: State, room: Fraction, limits: Limits) -> bool | None:
    """Whether a pitch, which would be the last of its part, is to be the tonic."""
    on_tonic = limits.part(state).ends_on_tonic
    ends = on_tonic is not None and not in_first_ending(state) and _must_end(state, limits)
    return on_tonic if ends and may_be_last(state, room) else None


def may_be_last(state: State, room: Fraction) -> bool:
    """Whether a new pitch fills the room that is left, in quarters."""
    left, scale, default = state.tuplet or (1, ONE, None)
    length = state.length or default or ONE
    return not state.tie and left == 1 and length * scale * state.unit == room


def bar_length(state: State, limits: Limits) -> Fraction:
    """Length that the current bar must reach: the pickup, a full bar, or what ends the tune."""
    if state.in_pickup:
        return state.pickup
    if _must_end(state, limits) and state.position <= state.full - state.pickup:
        return state.full - state.pickup
    return state.full


def _must_end(state: State, limits: Limits) -> bool:
    """Whether the part or the ending has to end with the current bar."""
    return not state.in_pickup and state.bar + 1 >= ends(state, limits)[-1]


def _another_bar(state: State, limits: Limits) -> bool:
    """Whether the part or ending may continue after the current bar."""
    too_far_to_end = state.position > state.full - state.pickup
    return state.in_pickup or too_far_to_end or not _must_end(state, limits)


def _may_tie(state: State, room: Fraction, limits: Limits) -> bool:
    if not state.after_note or (limits.plain_tuplets and state.tuplet is not None):
        return False
    if room == 0 and limits.motif_comes(state):
        return False
    return room > 0 or _another_bar(state, limits)


def _opens(state: State, limits: Limits) -> frozenset[str]:
    if not state.part_open and not state.repeat and not state.volta:
        return frozenset({"|:"} if limits.part(state).repeated is not False else ())
    may_end = (
        state.repeat
        and not (state.volta or state.tie or state.in_pickup or state.hurry)
        and state.bar >= 1
        and may_open_ending(state, limits)
    )
    return frozenset({"[1"} if may_end else ())


def _closes(state: State, limits: Limits) -> frozenset[str]:
    closes = set()
    if state.position == bar_length(state, limits) and _another_bar(state, limits):
        closes.add("|")
    if not _ends_here(state, limits):
        return frozenset(closes)
    if state.repeat and (not state.volta or in_first_ending(state)):
        return frozenset({*closes, ":|"})
    before = state.before + part_length(state)
    if limits.may_finish(state.part + 1, before):
        closes.add("|]")
    if limits.may_follow(state.part + 1, before) and not state.hurry:
        closes.add("||")
    return frozenset(closes)


def _ends_here(state: State, limits: Limits) -> bool:
    """Whether the part or ending may end where it stands."""
    if state.in_pickup or state.tie or state.position != state.full - state.pickup:
        return False
    lengths = ends(state, limits)
    return state.bar + 1 in lengths or state.bar + 1 > lengths[-1]


# --- matching options with tokens -----------------------------------------------------------


def permits(options: Options, token: Token) -> bool:
    """Whether a token is among the options."""
    value = token.value
    if options.header:
        return token.kind == options.header and _header_fits(options, token)
    match token.kind:
        case "pitch":
            return options.ends_on_tonic in (None, is_tonic(token)) and _fits(options)
        case "rest":
            return options.rest and _fits(options)
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


def is_tonic(pitch: Token) -> bool:
    """Whether a pitch is the tonic, in any octave."""
    steps, alter = pitch.value
    return bool(steps % 7 == 0 and alter == 0)


def _fits(options: Options) -> bool:
    """Whether a note of the length that stands now has room."""
    length = options.length if options.length is not None else ONE
    if options.tuplet is not None:
        left, scale, default = options.tuplet  # the whole is measured at its first note
        return default is not None or _leaves_whole(options, length * left * scale)
    return _leaves_whole(options, length)


def _length_fits(options: Options, length: Fraction) -> bool:
    if length == 1:
        return False
    if options.tuplet is not None:
        left, scale, default = options.tuplet
        return default is None and _leaves_whole(options, length * left * scale)
    return _leaves_whole(options, length)


def _tuplet_fits(options: Options, value: tuple[int, int, int]) -> bool:
    if not options.tuplets or options.length is not None or options.tuplet is not None:
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
