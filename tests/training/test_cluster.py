"""Training by several processes: who they are, what they agree on, which of them says why they end;
signals of a batch system, and runs that begin or go on by the same command."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musicgen.corpus.cache import CachedCorpus
from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import EndedElsewhere, TrainingError, TrainingInterrupted
from musicgen.training import RunFolder, train
from musicgen.training.callbacks import ResumableStates
from musicgen.training.cluster import Launch, Peers, launch, one_voice
from scripts.checks import cluster
from scripts.one_node_slurm import free_port
from tests import ROOT
from tests.commands import run as command
from tests.runs import SMALL, losses, make_tokens, signal_at

TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}
SRUN = {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4",
        "SLURM_PROCID": "5", "SLURM_JOB_NAME": "big"}  # fmt: skip


@pytest.fixture
def tokens() -> TokenSet:
    return make_tokens()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Launch()),
        (TORCHRUN, Launch(5, 8, 4, "torchrun")),
        (SRUN, Launch(5, 8, 4, "srun")),
        (SRUN | TORCHRUN | {"RANK": "0"}, Launch(0, 8, 4, "torchrun")),
        (SRUN | {"SLURM_JOB_NAME": "bash"}, Launch()),
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, Launch()),  # a batch script without srun
        ({"LOCAL_RANK": "1", "WORLD_SIZE": "2"}, Launch(1, 2, 1, "Lightning")),
        ({"NODE_RANK": "1"}, Launch(2, 2, 1, "Lightning")),
    ],
)
def test_what_started_a_process_is_read_from_its_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: Launch
) -> None:
    for name in [*TORCHRUN, *SRUN, "LOCAL_RANK", "NODE_RANK"]:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert launch() == expected
    assert launch().is_first == (expected.rank == 0)
    if expected.is_external:
        assert launch().n_nodes == 2


def test_srun_without_tasks_per_node_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SRUN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(TrainingError, match=r"lacks 'SLURM_NTASKS_PER_NODE'; .* --ntasks"):
        launch()


def test_other_numbers_of_devices_than_were_started_are_refused(
    tmp_path: Path, tokens: TokenSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (TORCHRUN | {"LOCAL_RANK": "1"}).items():
        monkeypatch.setenv(name, value)
    config = dataclasses.replace(SMALL, devices=1, num_nodes=3, accelerator="cpu")
    with pytest.raises(TrainingError, match="torchrun has started 8 processes; leave both out, or"):
        train(config, tokens, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def together(monkeypatch: pytest.MonkeyPatch, *works: Any) -> list[Any]:
    """The results or errors of one function a process, in threads that share a store."""
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    ends: list[Any] = [None] * len(works)
    everyone: list[Peers] = []  # kept to the end, as the first serves the store for as long

    def run(rank: int) -> None:
        peers = Peers()
        peers.mine = Launch(rank, len(works), 1, "torchrun")
        everyone.append(peers)
        try:
            ends[rank] = works[rank](peers)
        except TrainingError as error:
            ends[rank] = (error, peers.speaks(error))
        except EndedElsewhere as error:
            ends[rank] = error

    threads = [threading.Thread(target=run, args=[rank]) for rank in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return ends


def test_processes_agree_on_what_the_first_says(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, str]] = []
    ends = together(
        monkeypatch,
        lambda peers: peers.agree({"state": "new"}, seen.append, print),
        lambda peers: peers.agree({"state": "old"}, seen.append, print),
    )
    assert ends == [{"state": "new"}] * 2
    assert seen == [{"state": "new"}]


@pytest.mark.parametrize("failing", [[0], [1], [0, 1]])
def test_the_first_that_fails_says_why_and_none_is_left_waiting(
    monkeypatch: pytest.MonkeyPatch, failing: list[int]
) -> None:
    def refuse(_facts: object) -> None:
        raise TrainingError("seed: is another one")

    def work(peers: Peers) -> Any:
        if peers.mine.rank in failing and peers.mine.is_first:
            refuse({})
        return peers.agree({}, refuse if peers.mine.rank in failing else dict, print)

    ends = together(monkeypatch, work, work)
    spoken = [rank for rank, end in enumerate(ends) if isinstance(end, tuple) and end[1]]
    assert spoken == failing[:1]
    assert all(isinstance(end, tuple | EndedElsewhere) for end in ends)


def test_a_process_alone_says_why_itself() -> None:
    with pytest.raises(TrainingError, match=r"^why$"), one_voice():
        raise TrainingError("why")


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SLURM job 12 whose scontrol notes what it is asked for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    (folder / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    return tmp_path / "asked"


def test_usr1_saves_and_requeues_and_the_run_goes_on_as_if_nothing_were(
    tmp_path: Path, tokens: TokenSet, scontrol: Path
) -> None:
    train(SMALL, tokens, tmp_path / "whole")
    before = signal.getsignal(signal.SIGUSR1)
    with pytest.raises(TrainingInterrupted, match="step 6, state saved; SLURM starts job 12 again"):
        train(SMALL, tokens, tmp_path / "parts", report=signal_at(6, signal.SIGUSR1))
    assert signal.getsignal(signal.SIGUSR1) == before
    assert scontrol.read_text() == "requeue 12\n"
    train(SMALL, tokens, tmp_path / "parts", resume="auto")
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")


def test_a_job_that_is_not_requeued_says_so(
    tmp_path: Path, tokens: TokenSet, scontrol: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin" / "scontrol").write_text("#!/bin/sh\necho disabled $2 >&2; exit 1\n")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "9")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    message = r"job 9_3 is not started again \(disabled 9_3\); go on with --resume"
    with pytest.raises(TrainingInterrupted, match=message):
        train(SMALL, tokens, tmp_path / "run", report=signal_at(2, signal.SIGUSR1))


def test_usr1_outside_of_slurm_saves(
    tmp_path: Path, tokens: TokenSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(TrainingInterrupted, match="state saved; go on with --resume") as caught:
        train(SMALL, tokens, tmp_path / "run", report=signal_at(2, signal.SIGUSR1))
    assert caught.value.signal == signal.SIGUSR1


def test_a_signal_before_the_first_step_is_kept_for_it(
    tmp_path: Path,
    tokens: TokenSet,
    scontrol: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens.save(tmp_path / "tokens")
    load = CachedCorpus.of_tokens

    def warned(*arguments: Any, **options: Any) -> CachedCorpus:
        signal.raise_signal(signal.SIGUSR1)
        return load(*arguments, **options)

    settings = ["--set", "steps=3", "--set", "epochs=null", "--set", "model.d_model=8"]
    begin = ["train", "--tokens", str(tmp_path / "tokens"), "--out", str(tmp_path / "run")]
    begin += ["--auto-resume", *settings]
    monkeypatch.setattr(CachedCorpus, "of_tokens", warned)
    code, _, err = command(capsys, *begin)
    assert code == 128 + signal.SIGUSR1, err
    assert "stopped at step 1, state saved; SLURM starts job 12 again" in err
    assert scontrol.read_text() == "requeue 12\n"
    monkeypatch.undo()
    code, _, err = command(capsys, *begin)
    assert code == 0, err
    code, _, err = command(capsys, *begin)
    assert code == 0
    assert "the run is finished" in err
    code, _, err = command(capsys, *begin, "--resume")
    assert code == 1
    assert "--resume and --auto-resume: give one of them" in err


def test_a_run_that_ended_before_its_first_state_begins_again(
    tmp_path: Path, tokens: TokenSet
) -> None:
    train(SMALL, tokens, tmp_path / "whole")
    (tmp_path / "run").mkdir()
    RunFolder(tmp_path / "run").begin(SMALL.fitted(tokens), tokens, {})
    (tmp_path / "run" / "history.csv").write_text("of the first try")
    with pytest.raises(TrainingError, match="no usable state"):
        train(SMALL, tokens, tmp_path / "run", resume=True)
    with pytest.raises(TrainingError, match="was started with another seed"):
        train(dataclasses.replace(SMALL, seed=3), tokens, tmp_path / "run", resume="auto")
    summary = train(SMALL, tokens, tmp_path / "run", resume="auto")
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")
    assert train(SMALL, tokens, tmp_path / "run", resume="auto") == summary


def test_another_number_of_processes_is_told(
    tmp_path: Path, tokens: TokenSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two(states: Any, *_: object, stage: str) -> None:
        states._world_size = 2

    monkeypatch.setattr(ResumableStates, "setup", two)
    with pytest.raises(TrainingInterrupted):
        train(SMALL, tokens, tmp_path, report=signal_at(4, signal.SIGTERM))
    monkeypatch.undo()
    lines: list[str] = []
    train(SMALL, tokens, tmp_path, resume=True, notify=lines.append)
    told = [line for line in lines if "goes on with 1 processes instead of 2: batches are" in line]
    assert len(told) == 1


def test_resuming_takes_other_devices_and_no_other_settings(
    tmp_path: Path, tokens: TokenSet, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens.save(tmp_path / "tokens")
    origin = {"corpus": None, "tokens": str(tmp_path / "tokens"), "from": None, "tokenizer": None}
    with pytest.raises(TrainingInterrupted):
        train(SMALL, tokens, tmp_path / "run", report=signal_at(4, signal.SIGTERM), origin=origin)
    resume = ["train", "--resume", "--out", str(tmp_path / "run")]
    code, _, err = command(capsys, *resume, "--set", "seed=3")
    assert (code, err) == (
        1, "error: --resume: an unfinished run keeps its own settings; drop seed=3\n",
    )  # fmt: skip
    code, _, err = command(capsys, *resume, "--devices", "1", "--num-nodes", "1")
    assert code == 0, err


def test_what_cannot_be_sharded_is_refused(tmp_path: Path, tokens: TokenSet) -> None:
    sharded = dataclasses.replace(SMALL, strategy="fsdp", accelerator="cpu")
    for change, message in (
        ({}, "strategy=fsdp: not available here"),
        ({"optimizer": "muon"}, "optimizer=muon: needs whole weights"),
        ({"sample_every": 5}, "sample_every: needs whole weights"),
    ):
        with pytest.raises(TrainingError, match=message):
            train(dataclasses.replace(sharded, **change), tokens, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_token_files_stay_on_disk(tmp_path: Path) -> None:
    tokens = make_tokens()
    tokens.save(tmp_path / "tokens")
    mapped = TokenSet.load(tmp_path / "tokens", verify=False)
    for some in (mapped, mapped.with_features(list(mapped.feature_sizes)[:2])):
        split = some.splits["train"]
        assert isinstance(split.ids, np.memmap)
        assert isinstance(split.features, np.memmap)
        assert np.array_equal(
            split.features, tokens.splits["train"].features[:, : split.features.shape[1]]
        )


@pytest.mark.slow
def test_two_nodes_equal_one_device_and_themselves_after_kills(tmp_path: Path) -> None:
    make_tokens().save(tmp_path / "tokens")
    assert cluster.check_nodes(tmp_path, tmp_path / "tokens") == ""
    assert cluster.check_kills(tmp_path, tmp_path / "tokens", kills=2, steps=60, seed=0) == ""


SHARDED = """
import dataclasses, sys
from pathlib import Path
import torch
from pytorch_lightning.strategies import fsdp
from torch.distributed import fsdp as torch_fsdp
from musicgen.training import run, train
from tests.runs import SMALL, make_tokens, signal_at

