"""Training: it learns, it resumes to the last bit, it refuses what cannot work."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from musicgen.cli.progress import reporting
from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import ConfigError, TrainingError, TrainingInterrupted
from musicgen.models import KINDS, checkpoint
from musicgen.models.scoring import score_tunes
from musicgen.training import (
    NextTokenModule,
    RunFolder,
    TrainConfig,
    callbacks,
    lightning_module,
    train,
)
from musicgen.training.config import with_settings
from musicgen.training.presets import DEFAULT, PRESETS, preset, suited
from musicgen.training.run_folder import Row, parse_rows, render_rows
from tests import ROOT
from tests.runs import SMALL, VOCAB, losses, make_tokens, signal_at


@pytest.fixture
def tokens() -> TokenSet:
    return make_tokens()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_run_learns_and_leaves_a_model(tmp_path: Path, tokens: TokenSet, kind: str) -> None:
    model = dataclasses.replace(SMALL.model, kind=kind, dropout=0.0)
    config = dataclasses.replace(SMALL, model=model, steps=60, val_every=30)
    summary = train(config, tokens, tmp_path / "run")
    assert summary.best_bits_per_note < 1.5  # 3 bits would be chance
    loaded = checkpoint.load(tmp_path / "run" / "model")
    bits = (
        score_tunes(loaded.network, tokens.splits["val"]).sum() / tokens.splits["val"].notes.sum()
    )
    assert bits == pytest.approx(summary.best_bits_per_note, rel=1e-6)
    assert (loaded.vocab, loaded.fingerprint) == (VOCAB, tokens.fingerprint)


def test_a_run_folder_holds_what_a_person_wants(tmp_path: Path, tokens: TokenSet) -> None:
    train(SMALL, tokens, tmp_path / "run", about="Public domain.")
    names = sorted(p.name for p in (tmp_path / "run").iterdir())
    assert names == ["curve.png", "history.csv", "model", "result.json", "resume", "run.json"]
    assert (tmp_path / "run/curve.png").read_bytes().startswith(b"\x89PNG")
    assert "Public domain." in (tmp_path / "run/model/README.md").read_text()
    assert list((tmp_path / "run/resume").iterdir()) == []
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert (result["steps"], result["reason"]) == (12, "budget")


def test_the_same_seed_gives_the_same_run(tmp_path: Path, tokens: TokenSet) -> None:
    for name in ("a", "b"):
        train(SMALL, tokens, tmp_path / name)
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    train(dataclasses.replace(SMALL, seed=1), tokens, tmp_path / "c")
    assert losses(tmp_path / "a") != losses(tmp_path / "c")


@pytest.mark.parametrize(
    ("number", "change"),
    [
        (signal.SIGINT, {}),
        (signal.SIGTERM, {"ema": 0.9}),
        (signal.SIGTERM, {"optimizer": "muon"}),
        (signal.SIGTERM, {"optimizer": "adagrad"}),
    ],
)
def test_resuming_after_a_signal_changes_nothing(
    tmp_path: Path, tokens: TokenSet, number: signal.Signals, change: dict[str, Any]
) -> None:
    config = dataclasses.replace(SMALL, **change, log_every=3, save_minutes=9.0)
    train(config, tokens, tmp_path / "whole")
    before = signal.getsignal(number)
    with pytest.raises(TrainingInterrupted, match="stopped at step 6, state saved") as caught:
        train(config, tokens, tmp_path / "parts", report=signal_at(6, number))
    assert caught.value.signal == number
    assert signal.getsignal(number) == before
    train(config, tokens, tmp_path / "parts", resume=True)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    a, b = (checkpoint.load(tmp_path / run / "model").network for run in ("whole", "parts"))
    for mine, other in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(mine, other)


def kill_at(step: int) -> str:
    """A program that trains and dies at a step as from kill -9, in the middle of an epoch."""
    return f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from musicgen.training import train
from tests.runs import SMALL, make_tokens
def report(progress):
    if progress.step == {step}:
        os.kill(os.getpid(), 9)
train(SMALL, make_tokens(), Path(sys.argv[1]), report=report)
"""


