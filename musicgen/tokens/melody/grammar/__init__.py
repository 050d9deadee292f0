"""Which melody token may come next: bars that add up, repeats that close, endings, final lines.

    state = start()
    allowed(state) -> Options      the tokens that may come next in a valid tune
    advance(state, token) -> State total: also for tokens that are not valid

One set of rules drives constrained decoding (`GrammarConstraint`), the check of real tunes
(`Tracer`), both in `automaton`, and the extra inputs of the networks (`features`). It guarantees of
every tune that it allows:

- each bar sums to the meter; a part starts with the tune's pickup, and the last bar of every part
  and ending leaves exactly the pickup's length open;
- every `|:` is closed by `:|`, a first ending is followed by a second, and the tune ends with `:|`
  or `|]`;
- tuplets are complete, and a tie leads to the same pitch.
"""

from __future__ import annotations

from musicgen.tokens.melody.grammar.limits import UNLIMITED, Limits, PartPlan, ends, part_length
from musicgen.tokens.melody.grammar.outline import Outline, leaving_open, may_be_new, outline_of
from musicgen.tokens.melody.grammar.rules import (
    Options,
    allowed,
    is_tonic,
    may_be_last,
    permits,
)
from musicgen.tokens.melody.grammar.state import (
    FEATURE_SIZES,
    State,
    advance,
    count_bars,
    features,
    in_first_ending,
    start,
    state_after,
)

__all__ = [
    "FEATURE_SIZES",
    "UNLIMITED",
    "Limits",
    "Options",
    "Outline",
    "PartPlan",
    "State",
    "advance",
    "allowed",
    "count_bars",
    "ends",
    "features",
    "in_first_ending",
    "is_tonic",
    "leaving_open",
    "may_be_last",
    "may_be_new",
    "outline_of",
    "part_length",
    "permits",
    "start",
    "state_after",
]
