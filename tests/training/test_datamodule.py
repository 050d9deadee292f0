"""Batches: every token once an epoch, little padding, a function of seed and step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from musicgen.corpus.tokenset import PAD_ID, TokenSet, build_tokenset
from musicgen.errors import ConfigError
from musicgen.models.batches import Batch, BatchPlan, pack
from musicgen.tokens.vocabulary import SPECIALS
from musicgen.training.config import DataConfig
from musicgen.training.datamodule import TuneDataModule

VOCAB = (*SPECIALS, *(f"t{i}" for i in range(2000)))


def make_tokens(n: int = 60, longest: int = 120) -> TokenSet:
    """Tunes without any token twice in all, so that each can be recognised."""
    random = np.random.default_rng(0)
    rows, used = [], 4
    for index in range(n):
        length = int(random.integers(3, longest))
        ids = np.array([1, *(used + np.arange(length)) % 2000 + 4, 2])
        used += length
        rows.append(("train", str(index), ids, np.arange(len(ids))[:, None] % 150, length))
    return build_tokenset(rows, vocab=VOCAB, feature_sizes={"place": 150}, tokenizer="toy")


@pytest.fixture(scope="module")
def tokens() -> TokenSet:
    return make_tokens()


def plan_of(tokens: TokenSet, batch_tokens: int, max_len: int = 512, seed: int = 0) -> BatchPlan:
    split = tokens.splits["train"]
    return BatchPlan(split, batch_tokens=batch_tokens, max_len=max_len, seed=seed)


def epoch_of(plan: BatchPlan, epoch: int) -> list[Batch]:
    n = plan.steps_per_epoch
    return [plan.batch(step) for step in range(epoch * n, (epoch + 1) * n)]


@pytest.mark.parametrize("max_len", [7, 50, 500])
@pytest.mark.parametrize("epoch", [0, 3])
def test_an_epoch_holds_every_target_once(tokens: TokenSet, max_len: int, epoch: int) -> None:
    split = tokens.splits["train"]
    plan = plan_of(tokens, batch_tokens=300, max_len=max_len)
    seen = torch.cat([b.targets[b.targets != PAD_ID] for b in epoch_of(plan, epoch)])
    expected = np.concatenate([split.tune(i)[0][1:] for i in range(len(split))])
    np.testing.assert_array_equal(np.sort(seen.numpy()), np.sort(expected))


def test_targets_are_the_tokens_that_come_next(tokens: TokenSet) -> None:
    batch = plan_of(tokens, batch_tokens=300).batch(0)
    assert batch.tokens.dtype == batch.targets.dtype == batch.features.dtype == torch.int64
    assert batch.features.shape == (*batch.tokens.shape, 3)
    for row, target in zip(batch.tokens, batch.targets, strict=True):
        length = int((target != PAD_ID).sum())
        assert row[0] == 1
        assert target[length - 1] == 2
        assert torch.equal(row[1:length], target[: length - 1])
        assert not row[length:].any()


def test_a_piece_of_a_tune_keeps_the_features_of_its_place(tokens: TokenSet) -> None:
    plan = plan_of(tokens, batch_tokens=300, max_len=20)
    for batch in epoch_of(plan, 0):
        for row, features in zip(batch.tokens, batch.features, strict=True):
            assert features[0, 0] % 20 == 0
            assert (features[0, 0] == 0) == (row[0] == 1)


def test_a_batch_is_a_function_of_seed_and_step(tokens: TokenSet) -> None:
    one, two = (plan_of(tokens, batch_tokens=300, seed=3) for _ in range(2))
    for step in (40, 0, 17, 41, 16):  # in any order, as after a resume
        assert all(torch.equal(a, b) for a, b in zip(one.batch(step), two.batch(step), strict=True))
        two = plan_of(tokens, batch_tokens=300, seed=3)
    other = plan_of(tokens, batch_tokens=300, seed=4)
    assert not all(torch.equal(one.batch(s).tokens, other.batch(s).tokens) for s in range(5))


def test_epochs_differ(tokens: TokenSet) -> None:
    plan = plan_of(tokens, batch_tokens=300)
    first, second = epoch_of(plan, 0), epoch_of(plan, 1)
    assert not all(torch.equal(a.tokens, b.tokens) for a, b in zip(first, second, strict=False))


def test_devices_share_a_batch_without_overlap(tokens: TokenSet) -> None:
    plan = plan_of(tokens, batch_tokens=600)
    whole = plan.batch(2)
    parts = [plan.batch(2, shard=(rank, 2)) for rank in range(2)]
    assert whole.n_targets == (whole.targets != PAD_ID).sum()
    for part in parts:  # the mean over both of cost / n_targets is that of the whole
        assert part.n_targets == whole.n_targets / 2
    shared = torch.cat([part.targets[part.targets != PAD_ID] for part in parts])
    everything = whole.targets[whole.targets != PAD_ID]
    assert torch.equal(shared.sort().values, everything.sort().values)


def test_padding_is_little() -> None:
    tokens = make_tokens(n=3000, longest=150)
    plan = plan_of(tokens, batch_tokens=2048)
    batches = epoch_of(plan, 0)
    places = sum(batch.tokens.numel() for batch in batches)
    assert sum(float(batch.n_targets) for batch in batches) / places > 0.9


@given(lengths=st.lists(st.integers(1, 50), min_size=1), batch_tokens=st.integers(1, 200))
def test_packing_keeps_order_and_bound(lengths: list[int], batch_tokens: int) -> None:
    runs = pack(np.array(lengths), batch_tokens)
    assert [i for run in runs for i in range(run.start, run.stop)] == list(range(len(lengths)))
    for run in runs:
        own = lengths[run]
        assert len(own) == 1 or len(own) * max(own) <= batch_tokens


def test_a_loader_goes_on_in_the_middle_of_an_epoch(tokens: TokenSet) -> None:
    data = TuneDataModule.from_tokens(tokens, DataConfig(batch_tokens=300))
    data.plan = plan_of(tokens, batch_tokens=300)
    first: Any = data.train_dataloader()
    first.sampler.set_epoch(1)
    batches = iter(first)
    for _ in range(3):
        next(batches)
    second: Any = data.train_dataloader()
    second.load_state_dict(first.state_dict())
    second.sampler.set_epoch(1)
    rest = list(second)
    assert len(rest) == len(first) - 3
    assert torch.equal(rest[0].tokens, next(batches).tokens)
    assert torch.equal(rest[0].tokens, data.plan.batch(data.plan.steps_per_epoch + 3).tokens)
    assert len(list(second)) == len(first)  # the next time from the beginning


def test_an_impossible_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.max_len: 0 is not at least 1"):
        DataConfig(max_len=0)
