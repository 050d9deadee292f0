"""A GPU learns what a CPU learns, and the script that measures it runs at toy size on a CPU."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from musicgen.composer.sampling import SamplingConfig, sample
from musicgen.corpus.tokenset import BOS_ID
from musicgen.models import KINDS, ModelConfig, build_model, checkpoint
from musicgen.models.flops import training_flops
from musicgen.models.inference.torch_stepper import TorchStepper
from musicgen.training import train
from scripts.benchmarks import gpu
from tests.runs import SMALL, VOCAB, make_tokens

TITLES = ["## Training, bfloat16", "## Losses of 3 steps", "## Sampling", "## Goals"]


def check_report(tmp_path: Path, **options: object) -> None:
    make_tokens(n=60).save(tmp_path / "tokens")
    out = tmp_path / "gpu.md"
    failed = gpu.main(tmp_path / "tokens", out=out, toy=True, **options)  # type: ignore[arg-type]
    text = out.read_text()
    assert failed is False
    titles = [line for line in text.splitlines() if line.startswith("## ")]
    assert all(map(str.startswith, titles, TITLES))
    assert len(titles) == len(TITLES)
    for network in ("preset lstm", "transformer, toy", "plain LSTM"):
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {network} | 0.0")]
        assert float(row.split("|")[4].replace(",", "")) > 0


def test_the_script_runs_at_toy_size_on_a_cpu(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    check_report(tmp_path, device="cpu", eager=True)
    assert "plain LSTM's tokens/s" in capsys.readouterr().out


def test_operations_of_a_token_are_counted() -> None:
    """A transformer of 12 C^2 weights a block, an output of V C, and attention to half of T."""
    model = dataclasses.replace(gpu.transformer(64, 3, 2), vocab_size=10, tie_embeddings=False)
    feed_forward = 3 * 64 * 192
    weights = 3 * (4 * 64 * 64 + feed_forward) + 10 * 64
    assert training_flops(model, 50) == 6 * (weights + 3 * 64 * 50)
    lstm = ModelConfig(kind="lstm", vocab_size=10, d_model=64, n_layers=2)
    assert training_flops(lstm, 50) == 6 * (2 * 8 * 64 * 64 + 10 * 64)


def test_losses_that_differ_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_tokens(n=60).save(tmp_path / "tokens")
    monkeypatch.setattr(gpu, "TOLERANCES", {"float32": -1.0})
    assert gpu.main(tmp_path / "tokens", device="cpu", toy=True, eager=True, minutes=0) is True
    assert capsys.readouterr().out.count("no time left") == 15


@pytest.mark.gpu
def test_the_script_runs_at_toy_size_on_a_gpu(tmp_path: Path) -> None:
    check_report(tmp_path, device="cuda")


@pytest.mark.gpu
@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize(("dtype", "tolerance"), gpu.TOLERANCES.items())
def test_losses_on_a_gpu_are_those_of_the_cpu(kind: str, dtype: str, tolerance: float) -> None:
    tokens, model = make_tokens(), ModelConfig(kind=kind, d_model=64, n_heads=2, n_layers=2)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    cpu = gpu.losses(tokens, model, 20, torch.device("cpu"), torch.float32)
    there = gpu.losses(tokens, model, 20, torch.device("cuda"), getattr(torch, dtype))
    assert there == pytest.approx(cpu, rel=tolerance)


@pytest.mark.gpu
def test_a_model_trained_on_a_gpu_is_as_good_and_loads_on_a_cpu(tmp_path: Path) -> None:
    tokens, config = make_tokens(), dataclasses.replace(SMALL, steps=60, val_every=60)
    bits = [
        train(
            dataclasses.replace(config, accelerator=name), tokens, tmp_path / name
        ).best_bits_per_note
        for name in ("cpu", "cuda")
    ]
    assert bits[1] == pytest.approx(bits[0], rel=0.05)
    model = checkpoint.load(tmp_path / "cuda")
    assert next(model.network.parameters()).device.type == "cpu"


@pytest.mark.gpu
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_rows_drawn_on_a_gpu_are_the_same_in_any_batch(kind: str) -> None:
    torch.manual_seed(0)
    model = ModelConfig(kind=kind, vocab_size=len(VOCAB), d_model=32, n_heads=2)
    stepper = TorchStepper(build_model(model).to("cuda").eval())
    config = SamplingConfig(seed=1, max_tokens=30)
    many = sample(stepper, [[BOS_ID]] * 50, None, config)
    few = sample(stepper, [[BOS_ID]] * 3, None, config, indices=[7, 40, 41])
    assert [row.ids for row in few] == [many[i].ids for i in (7, 40, 41)]
    np.testing.assert_array_equal([row.bits for row in few], [many[i].bits for i in (7, 40, 41)])
