"""The token language of music in parts, as a row of the table of languages."""

from __future__ import annotations

from collections.abc import Sequence

from musicgen.errors import InvalidTuneError
from musicgen.music.tune import Tune
from musicgen.tokens.language import Encoded, Language
from musicgen.tokens.remi.encoding import HEADER_KINDS, NAME, decode, encode
from musicgen.tokens.remi.grammar import FEATURE_SIZES, trace
from musicgen.tokens.remi.notation import tune_of
from musicgen.tokens.remi.pieces import piece_of


def _encode(tune: Tune) -> Encoded | str:
    try:
        piece, dropped = piece_of(tune)
        return Encoded.of(encode(piece), trace, piece.n_notes, dropped)
    except InvalidTuneError as error:
        return str(error)


def _decode(tokens: Sequence[str]) -> Tune:
    return tune_of(decode(tokens))


REMI = Language(
    name=NAME,
    what="piece in parts",
    n_header=len(HEADER_KINDS),
    feature_sizes=FEATURE_SIZES,
    encode=_encode,
    decode=_decode,
    small=50,
    all_voices=True,
)
