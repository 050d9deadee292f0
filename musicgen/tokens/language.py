"""A token language: the encoder, the decoder and the feature columns of one kind of token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from musicgen.music.tune import Tune
from musicgen.tokens.vocabulary import BOS, EOS

SEPARATOR = "\0"  # between the tokens of a text; part of none


class Encoded(NamedTuple):
    """An encoded tune as it comes from the process that read it.

    `tokens` are joined by `SEPARATOR`, `<bos>` and `<eos>` included; `features` (T, F) follow
    each; `units` are the notes, or the other units of the language; `dropped` counts the things
    that tokens cannot represent; `irregular` says that bars or repeats do not add up.
    """

    tokens: str
    features: NDArray[np.uint16]
    units: int
    irregular: bool
    dropped: Counter[str]

    @classmethod
    def of(
        cls,
        tokens: Sequence[str],
        trace: Callable[[Sequence[str]], tuple[NDArray[np.uint16], bool]],
        units: int,
        dropped: Counter[str],
    ) -> Encoded:
        """Add `<bos>` and `<eos>`; `trace` gives the features and whether the tune is irregular."""
        sequence = (BOS, *tokens, EOS)
        features, irregular = trace(sequence)
        return cls(SEPARATOR.join(sequence), features, units, irregular, dropped)


@dataclass(frozen=True, kw_only=True)
class TextCode:
    """Tokens of any text: `decode(encode(text)) == text`.

    `pieces` gives what each token adds to the text, with the blank before it; the specials nothing.
    `n_units` counts the units of a text, as `Language.unit` names them. `spelling` gives for a
    vocabulary the bits that tell which one an unknown token is. With `reads_unknown` a prompt may
    hold tokens that a model does not know.
    """

    encode: Callable[[str], list[str]]
    pieces: Callable[[Iterable[str]], list[str]]
    n_units: Callable[[str], int]
    spelling: Callable[[Sequence[str]], Callable[[str], float]]
    reads_unknown: bool = False

    def decode(self, tokens: Iterable[str]) -> str:
        """The text of tokens, without `<bos>`, `<eos>` and `<pad>`."""
        return "".join(self.pieces(tokens))


@dataclass(frozen=True, kw_only=True)
class Language:
    """A tokenizer with the feature columns that networks get beside its tokens.

    `what` is the kind of music that it represents; `encode` gives a tune, or the reason why it
    cannot be represented; `decode` gives the tune of tokens. The first `n_header` tokens are the
    heading. Tokens with fewer than `min_count` occurrences in training are unknown, and those
    beyond the `most_tokens` most frequent ones; with fewer than `small` tunes to train on every
    token is kept, since hardly a heading occurs twice. `all_voices` of a file are read where its
    reader gives the melody by default. `unit` is the unit of the likelihood of a model. With
    `text` files and folders are read as text, a document at a time, and only the named corpora as
    music.
    """

    name: str
    what: str
    n_header: int
    feature_sizes: dict[str, int]
    encode: Callable[[Tune], Encoded | str]
    decode: Callable[[Sequence[str]], Tune | None]
    min_count: int = 3
    most_tokens: int | None = None
    small: int = 0
    all_voices: bool = False
    unit: str = "note"
    text: TextCode | None = None

    def encode_text(self, text: str) -> Encoded:
        """A document in the tokens of a language of text."""
        assert self.text is not None
        units = self.text.n_units(text)
        return Encoded.of(self.text.encode(text), without_features, units, Counter())


def without_features(tokens: Sequence[str]) -> tuple[NDArray[np.uint16], bool]:
    """The features of a language that has none; nothing in it is irregular."""
    return np.zeros((len(tokens), 0), np.uint16), False
