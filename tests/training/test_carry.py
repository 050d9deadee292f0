"""The state carried from window to window: what it reads, what it learns, how it resumes."""

from __future__ import annotations

import dataclasses
import math
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from musicgen.corpus.tokenset import BOS_ID, PAD_ID, TokenSet
from musicgen.errors import ConfigError, TrainingError, TrainingInterrupted
from musicgen.models import ModelConfig, checkpoint
from musicgen.models.batches import ContiguousPlan
from musicgen.training import NextTokenModule, RunFolder, TrainConfig, TuneDataModule, train
from musicgen.training.config import DataConfig
from musicgen.training.run_folder import parse_rows
from tests.runs import VOCAB, losses, make_tokens, signal_at

CARRIED = TrainConfig(
    steps=40,
    data=DataConfig(batch_tokens=32, max_len=8, carry=True, features=False),
    model=ModelConfig(
        kind="rnn", d_model=16, dropout=0.0, embedding_dropout=0.0, tie_embeddings=False
    ),
    optimizer="sgd",
    schedule="constant",
    learning_rate=0.1,
    warmup=0.0,
    weight_decay=0.0,
    val_every=20,
    log_every=1,
    save_minutes=9.0,
)


@pytest.fixture(scope="module")
def tokens() -> TokenSet:
    return make_tokens()


def plan_of(tokens: TokenSet, **options: Any) -> ContiguousPlan:
    settings = {"batch_tokens": 32, "max_len": 8, "seed": 0, **options}
    return ContiguousPlan(tokens.splits["train"], **settings)


def with_kind(kind: str, **changes: Any) -> TrainConfig:
    model = dataclasses.replace(CARRIED.model, kind=kind)
    return dataclasses.replace(CARRIED, model=model, **changes)


def test_every_row_goes_on_where_it_ended(tokens: TokenSet) -> None:
    plan = plan_of(tokens)
    batches = [plan.batch(step) for step in range(plan.steps_per_epoch)]
    assert {tuple(batch.tokens.shape) for batch in batches[:-1]} == {(4, 8)}
    n_starts = 0
    for before, after in pairwise(batches[:-1]):
        goes_on = after.tokens[:, 0] == before.targets[:, -1]
        begins = after.tokens[:, 0] == BOS_ID
        assert (goes_on | begins).all()
        n_starts += int(begins.sum())
    assert n_starts < len(batches)


def test_an_epoch_holds_every_target_once_with_its_features(tokens: TokenSet) -> None:
    split = tokens.splits["train"]
    tunes = sorted(tuple(split.tune(i)[0].tolist()) for i in range(len(split)))
    for options in ({}, {"max_len": 7}, {"batch_tokens": 8}, {"batch_tokens": 10**6}):
        plan = plan_of(tokens, **options)
        orders = []
        for epoch in (0, 1):
            steps = range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch)
            batches = [plan.batch(step) for step in steps]
            read, targets = (torch.cat([b[i] for b in batches], 1) for i in (0, 2))
            features = torch.cat([b.features for b in batches], 1)
            there = targets != PAD_ID
            assert not read[~there].any()
            assert not features[~there].any()
            ids, beat = read[there].tolist(), features[there][:, 0].tolist()
            starts = [i for i, token in enumerate(ids) if token == BOS_ID] + [len(ids)]
            spans = [slice(a, b) for a, b in pairwise(starts)]
            assert sorted((*ids[s], 2) for s in spans) == tunes
            assert all(beat[s] == [i % 4 for i in range(len(ids[s]))] for s in spans)
            assert sum(float(b.n_targets) for b in batches) == int(there.sum())
            orders.append(ids)
        assert orders[0] != orders[1]


def test_shards_are_rows_of_their_own(tokens: TokenSet) -> None:
    plan = plan_of(tokens, parts=2)
    whole = [plan.batch(step) for step in (0, 1, plan.steps_per_epoch - 1)]
    for i, step in enumerate((0, 1, plan.steps_per_epoch - 1)):
        for share in range(4):
            part = plan.batch(step, shard=(share, 4))
            assert torch.equal(part.tokens, whole[i].tokens[share::4])
            assert part.n_targets == whole[i].n_targets / 4


