"""Training killed at random moments: does every run go on as if nothing had happened?

    python scripts/check_kills.py --kills 100 --seed 0

A tiny network is trained once from beginning to end. Then, in a child process, the same run is
killed (SIGKILL) at a random moment, while it computes, scores, writes a state, a model or the
history, and gone on with; whatever the kill left behind, the losses, scores and final weights must
be those of the uninterrupted run, to the last bit. A run that was killed before there was anything
to go on from must say so and begin anew. The children are forks of one process that has loaded
everything, so that a kill takes about a second.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from musicgen.datamodule import DataConfig
from musicgen.errors import TrainingError
from musicgen.models import ModelConfig
from musicgen.tokenizer import SPECIALS
from musicgen.tokenset import BOS_ID, EOS_ID, TokenRow, TokenSet, build_tokenset
from musicgen.training import RunFolder, TrainConfig, train
from musicgen.training.folder import parse_rows

VOCAB = (*SPECIALS, *"ABCDEFGH")
CONFIG = TrainConfig(
    steps=30,
    data=DataConfig(batch_tokens=128, max_len=32),
    model=ModelConfig(d_model=8, n_heads=2),
    val_every=4,
    log_every=2,
    learning_rate=0.02,
    save_minutes=0.0,  # after every step, so that many kills meet a state half written
    patience=0,
)
Losses = list[tuple[object, ...]]


def make_tokens(n: int = 40) -> TokenSet:
    """Tunes that go up the scale from a random note, again and again."""
    random_ = np.random.default_rng(0)

    def row(index: int) -> TokenRow:
        length = int(random_.integers(6, 45))
        ids = 4 + (random_.integers(8) + np.arange(length)) % 8
        whole = np.array([BOS_ID, *ids, EOS_ID])
        split = ("val", "test")[index % 2] if index < 8 else "train"
        return split, f"tune {index}", whole, np.arange(len(whole)) % 4, length

    rows = [row(index) for index in range(n)]
    return build_tokenset(rows, vocab=VOCAB, feature_sizes={"beat": 4}, tokenizer="toy")


def outcome(folder: Path) -> tuple[Losses, str]:
    """What must not depend on kills: everything but the clock, and the digest of the weights."""
    rows = parse_rows((folder / "history.csv").read_text("utf-8"))
    losses: Losses = [
        (r.step, r.epoch, r.learning_rate, r.train_bits_per_token, r.val_bits_per_note)
        for r in rows
    ]
    weights = (folder / "model" / "weights.safetensors").read_bytes()
    return losses, hashlib.sha256(weights).hexdigest()


def in_child(work: Callable[[], None], kill_after: float | None = None) -> int:
    """Do some work in a fork, perhaps killed after so many seconds; its exit status."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setpgid(0, 0)
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123
            work()
            code = 0
        except TrainingError:
            code = 3
        finally:
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def moment(folder: Path) -> str:
    """What was going on when the run was killed, as far as its folder shows."""
    if not (folder / "run.json").exists():
        return "before the run began"
    if (folder / "result.json").exists():
        return "after the run was finished"
    if any(folder.glob(".model.*")):
        return "while a model was written"
    if any(path.name.startswith(".") for path in folder.iterdir()):
        return "while the history was written"
    if any(not path.name[0].isdigit() for path in (folder / "resume").glob("*")):
        return "while a state was written"
    return "between states" if RunFolder(folder).states() else "before the first state"


def check(folder: Path, tokens: TokenSet, whole: tuple[Losses, str], seconds: float) -> str:
    """Kill a run after so many seconds and go on with it: when it was, and "" or what differs."""
    status = in_child(lambda: drop(train(CONFIG, tokens, folder)), kill_after=seconds)
    when = moment(folder) if folder.exists() else "before the run began"
    if status == 0 or when == "after the run was finished":
        return f"{when}|" if outcome(folder) == whole else f"{when}|the losses differ"
    resumable = bool(RunFolder(folder).states())
    status = in_child(lambda: drop(train(CONFIG, tokens, folder, resume=True)))
    if not resumable and status == 3:  # nothing was saved yet, and it says so
        shutil.rmtree(folder, ignore_errors=True)
        status = in_child(lambda: drop(train(CONFIG, tokens, folder)))
    if status != 0:
        return f"{when}|cannot be gone on with (exit status {status})"
    return f"{when}|" if outcome(folder) == whole else f"{when}|the losses differ"


def drop(_: object) -> None:
    """Forget a result."""


def check_kills(kills: int, seed: int, *, say: Callable[[str], None] = print) -> int:
    """Kill and go on so many times; how many runs were not as the uninterrupted one."""
    rng = random.Random(seed)
    tokens = make_tokens()
    with tempfile.TemporaryDirectory() as temp:
        began = time.monotonic()
        in_child(lambda: drop(train(CONFIG, tokens, Path(temp, "warm"))))
        began = time.monotonic()
        assert in_child(lambda: drop(train(CONFIG, tokens, Path(temp, "whole")))) == 0
        length = time.monotonic() - began
        whole = outcome(Path(temp, "whole"))
        moments: Counter[str] = Counter()
        wrong = 0
        for number in range(kills):
            folder = Path(temp, f"run{number}")
            when, _, what = check(folder, tokens, whole, rng.uniform(0, length)).partition("|")
            moments[when] += 1
            if what:
                wrong += 1
                say(f"kill {number}: {when}: {what}")
            shutil.rmtree(folder, ignore_errors=True)
        for when, number in moments.most_common():
            say(f"{number:5} killed {when}")
    say(f"{kills - wrong} of {kills} runs end with the losses and weights of the uninterrupted one")
    return wrong


def main() -> None:
    """Check from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    raise SystemExit(check_kills(options.kills, options.seed) > 0)


if __name__ == "__main__":
    main()
