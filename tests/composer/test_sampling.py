"""Sampling: seeds, lanes, filters, masks, carried state."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from musicgen.composer.sampling import SamplingConfig, sample, stepper_of, stream
from musicgen.composer.sampling.filters import (
    Bools,
    Ints,
    draw_tokens,
    filters_of,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    log_softmax,
)
from musicgen.composer.sampling.live import Live
from musicgen.corpus.tokenset import BOS_ID, EOS_ID, PAD_ID
from musicgen.errors import ConfigError, ControlError
from musicgen.models import KINDS, ModelConfig, build_model
from musicgen.models.inference import Stepper
from musicgen.models.inference.torch_stepper import LANES, TorchStepper
from musicgen.tokens.lookback.features import Lookback
from musicgen.tokens.lookback.match import match_features, match_sizes

V = 24
MATCHES = Lookback(list(map(str, range(V))))
SHORT = SamplingConfig(max_tokens=40, seed=5)
LOGITS = arrays(np.float64, (3, 8), elements=st.floats(-20, 20))


def network_of(kind: str, *, d_model: int = 48, grammar: Sequence[int] = ()) -> torch.nn.Module:
    torch.manual_seed(1)
    sizes = (*grammar, *match_sizes(V).values())
    config = ModelConfig(
        kind=kind,  # type: ignore[arg-type]
        vocab_size=V,
        feature_sizes=sizes,
        token_columns=(len(grammar),),
        d_model=d_model,
        n_layers=2,
    )
    network = build_model(config)
    for parameter in network.parameters():
        parameter.data.mul_(1.5)  # far from uniform
    return network.eval()


@pytest.fixture(params=KINDS)
def network(request: pytest.FixtureRequest) -> Stepper:
    return stepper_of(network_of(request.param), MATCHES)


class EvenOnly:
    """A toy grammar: even ids only, eos after `length` of them; remembers what it was told."""

    def __init__(self, batch: int, length: int = 6) -> None:
        self.told: list[Ints] = []
        self.batch, self.length = batch, length

    def advance(self, ids: Ints) -> None:
        self.told.append(ids.copy())

    def mask(self) -> Bools:
        allowed = np.zeros((self.batch, V), dtype=np.bool_)
        if len(self.told) > self.length:
            allowed[:, EOS_ID] = True
        else:
            allowed[:, 4::2] = True
        return allowed

    def features(self) -> Ints:
        return np.full((self.batch, 1), min(len(self.told), 9))


def test_the_same_seed_gives_the_same_rows(network: Stepper) -> None:
    prompts = [[BOS_ID]] * 3
    assert sample(network, prompts, None, SHORT) == sample(network, prompts, None, SHORT)


def test_another_seed_and_another_row_give_other_tunes(network: Stepper) -> None:
    a, b = sample(network, [[BOS_ID]] * 2, None, SHORT)
    c = sample(network, [[BOS_ID]], None, replace(SHORT, seed=6))[0]
    assert len({tuple(row.ids) for row in (a, b, c)}) == 3


@pytest.mark.parametrize("make", [stepper_of, TorchStepper])
@pytest.mark.parametrize("d_model", [48, 200])
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_the_same_whatever_the_batch_size(
    kind: str, d_model: int, make: Callable[[torch.nn.Module, Lookback], Stepper]
) -> None:
    network = make(network_of(kind, d_model=d_model), MATCHES)
    many = sample(network, [[BOS_ID]] * (LANES + 5), None, SHORT)
    few = sample(network, [[BOS_ID]] * 3, None, SHORT)
    assert few == many[:3]  # bits too: equal to the last digit
    for index in (1, LANES - 1, LANES, LANES + 4):
        alone = sample(network, [[BOS_ID]], None, SHORT, indices=[index])
        assert alone == [many[index]]


class LeavesOut(EvenOnly):
    """The same grammar, told which rows go on; each row ends at a time of its own."""

    def __init__(self, batch: int) -> None:
        super().__init__(batch)
        self.lengths = np.arange(batch) % 7 + 2
        self.kept: list[int] = []

    def mask(self) -> Bools:
        allowed = np.zeros((len(self.lengths), V), dtype=np.bool_)
        allowed[:, 4::2] = True
        allowed[len(self.told) > self.lengths] = False
        allowed[len(self.told) > self.lengths, EOS_ID] = True
        return allowed

    def features(self) -> Ints:
        return np.full((len(self.lengths), 1), min(len(self.told), 9))

    def keep(self, rows: Ints) -> None:
        self.lengths = self.lengths[rows]
        self.kept.append(len(rows))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_are_done_leave_and_the_others_notice_nothing(kind: str) -> None:
    network = stepper_of(network_of(kind, grammar=(10,)), MATCHES)
    constraint = LeavesOut(20)
    together = sample(network, [[BOS_ID]] * 20, constraint, SHORT)
    assert constraint.kept == sorted(constraint.kept, reverse=True) != []
    for index, row in enumerate(together):
        assert len(row.ids) == index % 7 + 2 + 2
        alone = LeavesOut(1)
        alone.lengths[:] = index % 7 + 2
        assert sample(network, [[BOS_ID]], alone, SHORT, indices=[index]) == [row]


def test_a_row_does_not_depend_on_longer_prompts_beside_it(network: Stepper) -> None:
    alone = sample(network, [[BOS_ID, 7]], None, SHORT)
    beside = sample(network, [[BOS_ID, 7], [BOS_ID, *range(4, 20)]], None, SHORT)
    assert beside[0] == alone[0]


def test_prompts_come_back_unchanged(network: Stepper) -> None:
    prompts = [[BOS_ID, 9, 9, 8], [BOS_ID], [BOS_ID, *range(4, 20)]]
    for row, prompt in zip(sample(network, prompts, None, SHORT), prompts, strict=True):
        assert row.ids[: len(prompt)] == prompt
        assert row.n_prompt == len(prompt) < len(row.ids) <= len(prompt) + SHORT.max_tokens


def test_rows_stop_at_eos_and_only_there(network: Stepper) -> None:
    rows = sample(network, [[BOS_ID]] * 8, None, replace(SHORT, max_tokens=300))
    for row in rows:
        assert EOS_ID not in row.ids[:-1]
        assert row.finished == (row.ids[-1] == EOS_ID)
        assert row.finished or len(row.ids) == 301
    assert any(row.finished for row in rows)


@pytest.mark.parametrize("kind", KINDS)
def test_the_bits_are_those_of_the_network_itself(kind: str) -> None:
    network = network_of(kind)
    cold = replace(SHORT, temperature=0.5, top_k=5)
    prompts = [[BOS_ID], [BOS_ID, 5, 6, 5, 6]]
    for row in sample(stepper_of(network, MATCHES), prompts, None, cold):
        ids = np.array(row.ids)
        features = torch.from_numpy(match_features(ids).astype(np.int64))[None]
        with torch.inference_mode():
            logits, _ = network(torch.from_numpy(ids)[None], features)
        log_p = torch.log_softmax(logits[0, :-1].double(), dim=-1)
        picked = log_p[torch.arange(len(ids) - 1), torch.from_numpy(ids[1:])]
        expected = -picked[row.n_prompt - 1 :].sum().item() / math.log(2)
        assert row.bits == pytest.approx(expected, rel=1e-2)


def test_a_constraint_is_told_every_token_and_obeyed() -> None:
    network = stepper_of(network_of("lstm", grammar=(10,)), MATCHES)
    constraint = EvenOnly(3)
    rows = sample(network, [[BOS_ID], [BOS_ID, 4], [BOS_ID]], constraint, SHORT)
    for index, row in enumerate(rows):
        assert row.finished
        assert all(token % 2 == 0 for token in row.ids[1:])
        told = [int(ids[index]) for ids in constraint.told]
        assert told == row.ids[: len(told)]


def test_a_done_row_is_fed_padding(network: Stepper) -> None:
    prompts = [[BOS_ID], [BOS_ID, *[4] * 60]]
    steps = [ids for ids, _ in stream(network, prompts, None, replace(SHORT, max_tokens=3))]
    assert [int(ids[0]) for ids in steps[3:]] == [PAD_ID] * (len(steps) - 3)


def test_a_dead_end_is_an_error_not_a_tune() -> None:
    nothing = np.zeros((1, 8), dtype=np.bool_)
    with pytest.raises(ControlError, match="nothing may come next"):
        draw_tokens(np.zeros((1, 8)), nothing, np.zeros(1), filters=[], rows=np.ones(1, bool))


def test_what_is_all_but_impossible_is_drawn_when_nothing_else_is_allowed() -> None:
    logits, allowed = np.array([[900.0, 1.0, 0.0]]), np.array([[False, True, True]])
    uniforms = np.array([0.7])
    rows = np.ones(1, dtype=np.bool_)
    ids, bits = draw_tokens(logits, allowed, uniforms, filters=[], rows=rows)
    assert ids.tolist() == [1]  # with probability 0.731
    assert bits[0] == pytest.approx(899 / math.log(2))


def test_a_model_with_other_features_is_refused(network: Stepper) -> None:
    with pytest.raises(ConfigError, match="trained with 2 feature columns, here are 3"):
        sample(network, [[BOS_ID]], EvenOnly(1), SHORT)


def test_an_empty_prompt_is_refused(network: Stepper) -> None:
    with pytest.raises(ConfigError, match="each needs at least the start token"):
        sample(network, [[]], None, SHORT)


@given(
    logits=LOGITS,
    uniforms=arrays(np.float64, 3, elements=st.floats(0, 1, exclude_max=True)),
    mask=arrays(np.bool_, (3, 8)),
    top_k=st.integers(0, 9),
    top_p=st.floats(0.01, 1),
    min_p=st.floats(0, 1),
    temperature=st.sampled_from([0.0, 0.1, 1.0, 30.0]),
)
@settings(deadline=None)
def test_what_is_masked_is_never_drawn(
    logits: np.ndarray, uniforms: np.ndarray, mask: np.ndarray, *, top_k: int, top_p: float,
    min_p: float, temperature: float,
) -> None:  # fmt: skip
    mask[:, 3] |= ~mask.any(axis=1)
    config = SamplingConfig(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    ids, bits = draw_tokens(
        logits, mask, uniforms, filters=filters_of(config), rows=np.ones(3, dtype=np.bool_)
    )
    assert mask[np.arange(3), ids].all()
    assert np.isfinite(bits).all()
    assert (bits >= 0).all()


@given(logits=LOGITS, k=st.integers(1, 8))
def test_top_k_keeps_exactly_the_k_likeliest(logits: np.ndarray, k: int) -> None:
    kept = np.isfinite(keep_top_k(logits, k))
    assert (kept.sum(axis=1) == k).all()
    for row, keep in zip(logits, kept, strict=True):
        assert row[keep].min() >= row[~keep].max(initial=-np.inf)


@given(logits=LOGITS, p=st.floats(0.01, 0.99))
def test_top_p_keeps_the_fewest_that_reach_p(logits: np.ndarray, p: float) -> None:
    kept = np.isfinite(keep_top_p(logits, p))
    chances = np.exp(log_softmax(logits))
    for row, keep in zip(chances, kept, strict=True):
        assert row[keep].sum() >= p - 1e-9
        assert row[keep].sum() - row[keep].min() < p + 1e-9


def test_min_p_is_relative_to_the_likeliest() -> None:
    logits = np.log(np.array([[0.5, 0.3, 0.15, 0.05]]))
    assert np.isfinite(keep_min_p(logits, 0.25)).tolist() == [[True, True, True, False]]


def test_draws_follow_the_distribution() -> None:
    chances = np.array([0.5, 0.25, 0.125, 0.125])
    uniforms = (np.arange(800) + 0.5) / 800
    logits = np.repeat(np.log(chances)[None], 800, axis=0)
    everything = np.ones((800, 4), dtype=np.bool_)
    ids, _ = draw_tokens(logits, everything, uniforms, filters=[], rows=everything[:, 0])
    assert np.bincount(ids).tolist() == [400, 200, 100, 100]


def test_temperature_zero_takes_the_likeliest(network: Stepper) -> None:
    greedy = replace(SHORT, temperature=0.0)
    a = sample(network, [[BOS_ID]], None, greedy)
    b = sample(network, [[BOS_ID]], None, replace(greedy, seed=99))
    assert a == b


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": -1.0}, "temperature: -1.0 is not a number from 0 up"),
        ({"temperature": math.nan}, "temperature: nan is not a number from 0 up"),
        ({"top_p": 0.0}, "top_p: 0.0 is not in (0, 1]; 1 turns it off"),
        ({"top_k": -1}, "top_k: -1 is negative; 0 turns it off"),
        ({"min_p": 1.5}, "min_p: 1.5 is not in [0, 1]; 0 turns it off"),
        ({"seed": -1}, "seed: -1 is not in 0 .. 2^63 - 1"),
        ({"max_tokens": 0}, "max_tokens: 0 is not at least 1"),
    ],
)
def test_an_impossible_setting_is_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SamplingConfig(**change)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_rows_may_be_any_takes_of_a_seed_in_any_order(network: Stepper) -> None:
    indices = [7, 7 + LANES, 2, 1 << 40]
    together = sample(network, [[BOS_ID]] * 4, None, SHORT, indices=indices)
    for index, row in zip(indices, together, strict=True):
        assert sample(network, [[BOS_ID]], None, SHORT, indices=[index]) == [row]


def test_live_draws_are_those_of_the_stream(network: Stepper) -> None:
    prompt = [BOS_ID, 7, 8, 7]
    (row,) = sample(network, [prompt], None, SHORT, indices=[5])
    live = Live(network, None, SHORT, index=5)
    for token in prompt:
        live.read(token)
    for token in row.ids[len(prompt) :]:
        assert live.probabilities()[token] > 0
        assert live.probabilities().sum() == pytest.approx(1)
        assert live.draw() == token
    assert live.n_steps == len(row.ids)
    assert live.milliseconds > 0


def test_nothing_is_drawn_live_before_a_token_was_read(network: Stepper) -> None:
    with pytest.raises(ConfigError, match="no token has been read yet"):
        Live(network, None, SHORT).draw()
