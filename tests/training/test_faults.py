"""Training on machines that stop, fill up and get killed: nothing is lost, nothing is pretended."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from musicgen.cli.training_run import require_unused
from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import TrainingError, TrainingInterrupted
from musicgen.models import checkpoint
from musicgen.system.temporary import SUFFIX, locked
from musicgen.training import NextTokenModule, RunFolder, train
from tests import ROOT
from tests.processes import refusal_in_child
from tests.runs import SMALL, losses, make_tokens, signal_at


@pytest.fixture
def tokens() -> TokenSet:
    return make_tokens()


@pytest.mark.parametrize("step", [8, 12])
def test_a_signal_stops_scoring_too_and_the_score_is_made_up_for(
    tmp_path: Path, tokens: TokenSet, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Also at the very end, where a resumed run has nothing to do but to score."""
    config = replace(SMALL, data=replace(SMALL.data, eval_batch_tokens=40))
    scored = NextTokenModule.validation_step

    def slow(self: NextTokenModule, *arguments: Any) -> None:
        if self.global_step == step:
            signal.raise_signal(signal.SIGTERM)
        scored(self, *arguments)

    train(config, tokens, tmp_path / "whole")
    monkeypatch.setattr(NextTokenModule, "validation_step", slow)
    with pytest.raises(TrainingInterrupted, match=f"stopped at step {step}, state saved"):
        train(config, tokens, tmp_path / "run")
    monkeypatch.undo()
    assert losses(tmp_path / "run")[-1][-1] is None  # the score of this step is still to come
    train(config, tokens, tmp_path / "run", resume=True)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_a_folder_in_which_another_process_trains_is_refused(
    tmp_path: Path, tokens: TokenSet
) -> None:
    with pytest.raises(TrainingInterrupted):
        train(SMALL, tokens, tmp_path, report=signal_at(4, signal.SIGTERM))
    message = f"process {os.getpid()} is training here; wait for it, or choose another folder"
    with locked(tmp_path) as alone:
        assert alone
        for resume in (True, False):
            with pytest.raises(TrainingError, match=message):
                train(SMALL, tokens, tmp_path, resume=resume)
        with pytest.raises(TrainingError, match=message):  # the command, before it reads a corpus
            require_unused(tmp_path, auto_resume=False)
    assert train(SMALL, tokens, tmp_path, resume=True).steps == 12


def test_a_model_that_was_being_replaced_when_the_run_was_killed_comes_back(
    tmp_path: Path, tokens: TokenSet
) -> None:
    with pytest.raises(TrainingInterrupted):
        train(SMALL, tokens, tmp_path, report=signal_at(6, signal.SIGTERM))
    half = tmp_path / f".x1y2z3{SUFFIX}"
    (half / "new" / "model").mkdir(parents=True)
    (half / "old").mkdir()
    (tmp_path / "model").rename(half / "old" / "model")
    (tmp_path / f".k3k3k3{SUFFIX}").write_text("step,ep")
    before = checkpoint.load(half / "old" / "model").metrics
    RunFolder(tmp_path).reopen(SMALL.fitted(tokens), tokens)
    assert checkpoint.load(tmp_path / "model").metrics == before
    assert not list(tmp_path.glob(".*"))


def test_settings_that_were_changed_are_refused_in_one_line(
    tmp_path: Path, tokens: TokenSet
) -> None:
    with pytest.raises(TrainingInterrupted):
        train(SMALL, tokens, tmp_path, report=signal_at(4, signal.SIGTERM))
    file = tmp_path / "run.json"
    file.write_text(file.read_text().replace("0.02", "0.03"))
    with pytest.raises(TrainingError, match=r"run.json: cannot be read: it was changed.*; "):
        train(SMALL, tokens, tmp_path, resume=True)


def test_a_history_that_was_changed_is_written_again_from_the_state(
    tmp_path: Path, tokens: TokenSet
) -> None:
    with pytest.raises(TrainingInterrupted):
        train(SMALL, tokens, tmp_path / "run", report=signal_at(6, signal.SIGTERM))
    shutil.copytree(tmp_path / "run", tmp_path / "other")
    file = tmp_path / "other/history.csv"
    file.write_bytes(file.read_bytes().replace(b".", b"1"))
    for name in ("run", "other"):
        train(SMALL, tokens, tmp_path / name, resume=True)
    assert losses(tmp_path / "other") == losses(tmp_path / "run")
    assert losses(tmp_path / "run")[0][0] < 6


