"""One interface, three networks: the same properties hold for each."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from musicgen.errors import ConfigError
from musicgen.models import KINDS, ModelConfig, build_model
from musicgen.models.networks.lstm import Layer
from musicgen.models.networks.rnn import Recurrence
from musicgen.models.networks.transformer import Block, Transformer

SMALL = ModelConfig(
    vocab_size=11,
    feature_sizes=(5, 11, 4),
    token_columns=(1,),
    d_model=16,
    n_layers=2,
    n_heads=2,
    weight_dropout=0.2,
)


@pytest.fixture(params=sorted(KINDS))
def config(request: pytest.FixtureRequest) -> ModelConfig:
    torch.manual_seed(0)
    return replace(SMALL, kind=request.param)


def some_input(batch: int = 3, time: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = torch.randint(0, 11, (batch, time))
    features = torch.stack([torch.randint(0, n, (batch, time)) for n in (5, 11, 4)], dim=2)
    return tokens, features


def test_logits_have_one_row_per_token_and_one_column_per_word(config: ModelConfig) -> None:
    logits, _ = build_model(config)(*some_input())
    assert logits.shape == (3, 7, 11)


@torch.no_grad()
def test_step_by_step_equals_all_at_once(config: ModelConfig) -> None:
    network = build_model(config).eval()
    tokens, features = some_input(time=9)
    whole, _ = network(tokens, features)
    steps, state = [], None
    for t in range(9):
        logits, state = network(tokens[:, t : t + 1], features[:, t : t + 1], state)
        steps.append(logits)
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_long_prompt_then_pieces_equals_all_at_once(config: ModelConfig) -> None:
    network = build_model(config).eval()
    tokens, features = some_input(time=300)
    whole, _ = network(tokens, features)
    state, pieces = None, []
    for piece in (slice(0, 4), slice(4, 250), slice(250, 300)):
        logits, state = network(tokens[:, piece], features[:, piece], state)
        pieces.append(logits)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_unheard_guesses_push_as_far_as_they_are_trusted(config: ModelConfig) -> None:
    network = build_model(replace(config, trust_columns=(2,), heard_columns=(0,))).eval()
    tokens, features = some_input()
    features[0, 3] = torch.tensor([4, 9, 1])  # a guess of token 9, trusted as 1 says
    before, _ = network(tokens, features)
    network.readout.trust.weight.data[1] += 2.5
    after, _ = network(tokens, features)
    assert float(after[0, 3, 9] - before[0, 3, 9]) == pytest.approx(2.5, abs=1e-4)
    features[0, 3] = torch.tensor([4, 0, 3])  # no guess
    silent, _ = network(tokens, features)
    others = [i for i in range(11) if i != 9]
    torch.testing.assert_close(silent[0, 3, others], after[0, 3, others])
    torch.testing.assert_close(silent[0, 4:], after[0, 4:])  # nothing of it is remembered


def test_no_logit_depends_on_a_later_token(config: ModelConfig) -> None:
    network = build_model(config).eval()
    tokens, features = some_input()
    before, _ = network(tokens, features)
    tokens[:, 4:] = (tokens[:, 4:] + 1) % 11
    features[:, 4:, 1] = (features[:, 4:, 1] + 1) % 11
    after, _ = network(tokens, features)
    torch.testing.assert_close(after[:, :4], before[:, :4])
    assert not torch.allclose(after[:, 4:], before[:, 4:])


def test_rows_of_a_batch_do_not_mix(config: ModelConfig) -> None:
    network = build_model(config).eval()
    tokens, features = some_input()
    together, _ = network(tokens, features)
    alone, _ = network(tokens[1:2], features[1:2])
    torch.testing.assert_close(alone[0], together[1], rtol=1e-4, atol=1e-5)


def test_every_parameter_receives_a_gradient(config: ModelConfig) -> None:
    network = build_model(config).train()
    logits, _ = network(*some_input(batch=8, time=20))
    logits.square().mean().backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_features_are_optional(config: ModelConfig) -> None:
    network = build_model(replace(config, feature_sizes=(), token_columns=()))
    logits, _ = network(some_input()[0])
    assert logits.shape == (3, 7, 11)
    logits.square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_few_steps_learn_to_repeat_a_pattern(config: ModelConfig) -> None:
    network = build_model(replace(config, dropout=0.0, embedding_dropout=0.0)).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    tokens, features = some_input(batch=2, time=16)
    for _ in range(60):
        logits, _ = network(tokens[:, :-1], features[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_recurrence_equals_torch_rnn(activation: str) -> None:
    torch.manual_seed(0)
    ours = Recurrence(6, activation)
    theirs = torch.nn.RNN(6, 6, nonlinearity=activation, batch_first=True)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.w_in)
        theirs.weight_hh_l0.copy_(ours.w_hidden)
        theirs.bias_ih_l0.copy_(ours.bias.normal_())
        theirs.bias_hh_l0.zero_()
    x, h = torch.randn(2, 9, 6), torch.randn(2, 6)
    y, last = ours(x, h)
    expected, expected_last = theirs(x, h[None])
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(last, expected_last[0])


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_back_propagation_through_time_equals_differences_of_the_loss(activation: str) -> None:
    torch.manual_seed(0)
    recurrence = Recurrence(4, activation).double()
    x = torch.randn(2, 6, 4, dtype=torch.float64, requires_grad=True)
    h = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    names, weights = zip(*recurrence.named_parameters(), strict=True)

    def run(x: torch.Tensor, h: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        named = dict(zip(names, weights, strict=True))
        outputs: torch.Tensor = torch.func.functional_call(recurrence, named, (x, h))[0]
        return outputs

    assert torch.autograd.gradcheck(run, (x, h, *weights))


@pytest.mark.parametrize(
    ("hidden_init", "expected"),
    [("identity", torch.eye(8)), ("orthogonal", None), ("normal", None)],
)
def test_hidden_weights_start_as_asked(hidden_init: str, expected: torch.Tensor | None) -> None:
    torch.manual_seed(0)
    weights = Recurrence(8, "tanh", hidden_init=hidden_init, hidden_gain=2.0).w_hidden.detach() / 2
    if expected is not None:
        assert torch.equal(weights, expected)
    orthogonal = torch.allclose(weights @ weights.T, torch.eye(8), atol=1e-5)
    assert orthogonal == (hidden_init != "normal")


@torch.no_grad()
def test_attention_weights_are_those_that_the_forward_pass_uses() -> None:
    torch.manual_seed(0)
    network = build_model(replace(SMALL, kind="transformer", n_layers=1)).eval()
    assert isinstance(network, Transformer)
    tokens, features = some_input()
    (weights,) = network.attention(tokens, features)
    assert weights.shape == (3, 2, 7, 7)
    torch.testing.assert_close(weights.sum(dim=3), torch.ones(3, 2, 7))
    assert not weights.triu(1).any()
    block = network.blocks[0]
    assert isinstance(block, Block)
    x = network.embedding(tokens, features)
    mixed = (weights @ block.project(x)[2]).transpose(1, 2).reshape(x.shape)
    x = x + block.merge(mixed)
    gate, value = block.up(block.norm_feed(x)).chunk(2, dim=-1)
    x = x + block.down(torch.nn.functional.silu(gate) * value)
    expected = network.readout(network.norm(x), features)
    torch.testing.assert_close(network(tokens, features)[0], expected)


@torch.no_grad()
def test_attention_by_positions_alone_depends_on_the_distance_only() -> None:
    torch.manual_seed(0)
    network = build_model(replace(SMALL, kind="transformer")).eval()
    assert isinstance(network, Transformer)
    for weights in network.attention(*some_input(time=9), positions_only=True):
        scores = weights[0, :, 1:].log()  # up to a constant of each row
        steps = scores.diff(dim=2)
        torch.testing.assert_close(steps[:, -1, 1:6], steps[:, -2, :5], rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_the_single_lstm_step_equals_torch_lstm() -> None:
    torch.manual_seed(0)
    layer = Layer(6, 0.0)
    x, h, c = torch.randn(2, 1, 6), torch.randn(2, 6), torch.randn(2, 6)
    expected, (expected_h, expected_c) = layer.lstm(x, (h[None], c[None]))
    y, new_h, new_c = layer(x, h, c)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(new_h, expected_h[0])
    torch.testing.assert_close(new_c, expected_c[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dropout": 1.0}, "model.dropout: 1.0 is not in [0, 1)"),
        ({"n_layers": 0}, "model.n_layers: 0 is not at least 1"),
        (
            {"token_columns": (0,)},
            "model.token_columns: a column of ids must have vocab_size values",
        ),
        ({"token_columns": (7,)}, "model.token_columns: names a column that does not exist"),
        ({"trust_columns": (3,)}, "model.trust_columns: names a column that does not exist"),
        ({"trust_columns": (1, 2)}, "model.trust_columns: names a column of ids"),
        (
            {"kind": "transformer", "d_model": 18, "n_heads": 4},
            "model.d_model: 18 is not a multiple of 8 (2 * n_heads)",
        ),
        ({"d_model": 1 << 20}, "model: is larger than 4 billion parameters; make it smaller"),
    ],
)
def test_an_impossible_shape_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(SMALL, **change)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_a_network_needs_a_vocabulary() -> None:
    with pytest.raises(ConfigError, match="it comes from the vocabulary"):
        build_model(ModelConfig())


def test_the_parameter_bound_holds(config: ModelConfig) -> None:
    for d_model, n_layers in ((16, 1), (64, 3), (256, 2)):
        shape = replace(config, d_model=d_model, n_layers=n_layers)
        count = sum(p.numel() for p in build_model(shape).parameters())
        assert count <= shape.n_parameters_bound