@pytest.fixture(scope="module")
def killed_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder left behind by kill -9 at step 10 of 12, with states of steps 8 and 9."""
    folder = tmp_path_factory.mktemp("run") / "killed"
    command = [sys.executable, "-c", kill_at(10), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return folder


@pytest.fixture
def killed(tmp_path: Path, killed_run: Path) -> Path:
    """A copy of that folder."""
    return shutil.copytree(killed_run, tmp_path / "killed")


def test_resuming_after_kill_changes_nothing(
    tmp_path: Path, tokens: TokenSet, killed: Path
) -> None:
    train(SMALL, tokens, tmp_path / "whole")
    train(SMALL, tokens, killed, resume=True)
    assert losses(killed) == losses(tmp_path / "whole")


def test_a_damaged_state_falls_back_to_the_one_before(
    tmp_path: Path, tokens: TokenSet, killed: Path
) -> None:
    latest, before = RunFolder(killed).states()
    data = bytearray(latest.read_bytes())
    data[len(data) // 2] ^= 1
    latest.write_bytes(data)
    assert RunFolder(killed).reopen(SMALL.fitted(tokens), tokens) == before
    train(SMALL, tokens, tmp_path / "whole")
    lines: list[str] = []
    train(SMALL, tokens, killed, resume=True, notify=lines.append)
    assert lines[0] == f"{latest}: is damaged; going on from {before.name}, which is older"
    assert losses(killed) == losses(tmp_path / "whole")


def interrupted(folder: Path, tokens: TokenSet) -> None:
    with pytest.raises(TrainingInterrupted):
        train(SMALL, tokens, folder, report=signal_at(4, signal.SIGTERM))


def spoil(folder: Path) -> None:
    for state in RunFolder(folder).states():
        state.write_bytes(b"junk")


@pytest.mark.parametrize(
    ("change", "spoiled", "message"),
    [
        (lambda c: dataclasses.replace(c, steps=20), False, "was started with steps=12; resume"),
        (
            lambda c: dataclasses.replace(c, learning_rate=0.1),
            False,
            "was started with another learning_rate; resume with the same settings",
        ),
        (
            lambda c: dataclasses.replace(c, model=dataclasses.replace(c.model, d_model=32)),
            False,
            "was started with another model.d_model; resume with the same settings",
        ),
        (lambda c: c, True, "no usable state to resume from; start a new run"),
    ],
)
def test_a_run_that_has_changed_is_not_resumed(
    tmp_path: Path,
    tokens: TokenSet,
    *,
    change: Callable[[TrainConfig], TrainConfig],
    spoiled: bool,
    message: str,
) -> None:
    interrupted(tmp_path / "run", tokens)
    if spoiled:
        spoil(tmp_path / "run")
    with pytest.raises(TrainingError, match=message):
        train(change(SMALL), tokens, tmp_path / "run", resume=True)


def test_another_corpus_is_not_resumed(tmp_path: Path, tokens: TokenSet) -> None:
    interrupted(tmp_path / "run", tokens)
    with pytest.raises(TrainingError, match="was trained on another corpus; start a new run"):
        train(SMALL, make_tokens(seed=1), tmp_path / "run", resume=True)


def test_nothing_is_not_resumed(tmp_path: Path, tokens: TokenSet) -> None:
    with pytest.raises(TrainingError, match="there is no run to resume; leave out --resume"):
        train(SMALL, tokens, tmp_path / "run", resume=True)


def test_a_folder_in_use_is_refused(tmp_path: Path, tokens: TokenSet) -> None:
    train(SMALL, tokens, tmp_path / "run")
    with pytest.raises(TrainingError, match="holds a finished run; choose another folder"):
        train(SMALL, tokens, tmp_path / "run")
    with pytest.raises(TrainingError, match="the run is finished; train into another folder"):
        train(SMALL, tokens, tmp_path / "run", resume=True)
    interrupted(tmp_path / "half", tokens)
    with pytest.raises(TrainingError, match=r"holds an unfinished run \(--resume goes on\)"):
        train(SMALL, tokens, tmp_path / "half")
    with pytest.raises(TrainingError, match="holds other files; choose another folder"):
        train(SMALL, tokens, tmp_path)


def test_a_loss_that_is_not_a_number_stops_the_run(
    tmp_path: Path, tokens: TokenSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    cost, steps = lightning_module.nats, []

    def broken(*arguments: torch.Tensor) -> torch.Tensor:
        steps.extend([1] * torch.is_grad_enabled())
        return cost(*arguments) * (math.nan if len(steps) == 9 else 1)

    monkeypatch.setattr(lightning_module, "nats", broken)
    with pytest.raises(TrainingError, match="the loss at step 9 is nan; the best model so far is"):
        train(SMALL, tokens, tmp_path / "run")
    assert checkpoint.load(tmp_path / "run" / "model").metrics["steps"] == 8.0
    assert RunFolder(tmp_path / "run").states()[0].name.startswith("000000008-")


def test_a_full_disk_loses_no_earlier_state(
    tmp_path: Path, tokens: TokenSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = pl.Trainer.save_checkpoint

    def full(self: pl.Trainer, path: Path, **kwargs: Any) -> None:
        if self.global_step == 6:
            path.write_bytes(b"half a sta")
            raise OSError(28, "No space left on device")
        save(self, path, **kwargs)

    monkeypatch.setattr(pl.Trainer, "save_checkpoint", full)
    with pytest.raises(TrainingError, match=r"cannot save \(No space left on device\); make room"):
        train(SMALL, tokens, tmp_path / "run")
    monkeypatch.undo()
    names = [p.name.partition("-")[0] for p in (tmp_path / "run/resume").iterdir()]
    assert sorted(names) == ["000000004", "000000005"]
    assert train(SMALL, tokens, tmp_path / "run", resume=True).steps == 12


def test_a_run_that_gets_no_better_stops(tmp_path: Path, tokens: TokenSet) -> None:
    config = dataclasses.replace(SMALL, learning_rate=1e-12, patience=2, val_every=2, steps=1000)
    summary = train(config, tokens, tmp_path / "run")
    assert summary.reason == "no better score"
    assert summary.steps < 30


@pytest.fixture
def step_seconds(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets how long a step takes by the clock of the run, which stands still otherwise."""
    now, step = [0.0], NextTokenModule.training_step

    def take(seconds: float) -> None:
        def timed(self: NextTokenModule, *arguments: Any) -> torch.Tensor:
            now[0] += seconds
            return step(self, *arguments)

        monkeypatch.setattr(NextTokenModule, "training_step", timed)
        monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=lambda: now[0]))

    return take


