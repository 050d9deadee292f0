"""Evaluation: bits per note against a model whose bits are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from musicgen.checkpoint import Checkpoint
from musicgen.errors import CheckpointError, CorpusError
from musicgen.evaluation import bits_per_note
from musicgen.grammar import FEATURE_SIZES
from musicgen.tokenset import TokenSet, build_tokenset


@pytest.fixture
def tokens(untrained: Checkpoint) -> TokenSet:
    rng = np.random.default_rng(0)
    rows = [
        (split, f"{split}{i}", rng.integers(4, 20, 30), np.zeros((30, len(FEATURE_SIZES))), 10)
        for split in ("train", "test")
        for i in range(5)
    ]
    return build_tokenset(
        rows, vocab=untrained.vocab, feature_sizes=FEATURE_SIZES, tokenizer="melody"
    )


def test_a_model_that_knows_nothing_needs_the_logarithm_of_its_vocabulary(
    untrained: Checkpoint, tokens: TokenSet
) -> None:
    with torch.no_grad():
        for parameter in untrained.network.parameters():
            saved = parameter.clone()
            parameter.zero_()
            parameter.saved = saved  # type: ignore[attr-defined]
    try:
        score = bits_per_note(untrained, tokens)
    finally:
        with torch.no_grad():
            for parameter in untrained.network.parameters():
                parameter.copy_(parameter.saved)  # type: ignore[attr-defined]
    expected = 29 * math.log2(len(untrained.vocab)) / 10
    assert score.bits_per_note == pytest.approx(expected, rel=1e-5)
    assert (score.n_tunes, score.n_notes) == (5, 50)
    assert score.low <= score.bits_per_note <= score.high


def test_other_vocabularies_and_empty_splits_are_refused(
    untrained: Checkpoint, tokens: TokenSet
) -> None:
    with pytest.raises(CheckpointError, match="different vocabularies"):
        bits_per_note(replace(untrained, vocab=untrained.vocab[:-1]), tokens)
    with pytest.raises(CorpusError, match="split 'val' holds no tune"):
        bits_per_note(untrained, tokens, "val")
