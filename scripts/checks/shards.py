"""A corpus in shards on many workers, killed at random: every byte as one run writes it.

    python scripts/checks/shards.py --seed 0
    python scripts/checks/shards.py --shards 4 --kills 1 --engines processes

First one plain run. Then every shard is read in a process of its own, in random order and a few at
a time, and each is killed up to `--kills` times at random moments and begun again; the merge must
have the plain run's bytes, and nothing temporary may be left. Then the same corpus by executors:
processes of which one is killed, a Dask cluster of two workers of which one is killed, an MPI pool
of two workers; and by an array of SLURM. An engine that is not installed is named and passed over;
without SLURM there is a stand-in (`scripts/one_node_slurm.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

from musicgen.cli.progress import available_cores
from musicgen.corpus.preparation import Account, prepare_folder
from musicgen.system.executors import WorkerProcesses
from musicgen.system.temporary import SUFFIX

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.one_node_slurm import one_node_cluster

MUSICGEN = [sys.executable, "-m", "musicgen"]
MPI_RANKS = 3  # one gives out the work


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def run(*arguments: str) -> None:
    """A musicgen command that must succeed."""
    subprocess.run([*MUSICGEN, *arguments], check=True, stderr=subprocess.DEVNULL)


def killed_shards(
    corpus: str, parts: Path, n: int, most_kills: int, seconds: float, rng: random.Random
) -> int:
    """Read every shard, killing processes; how many kills there were. `seconds` is about how long a
    shard takes."""
    numbers = list(range(1, n + 1))
    rng.shuffle(numbers)
    waiting = deque((number, rng.randint(0, most_kills)) for number in numbers)
    running: list[tuple[subprocess.Popen[bytes], int, int, float]] = []
    n_kills = 0
    while waiting or running:
        while waiting and len(running) < 2 * available_cores():
            number, kills = waiting.popleft()
            arguments = ["prepare", "--corpus", corpus, "--shard", f"{number}/{n}", "--out",
                         str(parts), "--workers", "1"]  # fmt: skip
            process = subprocess.Popen([*MUSICGEN, *arguments], stderr=subprocess.PIPE)
            end = time.monotonic() + rng.uniform(0, seconds) if kills else float("inf")
            running.append((process, number, kills, end))
        time.sleep(0.02)
        for entry in list(running):
            process, number, kills, end = entry
            code = process.poll()
            if code is None and time.monotonic() < end:
                continue
            running.remove(entry)
            if code is None:
                process.kill()
                process.wait()
                n_kills += 1
                waiting.appendleft((number, kills - 1))
            elif code:
                told = process.stderr.read().decode() if process.stderr else ""
                raise SystemExit(f"shard {number}/{n} ended with {code}: {told}")
    return n_kills


@contextlib.contextmanager
def killing_one(children: Callable[[], Sequence[int]], after: float) -> Iterator[None]:
    """Kill one of some processes after a while."""

    def kill() -> None:
        time.sleep(after)
        for number in children()[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    yield
    thread.join()


def children_of(parent: int) -> list[int]:
    """The processes that a process has started and that calculate."""
    found = []
    for task in Path("/proc").iterdir():
        if task.name.isdecimal():
            with contextlib.suppress(OSError, IndexError):
                fields = (task / "stat").read_text().rpartition(")")[2].split()
                line = (task / "cmdline").read_bytes()
                if int(fields[1]) == parent and b"spawn_main" in line:
                    found.append(int(task.name))
    return found


def by_processes(corpus: str, out: Path, n: int, seconds: float) -> Account:
    """An executor of two processes, of which one is killed."""
    with WorkerProcesses(2) as executor, killing_one(lambda: children_of(os.getpid()), seconds):
        return prepare_folder(corpus, out, executor=executor, shards=n)


def by_dask(corpus: str, out: Path, n: int, seconds: float) -> Account:
    """A Dask cluster of two workers, of which one is killed."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        numbers = list(client.run(os.getpid).values())
        with killing_one(lambda: numbers, seconds):
            return prepare_folder(corpus, out, executor=client.get_executor(), shards=n)