def test_a_budget_of_minutes_ends_in_time(
    tmp_path: Path, tokens: TokenSet, step_seconds: Callable[[float], None]
) -> None:
    step_seconds(0.05)
    config = SMALL.with_budget(minutes=0.05)
    summary = train(dataclasses.replace(config, patience=0, val_every=50), tokens, tmp_path / "run")
    assert 2.0 < summary.elapsed_s <= 3.0  # some of the time is kept for the end
    assert summary.steps == round(summary.elapsed_s / 0.05)


def test_a_budget_that_is_over_before_the_first_step_still_leaves_a_model(
    tmp_path: Path, tokens: TokenSet
) -> None:
    summary = train(SMALL.with_budget(minutes=1e-9), tokens, tmp_path / "run")
    assert summary.steps == 1
    assert checkpoint.load(tmp_path / "run" / "model").metrics["steps"] == 1.0


def test_a_budget_of_epochs_sees_every_tune_that_often(tmp_path: Path, tokens: TokenSet) -> None:
    summary = train(SMALL.with_budget(epochs=2), tokens, tmp_path / "run")
    assert summary.epochs == 2.0


def test_a_run_outside_the_main_thread_leaves_signals_alone(
    tmp_path: Path, tokens: TokenSet
) -> None:
    thread = threading.Thread(target=train, args=(SMALL, tokens, tmp_path / "run"))
    thread.start()
    thread.join()
    assert RunFolder(tmp_path / "run").finished


def test_scores_do_not_depend_on_the_batches(tokens: TokenSet) -> None:
    network = NextTokenModule.from_config(SMALL, tokens).network
    split = tokens.splits["train"]
    whole = score_tunes(network, split)
    assert whole.shape == (len(split),)
    np.testing.assert_allclose(score_tunes(network, split, batch_tokens=50), whole, rtol=1e-5)
    parts = [score_tunes(network, split, batch_tokens=50, shard=(i, 3)) for i in range(3)]
    np.testing.assert_allclose(sum(parts), whole, rtol=1e-5)


def test_a_uniform_network_costs_the_logarithm_of_the_vocabulary(tokens: TokenSet) -> None:
    network = NextTokenModule.from_config(SMALL, tokens).network
    for parameter in network.parameters():
        parameter.data.zero_()
    split = tokens.splits["val"]
    expected = (np.diff(split.offsets) - 1) * np.log2(len(VOCAB))
    np.testing.assert_allclose(score_tunes(network, split), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "module", ["training.presets", "training.config", "models.batches", "models.scoring"]
)
def test_settings_batches_and_scores_need_no_lightning(module: str) -> None:
    program = f"import sys, musicgen.{module}\nassert 'pytorch_lightning' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", program], check=True, env=dict(os.environ))


