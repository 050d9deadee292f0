"""One step in several parts, on several devices: the same losses as in one piece."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from musicgen.config import to_dict
from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import TrainingInterrupted
from musicgen.models import KINDS, checkpoint
from musicgen.training import RunFolder, TrainConfig, train
from musicgen.training.config import DataConfig
from tests import ROOT
from tests.runs import SMALL, losses, make_tokens, signal_at

# Without dropout, whose masks no two ways of cutting a step can share.
PLAIN = dataclasses.replace(
    SMALL, model=dataclasses.replace(SMALL.model, dropout=0.0, embedding_dropout=0.0)
)


@pytest.fixture
def tokens() -> TokenSet:
    return make_tokens()


def accumulating(config: TrainConfig, parts: int) -> TrainConfig:
    """The same places in each step, in so many parts."""
    data = dataclasses.replace(
        config.data, batch_tokens=config.data.batch_tokens // parts, accumulate=parts
    )
    return dataclasses.replace(config, data=data)


def assert_like(found: Path, expected: Path) -> None:
    """The same history up to rounding."""
    mine, other = losses(found), losses(expected)
    assert [row[:3] for row in mine] == [row[:3] for row in other]
    for column in (3, 4):
        np.testing.assert_allclose(
            [row[column] for row in mine if row[column]],
            [row[column] for row in other if row[column]],
            rtol=1e-3,
        )


@pytest.mark.parametrize(
    ("kind", "parts"), [*((kind, 2) for kind in sorted(KINDS)), ("transformer", 5)]
)
def test_a_step_in_parts_learns_what_it_would_as_a_whole(
    tmp_path: Path, tokens: TokenSet, kind: str, parts: int
) -> None:
    """With 5 parts some are empty, as a step of long tunes has fewer rows."""
    config = dataclasses.replace(
        PLAIN,
        model=dataclasses.replace(PLAIN.model, kind=kind),
        data=DataConfig(batch_tokens=130, max_len=32),
    )
    train(config, tokens, tmp_path / "whole")
    train(accumulating(config, parts), tokens, tmp_path / "parts")
    assert_like(tmp_path / "parts", tmp_path / "whole")


def test_a_run_of_steps_in_parts_resumes_to_the_last_bit(tmp_path: Path, tokens: TokenSet) -> None:
    config = dataclasses.replace(accumulating(SMALL, 2), ema=0.9, save_minutes=9.0)
    train(config, tokens, tmp_path / "whole")
    with pytest.raises(TrainingInterrupted, match="stopped at step 6, state saved"):
        train(config, tokens, tmp_path / "run", report=signal_at(6, signal.SIGTERM))
    train(config, tokens, tmp_path / "run", resume=True)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    one, two = (checkpoint.load(tmp_path / run / "model").network for run in ("whole", "run"))
    for mine, other in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(mine, other)


def train_on_two(config: TrainConfig, tokens: TokenSet, folder: Path, before: str = "") -> None:
    """Train in `folder` / "two" in two processes (gloo), after a few lines of Python."""
    config = dataclasses.replace(config, accelerator="cpu", devices=2, strategy="ddp")
    tokens.save(folder / "tokens")
    program = folder / "program.py"  # Lightning starts the second process from a file
    program.write_text(
        "from pathlib import Path\n"
        "from musicgen.config import from_dict\n"
        "from musicgen.corpus.tokenset import TokenSet\n"
        "from musicgen.training import TrainConfig, train\n"
        f"{before}\n"
        f"config = from_dict(TrainConfig, {to_dict(config)!r})\n"
        f"folder = Path({str(folder)!r})\n"
        "train(config, TokenSet.load(folder / 'tokens'), folder / 'two')\n"
    )
    found = dict(os.environ) | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(program)], check=True, timeout=900, env=found)
    assert RunFolder(folder / "two").finished


@pytest.mark.slow
@pytest.mark.parametrize("parts", [1, 2])
def test_two_devices_give_the_losses_of_one(tmp_path: Path, tokens: TokenSet, parts: int) -> None:
    """Two processes share each batch; the gradients add up to those of one process."""
    train(dataclasses.replace(PLAIN, accelerator="cpu"), tokens, tmp_path / "one")
    train_on_two(accumulating(PLAIN, parts), tokens, tmp_path)
    assert_like(tmp_path / "two", tmp_path / "one")


# Each process has a clock of its own, which steps alone move, and writes its learning rates.
RECORDING = """
from types import SimpleNamespace
from musicgen.training import NextTokenModule, callbacks
now = [0.0]
callbacks.time = SimpleNamespace(monotonic=lambda: now[0])
begin = NextTokenModule.on_train_batch_start
def recording(self, *arguments):
    begin(self, *arguments)
    now[0] += 1 + 0.2 * self.global_rank
    rate = self.trainer.optimizers[0].param_groups[0]["lr"]
    with (folder / f"rates{self.global_rank}").open("a") as file:
        print(self.global_step, rate, file=file)
NextTokenModule.on_train_batch_start = recording
"""


@pytest.mark.slow
def test_two_devices_agree_on_the_learning_rate_of_a_budget_of_minutes(
    tmp_path: Path, tokens: TokenSet
) -> None:
    """Their clocks do not agree, and weights that learn at different rates drift apart."""
    train_on_two(PLAIN.with_budget(minutes=0.5), tokens, tmp_path, RECORDING)
    one, two = ((tmp_path / f"rates{rank}").read_text() for rank in range(2))
    assert one == two
    assert len(one.splitlines()) > 10