def by_mpi(corpus: str, out: Path, n: int, seconds: float) -> None:
    """An MPI pool of two workers and the rank that gives out the work."""
    root = {"MPIEXEC_ALLOW_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1"}
    subprocess.run(
        ["mpiexec", "-n", str(MPI_RANKS), sys.executable, "-m", "mpi4py.futures", "-m", "musicgen",
         "prepare", "--corpus", corpus, "--executor", "mpi", "--out", str(out)],
        check=True, stderr=subprocess.DEVNULL, env=os.environ | root,
    )  # fmt: skip


def by_slurm(corpus: str, out: Path, n: int, seconds: float) -> None:
    """An array of SLURM on this machine, or on a stand-in for it."""
    parts = out.parent / "array"
    command = " ".join([*MUSICGEN, "prepare", "--corpus", corpus, "--workers", "1"])
    with one_node_cluster(out.parent / "one-node") as cluster:
        job = cluster.run(
            f"#!/bin/bash\n#SBATCH --array=1-{n} --time=30 --requeue\n"
            f"srun {command} --shard $SLURM_ARRAY_TASK_ID/{n} --out {parts}\n",
            "shards",
        )
    if not parts.is_dir():
        raise SystemExit(f"slurm: {job}")
    run("prepare", "--merge", str(parts), "--out", str(out))


ENGINES: dict[str, tuple[str, Callable[[str, Path, int, float], Account | None]]] = {
    "processes": ("", by_processes),
    "dask": ("distributed", by_dask),
    "mpi": ("mpi4py", by_mpi),
    "slurm": ("", by_slurm),
}


def is_there(engine: str) -> bool:
    """Whether an engine is installed."""
    package = ENGINES[engine][0]
    found = not package or importlib.util.find_spec(package) is not None
    return found and (engine != "mpi" or shutil.which("mpiexec") is not None)


def main(
    *,
    corpus: Annotated[str, "what to prepare"] = "airdsAirs",
    shards: Annotated[int, "how many"] = 16,
    kills: Annotated[int, "at most so many of a shard"] = 5,
    seed: int = 0,
    engines: Annotated[Sequence[str], "which executors"] = tuple(ENGINES),
) -> bool:
    """Run the check; whether anything differs."""
    rng, failed = random.Random(seed), False
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        run("prepare", "--corpus", corpus, "--out", str(place / "plain"))
        expected = digests(place / "plain")

        def compare(what: str, out: Path) -> None:
            nonlocal failed
            different = sorted(name for name, _ in expected.items() ^ digests(out).items())
            failed |= bool(different)
            print(f"{what}: {', '.join(set(different)) or 'the same bytes'}", flush=True)

        begin = time.monotonic()
        run("prepare", "--corpus", corpus, "--shard", f"1/{shards}", "--out", str(place / "one"))
        seconds = (time.monotonic() - begin) * 2 * min(2, shards)
        n_kills = killed_shards(corpus, place / "parts", shards, kills, seconds, rng)
        left = [path.name for path in (place / "parts").iterdir() if path.name.endswith(SUFFIX)]
        if left:
            failed = True
            print(f"left behind: {', '.join(left)}")
        run("prepare", "--merge", str(place / "parts"), "--out", str(place / "merged"))
        compare(f"{shards} shards, {n_kills} kills", place / "merged")
        for engine in engines:
            if not is_there(engine):
                print(f"{engine}: is not installed")
                continue
            account = ENGINES[engine][1](corpus, place / engine, shards, seconds / 2)
            told = f"; {'; '.join(account.failures)}" if account and account.failures else ""
            compare(f"{engine}{told}", place / engine)
    return failed


if __name__ == "__main__":
    command_line.run(main)
