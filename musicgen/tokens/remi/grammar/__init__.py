"""Which remi token may come next: positions that rise, voices in range, pieces that end together.

    state = PieceState()                            # one piece
    state.advance(token)
    constraint = PieceConstraint(vocabulary, n)   # a batch, as the sampler wants it

The frame is the order that MidiTok declares (after a Program a Pitch, after a Pitch a Duration,
...). Inside it, time only increases, a bar has exactly the positions of its meter, a part of one
line strikes only when it is free, nothing sounds past the end, and the last bar makes up for the
pickup. So every sequence decodes, and the piece that it makes adds up.
"""

from musicgen.tokens.remi.grammar.constraint import PieceConstraint
from musicgen.tokens.remi.grammar.state import FEATURE_SIZES, PieceState, trace

__all__ = ["FEATURE_SIZES", "PieceConstraint", "PieceState", "trace"]
