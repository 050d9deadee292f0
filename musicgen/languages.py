"""The token languages a corpus can be prepared in, and which of them a corpus asks for.

choose(["chorales"])      # Choice("remi", "300 of 310 tunes have several voices or chords")
LANGUAGES["remi"].encode(tune)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicgen import formats, grammar, polyphony
from musicgen.config import unknown
from musicgen.constraint import Tracer
from musicgen.corpus import find_files
from musicgen.corpus.texts import tune_in
from musicgen.errors import ConfigError, InvalidTuneError, MusicgenError
from musicgen.tokenizer import BOS, EOS, char, melody, remi, tokens
from musicgen.tokenizer.notating import tune_of
from musicgen.tokenizer.parts import is_polyphonic, piece_of
from musicgen.tune import Tune

_FILES_LOOKED_AT = 60
_TUNES_OF_A_FILE = 20


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
    features, irregular = polyphony.trace(spoken)
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
    return tune_in(char.decode(spoken))


LANGUAGES = {
    melody.NAME: Language(
        melody.NAME,
        "single-line melody",
        len(tokens.HEADER_KINDS),
        grammar.FEATURE_SIZES,
        _encode_melody,
        melody.decode,
    ),
    remi.NAME: Language(
        remi.NAME,
        "piece in parts",
        len(remi.HEADER_KINDS),
        polyphony.FEATURE_SIZES,
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


@dataclass(frozen=True, slots=True)
class Choice:
    """A key of `LANGUAGES`, and why that one."""

    name: str
    reason: str


def choose(sources: Sequence[str], asked: str | None = None) -> Choice:
    """The language that is `asked` for, or else the one that fits a corpus: `remi` where at least
    half of its tunes have several voices or chords. A sample is looked at, from all over it.

    Raises:
        ConfigError: there is no such language.
        CorpusError: the corpus cannot be found.
    """
    if asked is not None:
        if asked not in LANGUAGES:
            raise ConfigError(unknown(asked, asked, LANGUAGES, kind="tokenizer"))
        return Choice(asked, "asked for")
    several = [is_polyphonic(tune) for tune in _sample(sources)]
    n = sum(several)
    if several and 2 * n >= len(several):
        return Choice(remi.NAME, f"{n} of {len(several)} tunes looked at have voices or chords")
    single = f"{len(several) - n} of {len(several)} tunes looked at are single lines"
    return Choice(melody.NAME, single)


def _sample(sources: Sequence[str]) -> Iterable[Tune]:
    files = find_files(sources)
    for file in files[:: -(-len(files) // _FILES_LOOKED_AT)]:
        try:
            for tune in islice(formats.scan_each(file.path, all_voices=True), _TUNES_OF_A_FILE):
                if isinstance(tune, Tune):
                    yield tune
        except MusicgenError:
            continue  # the full reading will list it with its reason
