"""Training killed at random moments: does every run go on as if nothing had happened?

    python scripts/checks/kills.py --kills 100 --seed 0

A tiny network is trained once from beginning to end. Then, in a child process, the same run is
killed and gone on with; whatever the kill left behind, the losses, scores and final weights must be
those of the uninterrupted run, to the last bit. A run that was killed before there was anything to
go on from must say so and begin anew. The children are forks of one process that has loaded
everything, so that a kill takes about a second.

Two of five kills come after a random time of processor, wherever that is: what else the machine
does moves them little. Two come before a random one of the operations on files that a run makes
(open, sync, rename, delete), which take next to no time but are where harm is done; one comes
before a random batch of validation tunes. All are drawn from the length of a whole run less its
last part, so that nearly all fall before its end.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musicgen.corpus.tokenset import TokenSet
from musicgen.errors import TrainingError
from musicgen.models import ModelConfig
from musicgen.system.temporary import SUFFIX
from musicgen.training import NextTokenModule, RunFolder, TrainConfig, train
from musicgen.training.config import DataConfig

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from tests.runs import losses, make_tokens

CONFIG = TrainConfig(
    steps=30,
    data=DataConfig(batch_tokens=128, max_len=32, eval_batch_tokens=64),
    model=ModelConfig(d_model=8, n_heads=2),
    val_every=4,
    log_every=2,
    learning_rate=0.02,
    save_minutes=0.0,  # after every step, so that many kills meet a state half written
    patience=0,
)
Losses = list[tuple[object, ...]]
OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")
# Shared with the children: whether a score is being made, operations and scored batches so far.
SHARED = memoryview(mmap.mmap(-1, 24)).cast("Q")


@dataclass(frozen=True)
class Kill:
    """When a run dies: after so many seconds of processor, before an operation on its files, or
    before a batch of validation tunes."""

    cpu_s: float = 0.0
    operation: int = -1
    batch: int = -1

    @classmethod
    def drawn(cls, number: int, lengths: tuple[float, int, int], rng: random.Random) -> Kill:
        """One of the three kinds in turn, at a random place of a run of these lengths."""
        seconds, operations, batches = lengths
        match number % 5:
            case 0 | 2:
                return cls(cpu_s=rng.uniform(0.01, 0.8 * seconds))
            case 1 | 3:
                return cls(operation=rng.randrange(int(0.95 * operations)))
            case _:
                return cls(batch=rng.randrange(batches))

    def arm(self, folder: Path) -> None:
        """Have it come over this process."""
        if self.cpu_s:
            signal.setitimer(signal.ITIMER_PROF, self.cpu_s)  # its signal ends us like SIGKILL
        sync = os.fsync

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            if event in OPERATIONS and str(arguments[0]).startswith(str(folder)):
                if SHARED[1] == self.operation:
                    os.kill(os.getpid(), signal.SIGKILL)
                SHARED[1] += 1

        def fsync(handle: int) -> None:
            count("open", (folder,))
            sync(handle)

        validate = NextTokenModule.validation_step

        def announced(module: NextTokenModule, *arguments: Any) -> None:
            """`validation_step`, of which `moment` is told."""
            if SHARED[2] == self.batch:
                os.kill(os.getpid(), signal.SIGKILL)
            SHARED[2] += 1
            SHARED[0] = 1
            validate(module, *arguments)

        begin = NextTokenModule.on_train_batch_start

        def begun(module: NextTokenModule, *arguments: Any) -> None:
            SHARED[0] = 0
            begin(module, *arguments)

        sys.addaudithook(count)
        os.fsync = fsync
        NextTokenModule.validation_step = announced  # type: ignore[method-assign]
        NextTokenModule.on_train_batch_start = begun  # type: ignore[method-assign]


def outcome(folder: Path) -> tuple[Losses, str]:
    """What must not depend on kills: everything but the clock, and the digest of the weights."""
    weights = (folder / "model" / "model.safetensors").read_bytes()
    return losses(folder), hashlib.sha256(weights).hexdigest()


def run(
    folder: Path, tokens: TokenSet, kill: Kill = Kill(), *, resume: bool = False
) -> tuple[int, float]:
    """Train in a fork, perhaps killed: its exit status, 3 for a refusal, and its processor time."""
    SHARED[0] = SHARED[1] = SHARED[2] = 0
    child = os.fork()
    if child == 0:
        code = 1
        try:
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123
            kill.arm(folder)
            train(CONFIG, tokens, folder, resume=resume)
            code = 0
        except TrainingError:
            code = 3
        finally:
            os._exit(code)
    _, status, used = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime


def moment(folder: Path) -> str:
    """What was going on when the run was killed, as far as its folder shows."""
    if not (folder / "run.json").exists():
        return "before the run began"
    if (folder / "result.json").exists():
        return "after the run was finished"
    if SHARED[0]:
        return "while the validation tunes were scored"
    if any(folder.glob(f".*{SUFFIX}/new/model")):
        return "while a model was written"
    if any(path.name.startswith(".") for path in folder.iterdir()):
        return "while the history was written"
    if any(not path.name[0].isdigit() for path in (folder / "resume").glob("*")):
        return "while a state was written"
    return "between states" if RunFolder(folder).states() else "before the first state"


def check(folder: Path, tokens: TokenSet, whole: tuple[Losses, str], kill: Kill) -> tuple[str, str]:
    """Kill a run and go on with it: when it was, and "" or what differs."""
    status, _ = run(folder, tokens, kill)
    when = moment(folder) if folder.exists() else "before the run began"
    if status == 0 or when == "after the run was finished":
        return when, "" if outcome(folder) == whole else "the losses differ"
    resumable = bool(RunFolder(folder).states())
    status, _ = run(folder, tokens, resume=True)
    if not resumable and status == 3:  # nothing was saved yet, and it says so
        shutil.rmtree(folder, ignore_errors=True)
        status, _ = run(folder, tokens)
    if status != 0:
        return when, f"cannot be gone on with (exit status {status})"
    return when, "" if outcome(folder) == whole else "the losses differ"


def check_kills(kills: int, seed: int, *, say: Callable[[str], None] = print) -> int:
    """Kill and go on so many times; how many runs were not as the uninterrupted one."""
    rng = random.Random(seed)
    tokens = make_tokens()
    moments: Counter[str] = Counter()
    wrong = 0
    with tempfile.TemporaryDirectory() as temp:
        runs = [run(Path(temp, f"whole{number}"), tokens) for number in range(3)]
        assert all(status == 0 for status, _ in runs)
        lengths = (min(seconds for _, seconds in runs), int(SHARED[1]), int(SHARED[2]))
        whole = outcome(Path(temp, "whole0"))
        say(
            "a whole run: {:.2f} s of processor, {} file operations, {} batches scored".format(
                *lengths
            )
        )
        for number in range(kills):
            folder = Path(temp, f"run{number}")
            kill = Kill.drawn(number, lengths, rng)
            when, what = check(folder, tokens, whole, kill)
            moments[when] += 1
            if what:
                wrong += 1
                say(f"kill {number}: {when}: {what}")
            shutil.rmtree(folder, ignore_errors=True)
    for when, number in moments.most_common():
        say(f"{number:5} killed {when}")
    say(f"{kills - wrong} of {kills} runs end with the losses and weights of the uninterrupted one")
    return wrong


def main(*, kills: int = 100, seed: int = 0) -> bool:
    """Check from the command line."""
    return check_kills(kills, seed) > 0


if __name__ == "__main__":
    command_line.run(main)
