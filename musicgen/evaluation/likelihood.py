"""How likely a model finds held-out tunes: bits per note, with a confidence interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musicgen.checkpoint import Checkpoint
from musicgen.errors import CheckpointError, CorpusError
from musicgen.tokenset import TokenSet
from musicgen.training import score_tunes

RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Bits of everything that must be known to write the tunes down, per note; lower is better.

    `low` and `high` bound it in 95 % of 1,000 bootstrap samples of the tunes.
    """

    bits_per_note: float
    low: float
    high: float
    n_tunes: int
    n_notes: int


def bits_per_note(checkpoint: Checkpoint, tokens: TokenSet, split: str = "test") -> Likelihood:
    """Score a model on one split of token files.

    Raises:
        CheckpointError: the model was trained on another vocabulary.
        CorpusError: the split is empty.
    """
    if tokens.vocab != checkpoint.vocab:
        raise CheckpointError("the model and the token files have different vocabularies")
    held_out = tokens.with_features(checkpoint.feature_sizes).splits[split]
    if not len(held_out):
        raise CorpusError(f"split '{split}' holds no tune; give a larger corpus")
    bits = score_tunes(checkpoint.network, held_out)
    notes = held_out.notes.astype(np.float64)
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(bits), (RESAMPLES, len(bits)))
    ratios = bits[draws].sum(axis=1) / notes[draws].sum(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Likelihood(
        float(bits.sum() / notes.sum()), float(low), float(high), len(bits), int(notes.sum())
    )
