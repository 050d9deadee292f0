"""Guesses: matches and echoes side by side, the same while sampling as in the token files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from musicgen.composer import Composer
from musicgen.composer.controls import Controls
from musicgen.composer.infilling import right_bits
from musicgen.composer.sampling import SamplingConfig
from musicgen.corpus.tokenset import TokenSet, build_tokenset
from musicgen.errors import CorpusError
from musicgen.evaluation.inspection.tokens import encode_tune
from musicgen.models import ModelConfig, build_model, weights_of
from musicgen.models.checkpoint import Checkpoint
from musicgen.models.cost import nats
from musicgen.tokens.lookback.echo import echo_features
from musicgen.tokens.lookback.features import (
    LookbackTracker,
    lookback_features,
    lookback_sizes,
    n_given_columns,
    supports_echo,
)
from musicgen.tokens.lookback.match import match_features
from musicgen.tokens.melody.automaton import Tracer
from musicgen.tokens.melody.encoding import encode
from musicgen.tokens.melody.grammar import FEATURE_SIZES
from musicgen.tokens.vocabulary import BOS, EOS, Vocabulary
from musicgen.training import TrainConfig


@pytest.fixture(scope="module")
def tokens(untrained: Checkpoint) -> TokenSet:
    rng = np.random.default_rng(0)
    rows = []
    for split in ("train", "val", "test"):
        ids = np.concatenate([[1], rng.integers(4, len(untrained.vocab), 60), [2]])
        rows.append((split, split, ids, np.zeros((62, len(FEATURE_SIZES)), int), 30))
    return build_tokenset(
        rows, vocab=untrained.vocab, feature_sizes=FEATURE_SIZES, tokenizer="melody", n_header=6
    )


@pytest.fixture(scope="module")
def echoing(untrained: Checkpoint, tokens: TokenSet) -> Checkpoint:
    """A network with random weights that hears matches and copies matches and echoes."""
    config = TrainConfig(epochs=1, model=ModelConfig(kind="lstm", d_model=16, n_layers=1))
    model = config.fitted(tokens).model
    torch.manual_seed(0)
    network = build_model(model)
    torch.nn.init.normal_(network.readout.trust.weight, std=0.5)
    return replace(
        untrained,
        weights=weights_of(network),
        model=model,
        feature_sizes=tokens.feature_sizes,
    )


def test_what_a_new_model_hears_and_what_it_only_copies(echoing: Checkpoint) -> None:
    names, model = list(echoing.feature_sizes), echoing.model
    of = [
        [names[i] for i in columns]
        for columns in (model.plain_columns, model.token_inputs, model.copy_columns)
    ]
    assert of[0] == [*FEATURE_SIZES, "match_length"]
    assert of[1] == []
    assert of[2] == ["match_next", "bar1_next", "bar2_next", "bar4_next", "bar8_next", "part_next"]
    trusted = [names[i].removesuffix("_length") for i in model.trust_columns]
    assert trusted == [name.removesuffix("_next") for name in of[2]]


def test_languages_without_the_grammars_columns_only_match() -> None:
    assert supports_echo(["position", "bar", "part", "inside", "more"])
    assert not supports_echo(["position", "left", "to_go"])
    assert not supports_echo([])
    assert list(lookback_sizes(9, echo=False).values()) == [9, 12]
    for echo in (False, True):
        names = ["a", "b", *lookback_sizes(9, echo=echo)]
        assert n_given_columns(names) == (2, echo)


def test_a_tracker_gives_the_columns_of_the_files() -> None:
    rng = np.random.default_rng(2)
    ids = rng.integers(4, 9, (3, 80))
    given = np.stack([rng.integers(0, 3, (3, 80)) for _ in FEATURE_SIZES], axis=2)
    for echo in (False, True):
        tracker = LookbackTracker(3, echo=echo)
        steps = [tracker.advance(ids[:, t], given[:, t]) for t in range(40)]
        tracker.keep(np.array([2, 0]))
        steps += [tracker.advance(ids[[2, 0], t], given[[2, 0], t]) for t in range(40, 80)]
        for row, places in ((2, (2, 0)), (0, (0, 1))):
            whole = lookback_features(ids[row], given[row], echo=echo)
            np.testing.assert_array_equal([s[places[0]] for s in steps[:40]], whole[:40])
            np.testing.assert_array_equal([s[places[1]] for s in steps[40:]], whole[40:])
    np.testing.assert_array_equal(whole[:, :2], match_features(ids[0]))
    np.testing.assert_array_equal(whole[:, 2:], echo_features(ids[0], given[0]))


def heard_whole(checkpoint: Checkpoint, spoken: list[str]) -> np.ndarray:
    """Bits of every token of a tune after the first, from torch, all at once."""
    vocabulary = Vocabulary(checkpoint.vocab)
    ids = np.array(vocabulary.encode(spoken))
    grammar, _ = Tracer().trace(spoken)
    features = np.hstack([grammar, lookback_features(ids, grammar, echo=True)]).astype(np.int64)
    with torch.inference_mode():
        logits, _ = checkpoint.network(
            torch.from_numpy(ids[None, :-1]), torch.from_numpy(features[None, :-1])
        )
        cost = nats(logits, torch.from_numpy(ids[None, 1:]))[0]
    return cost.double().numpy() / np.log(2)


def test_a_sampled_tune_is_scored_by_the_network_as_it_was_heard(echoing: Checkpoint) -> None:
    composer = Composer(echoing)
    for take in composer.takes(6, Controls(meter="6/8"), SamplingConfig(seed=3)):
        heard = encode_tune(take.tune, echoing)
        logits = heard_whole(echoing, [BOS, *encode(take.tune), EOS])
        assert len(heard.ids) == len(logits) + 1
        # The sampler's sums are exact to about 10 bits; what the grammar forbids costs nothing.
        n_notes = take.tune.n_notes
        assert take.bits_per_note <= logits.sum() / n_notes + 0.01
        np.testing.assert_array_equal(
            heard.features[:, 4:], lookback_features(heard.ids, heard.features[:, :4], echo=True)
        )


def test_the_right_side_of_a_gap_is_scored_with_its_echoes(echoing: Checkpoint) -> None:
    composer = Composer(echoing)
    tune = composer.generate(meter="6/8", seed=1)
    spoken = list(encode(tune))
    before, after = spoken[:30], [*spoken[30:], EOS]
    (bits,) = right_bits(composer.engine, [before], after)
    expected = heard_whole(echoing, [BOS, *spoken, EOS])[-len(after) :].sum()
    assert bits == pytest.approx(expected, rel=2e-3)


def test_an_older_model_is_given_the_columns_it_knows(
    untrained: Checkpoint, tokens: TokenSet
) -> None:
    old = tokens.with_features(untrained.feature_sizes)
    assert old.feature_sizes == untrained.feature_sizes
    ids, features = old.splits["test"].tune(0)
    np.testing.assert_array_equal(features[:, 4:], match_features(np.asarray(ids)))
    assert tokens.with_features(tokens.feature_sizes) is tokens
    with pytest.raises(CorpusError, match="these token files have no feature 'beat'; prepare it"):
        tokens.with_features(["position", "beat"])
