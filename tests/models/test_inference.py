"""Stepping in numpy: the logits of torch's networks, and the same bits in every company."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from musicgen.errors import ConfigError
from musicgen.models import KINDS, ModelConfig, build_model, weight_shapes, weights_of
from musicgen.models.inference import ArrayStepper, embedding
from musicgen.models.inference.quantization import (
    LIMIT,
    EmbeddingSum,
    QuantizedLinear,
    exact_matmul,
    quantize,
)
from musicgen.models.inference.transformer import MAX_TIMES

BASE = ModelConfig(
    vocab_size=30, feature_sizes=(7, 30, 5), token_columns=(1,), d_model=64, n_layers=3, n_heads=2
)
SHAPES = {
    "base": BASE,
    "output of its own": replace(BASE, tie_embeddings=False),
    "no copy head": replace(BASE, copy_head=False),
    "no features": replace(BASE, feature_sizes=(), token_columns=()),
    "two hints": replace(BASE, feature_sizes=(30, 7, 30), token_columns=(2, 0)),
    "hints only": replace(BASE, feature_sizes=(30,), token_columns=(0,)),
    "guesses trusted": replace(BASE, trust_columns=(2, 0)),
    "guesses unheard": replace(BASE, trust_columns=(2,), heard_columns=(0, 2)),
    "nothing heard": replace(BASE, trust_columns=(0, 2), heard_columns=()),
    "one guess of two": replace(
        BASE, feature_sizes=(30, 7, 30), token_columns=(2, 0), heard_columns=(1, 2)
    ),
    "one layer": replace(BASE, n_layers=1),
    "one head": replace(BASE, n_heads=1, d_model=72),
    "relu": replace(BASE, activation="relu", d_model=40),
    "narrow input": replace(BASE, d_embedding=24, tie_embeddings=False),
    "wide input": replace(BASE, d_embedding=80, tie_embeddings=False, embedding="one-hot"),
}
CASES = [
    (kind, shape)
    for kind in KINDS
    for shape, config in SHAPES.items()
    if not config.d_embedding or KINDS[kind].recurrent
]


def network_of(config: ModelConfig) -> torch.nn.Module:
    torch.manual_seed(3)
    network = build_model(config).eval()
    if hasattr(network.readout, "trust"):  # which begins with zeros
        torch.nn.init.normal_(network.readout.trust.weight, std=0.5)
    return network


def some_input(config: ModelConfig, batch: int, time: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, config.vocab_size, (batch, time))
    columns = [rng.integers(0, size, (batch, time)) for size in config.feature_sizes]
    return ids, np.stack(columns, axis=2) if columns else np.zeros((batch, time, 0), np.int64)


def read(stepper: ArrayStepper, ids: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Logits (B, T, V) one step at a time."""
    rows = stepper.begin(range(len(ids)))
    steps = [rows.read(ids[:, t], features[:, t]) for t in range(ids.shape[1])]
    return np.stack(steps, axis=1)


@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_the_weights_have_the_names_and_shapes_that_are_declared(kind: str, shape: str) -> None:
    config = replace(SHAPES[shape], kind=kind)
    found = {name: tuple(p.shape) for name, p in network_of(config).named_parameters()}
    assert weight_shapes(config) == found


@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_a_step_at_a_time_equals_torch_all_at_once(kind: str, shape: str) -> None:
    config = replace(SHAPES[shape], kind=kind)
    network = network_of(config)
    ids, features = some_input(config, 4, 40)
    with torch.inference_mode():
        given = torch.from_numpy(features) if config.feature_sizes else None
        expected = network(torch.from_numpy(ids), given)[0].numpy()
    found = read(ArrayStepper(config, weights_of(network)), ids, features)
    assert found.shape == expected.shape
    # About 10 bits of every product are kept.
    scale = 1 if shape != "relu" else np.abs(expected).max() / 4
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0.05, atol=0.08)
    log_p, log_q = (torch.from_numpy(x / scale).log_softmax(2) for x in (expected, found))
    divergence = (log_p.exp() * (log_p - log_q)).sum(2).mean() / np.log(2)
    assert divergence < 5e-4  # bits a token


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_has_the_same_bits_alone_and_in_any_company(kind: str) -> None:
    config = replace(BASE, kind=kind, d_model=96)
    stepper = ArrayStepper(config, weights_of(network_of(config)))
    ids, features = some_input(config, 37, 25)
    together = read(stepper, ids, features)
    for rows in ([5], [36], [0, 1], [30, 2, 11], list(range(16)), list(range(36, -1, -1))):
        np.testing.assert_array_equal(read(stepper, ids[rows], features[rows]), together[rows])


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_go_on_are_not_changed_by_those_that_leave(kind: str) -> None:
    config = replace(BASE, kind=kind)
    stepper = ArrayStepper(config, weights_of(network_of(config)))
    ids, features = some_input(config, 6, 20)
    together = read(stepper, ids, features)
    rows, kept = stepper.begin(range(6)), np.array([5, 0, 3])
    for t in range(8):
        rows.read(ids[:, t], features[:, t])
    rows.keep(kept)
    for t in range(8, 20):
        logits = rows.read(ids[kept, t], features[kept, t])
        np.testing.assert_array_equal(logits, together[kept, t])


