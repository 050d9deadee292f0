"""Sequences for a classifier: a text as it is, a tune without what its heading says.

A heading, bar lines and spelling may hold the label or what goes with it. So a single line is
encoded from its notes alone (`melody.transcription`); of music in parts the tokens of the heading
are unknown ones.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicgen.errors import InvalidTuneError
from musicgen.music.tune import Tune
from musicgen.tokens.language import SEPARATOR, Encoded, Language
from musicgen.tokens.languages import LANGUAGES
from musicgen.tokens.melody.transcription import transcribe
from musicgen.tokens.vocabulary import UNKNOWN, Vocabulary


class IdSequence(NamedTuple):
    """Ids (T,) of a tune or text, `<bos>` and `<eos>` included, and the features (T, F) after
    each."""

    ids: NDArray[np.int64]
    features: NDArray[np.int64]


def reads_text(language: Language) -> bool:
    """Whether a language encodes any text."""
    return language.text is not None


def encode_sequence(name: str, music: Tune | str) -> Encoded | str:
    """A tune or a text in the language of that name, or the reason why it has no such tokens."""
    language = LANGUAGES[name]
    if isinstance(music, str):
        if not reads_text(language):
            return f"a text, and {name} tokens are of music"
        return language.encode_text(music)
    if language.all_voices:
        encoded = language.encode(music)
        if isinstance(encoded, str):
            return encoded
        tokens = encoded.tokens.split(SEPARATOR)
        tokens[1 : 1 + language.n_header] = [UNKNOWN] * language.n_header
        return encoded._replace(tokens=SEPARATOR.join(tokens))
    try:
        return language.encode(transcribe(music).notated())
    except InvalidTuneError as error:
        return str(error)


def to_ids(encoded: Encoded, vocabulary: Vocabulary, most: int) -> IdSequence:
    """The first `most` tokens in the ids of a vocabulary; those that it lacks are unknown."""
    ids = np.array(vocabulary.encode(encoded.tokens.split(SEPARATOR)[:most]), np.int64)
    return IdSequence(ids, encoded.features[:most].astype(np.int64))
