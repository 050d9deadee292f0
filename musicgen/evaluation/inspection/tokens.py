"""The tokens of a tune or a text in the language of a model, and the note that each belongs to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musicgen.corpus.tokenset import UNK_ID
from musicgen.errors import CheckpointError, ControlError, InvalidTuneError
from musicgen.models.checkpoint import Checkpoint
from musicgen.models.cost import nats
from musicgen.music.tune import Tune
from musicgen.tokens import char
from musicgen.tokens.language import SEPARATOR, Encoded, Language
from musicgen.tokens.languages import LANGUAGES, text_code
from musicgen.tokens.melody.automaton import Tracer
from musicgen.tokens.melody.encoding import NAME, encode, melody
from musicgen.tokens.melody.table import HEADER_KINDS, parse_token
from musicgen.tokens.vocabulary import BOS, EOS, UNKNOWN, Vocabulary

# Place of a note or rest: number of its bar and its number among the timed events of the bar.
Place = tuple[int, int]
_WIDTH = 100  # columns of a line of music without a score
_VISIBLE = {"\n": "\u21b5", "\t": "\u2192", " ": "\u2423"}
BAR = "Bar_None"  # begins a bar of music in parts


@dataclass(frozen=True, slots=True, eq=False)
class TokenView:
    """Token t is `tokens[t]`, ids (T,), features (T, F).

    `tune` is the melody that is encoded, with `places[t]` the note or rest that the token sounds or
    prepares, None for headings and bar lines. Of text and of music in parts (`tune` is None) every
    token has a place: its line and column in the text or in the list of tokens; one that adds no
    letter has that of the next. `n_units` counts the `unit` of the language, and the first
    `n_header` tokens after `<bos>` are the heading. With `is_normalized` the text is canonical ABC.
    """

    tune: Tune | None
    tokens: tuple[str, ...]
    ids: NDArray[np.int64]
    features: NDArray[np.int64]
    places: tuple[Place | None, ...]
    n_units: int
    unit: str = "note"
    n_header: int = 0
    is_normalized: bool = False

    @property
    def batch(self) -> tuple[Tensor, Tensor]:
        """Ids (1, T) and features (1, T, F)."""
        return torch.from_numpy(self.ids)[None], torch.from_numpy(self.features)[None]

    def sounding(self) -> list[tuple[int, Place]]:
        """The tokens of pitches and rests, with their places; without a score all that have one."""
        after = (*self.places[1:], None)
        return [
            (t, place)
            for t, place in enumerate(self.places)
            if place is not None
            and (
                parse_token(self.tokens[t]).kind in ("pitch", "rest")
                if self.tune is not None
                else place != after[t]
            )
        ]

    @property
    def symbols(self) -> tuple[str, ...]:
        """The tokens as a picture shows them, blanks and line ends visible."""
        return tuple(map(shown, self.tokens))

    @property
    def unknown(self) -> tuple[str, ...]:
        """The tokens that the model does not know, each once."""
        pairs = zip(self.tokens, self.ids.tolist(), strict=True)
        return tuple(dict.fromkeys(token for token, i in pairs if i == UNK_ID))

    @property
    def item(self) -> str:
        """The name of one of what `sounding` lists."""
        if self.tune is not None:
            return "note"
        return self.unit if self.unit == char.UNIT else "token"


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
    features = _with_lookback(ids, grammar, checkpoint)
    places, n_notes = _places(tokens), reduced.n_notes
    return TokenView(reduced, tokens, ids, features, places, n_notes, n_header=len(HEADER_KINDS))


def encode_text(text: str, checkpoint: Checkpoint) -> TokenView:
    """A text in the tokens of a model; those that it does not know become unknown.

    Raises:
        CheckpointError: the model does not read text.
    """
    if text_code(checkpoint.tokenizer) is None:
        raise CheckpointError(
            f"this model reads '{checkpoint.tokenizer}' tokens, not text; give it a tune"
        )
    language = LANGUAGES[checkpoint.tokenizer]
    return _view(language.encode_text(text), language, checkpoint)


def token_view(music: Tune | str, checkpoint: Checkpoint) -> TokenView:
    """A tune or a text in the tokens of a model. A model of text reads a tune as canonical ABC
    without number and title, and a text that is a tune as it is or so, whichever is more likely to
    it per character: files are learned as they are, named corpora as canonical ABC.

    Raises:
        CheckpointError: the model's tokens are not known here, or it is given text and reads music.
        ControlError: the model's language cannot represent the tune.
    """
    if checkpoint.tokenizer == NAME and isinstance(music, Tune):
        return encode_tune(music, checkpoint)
    if isinstance(music, str):
        views = [encode_text(music, checkpoint)]
        if (tune := char.tune_in(music)) is not None:
            with suppress(ControlError):
                views.append(token_view(tune, checkpoint))
        if len(views) == 1:
            return views[0]
        return min(views, key=lambda view: _bits_per_character(view, checkpoint))
    if checkpoint.tokenizer not in LANGUAGES:
        raise CheckpointError(
            f"this model reads '{checkpoint.tokenizer}' tokens, which are unknown"
        )
    language = LANGUAGES[checkpoint.tokenizer]
    encoded = language.encode(music)
    if isinstance(encoded, str):
        raise ControlError(f"'{music.title}' cannot be looked into: {encoded}")
    view = _view(encoded, language, checkpoint)
    return replace(view, is_normalized=language.text is not None)


def _view(encoded: Encoded, language: Language, checkpoint: Checkpoint) -> TokenView:
    """An encoded tune or text, every token at its place in lines."""
    tokens = tuple(encoded.tokens.split(SEPARATOR))
    ids = np.array(Vocabulary(checkpoint.vocab).encode(tokens), np.int64)
    return TokenView(
        None,
        tokens,
        ids,
        _with_lookback(ids, encoded.features, checkpoint),
        lines_of(tokens, language),
        max(1, encoded.units),
        language.unit,
        language.n_header,
    )


def _with_lookback(
    ids: NDArray[np.int64], given: NDArray[np.uint16], checkpoint: Checkpoint
) -> NDArray[np.int64]:
    """Features (T, F) of a model, from those of its language."""
    lookback = checkpoint.lookback
    if lookback is None:
        return given[:, : len(checkpoint.feature_sizes)].astype(np.int64)
    return np.hstack([given, lookback.features(ids, given)]).astype(np.int64)


@torch.inference_mode()
def _bits_per_character(view: TokenView, checkpoint: Checkpoint) -> float:
    """Bits of a text under a model, its unknown tokens as if they were unknown characters."""
    ids, features = view.batch
    cost = nats(checkpoint.network(ids[:, :-1], features[:, :-1])[0], ids[:, 1:])
    bits = float(cost.sum()) / math.log(2) + char.UNKNOWN_BITS * int((view.ids == UNK_ID).sum())
    return bits / max(1, sum(map(len, view.tokens[1:-1])))


def lines_of(tokens: Sequence[str], language: Language) -> tuple[Place | None, ...]:
    """Line and column of each token of a text; of music in lines of at most `_WIDTH` columns, one
    bar or more for each. None for `<bos>` and `<eos>`."""
    places: list[Place | None] = [None]
    line, column = 0, 0
    within = tokens[1:-1]
    pieces = language.text.pieces(within) if language.text else [f"{token} " for token in within]
    for token, piece in zip(within, pieces, strict=True):
        if language.text is None and column and (token == BAR or column + len(piece) > _WIDTH):
            line, column = line + 1, 0
        places.append((line, column + (language.text is not None and piece[:-1].startswith(" "))))
        line, column = (line + 1, 0) if piece == "\n" else (line, column + len(piece))
    return (*places, None)


def shown(token: str) -> str:
    """A token as a picture or table shows it, a blank or line end as a visible sign."""
    return _VISIBLE.get(token, token)


def require_score(view: TokenView) -> None:
    """See that the tokens are those of the notes of a score.

    Raises:
        CheckpointError: they are those of text, or of music in parts.
    """
    if view.tune is None:
        raise CheckpointError(f"only '{NAME}' tokens can be shown on a score; draw the tokens")


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
