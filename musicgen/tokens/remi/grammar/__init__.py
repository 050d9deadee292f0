"""Which remi token may come next: positions that rise, voices in range, pieces that end together.

    follower = Follower()                         # one piece
    follower.advance(token)
    constraint = PieceConstraint(vocabulary, n)   # a batch, as the sampler wants it

What MidiTok declares of its language (after a Program a Pitch, after a Pitch a Duration ...) is the
frame; inside it, time only moves on, a bar has exactly the positions of its meter, a part of one
line strikes only when it is free, nothing sounds past the end, and the last bar makes up for the
pickup. So every sequence decodes, and the piece that it makes adds up.
"""

from musicgen.tokens.remi.grammar.constraint import PieceConstraint
from musicgen.tokens.remi.grammar.following import FEATURE_SIZES, Follower, trace

__all__ = ["FEATURE_SIZES", "Follower", "PieceConstraint", "trace"]
