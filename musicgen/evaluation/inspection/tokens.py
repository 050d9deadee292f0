"""The tokens of a tune or a text in the language of a model, and the note that each belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musicgen.errors import CheckpointError, ControlError, InvalidTuneError
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.tune import Tune
from musicgen.tokens import char
from musicgen.tokens.lookback.features import lookback_features, uses_echo
from musicgen.tokens.lookback.match import match_features
from musicgen.tokens.melody.automaton import Tracer
from musicgen.tokens.melody.encoding import NAME, encode, melody
from musicgen.tokens.melody.table import HEADER_KINDS, parse_token
from musicgen.tokens.vocabulary import BOS, EOS, UNKNOWN, Vocabulary

# Place of a note or rest: number of its bar and its number among the timed events of the bar.
Place = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class TokenView:
    """`tune` is the melody that is encoded. Token t is `tokens[t]`, ids (T,), features (T, F);
    `places[t]` is the note or rest that it sounds or prepares, None for headings and bar lines.
    Of a text (`tune` is None) every character is a note of its line."""

    tune: Tune | None
    tokens: tuple[str, ...]
    ids: NDArray[np.int64]
    features: NDArray[np.int64]
    places: tuple[Place | None, ...]

    @property
    def batch(self) -> tuple[Tensor, Tensor]:
        """Ids (1, T) and features (1, T, F)."""
        return torch.from_numpy(self.ids)[None], torch.from_numpy(self.features)[None]

    def sounding(self) -> list[tuple[int, Place]]:
        """The tokens of pitches and rests, with their places."""
        return [
            (t, place)
            for t, (token, place) in enumerate(zip(self.tokens, self.places, strict=True))
            if place is not None
            and (self.tune is None or parse_token(token).kind in ("pitch", "rest"))
        ]

    @property
    def n_notes(self) -> int:
        """Notes of the tune, or characters of the text."""
        return len(self.sounding()) if self.tune is None else self.tune.n_notes


def encode_tune(tune: Tune, checkpoint: Checkpoint) -> TokenView:
    """A tune in the tokens of a model; tokens that it does not know become unknown.

    Raises:
        CheckpointError: the model does not read melody tokens.
        ControlError: the tune is no single line in one key and one meter.
    """
    if checkpoint.tokenizer != NAME:
        raise CheckpointError(
            f"this model reads '{checkpoint.tokenizer}' tokens; use one that reads '{NAME}'"
        )
    try:
        reduced = melody(tune).tune
        tokens = (BOS, *encode(reduced), EOS)
    except InvalidTuneError as error:
        raise ControlError(f"'{tune.title}' cannot be looked into: {error}") from None
    vocabulary = Vocabulary(checkpoint.vocab)
    known = [token if token in vocabulary.ids else UNKNOWN for token in tokens]
    ids = np.array(vocabulary.encode(known), np.int64)
    grammar, _ = Tracer().trace(tokens)
    n_wanted = len(checkpoint.model.feature_sizes)
    lookback = lookback_features(ids, grammar, echo=uses_echo(n_wanted, grammar.shape[1]))
    features = np.hstack([grammar, lookback]).astype(np.int64)[:, :n_wanted]
    return TokenView(reduced, tokens, ids, features, _places(tokens))


def encode_text(text: str, checkpoint: Checkpoint) -> TokenView:
    """A text in the characters of a model; those that it does not know become unknown.

    Raises:
        CheckpointError: the model does not read characters.
    """
    if checkpoint.tokenizer != char.NAME:
        raise CheckpointError(
            f"this model reads '{checkpoint.tokenizer}' tokens; use one that reads '{char.NAME}'"
        )
    tokens = (BOS, *char.encode(text), EOS)
    ids = np.array(Vocabulary(checkpoint.vocab).encode(tokens), np.int64)
    places: list[Place | None] = [None]
    line, column = 0, 0
    for character in text:
        places.append((line, column))
        line, column = (line + 1, 0) if character == "\n" else (line, column + 1)
    return TokenView(None, tokens, ids, match_features(ids).astype(np.int64), (*places, None))


def token_view(music: Tune | str, checkpoint: Checkpoint) -> TokenView:
    """A tune or a text, in the tokens of a model; see `encode_tune` and `encode_text`."""
    if isinstance(music, str):
        return encode_text(music, checkpoint)
    return encode_tune(music, checkpoint)


def _places(tokens: tuple[str, ...]) -> tuple[Place | None, ...]:
    places: list[Place | None] = []
    bar, event = 0, 0
    for token in tokens:
        kind = parse_token(token).kind
        if kind == "tie":
            places.append((bar, event - 1))
        elif kind in ("pitch", "rest", "length", "tuplet"):
            places.append((bar, event))
        else:
            places.append(None)
        event += kind in ("pitch", "rest")
        if kind == "close":
            bar, event = bar + 1, 0
    assert len(places) >= len(HEADER_KINDS)
    return tuple(places)