def test_a_run_of_another_version_is_refused(tmp_path: Path, tokens: TokenSet) -> None:
    with pytest.raises(TrainingInterrupted):
        train(SMALL, tokens, tmp_path, report=signal_at(4, signal.SIGTERM))
    run = json.loads((tmp_path / "run.json").read_text())
    del run["sha256"], run["format"], run["origin"]
    (tmp_path / "run.json").write_text(json.dumps(run))
    with pytest.raises(TrainingError, match="is a run of another version; start a new run"):
        train(SMALL, tokens, tmp_path, resume=True)


def test_a_disk_that_is_full_loses_neither_model_nor_state(
    tmp_path: Path, tokens: TokenSet
) -> None:
    """A limit on the size of files stands for the disk: writing fails in the middle of a state."""
    with pytest.raises(TrainingInterrupted):
        train(SMALL, tokens, tmp_path, report=signal_at(6, signal.SIGTERM))
    before = {p.name: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    resumed = partial(train, SMALL, tokens, tmp_path, resume=True)
    message = refusal_in_child(resumed, most_bytes=2000)
    assert message.startswith(str(tmp_path))
    assert "File too large" in message
    assert "\n" not in message
    after = {p.name: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert {**after, "history.csv": before["history.csv"]} == before
    assert train(SMALL, tokens, tmp_path, resume=True).steps == 12


def test_a_place_that_cannot_be_written_is_refused_at_once(
    tmp_path: Path, tokens: TokenSet
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"cannot be used \(Not a directory\)"):
        train(SMALL, tokens, tmp_path / "file" / "run")
    if os.geteuid() != 0:
        (tmp_path / "sealed").mkdir(mode=0o500)
        with pytest.raises(TrainingError, match="cannot be used"):
            train(SMALL, tokens, tmp_path / "sealed" / "run")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"accelerator": "tpu"}, "accelerator=tpu, devices=1, strategy=auto: not available here"),
        (
            {"accelerator": "abacus"},
            "accelerator=abacus, devices=1, strategy=auto: not available here",
        ),
        (
            {"strategy": "zz\x1b"},
            r"accelerator=auto, devices=1, strategy=zz\x1b: not available here",
        ),
        ({"accelerator": "cpu", "devices": 999_999}, "devices=999999: this machine has "),
    ],
)
def test_devices_that_this_machine_has_not_are_refused_before_the_folder_is_touched(
    tmp_path: Path, tokens: TokenSet, asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError) as caught:
        train(replace(SMALL, **asked), tokens, tmp_path / "run")
    assert str(caught.value).startswith(message)
    assert str(caught.value).isprintable()
    assert not (tmp_path / "run").exists()


PROGRAM = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from musicgen.cli import main
from musicgen.training.presets import PRESETS
from tests.runs import SMALL, make_tokens
from musicgen.errors import MusicgenError
from musicgen.training import train
import musicgen.cli.train as learn
from musicgen.corpus.cache import CachedCorpus
learn._load_tokens = lambda *a: CachedCorpus(Path(), make_tokens(n=400), None, "", ())
learn._configure = lambda *a, **k: __import__("dataclasses").replace(
    SMALL, steps=100000, patience=0, save_minutes=9.0)
sys.argv = ["musicgen", "train", "--out", sys.argv[1]]
main()
"""


def start(folder: Path) -> subprocess.Popen[str]:
    """`musicgen train` on a toy corpus in a process of its own, once it has begun to train."""
    program = PROGRAM.format(root=str(ROOT))
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "validation" in line:
            break
    return process


def test_the_command_that_is_stopped_paused_or_terminated_saves_and_says_so(tmp_path: Path) -> None:
    process = start(tmp_path / "run")
    process.send_signal(signal.SIGSTOP)  # a laptop that sleeps
    time.sleep(0.2)
    process.send_signal(signal.SIGCONT)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert time.monotonic() - began < 15
    assert "state saved; go on with --resume" in err.splitlines()[-1]
    assert RunFolder(tmp_path / "run").states()


@pytest.fixture(scope="module")
def kills() -> ModuleType:
    """scripts/checks/kills.py, which kills and resumes."""
    return importlib.import_module("scripts.checks.kills")


@pytest.mark.slow
def test_killed_runs_go_on_as_if_nothing_had_happened(kills: ModuleType) -> None:
    done = subprocess.run(  # forks a process that has no other threads
        [sys.executable, kills.__file__, "--kills", "12", "--seed", "5"],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
