"""The run folder: event files for TensorBoard on request, and a resumed run that voids its tail."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from musicgen.config import override
from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import TrainingError, TrainingInterrupted
from musicgen.training import RunFolder, run, train
from musicgen.training.run import Logger
from musicgen.training.run_folder import parse_rows
from tests.commands import run as command
from tests.runs import SMALL, make_reels, make_tokens, signal_at
from tests.timing import within

READER = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
log = EventAccumulator(sys.argv[1])
log.Reload()
names = log.Tags()["scalars"]
print(json.dumps({name: [(e.step, e.value) for e in log.Scalars(name)] for name in names}))
"""
needs_tensorboard = pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed"
)


@pytest.fixture
def tokens() -> TokenSet:
    return make_tokens()


def event_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("events.out.tfevents.*"))


def test_without_the_option_a_run_writes_no_event_file(tmp_path: Path, tokens: TokenSet) -> None:
    train(SMALL, tokens, tmp_path)
    assert event_files(tmp_path) == []
    assert (tmp_path / "history.csv").exists()


@pytest.mark.parametrize("logger", ["tensorboard", "wandb", "mlflow"])
def test_the_logger_that_is_not_installed_is_refused_before_the_folder_is_touched(
    tmp_path: Path, tokens: TokenSet, monkeypatch: pytest.MonkeyPatch, logger: Logger
) -> None:
    monkeypatch.setattr(run, "find_spec", lambda name: None)
    with pytest.raises(TrainingError) as caught:
        train(SMALL, tokens, tmp_path / "run", logger=logger)
    assert str(caught.value) == (
        f'{logger} is not installed; run pip install "musicgen[{logger}]" or use the csv logger'
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("max_steps", "trainer.max_steps: is the run's own; use steps"),
        ("callbacks", "trainer.callbacks: is the run's own; use the Python API"),
        ("profilr", "trainer.profilr: unknown Trainer argument; did you mean 'profiler'?"),
    ],
)
def test_arguments_of_the_trainer_are_checked(
    tmp_path: Path, tokens: TokenSet, name: str, message: str
) -> None:
    config = dataclasses.replace(SMALL, trainer={name: 1})
    with pytest.raises(TrainingError) as caught:
        train(config, tokens, tmp_path / "run")
    assert str(caught.value) == message
    assert not (tmp_path / "run").exists()


def test_any_argument_of_the_trainer_can_be_set(tmp_path: Path, tokens: TokenSet) -> None:
    config = override(SMALL, "trainer.limit_train_batches=3")
    config = override(override(config, "trainer.detect_anomaly=true"), "trainer.benchmark=false")
    assert config.trainer == {"limit_train_batches": 3, "detect_anomaly": True, "benchmark": False}
    assert train(config, tokens, tmp_path / "run").steps == 12
    resumed = dataclasses.replace(SMALL, trainer={})
    with pytest.raises(TrainingError, match="the run is finished"):
        train(resumed, tokens, tmp_path / "run", resume=True)


def test_a_resumed_run_needs_no_corpus_and_a_finished_one_answers_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_reels(tmp_path / "tunes", 12)
    out = str(tmp_path / "run")
    begin = ["train", "--corpus", str(tmp_path / "tunes"), "--set", "model.d_model=16",
             "--set", "epochs=null", "--set", "steps=3", "--out", out]  # fmt: skip
    keep = RunFolder.keep_state

    def interrupted(*arguments: Any) -> None:
        keep(*arguments)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(RunFolder, "keep_state", interrupted)
    code, _, err = command(capsys, *begin)
    assert code == 143, err
    monkeypatch.undo()
    code, _, err = command(capsys, "train", "--resume", "--out", out)
    assert code == 0, err
    assert "celtic" not in err
    with within(1):
        code, text, err = command(capsys, "train", "--resume", "--out", out)
    assert code == 0
    assert "the run is finished" in text + err
    assert "reading" not in text + err


def test_the_command_refuses_a_logger_that_it_does_not_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "--logger", "neptune", "--out", str(tmp_path / "run")]
    code, _, err = command(capsys, *arguments)
    assert code == 2
    assert "tensorboard" in err


@needs_tensorboard
def test_tensorboard_shows_a_resumed_run_as_one(tmp_path: Path, tokens: TokenSet) -> None:
    """Killed after a row that no saved state covers, with a torn record at the end."""
    with pytest.raises(TrainingInterrupted):
        train(SMALL, tokens, tmp_path, report=signal_at(4, signal.SIGTERM), logger="tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    late = SummaryWriter(str(tmp_path))
    late.add_scalar("train_bits_per_token", 99.0, 6)
    late.close()
    with event_files(tmp_path)[-1].open("ab") as torn:
        torn.write(b"\x18\x00")
    train(SMALL, tokens, tmp_path, resume=True, logger="tensorboard")
    assert len(event_files(tmp_path)) == 3
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READER, str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    shown = json.loads(done.stdout)
    rows = parse_rows((tmp_path / "history.csv").read_text())
    for name in ("train_bits_per_token", "val_bits_per_note", "learning_rate"):
        points = [(r.step, getattr(r, name)) for r in rows if getattr(r, name) is not None]
        assert [step + 1 for step, _ in shown[name]] == [step for step, _ in points]
        values = [value for _, value in points]
        assert [value for _, value in shown[name]] == pytest.approx(values, rel=1e-6)
