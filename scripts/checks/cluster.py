"""Training on several nodes and under SLURM: equal to one device, and to itself after any end.

    python scripts/checks/cluster.py                       # all of it
    python scripts/checks/cluster.py --parts nodes kills   # some of it

Two "nodes" are two commands of torchrun on this machine, a process each, that find each other at a
port of localhost and sum gradients through gloo.

- nodes: in float64 without dropout the losses of 50 steps differ from those of one device with the
  same global batch by at most 1e-5 of themselves.
- kills: with dropout, two nodes are ended at random moments (one process or all by SIGKILL, one
  torchrun by SIGTERM) and started again by the same command with --auto-resume; losses and weights
  are those of the run that was not, to the last bit.
- memory: token files are mapped. Two processes train from files of 200 MB; the memory of their own
  grows by less than a quarter of that.
- slurm: on a cluster of this machine (Debian's slurm-wlm and munge, as root) an array prepares
  shards, which merged are the files of one run, and a job of two tasks with --signal=USR1@20
  --time=1 is requeued until it is done; its losses and weights are those of a run without an end.
  Without SLURM a stand-in sends the same signals; a line says which it is.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np

from musicgen.corpus.tokenset import TokenSplit
from musicgen.training.run_folder import RunFolder

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.one_node_slurm import free_port, one_node_cluster
from tests.runs import losses, make_tokens

ROOT = Path(__file__).resolve().parents[2]
MUSICGEN = (sys.executable, "-m", "musicgen")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
SETTINGS = {
    "epochs": "null", "patience": 0, "model.d_model": 16, "data.batch_tokens": 256,
    "data.max_len": 32, "log_every": 3, "val_every": 20, "save_minutes": 0,
}  # fmt: skip
EXACT = {
    "steps": 50, "log_every": 1, "trainer.precision": "64-true", "model.dropout": 0,
    "model.embedding_dropout": 0,
}  # fmt: skip
TOLERANCE = 1e-5
Outcome = tuple[list[tuple[object, ...]], str]


def options(tokens: Path, out: Path, settings: dict[str, object], *more: str) -> list[str]:
    """The options of `musicgen train`."""
    pairs = [f"{name}={value}" for name, value in {**SETTINGS, **settings}.items()]
    sets = [part for pair in pairs for part in ("--set", pair)]
    return ["train", "--tokens", str(tokens), "--out", str(out), *sets, *more]


def start_nodes(arguments: Sequence[str], log: Path) -> list[subprocess.Popen[bytes]]:
    """Two commands of torchrun, as on two hosts."""
    port = free_port()
    torchrun = (
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"),
        *("--rdzv-backend", "c10d", "--rdzv-endpoint", f"localhost:{port}", "--rdzv-id", "check"),
        *("-m", "musicgen", *arguments),
    )
    with log.open("ab") as file:
        return [
            subprocess.Popen(torchrun, env=ENVIRONMENT, stdout=file, stderr=file) for _ in range(2)
        ]


def children_of(process: subprocess.Popen[bytes]) -> list[int]:
    """The processes that a torchrun has started."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(pid) for pid in listed.stdout.split()]


def outcome(folder: Path) -> Outcome:
    """What must not depend on interruptions: everything but the clock, and the weights' digest."""
    weights = (folder / "model" / "model.safetensors").read_bytes()
    return losses(folder), hashlib.sha256(weights).hexdigest()


def check_nodes(folder: Path, tokens: Path) -> str:
    """Two nodes against one device: what is wrong, or ""."""
    one, two = folder / "one", folder / "two"
    subprocess.run([*MUSICGEN, *options(tokens, one, EXACT)], env=ENVIRONMENT, check=True,
                   capture_output=True)  # fmt: skip
    codes = [node.wait() for node in start_nodes(options(tokens, two, EXACT), folder / "nodes.log")]
    if any(codes):
        return f"torchrun ended with {codes}: {last_line(folder / 'nodes.log')}"
    pairs = [
        (a, b)
        for row, other in zip(losses(one), losses(two), strict=True)
        for a, b in zip(row[3:], other[3:], strict=True)
        if a is not None
    ]
    worst = max(abs(a - b) / a for a, b in pairs)
    print(f"nodes: {len(pairs)} losses and scores differ by at most {worst:.1e} of themselves")
    return "" if len(pairs) > 50 and worst <= TOLERANCE else "the losses differ"