class Plain(nn.Module):
    """The network as torch has it: a table, `nn.RNN` or `nn.LSTM`, a linear output."""

    def __init__(self, module: NextTokenModule) -> None:
        super().__init__()
        theirs: Any = module.network
        layer = theirs.layers[0]
        self.is_lstm = hasattr(layer, "lstm")
        self.table = nn.Embedding(len(VOCAB), 16)
        self.recurrence: nn.Module = (nn.LSTM if self.is_lstm else nn.RNN)(16, 16, batch_first=True)
        self.output = nn.Linear(16, len(VOCAB))
        self.table.load_state_dict(theirs.embedding.token.state_dict())
        self.output.load_state_dict(theirs.readout.output.state_dict())
        if self.is_lstm:
            self.recurrence.load_state_dict(layer.lstm.state_dict())
        else:  # of two biases one is enough
            weights = zip(self.recurrence.parameters(), (layer.w_in, layer.w_hidden, layer.bias,
                                                         torch.zeros(16)), strict=True)  # fmt: skip
            for weight, value in weights:
                weight.data.copy_(value.data)
            self.recurrence.bias_hh_l0.requires_grad_(False)

    def losses(self, plan: ContiguousPlan, n_steps: int) -> list[float]:
        """Bits per token of each step of a loop by hand, one time of one row after another."""
        optimizer = torch.optim.SGD([p for p in self.parameters() if p.requires_grad], lr=0.1)
        bits = []
        for step in range(n_steps):
            batch = plan.batch(step)
            if step % plan.steps_per_epoch == 0:
                zero = torch.zeros(1, 1, 16)
                states = [(zero, zero)] * len(batch.tokens)
            total = torch.zeros(())
            for row, (ids, targets) in enumerate(zip(batch.tokens, batch.targets, strict=True)):
                for token, target in zip(ids.tolist(), targets.tolist(), strict=True):
                    if token == BOS_ID:
                        states[row] = (zero, zero)
                    x = self.table(torch.tensor([[token]]))
                    if self.is_lstm:
                        y, states[row] = self.recurrence(x, states[row])
                    else:
                        y, h = self.recurrence(x, states[row][0])
                        states[row] = (h, zero)
                    if target != PAD_ID:
                        total = total - self.output(y[0, 0]).log_softmax(0)[target]
            loss = total / batch.n_targets
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([p for p in self.parameters() if p.requires_grad], 1.0)
            optimizer.step()
            states = [(h.detach(), c.detach()) for h, c in states]
            bits.append(loss.item() / math.log(2))
        return bits


@pytest.mark.parametrize("kind", ["rnn", "lstm"])
def test_losses_are_those_of_a_plain_loop_of_torch(
    tmp_path: Path, tokens: TokenSet, kind: str
) -> None:
    config = with_kind(kind)
    torch.manual_seed(0)
    alone = tokens.with_features(())
    module = NextTokenModule.from_config(config.fitted(alone), alone)
    plain = Plain(module)
    train(config, tokens, tmp_path / "run")
    rows = parse_rows((tmp_path / "run/history.csv").read_text())
    ours = [row.train_bits_per_token for row in rows]
    plan = plan_of(tokens)
    assert plan.steps_per_epoch < 40
    np.testing.assert_allclose(ours, plain.losses(plan, 40), rtol=1e-4)
    apart = dataclasses.replace(config, data=dataclasses.replace(config.data, carry=False))
    train(apart, tokens, tmp_path / "apart")
    assert losses(tmp_path / "apart") != losses(tmp_path / "run")


