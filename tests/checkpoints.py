"""Small networks with random weights, which show what holds by construction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch

from musicgen.corpus.tokenset import TokenSet
from musicgen.models import ModelConfig, build_model, weights_of
from musicgen.models.checkpoint import Checkpoint
from musicgen.tokens.lookback.match import match_sizes
from musicgen.tokens.vocabulary import Vocabulary
from musicgen.training import TrainConfig


def untrained_of(tokens: TokenSet, *, kind: str = "lstm") -> Checkpoint:
    """A network of 16 channels for these tokens, with random weights."""
    config = TrainConfig(model=ModelConfig(kind=kind, d_model=16, n_heads=2)).fitted(tokens)
    torch.manual_seed(0)
    return Checkpoint(
        weights=weights_of(build_model(config.model)),
        model=config.model,
        vocab=tokens.vocab,
        feature_sizes=tokens.feature_sizes,
        tokenizer=tokens.tokenizer,
        fingerprint=tokens.fingerprint,
    )


def random_checkpoint(
    vocabulary: Vocabulary,
    given: Mapping[str, int],
    tokenizer: str,
    openings: Iterable[tuple[Sequence[str], int]],
) -> Checkpoint:
    """An LSTM of one layer that knows a vocabulary; `given` are the feature columns before the
    match columns, `openings` headings with counts."""
    sizes = {**given, **match_sizes(len(vocabulary))}
    model = ModelConfig(
        kind="lstm",
        vocab_size=len(vocabulary),
        feature_sizes=tuple(sizes.values()),
        d_model=16,
        n_layers=1,
    )
    torch.manual_seed(0)
    return Checkpoint(
        weights=weights_of(build_model(model)),
        model=model,
        vocab=vocabulary.tokens,
        feature_sizes=sizes,
        tokenizer=tokenizer,
        openings=tuple((tuple(vocabulary.encode(heading)), n) for heading, n in openings),
    )
