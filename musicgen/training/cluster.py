"""Processes that train together: which one this is, what they agree on, and which of them says why
a run ends; and the batch system that starts a job again.

torchrun, srun or Lightning itself start the processes. They find each other through torch's
key-value store at MASTER_ADDR, where the process group of Lightning is made afterwards: a process
that cannot begin ends the others at once, which would wait for it for half an hour.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from musicgen.errors import (
    EndedElsewhere,
    MusicgenError,
    Terminated,
    TrainingError,
    TrainingInterrupted,
)

# How a batch system says that the time of a job is nearly up. (Windows has no such signal.)
REQUEUE: int = getattr(signal, "SIGUSR1", 0)

_BEGIN = timedelta(minutes=30)  # to wait for a process that has not come so far
_SILENCE = timedelta(seconds=20)  # before the first says that it waits
_FAILING = timedelta(seconds=20)  # to reach the others when one fails
_COMING_S = 60.0  # for which the first waits for others that have not begun, when it fails
_LEAD_S = 1.0  # by which the first process speaks before the others, of what happens to all
# What the store holds: what the first process says of the run, the numbers of the others when they
# are ready, whether to go, and how many have failed.
_FACTS, _GO, _FAILURES = "facts", "go", "failures"
_READY, _FAILED = "ready", "failed"
_INTERACTIVE = ("bash", "interactive")  # names of jobs that Lightning takes for a terminal


@dataclass(frozen=True)
class Launch:
    """How this process was started: as number `rank` of `world_size`, `devices` of them on each
    machine, `by` "torchrun", "srun", "Lightning" (the devices of one command), or "" alone."""

    rank: int = 0
    world_size: int = 1
    devices: int = 1
    by: Literal["torchrun", "srun", "Lightning", ""] = ""

    @property
    def is_external(self) -> bool:
        """Whether something else than Lightning has started all processes."""
        return self.by in ("torchrun", "srun")

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes the files and speaks."""
        return self.rank == 0

    @property
    def n_nodes(self) -> int:
        """Machines."""
        return max(1, self.world_size // self.devices)


def launch() -> Launch:
    """How this process was started, by its environment.

    Raises:
        TrainingError: the environment is incomplete.
    """
    try:
        return _launch(os.environ)
    except (KeyError, ValueError) as error:
        raise TrainingError(
            f"the environment of torchrun or srun lacks {error}; with srun give --ntasks-per-node"
        ) from None


def _launch(environment: Mapping[str, str]) -> Launch:
    def number(name: str, default: str | None = None) -> int:
        return int(environment[name] if default is None else environment.get(name, default))

    if "TORCHELASTIC_RUN_ID" in environment:
        return Launch(number("RANK"), number("WORLD_SIZE"), number("LOCAL_WORLD_SIZE"), "torchrun")
    if "SLURM_STEP_ID" in environment and environment.get("SLURM_JOB_NAME") not in _INTERACTIVE:
        world_size = number("SLURM_NTASKS", "1")
        devices = number("SLURM_NTASKS_PER_NODE", "1" if world_size == 1 else None)
        return Launch(number("SLURM_PROCID"), world_size, devices, "srun")
    if environment.keys().isdisjoint(("LOCAL_RANK", "NODE_RANK")):
        return Launch()
    # Lightning forgets how many they are when it fails; which one this is matters for the first.
    world_size = max(2, number("WORLD_SIZE", "2"))
    rank = number("NODE_RANK", "0") * world_size + number("LOCAL_RANK", "0")
    return Launch(rank, world_size, 1, "Lightning")


class Peers:
    """The processes of a run, as one of them sees them."""

    def __init__(self) -> None:
        self.mine = launch()
        self._store: Any = None  # the first process serves it for as long as it is kept

    def agree(
        self,
        facts: dict[str, str],
        check: Callable[[dict[str, str]], None],
        notify: Callable[[str], None],
    ) -> dict[str, str]:
        """Wait until all processes have come this far: the facts of the first, which each of the
        others has checked. Those that Lightning starts on one machine need not: they begin after
        the first has. Long waits are announced.

        Raises:
            EndedElsewhere: another process has failed.
            TrainingError: one does not come.
        """
        if not self.mine.is_external or self.mine.world_size == 1:
            return facts
        import torch.distributed

        try:
            # The agent of torchrun serves already; the first process may still be on its way.
            store = self._open(_FAILING if self.mine.by == "torchrun" else _BEGIN)
            store.set_timeout(_BEGIN)
            if self.mine.is_first:
                store.set(_FACTS, json.dumps(facts))
                ready = all(self._is_ready(store, str(n), notify) for n in self._others)
                store.set(_GO, _READY if ready else _FAILED)
            elif (told := store.get(_FACTS).decode()) != _FAILED:
                facts = dict(json.loads(told))
                check(facts)
                store.set(str(self.mine.rank), _READY)
            if store.get(_GO).decode() == _FAILED:
                store.add(_FAILURES, 1)
                raise EndedElsewhere
        except torch.distributed.DistError as error:
            if self._store is not None and isinstance(error, torch.distributed.DistNetworkError):
                raise EndedElsewhere from None  # whoever served it is gone
            raise TrainingError(
                f"the other processes of the run cannot be reached ({_first_line(error)}); see "
                "that all are started, and that every machine reaches MASTER_ADDR"
            ) from None
        return facts

    @property
    def _others(self) -> range:
        return range(1, self.mine.world_size)

    def _is_ready(self, store: Any, number: str, notify: Callable[[str], None]) -> bool:
        """Whether another process is, once it says so."""
        try:
            store.wait([number], _SILENCE)
        except RuntimeError:
            notify(f"waiting for process {number} of {self.mine.world_size} ...")
        return bool(store.get(number).decode() == _READY)

    def speaks(self, error: BaseException) -> bool:
        """Whether this process is the one to say why all end."""
        if self.mine.world_size == 1:
            return True
        if isinstance(error, TrainingInterrupted):  # all are stopped after the same step
            return self.mine.is_first
        if isinstance(error, LostProcessError | Terminated | KeyboardInterrupt):
            return self.mine.is_first and self._fails_first()
        return self._fails_first()

    def _fails_first(self) -> bool:
        """Tell the others that this process fails: whether it is the first, which says why."""
        try:
            store = self._open(_FAILING)
            if not self.mine.is_first:
                time.sleep(_LEAD_S)  # let the first speak of what happens to all
            count, begun = store.add(_FAILURES, 1), store.check([_GO])
            for name in (_FACTS, _GO) if self.mine.is_first else (str(self.mine.rank),):
                store.set(name, _FAILED)
            if self.mine.is_first:
                self._wait_for_all(store, 3 * _LEAD_S if begun else _COMING_S)
        except RuntimeError:
            return True
        return bool(count == 1)

    def _wait_for_all(self, store: Any, seconds: float) -> None:
        """Serve the store until the others have seen that it has been said, at most so long."""
        ends = time.monotonic() + seconds
        with suppress(RuntimeError):
            while store.add(_FAILURES, 0) < self.mine.world_size and time.monotonic() < ends:
                time.sleep(0.05)

    def _open(self, timeout: timedelta) -> Any:
        if self._store is None:
            from torch.distributed.distributed_c10d import PrefixStore
            from torch.distributed.rendezvous import rendezvous

            if self.mine.by == "srun":
                from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

                slurm = SLURMEnvironment()
                _ = slurm.main_address, slurm.main_port  # into the environment
            where = rendezvous("env://", self.mine.rank, self.mine.world_size, timeout=timeout)
            self._store = PrefixStore("musicgen", next(iter(where))[0])
        self._store.set_timeout(timeout)
        return self._store


class EarlyWarning:
    """A handler of SIGUSR1 that notes it, for the run to stop after its first step: there is
    nothing to save before, and a job that were started again at once would never come to it."""

    received = False

    def __call__(self, _number: int, _frame: object) -> None:
        """Note the signal."""
        self.received = True


@contextmanager
def one_voice() -> Iterator[None]:
    """Of processes that train together the first that fails says why; the others end silently. A
    SIGUSR1 that comes before the training is kept for it.

    Raises:
        EndedElsewhere: another one says why.
    """
    before = None
    if REQUEUE:
        with suppress(ValueError):  # not the main thread
            before = signal.signal(REQUEUE, EarlyWarning())
    try:
        yield
    except (EndedElsewhere, SystemExit):
        raise
    except (Exception, KeyboardInterrupt, Terminated) as error:
        peers = Peers()
        if not peers.speaks(error):
            raise EndedElsewhere(_exit_code(peers.mine, error)) from None
        if peers.mine.is_first or not isinstance(error, MusicgenError):
            raise
        where = f"process {peers.mine.rank} of {peers.mine.world_size} on {socket.gethostname()}"
        raise TrainingError(f"{where}: {error}") from None
    finally:
        if before is not None:
            signal.signal(REQUEUE, before)


def _exit_code(mine: Launch, error: BaseException) -> int:
    """The exit code of a process that ends silently. Lightning kills the first one where a process
    that it has started ends with another than 0."""
    if mine.by == "Lightning":
        return 0 if mine.rank else 1
    number = signal.SIGINT if isinstance(error, KeyboardInterrupt) else getattr(error, "signal", 0)
    return 128 + number if number else 1


class LostProcessError(TrainingError):
    """Another process of the run is gone."""


@contextmanager
def losing_processes(where: object) -> Iterator[None]:
    """Say in one line that another process is gone, whatever torch.distributed says of it.

    Raises:
        LostProcessError: it is.
    """
    try:
        yield
    except RuntimeError as error:
        import torch.distributed

        distributed = isinstance(error, torch.distributed.DistError)
        if not (distributed or any(name in str(error) for name in ("gloo", "NCCL", "Connection"))):
            raise
        raise LostProcessError(
            f"{where}: another process of the run has ended ({_first_line(error)}); go on with "
            "--resume"
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rpartition("] ")[2][:120]


def job_id() -> str:
    """The number of the SLURM job of this process, as scontrol takes it; "" where there is none."""
    number = os.environ.get("SLURM_JOB_ID", "")
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):
        return f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}"
    return number


def requeue(notify: Callable[[str], None]) -> str:
    """Have SLURM start the job of this process again, which is announced, as it may end this one at
    once: how the run goes on."""
    if not (number := job_id()):
        return "go on with --resume"
    notify(f"SLURM is to start job {number} again")
    try:
        done = subprocess.run(  # noqa: S603 - the program that the cluster has
            ["scontrol", "requeue", number],  # noqa: S607
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        reason = " ".join(done.stderr.split()) if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    if reason:
        return f"job {number} is not started again ({reason}); go on with --resume"
    return f"SLURM starts job {number} again"
