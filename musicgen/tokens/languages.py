"""The token languages that a corpus can be prepared in.

LANGUAGES["remi"].encode(tune)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import InvalidTuneError
from musicgen.music.tune import Tune
from musicgen.tokens import char, melody, remi
from musicgen.tokens.melody import grammar
from musicgen.tokens.melody.automaton import Tracer
from musicgen.tokens.melody.table import HEADER_KINDS
from musicgen.tokens.remi.grammar import FEATURE_SIZES, trace
from musicgen.tokens.remi.notation import tune_of
from musicgen.tokens.remi.pieces import piece_of
from musicgen.tokens.vocabulary import BOS, EOS

SEPARATOR = "\0"  # between the tokens of a text; part of none


class Encoded(NamedTuple):
    """A tune as it comes from the process that read it. `tokens` with a `SEPARATOR` between them,
    `<bos>` and `<eos>` included; `features` (T, F) after each; `units` are its notes, or whatever
    the language counts by; `dropped` counts what tokens cannot say of it; `irregular` says that
    its bars or repeats do not add up."""

    tokens: str
    features: NDArray[np.uint16]
    units: int
    irregular: bool
    dropped: Counter[str]


@dataclass(frozen=True)
class Language:
    """A tokenizer with the features that networks get beside its tokens. `what` is the kind of
    music that it can say; `encode` gives a tune, or the reason why it cannot be said. With fewer
    than `small` tunes to train on no token is too rare to be kept: hardly a heading occurs twice.
    `all_voices` are to be read of files whose readers else give the melody. `unit` is what the
    likelihood of a model is quoted by; `decode` gives the tune that tokens say. With `encode_text`
    files and folders are read as text, a document at a time, and only the named corpora as music.
    """

    name: str
    what: str
    n_header: int
    feature_sizes: dict[str, int]
    encode: Callable[[Tune], Encoded | str]
    decode: Callable[[Sequence[str]], Tune | None]
    small: int = 0
    all_voices: bool = False
    unit: str = "note"
    encode_text: Callable[[str], Encoded] | None = None


def _encode_melody(tune: Tune) -> Encoded | str:
    try:
        reduced = melody.melody(tune)
        spoken = (BOS, *melody.encode(reduced.tune), EOS)
    except InvalidTuneError as error:
        return str(error)
    features, first_wrong = _tracer().trace(spoken)
    n_notes, irregular = reduced.tune.n_notes, first_wrong is not None
    return Encoded(SEPARATOR.join(spoken), features, n_notes, irregular, reduced.dropped)


@cache  # one for each process
def _tracer() -> Tracer:
    return Tracer()


def _encode_piece(tune: Tune) -> Encoded | str:
    try:
        piece, dropped = piece_of(tune)
        spoken = (BOS, *remi.encode(piece), EOS)
    except InvalidTuneError as error:
        return str(error)
    features, irregular = trace(spoken)
    return Encoded(SEPARATOR.join(spoken), features, piece.n_notes, irregular, dropped)


def _decode_piece(spoken: Sequence[str]) -> Tune:
    return tune_of(remi.decode(spoken))


def _encode_abc(tune: Tune) -> Encoded | str:
    try:
        reduced = melody.melody(tune)
    except InvalidTuneError as error:
        return str(error)
    return _encode_text(char.text_of(reduced.tune))._replace(dropped=reduced.dropped)


def _encode_text(text: str) -> Encoded:
    spoken = (BOS, *char.encode(text), EOS)
    features = np.zeros((len(spoken), 0), np.uint16)
    return Encoded(SEPARATOR.join(spoken), features, len(text), False, Counter())


def _decode_text(spoken: Sequence[str]) -> Tune | None:
    return char.tune_in(char.decode(spoken))


LANGUAGES = {
    melody.NAME: Language(
        melody.NAME,
        "single-line melody",
        len(HEADER_KINDS),
        grammar.FEATURE_SIZES,
        _encode_melody,
        melody.decode,
    ),
    remi.NAME: Language(
        remi.NAME,
        "piece in parts",
        len(remi.HEADER_KINDS),
        FEATURE_SIZES,
        _encode_piece,
        _decode_piece,
        small=50,
        all_voices=True,
    ),
    char.NAME: Language(
        char.NAME,
        "single-line melody",
        0,
        {},
        _encode_abc,
        _decode_text,
        small=50,
        unit=char.UNIT,
        encode_text=_encode_text,
    ),
}
