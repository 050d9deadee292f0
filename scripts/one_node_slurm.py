"""A SLURM cluster of this one machine, or where it cannot be started a stand-in for it.

    with one_node_cluster(folder) as cluster:
        job = cluster.run("#!/bin/bash\n#SBATCH --time=1 --requeue\nsrun python train.py", "train")

Debian's packages `slurm-wlm` and `munge` are enough, and root; nothing of them is changed: key,
state and logs are in the folder, and the daemons end with the block. The stand-in reads the options
--array, --time, --signal, --ntasks-per-node and --requeue, gives tasks the environment of srun,
sends them the same signals at the same times, and has a scontrol that requeues.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
ENDED = ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY")
KILL_WAIT_S = 10
CONFIGURATION = """\
ClusterName=check
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
KillWait={kill_wait}
MinJobAge=3600
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
SRUN = (
    f"import sys; sys.path.insert(0, '{Path(__file__).parents[1]}'); "
    "from scripts.one_node_slurm import run_tasks; sys.exit(run_tasks(sys.argv[1:]))"
)
SCONTROL = """#!/bin/sh
# of the stand-in: scontrol requeue JOB
touch "$FAKE_SLURM/requeue-$2"
"""


def free_port() -> int:
    """A port of this machine that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Job:
    """How a job ended: the states of its tasks, how often it was started again, its output."""

    states: tuple[str, ...]
    restarts: int
    output: str


class Slurm:
    """SLURM itself."""

    name = "SLURM"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": f"{folder}/slurm.conf"}

    def start(self) -> None:
        """Start the daemons.

        Raises:
            RuntimeError: one does not start, or no job runs.
        """
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        self.folder.chmod(0o755)
        (self.folder / "munge.key").write_bytes(os.urandom(256))
        (self.folder / "munge.key").chmod(0o600)
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=socket.gethostname(), folder=self.folder, cpus=os.cpu_count(),
                kill_wait=KILL_WAIT_S, ports=[free_port(), free_port()],
            )
        )  # fmt: skip
        files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log"}
        options = [f"--{name}={self.folder}/munge.{end}" for name, end in files.items()]
        self._call("munged", "--force", f"--seed-file={self.folder}/munge.seed", *options)
        self._call("slurmctld")
        self._call("slurmd")
        self._call("srun", "--immediate=20", "true", tries=5)

    def _call(self, *command: str, tries: int = 1) -> str:
        done = subprocess.run(
            command, capture_output=True, text=True, env=self.environment, timeout=60, check=False
        )
        if done.returncode and tries > 1:
            time.sleep(2)
            return self._call(*command, tries=tries - 1)
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stderr.strip()}")
        return done.stdout

    def stop(self) -> None:
        """End the daemons, and wait until they have."""
        for name in ("slurmd", "slurmctld", "munge"):
            with suppress(OSError, ValueError):
                number = int((self.folder / f"{name}.pid").read_text())
                os.kill(number, signal.SIGTERM)
                for _ in range(100):
                    time.sleep(0.1)
                    os.kill(number, 0)

    def run(self, script: str, name: str, *, limit_s: float = 1800) -> Job:
        """Submit a job, or an array of them, and wait for its end."""
        path, output = self.folder / f"{name}.sh", self.folder / f"{name}.log"
        path.write_text(script)
        submit = ("sbatch", "--parsable", "--open-mode=append", f"--job-name={name}")
        number = self._call(*submit, f"--output={output}", str(path)).strip()
        ends = time.monotonic() + limit_s
        while True:
            shown = self._call("scontrol", "show", "job", number)
            states = tuple(re.findall(r"JobState=(\w+)", shown))
            if all(state in ENDED for state in states) or time.monotonic() > ends:
                restarts = max(map(int, re.findall(r"Restarts=(\d+)", shown)))
                return Job(states, restarts, output.read_text() if output.exists() else "")
            time.sleep(1)


class StandIn:
    """What SLURM does with one job after another, as far as the processes of it notice."""

    name = "the stand-in for SLURM"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0

    def start(self) -> None:
        """Make its commands."""
        commands = self.folder / "bin"
        commands.mkdir()
        (commands / "scontrol").write_text(SCONTROL)
        (commands / "srun").write_text(f'#!/bin/sh\nexec {sys.executable} -c "{SRUN}" "$@"\n')
        for command in commands.iterdir():
            command.chmod(0o755)

    def stop(self) -> None:
        """Nothing is left to end."""

    def run(self, script: str, name: str, *, limit_s: float = 1800) -> Job:
        """Run the tasks of a job one after another, each again for as long as it asks for that."""
        path, output = self.folder / f"{name}.sh", self.folder / f"{name}.log"
        path.write_text(script)
        options = dict(re.findall(r"--([\w-]+)(?:[= ](\S+))?", " ".join(_directives(script))))
        first, last = map(int, options.get("array", "0-0").split("-"))
        ends, restarts, states = time.monotonic() + limit_s, 0, []
        for task in range(first, last + 1):
            self.number += 1
            again, count = True, -1
            while again and time.monotonic() < ends:
                count += 1
                environment = self._environment(options, task, count)
                with output.open("a") as file:
                    code = _run_limited(path, environment, options, file)
                flag = self.folder / f"requeue-{environment['FAKE_JOB']}"
                again = flag.exists() and "requeue" in options
                flag.unlink(missing_ok=True)
            states.append("FAILED" if code else "COMPLETED")
            restarts = max(restarts, count)
        return Job(tuple(states), restarts, output.read_text())

    def _environment(self, options: dict[str, str], task: int, count: int) -> dict[str, str]:
        n_tasks = options.get("ntasks-per-node", "1")
        environment = {
            **os.environ,
            "PATH": f"{self.folder}/bin{os.pathsep}{os.environ['PATH']}",
            "FAKE_SLURM": str(self.folder),
            "FAKE_JOB": str(self.number),
            "SLURM_JOB_ID": str(self.number),
            "SLURM_JOB_NAME": "check",
            "SLURM_NTASKS": n_tasks,
            "SLURM_NTASKS_PER_NODE": n_tasks,
            "SLURM_NNODES": "1",
            "SLURM_NODELIST": "localhost",
        }
        if count:
            environment["SLURM_RESTART_COUNT"] = str(count)
        if "array" in options:
            array = str(self.number - task)
            environment |= {"SLURM_ARRAY_JOB_ID": array, "SLURM_ARRAY_TASK_ID": str(task)}
            environment["FAKE_JOB"] = f"{array}_{task}"
        return environment


def _directives(script: str) -> list[str]:
    return [line.removeprefix("#SBATCH") for line in script.split("\n") if "#SBATCH" in line]


def _run_limited(
    path: Path, environment: dict[str, str], options: dict[str, str], output: object
) -> int:
    """Run a batch script under its time limit, with signals as SLURM sends them: its exit code."""
    limit_s = 60.0 * float(options.get("time", "1000"))
    name, _, before = options.get("signal", "USR1@0").partition("@")
    process = subprocess.Popen(
        ["bash", str(path)], env=environment, stdout=output, stderr=output, start_new_session=True
    )  # type: ignore[call-overload]
    times = [
        (limit_s - float(before), getattr(signal, f"SIG{name}")),
        (limit_s, signal.SIGTERM),
        (limit_s + KILL_WAIT_S, signal.SIGKILL),
    ]
    begun, flag = (
        time.monotonic(),
        Path(environment["FAKE_SLURM"]) / f"requeue-{environment['FAKE_JOB']}",
    )
    while process.poll() is None:
        if flag.exists():  # SLURM ends a job that is to be requeued
            times = [
                (0.0, signal.SIGTERM),
                (time.monotonic() - begun + KILL_WAIT_S, signal.SIGKILL),
            ]
        while times and time.monotonic() - begun >= times[0][0]:
            for task in _tasks_of(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(task, times[0][1])
            times.pop(0)
        if not times and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(0.1)
    return process.returncode


def _tasks_of(shell: int) -> list[int]:
    """The processes of the tasks that the srun of a batch script has started."""
    group = subprocess.run(
        ["ps", "-o", "pid=,args=", "-g", str(shell)], capture_output=True, text=True, check=False
    )
    rows = [line.split(None, 1) for line in group.stdout.splitlines()]
    return [
        int(pid) for pid, command in rows if "bash" not in command and "run_tasks" not in command
    ]


def run_tasks(arguments: list[str]) -> int:
    """The srun of the stand-in: as many tasks as the job has, each with its number; the options of
    srun itself are left out."""
    command = list(dropwhile(lambda argument: argument.startswith("-"), arguments))
    n_tasks = int(os.environ["SLURM_NTASKS"])
    step = {**os.environ, "SLURM_STEP_ID": "0", "SLURM_NODEID": "0"}
    tasks = [
        subprocess.Popen(command, env={**step, "SLURM_PROCID": str(n), "SLURM_LOCALID": str(n)})
        for n in range(n_tasks)
    ]
    return max(task.wait() & 0xFF for task in tasks)


@contextmanager
def one_node_cluster(folder: Path, *, stand_in: bool = False) -> Iterator[Slurm | StandIn]:
    """SLURM in a new folder, or where it is not installed or does not start the stand-in."""
    cluster: Slurm | StandIn = Slurm(folder)
    if not stand_in and all(map(shutil.which, DAEMONS)) and os.geteuid() == 0:
        folder.mkdir(parents=True)
        try:
            cluster.start()
        except (OSError, RuntimeError, subprocess.TimeoutExpired) as error:
            print(f"SLURM does not start ({error})")
            cluster.stop()
            stand_in = True
    else:
        stand_in = True
    if stand_in:
        folder = folder.with_name(f"{folder.name}-stand-in")
        folder.mkdir(parents=True)
        cluster = StandIn(folder)
        cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()