def state_on_cpu(module, world_size, rank0_only=True):  # "offloading" what is there crashes torch
    options = {"offload_to_cpu": False, "rank0_only": rank0_only}
    return torch_fsdp.FullyShardedDataParallel.state_dict_type(
        module, torch_fsdp.StateDictType.FULL_STATE_DICT,
        torch_fsdp.FullStateDictConfig(**options), torch_fsdp.FullOptimStateDictConfig(**options))

def on_cpu(self, *arguments, device_id=None, **options):
    init(self, *arguments, device_id=torch.device("cpu"), **options)

init = torch_fsdp.FullyShardedDataParallel.__init__
torch_fsdp.FullyShardedDataParallel.__init__ = on_cpu
fsdp._get_full_state_dict_context = state_on_cpu
run.require_devices = lambda config: None
folder, strategy, ends, resume = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), len(sys.argv) > 4
model = dataclasses.replace(SMALL.model, kind="transformer", n_layers=2, dropout=0.0,
                            embedding_dropout=0.0)
config = dataclasses.replace(SMALL, model=model, ema=0.9, accelerator="cpu", strategy=strategy)
train(config, make_tokens(), folder, report=signal_at(ends, 15), resume=resume)
"""


@pytest.mark.slow
def test_sharded_weights_learn_as_whole_ones_and_go_on(tmp_path: Path) -> None:
    """On CPUs, where Lightning does not let a user shard; the parts of torch are the same."""
    (tmp_path / "sharded.py").write_text(SHARDED)

    def run(name: str, *arguments: str) -> int:
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone",
             "--nproc-per-node", "2", tmp_path / "sharded.py", tmp_path / name, *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            capture_output=True, check=False,
        ).returncode  # fmt: skip

    assert run("ddp", "ddp", "0") == 0
    assert run("whole", "fsdp", "0") == 0
    assert run("parts", "fsdp", "6") != 0
    assert run("parts", "fsdp", "0", "resume") == 0
    assert cluster.outcome(tmp_path / "parts") == cluster.outcome(tmp_path / "whole")
    for mine, other in zip(losses(tmp_path / "whole"), losses(tmp_path / "ddp"), strict=True):
        for value, expected in zip(mine, other, strict=True):
            assert (value is None) == (expected is None)
            assert value is None or value == pytest.approx(expected, rel=1e-5)
