"""The token language of single-line melodies, as a row of the table of languages."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import InvalidTuneError
from musicgen.music.tune import Tune
from musicgen.tokens.language import Encoded, Language
from musicgen.tokens.melody.automaton import Tracer
from musicgen.tokens.melody.encoding import NAME, decode, encode, melody
from musicgen.tokens.melody.grammar import FEATURE_SIZES
from musicgen.tokens.melody.table import HEADER_KINDS


def _encode(tune: Tune) -> Encoded | str:
    try:
        reduced = melody(tune)
        return Encoded.of(encode(reduced.tune), _trace, reduced.tune.n_notes, reduced.dropped)
    except InvalidTuneError as error:
        return str(error)


def _trace(tokens: Sequence[str]) -> tuple[NDArray[np.uint16], bool]:
    features, first_wrong = _tracer().trace(tokens)
    return features, first_wrong is not None


@cache  # one for each process
def _tracer() -> Tracer:
    return Tracer()


MELODY = Language(
    name=NAME,
    what="single-line melody",
    n_header=len(HEADER_KINDS),
    feature_sizes=FEATURE_SIZES,
    encode=_encode,
    decode=decode,
)