def last_line(log: Path) -> str:
    """What a run said last."""
    return (log.read_text().strip().split("\n") or [""])[-1]


def end_by(way: str, nodes: list[subprocess.Popen[bytes]]) -> None:
    """End a run of two nodes in one of the ways of `WAYS`."""
    if way == "one torchrun by SIGTERM":
        nodes[-1].terminate()
        return
    for node in nodes[-1:] if way == "one process by SIGKILL" else nodes:
        for child in children_of(node):
            os.kill(child, signal.SIGKILL)
        if way == "all by SIGKILL":
            node.kill()


WAYS = ("one process by SIGKILL", "all by SIGKILL", "one torchrun by SIGTERM")


def steps_of(folder: Path) -> int:
    """The step of the last state of a run."""
    states = RunFolder(folder).states()
    return int(states[0].name.partition("-")[0]) if states else 0


def check_kills(folder: Path, tokens: Path, *, kills: int, steps: int, seed: int) -> str:
    """Two nodes ended at random moments against two that are not: what is wrong, or ""."""
    rng = random.Random(seed)
    settings: dict[str, object] = {"steps": steps, "model.dropout": 0.2}
    whole, parts, log = folder / "whole", folder / "parts", folder / "kills.log"
    for node in start_nodes(options(tokens, whole, settings), log):
        if node.wait():
            return f"a run that nothing ends: {last_line(log)}"
    for number in range(kills + 1):
        nodes = start_nodes(options(tokens, parts, settings, "--auto-resume"), log)
        before, way = steps_of(parts), WAYS[number % len(WAYS)]
        target = before + rng.randrange(1, max(2, (steps - before) // (kills + 1 - number)))
        while number < kills and steps_of(parts) < target and nodes[0].poll() is None:
            time.sleep(0.05)
        if number < kills:
            end_by(way, nodes)
        codes = [node.wait(timeout=120) for node in nodes]
        if number < kills:
            print(f"kills: {way}: the last state is of step {steps_of(parts)}")
        if number == kills and any(codes):
            return f"the last start ended with {codes}: {last_line(log)}"
    return "" if outcome(parts) == outcome(whole) else "the losses or weights differ"


PROBE = """
import sys
from pathlib import Path
import numpy as np
from musicgen.corpus.tokenset import TokenSet
from musicgen.models import ModelConfig
from musicgen.training import TrainConfig, train
from musicgen.training.config import DataConfig

def own_mb():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024

config = TrainConfig(steps=20, val_every=20, model=ModelConfig(d_model=8, copy_head=False),
                     data=DataConfig(batch_tokens=4096, max_len=512))
train(config, TokenSet.load(sys.argv[1], verify=False), Path(sys.argv[2]))
print("own memory:", own_mb())
"""


def check_memory(folder: Path) -> str:
    """The memory of two processes with large token files against that with small ones."""
    small = make_tokens()
    small.save(folder / "small")
    # Tunes of 859 tokens: the first 32, one after another.
    repeated, train = 30_000, small.splits["train"]
    long = TokenSplit(
        ids=np.tile(train.ids, repeated),
        features=np.tile(train.features, (repeated, 1)),
        offsets=np.arange(repeated + 1) * len(train.ids),
        notes=np.full(repeated, train.notes.sum(), np.int32),
        names=["tune"] * repeated,
    )
    replace(small, splits={**small.splits, "train": long}).save(folder / "large")
    n_bytes = sum(path.stat().st_size for path in (folder / "large").glob("train.*.npy"))
    (folder / "probe.py").write_text(PROBE)
    own = {}
    for name in ("small", "large"):
        done = subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
             folder / "probe.py", folder / name, folder / f"run-{name}"],
            capture_output=True, text=True, env=ENVIRONMENT, check=False,
        )  # fmt: skip
        found = [float(mb) for mb in re.findall(r"own memory: ([\d.]+)", done.stdout)]
        if len(found) != 2:
            return f"the processes end with {done.returncode}: {done.stderr[-300:]}"
        own[name] = found
    grown = max(own["large"]) - min(own["small"])
    print(f"memory: {n_bytes / 2**20:.0f} MB of token files, {grown:.0f} MB more in a process")
    return "" if grown < n_bytes / 2**20 / 4 else "the files are copied"