@pytest.mark.parametrize("change", [{"kind": "lstm"}, {"kind": "rnn", "accumulate": 3}])
def test_a_run_resumes_in_the_state_that_it_stopped_in(
    tmp_path: Path, tokens: TokenSet, change: dict[str, Any]
) -> None:
    config = with_kind(change.pop("kind"), steps=20, val_every=10)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, **change))
    train(config, tokens, tmp_path / "whole")
    for step in (3, 13, 17):
        report = signal_at(step, signal.SIGTERM)
        resume = step > 3
        with pytest.raises(TrainingInterrupted):
            train(config, tokens, tmp_path / "parts", resume=resume, report=report)
        (state, *_) = RunFolder(tmp_path / "parts").states()
        carried = torch.load(state, weights_only=True)["musicgen"]["carried"]
        assert all(each.abs().min() > 0 for each in carried)
    train(config, tokens, tmp_path / "parts", resume=True)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    smooth = [
        [
            row.smooth_bits_per_token
            for row in parse_rows((tmp_path / run / "history.csv").read_text())
        ]
        for run in ("whole", "parts")
    ]
    assert smooth[0] == smooth[1]
    a, b = (checkpoint.load(tmp_path / run / "model").weights for run in ("whole", "parts"))
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_parts_of_a_step_carry_states_of_their_own(tmp_path: Path, tokens: TokenSet) -> None:
    """Three parts of four rows learn what twelve rows do."""
    data = dataclasses.replace(CARRIED.data, batch_tokens=96)
    train(dataclasses.replace(CARRIED, data=data), tokens, tmp_path / "one")
    data = dataclasses.replace(CARRIED.data, accumulate=3)
    train(dataclasses.replace(CARRIED, data=data), tokens, tmp_path / "three")
    one, three = (
        [row[3] for row in losses(tmp_path / run)] for run in ("one", "three")
    )  # bits of every step
    np.testing.assert_allclose(one, three, rtol=1e-5)


def test_the_smoothed_loss_is_that_of_the_talk(tmp_path: Path, tokens: TokenSet) -> None:
    train(dataclasses.replace(CARRIED, log_every=3), tokens, tmp_path / "run")
    train(CARRIED, tokens, tmp_path / "each")
    each, run = (
        parse_rows((tmp_path / name / "history.csv").read_text()) for name in ("each", "run")
    )
    plan = plan_of(tokens)
    smooth, expected = math.log2(len(VOCAB)), {}
    for row in each:
        assert row.train_bits_per_token is not None
        windows = int((plan.batch(row.step - 1).targets != PAD_ID).sum()) / 25
        smooth = row.train_bits_per_token + 0.999**windows * (smooth - row.train_bits_per_token)
        expected[row.step] = pytest.approx(smooth, rel=1e-9)
    found = {row.step: row.smooth_bits_per_token for row in run if row.smooth_bits_per_token}
    assert len(found) >= 13
    assert found == {step: expected[step] for step in found}


def test_what_cannot_be_carried_is_refused_in_one_line(tmp_path: Path, tokens: TokenSet) -> None:
    with pytest.raises(ConfigError, match=r"^data\.carry: the transformer has no state of fixed"):
        with_kind("transformer")
    data = TuneDataModule.from_tokens(tokens, DataConfig(max_len=8, carry=True))
    trainer = pl.Trainer(max_epochs=1, logger=False, enable_checkpointing=False,
                         enable_progress_bar=False, default_root_dir=tmp_path)  # fmt: skip
    with pytest.raises(ConfigError, match=r"data\.carry: the transformer"):
        trainer.fit(NextTokenModule("transformer", d_model=16), data)
    data.trainer = pl.Trainer(accumulate_grad_batches=5, logger=False, enable_checkpointing=False,
                              enable_progress_bar=False)  # fmt: skip
    data.batches = DataConfig(batch_tokens=8, max_len=8, carry=True)
    object.__setattr__(data, "_shard", lambda: (0, 2))
    with pytest.raises(TrainingError, match=r"data\.carry: 5 rows .* give data\.batch_tokens=16"):
        data.setup("fit")