def test_a_long_tune_outgrows_its_cache_unharmed() -> None:
    config = replace(BASE, kind="transformer", n_layers=1)
    network = network_of(config)
    ids, features = some_input(config, 2, 530)
    with torch.inference_mode():
        expected = network(torch.from_numpy(ids), torch.from_numpy(features))[0].numpy()
    found = read(ArrayStepper(config, weights_of(network)), ids, features)
    np.testing.assert_allclose(found[:, -40:], expected[:, -40:], atol=0.08)


def test_a_width_of_its_own_is_for_the_input_of_recurrent_networks() -> None:
    with pytest.raises(ConfigError, match=r"model\.d_embedding: the transformer takes its d_model"):
        replace(BASE, kind="transformer", d_embedding=24, tie_embeddings=False)
    with pytest.raises(ConfigError, match=r"model\.d_embedding: needs model\.tie_embeddings=false"):
        replace(BASE, d_embedding=24)


def test_a_transformer_says_where_its_exact_sums_end() -> None:
    config = replace(BASE, kind="transformer", n_layers=1)
    network = ArrayStepper(config, weights_of(network_of(config))).network
    ids, features = some_input(config, 1, 1)
    with pytest.raises(ConfigError, match="reads at most 16384 tokens of one tune"):
        network.step(network.initial_state(1), MAX_TIMES, ids[:, 0], features[:, 0])


@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_a_large_vocabulary_is_not_multiplied_out(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(BASE, kind=kind)
    weights = weights_of(network_of(config))
    ids, features = some_input(config, 3, 20)
    expected = read(ArrayStepper(config, weights), ids, features)
    monkeypatch.setattr(embedding, "MAX_TABLE_BYTES", 1000)
    stepper = ArrayStepper(config, weights)
    np.testing.assert_allclose(read(stepper, ids, features), expected, atol=0.03)
    alone = read(stepper, ids[1:2], features[1:2])
    np.testing.assert_array_equal(alone[0], read(stepper, ids, features)[1])


@pytest.mark.parametrize("seed", range(8))
def test_a_product_is_exact_whatever_the_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(5, 300)).astype(np.float32) ** (1 + 2 * (seed % 3))  # some spiky
    weight[0], weight[1, 7] = 0.25, 1e4
    product = QuantizedLinear(weight)
    counts = rng.choice(np.array([-512, 512, 511, 0, 3], np.float32), (4, 300))
    whole = counts.astype(np.int64) @ product.weight.astype(np.int64)
    assert np.abs(counts[:, :, None] * product.weight).sum(axis=1).max() <= LIMIT
    np.testing.assert_array_equal(counts @ product.weight, whole)
    order = rng.permutation(300)
    np.testing.assert_array_equal(counts[:, order] @ product.weight[order], whole)


def test_a_product_of_nothing_is_nothing() -> None:
    product = QuantizedLinear(np.zeros((3, 8), np.float32))
    np.testing.assert_array_equal(
        product(*quantize(np.zeros((2, 8), np.float32))), np.zeros((2, 3))
    )


def test_a_layer_too_wide_for_exact_sums_is_refused() -> None:
    with pytest.raises(ConfigError, match="a layer of 80000 inputs is too wide for exact sums"):
        QuantizedLinear(np.ones((1, 80_000), np.float32))


@given(x=arrays(np.float32, (3, 9), elements=st.floats(-1e6, 1e6, width=32)))
def test_what_is_put_on_the_grid_is_at_most_half_a_step_off(x: np.ndarray) -> None:
    counts, step = quantize(x)
    assert np.abs(counts).max() <= 512
    np.testing.assert_array_equal(counts, np.rint(counts))
    assert (np.abs(counts * step - x) <= step * 0.501 + 1e-30).all()


def test_a_table_adds_one_row_of_each() -> None:
    tables = [np.arange(6.0).reshape(3, 2), np.array([[10.0, 20.0], [30.0, 40.0]])]
    found = EmbeddingSum(tables)(np.array([[2, 1], [0, 0]]))
    np.testing.assert_allclose(found, [[34, 45], [10, 21]], rtol=1e-6)


def test_a_fixed_product_is_as_good_as_float64_needs() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(20, 384)), rng.normal(size=(384, 30))
    np.testing.assert_allclose(exact_matmul(a, b), a @ b, atol=1e-3)
    order = rng.permutation(384)
    np.testing.assert_array_equal(exact_matmul(a[:, order], b[order]), exact_matmul(a, b))


_DIGEST = """
import hashlib, numpy as np
from musicgen.models import ModelConfig, weight_shapes
from musicgen.models.inference import ArrayStepper
for kind in ("lstm", "rnn", "transformer"):
    config = ModelConfig(kind=kind, vocab_size=30, d_model=192, n_layers=2)
    rng = np.random.default_rng(0)
    shapes = weight_shapes(config).items()
    weights = {n: rng.normal(0, 0.1, s).astype(np.float32) for n, s in shapes}
    rows = ArrayStepper(config, weights).begin(range(64))
    for _ in range(6):
        logits = rows.read(rng.integers(0, 30, 64), np.zeros((64, 0), np.int64))
    print(hashlib.sha256(logits.tobytes()).hexdigest())
"""


def test_the_number_of_threads_changes_nothing() -> None:
    def digests(threads: str) -> str:
        names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        environment = dict(os.environ) | dict.fromkeys(names, threads)
        done = subprocess.run(
            [sys.executable, "-c", _DIGEST],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert digests("1") == digests("3") != ""