ARRAY = """#!/bin/bash
#SBATCH --array=1-4 --time=10
exec {musicgen} prepare --corpus airdsAirs --shard $SLURM_ARRAY_TASK_ID/4 --out {folder}/shards
"""
JOB = """#!/bin/bash
#SBATCH --nodes=1 --ntasks-per-node=2 --time=1 --signal=USR1@20 --requeue
srun --kill-on-bad-exit=1 {command}
"""


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder by their names."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def check_slurm(folder: Path, *, steps: int, stand_in: bool) -> str:
    """An array, and a job that is requeued, against one run without a limit: what is wrong."""
    os.environ.update(OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT))
    with one_node_cluster(folder / "slurm", stand_in=stand_in) as cluster:
        print(f"slurm: by {cluster.name}")
        musicgen = " ".join(MUSICGEN)
        job = cluster.run(ARRAY.format(musicgen=musicgen, folder=folder), "prepare")
        print(f"slurm: an array prepares {len(job.states)} shards: {', '.join(job.states)}")
        if set(job.states) != {"COMPLETED"}:
            return f"the array: {job.output[-300:]}"
        for name, way in (("merged", ["--merge", str(folder / "shards")]),
                          ("prepared", ["--corpus", "airdsAirs"])):  # fmt: skip
            subprocess.run([*MUSICGEN, "prepare", *way, "--out", str(folder / name)],
                           env=ENVIRONMENT, check=True, capture_output=True)  # fmt: skip
        if contents(folder / "merged") != contents(folder / "prepared"):
            return "the shards merged are not the files of one run"
        settings: dict[str, object] = {
            "steps": steps, "val_every": max(1, steps // 4), "log_every": 50, "save_minutes": 1,
            "model.dropout": 0.2,
        }  # fmt: skip
        ends = {"whole": JOB.replace(" --time=1 --signal=USR1@20", ""), "parts": JOB}
        for name, script in ends.items():
            arguments = options(folder / "merged", folder / name, settings, "--auto-resume")
            job = cluster.run(script.format(command=f"{musicgen} {' '.join(arguments)}"), name)
            print(f"slurm: {name}: {', '.join(job.states)} after {job.restarts} restarts")
            if not RunFolder(folder / name).finished:
                return f"{name}: {job.output[-500:]}"
        if not job.restarts:
            return "the job was done before its signal; give more --steps"
    same = outcome(folder / "whole") == outcome(folder / "parts")
    return "" if same else "the losses or weights differ"


def main(
    *,
    parts: Annotated[Sequence[str], "of the check"] = ("nodes", "kills", "memory", "slurm"),
    kills: Annotated[int, "of two nodes"] = 6,
    steps: Annotated[
        int, "of the run that SLURM requeues; it must last longer than a minute"
    ] = 4000,
    stand_in: Annotated[bool, "do not use SLURM, even if it is here"] = False,
    seed: int = 0,
) -> bool:
    """Check from the command line."""
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        make_tokens().save(folder / "tokens")
        checks: dict[str, Callable[[], str]] = {
            "nodes": lambda: check_nodes(folder, folder / "tokens"),
            "kills": lambda: check_kills(
                folder, folder / "tokens", kills=kills, steps=200, seed=seed
            ),
            "memory": lambda: check_memory(folder),
            "slurm": lambda: check_slurm(folder, steps=steps, stand_in=stand_in),
        }
        wrong = {name: what for name in parts if (what := checks[name]())}
    for name in parts:
        print(f"{name}: {wrong.get(name, 'holds')}")
    return bool(wrong)


if __name__ == "__main__":
    command_line.run(main)
