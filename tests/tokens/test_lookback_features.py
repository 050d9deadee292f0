"""Lookback columns of all groups, the same while sampling as in the token files."""

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
from musicgen.tokens.lookback.features import Lookback
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
    places = ["bar1", "bar2", "bar4", "bar8", "part", "moved_half", "moved1", "moved2", "moved4"]
    assert of[2] == [f"{name}_next" for name in ["match", *places]]
    trusted = [names[i].removesuffix("_length") for i in model.trust_columns]
    assert trusted == [name.removesuffix("_next") for name in of[2]]


def test_languages_without_the_grammars_columns_only_match() -> None:
    vocabulary = ["<pad>", "1", "2", "3"]
    of_melodies = Lookback.newest(["position", "bar", "part", "inside", "more"], vocabulary)
    assert of_melodies.of_places == ("echo", "moved")
    for given in (["position", "left", "to_go"], []):
        assert list(Lookback.newest(given, vocabulary).sizes.values()) == [4, 12]
    for groups in ((), ("echo",), ("echo", "moved")):
        lookback = Lookback(vocabulary, groups)
        found = Lookback.of(["a", "b", *lookback.sizes], vocabulary)
        assert found is not None
        assert found.of_places == groups
    assert Lookback.of(["position", "bar"], vocabulary) is None


@pytest.mark.parametrize("groups", [(), ("echo",), ("echo", "moved")])
def test_a_tracker_gives_the_columns_of_the_files(groups: tuple[str, ...]) -> None:
    rng = np.random.default_rng(2)
    vocabulary = ["<pad>", "<bos>", "<eos>", "<unk>", "M:3/4", "1", "2", "3", "z", "|"]
    ids = rng.integers(4, len(vocabulary), (3, 80))
    given = np.stack([rng.integers(0, 3, (3, 80)) for _ in FEATURE_SIZES], axis=2)
    lookback = Lookback(vocabulary, groups)
    tracker = lookback.tracker(3)
    steps = [tracker.advance(ids[:, t], given[:, t]) for t in range(40)]
    tracker.keep(np.array([2, 0]))
    steps += [tracker.advance(ids[[2, 0], t], given[[2, 0], t]) for t in range(40, 80)]
    for row, places in ((2, (2, 0)), (0, (0, 1))):
        whole = lookback.features(ids[row], given[row])
        np.testing.assert_array_equal([s[places[0]] for s in steps[:40]], whole[:40])
        np.testing.assert_array_equal([s[places[1]] for s in steps[40:]], whole[40:])
    assert whole.shape == (80, len(lookback.sizes))
    assert (whole.max(axis=0) < list(lookback.sizes.values())).all()
    np.testing.assert_array_equal(whole[:, :2], match_features(ids[0]))


def heard_whole(checkpoint: Checkpoint, spoken: list[str]) -> np.ndarray:
    """Bits of every token of a tune after the first, from torch, all at once."""
    vocabulary = Vocabulary(checkpoint.vocab)
    ids = np.array(vocabulary.encode(spoken))
    grammar, _ = Tracer().trace(spoken)
    lookback = Lookback.newest(FEATURE_SIZES, checkpoint.vocab)
    features = np.hstack([grammar, lookback.features(ids, grammar)]).astype(np.int64)
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
        lookback = Lookback.newest(FEATURE_SIZES, echoing.vocab)
        np.testing.assert_array_equal(
            heard.features[:, 4:], lookback.features(heard.ids, heard.features[:, :4])
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