def test_history_survives_the_disk() -> None:
    rows = [
        Row(step=2, epoch=0.5, elapsed_s=1.0, learning_rate=0.1, train_bits_per_token=0.1 + 0.2,
            val_bits_per_note=None, tokens_per_s=7.0),
        Row(step=4, epoch=1.0, elapsed_s=2.0, learning_rate=0.1, train_bits_per_token=None,
            val_bits_per_note=1 / 3, tokens_per_s=7.0),
    ]  # fmt: skip
    assert parse_rows(render_rows(rows)) == rows


def test_plain_lines_off_a_terminal(
    tmp_path: Path, tokens: TokenSet, capsys: pytest.CaptureFixture[str]
) -> None:
    with reporting(sys.stdout) as report:
        train(SMALL, tokens, tmp_path / "run", report=report)
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[-1].startswith("100%  step 12  epoch ")
    assert "validation" in lines[-1]
    assert captured.err == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"minutes": 0.0}, "minutes: 0.0 is not positive"),
        ({"warmup": 1.0}, "warmup: 1.0 is not in [0, 1)"),
        ({"patience": -1}, "patience: -1 is negative"),
        ({"seed": 2**63}, f"seed: {2**63} is more than {2**63 - 1}"),
    ],
)
def test_an_impossible_setting_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainConfig(**change)
    assert str(caught.value) == message


def test_a_run_needs_one_budget(tmp_path: Path, tokens: TokenSet) -> None:
    with pytest.raises(TrainingError, match="set exactly one of them"):
        train(TrainConfig(), tokens, tmp_path / "run")
    with pytest.raises(ConfigError, match="give exactly one of them"):
        SMALL.with_budget(minutes=1.0, epochs=2)


def test_every_preset_can_start(tokens: TokenSet) -> None:
    assert DEFAULT in PRESETS
    for config in PRESETS.values():
        NextTokenModule.from_config(config, tokens)
        assert config.n_budgets == 1


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        preset("lsmt")
    assert str(caught.value) == "lsmt: unknown preset; did you mean 'lstm'?"


@pytest.mark.parametrize(("minutes", "told"), [(0.12, True), (60.0, False)])
def test_a_budget_of_too_few_steps_is_told(
    tmp_path: Path, tokens: TokenSet, step_seconds: Callable[[float], None], *, minutes: float,
    told: bool,
) -> None:  # fmt: skip
    """Each step takes a fifth of a second, as on a busy laptop."""
    step_seconds(0.2)
    lines: list[str] = []

    def report(progress: Any) -> None:
        if not told and progress.elapsed_s > 3.5:
            raise TrainingError("enough seen")

    config = dataclasses.replace(SMALL.with_budget(minutes=minutes), val_every=1000, log_every=1)
    with nullcontext() if told else pytest.raises(TrainingError, match="enough seen"):
        train(config, tokens, tmp_path / "run", notify=lines.append, report=report)
    found = [line for line in lines if "teach little" in line]
    assert len(found) == told
    if told:
        steps, wanted = map(
            int, re.findall(r"about (\d+) steps.*give --minutes (\d+)", found[0])[0]
        )
        assert steps == 25  # in 7.2 s, of which 30 % are kept for the end
        assert wanted in (2, 3)  # 600 steps of a fifth of a second


def test_a_budget_among_the_settings_replaces_that_of_the_preset() -> None:
    lstm = preset("lstm")
    assert with_settings(lstm, ["seed=3"]).epochs == lstm.epochs
    assert with_settings(lstm, ["steps=5", "seed=3"]) == dataclasses.replace(
        lstm.with_budget(steps=5), seed=3
    )
    assert with_settings(lstm, ["epochs=null", "minutes=2"]) == lstm.with_budget(minutes=2)
    both = with_settings(lstm, ["epochs=2", "steps=5"])
    assert (both.epochs, both.steps, both.n_budgets) == (2, 5, 2)  # refused by `train`


def test_few_steps_are_told_at_once(tmp_path: Path, tokens: TokenSet) -> None:
    lines: list[str] = []
    train(SMALL, tokens, tmp_path / "run", notify=lines.append)
    assert "about 12 steps fit" in lines[0]
    assert "--set steps=600" in lines[0]


def test_a_small_corpus_gets_a_small_network_and_enough_steps() -> None:
    lstm = preset("lstm")
    small = suited(lstm, 4_000)
    assert (small.model.d_model, small.data.batch_tokens) == (64, 256)
    assert (small.steps, small.epochs, small.val_every) == (600, None, 100)
    assert suited(lstm, 20_000).model == lstm.model
    assert suited(lstm, 20_000).steps == 600
    assert suited(lstm, 500_000) == lstm
