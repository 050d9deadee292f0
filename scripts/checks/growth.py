"""Files with one thing grown: do time and memory stay in proportion to their bytes?

    python scripts/checks/growth.py
    python scripts/checks/growth.py --kind model tokens --sample 200 --seed 3
    python scripts/checks/growth.py --kind .mid --match "meter of 255"

For every kind of file (tests/growth.py) one number, list, text, nesting or line at a time is made
larger, with all hashes made to fit, and the file is read and used in a process of its own. A fault
is an exception that is not ours, a warning, a message that is not one plain line, or more
processor time or memory than `SECONDS + bytes * seconds a byte` and `MIB + bytes * bytes a byte`.

The constants: SECONDS and MIB are what a command may cost whatever it is given. An honest file
costs 15 to 60 microseconds and up to 2 KiB a byte to read, judge, write in every format and
tokenise (one letter of ABC is a note of several objects), and JSON and arrays under 1 microsecond
and 30 bytes; the bounds are about four times that.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.checks import flips, fuzz
from tests import growth, mutation

SECONDS, MIB = 2.0, 160
ADDRESSES = 4 << 30  # bytes of addresses that a process may have beyond those it starts with
Uses = Iterator[Callable[[], object]]


@dataclass(frozen=True)
class Kind:
    """A kind of file: sound `files`, how one is used, and what a byte of it may cost."""

    files: Callable[[], Mapping[str, bytes]]
    uses: Callable[[Path], Uses]
    microseconds: float = 10.0  # a byte
    bytes_: float = 150.0  # a byte


def music(suffix: str) -> Kind:
    """A format of music."""
    return Kind(
        lambda: {f"case{suffix}": mutation.seeds(suffix)[0]},
        lambda path: mutation.use_tunes(path / f"case{suffix}"),
        microseconds=250.0,
        bytes_=8192.0,
    )


def table(suffix: str) -> Kind:
    """A table with a column of ABC."""
    text = {
        ".json": b'[{"name": "A", "type": "jig", "meter": "6/8", "abc": "ABc def|", "key": "D"}]',
        ".csv": b"name,type,meter,abc,key\nA,jig,6/8,ABc def|,D\n",
    }[suffix]
    return Kind(
        lambda: {f"case{suffix}": text},
        lambda path: mutation.use_tunes(path / f"case{suffix}"),
        microseconds=250.0,
        bytes_=8192.0,
    )


def model_files() -> Mapping[str, bytes]:
    """A small model with a critic."""
    import json

    from musicgen.music.metrics.critic import Critic
    from musicgen.music.metrics.vectors import FeatureSpace

    space = FeatureSpace(("notes", "range"), {"intervals": ("2", "-2")})
    tree: Any = [(0, 10.0, 1, 2, True), (0.5,), (-0.5,)]
    files = dict(fuzz.folder_files("model"))
    files["critic.json"] = Critic(space, [tree, tree], 0.25).to_bytes()
    manifest = json.loads(files["manifest.json"])
    manifest["sha256"]["critic.json"] = ""
    files["manifest.json"] = json.dumps(manifest).encode()
    return files


def use_model(path: Path) -> Uses:
    """Load a model, compose with it, and compare with its corpus."""
    import musicgen
    from musicgen.composer.controls import Controls
    from musicgen.composer.sampling import SamplingConfig

    composer = musicgen.load(path)
    (take,) = composer.takes(1, Controls(bars=2), SamplingConfig())
    yield lambda: take.novelty
    yield lambda: take.likeness


def shipped(*names: str) -> Mapping[str, bytes]:
    """The files of a folder that comes with musicgen."""
    from musicgen.models.checkpoint import shipped_folder

    return {path.name: path.read_bytes() for path in shipped_folder().joinpath(*names).iterdir()}


def use_head(path: Path) -> Uses:
    """Load a classifier's head and ask it."""
    import numpy as np

    from musicgen.evaluation.classification import head

    loaded = head.load(path)
    states = np.ones((4, len(loaded.weights["centre"])), np.float32)
    yield lambda: loaded.answer(states)


def use_harmonizer(path: Path) -> Uses:
    """Load a harmonizer and let it harmonize."""
    from musicgen.composer import harmony
    from musicgen.formats.abc_notation import parse_text

    model = harmony.load(path)
    (tune,) = parse_text("X:1\nM:4/4\nL:1/4\nK:G\nGABc|d2B2|\n").tunes
    yield lambda: harmony.harmonize(tune, model)


@cache
def tunebook_files() -> Mapping[str, bytes]:
    """A tunebook."""
    with tempfile.TemporaryDirectory() as folder:
        flips.generate(Path(folder), "--force")
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def use_tunebook(path: Path) -> Uses:
    """Resume a tunebook, which is complete unless what was grown says otherwise."""
    yield lambda: flips.generate(path, "--resume")


@cache
def run_files() -> Mapping[str, bytes]:
    """The files of a finished training run."""
    from musicgen.training import train
    from tests.runs import SMALL, make_tokens

    with tempfile.TemporaryDirectory() as folder:
        train(SMALL, make_tokens(), Path(folder))
        names = ("run.json", "result.json", "history.csv")
        return {name: Path(folder, name).read_bytes() for name in names}


def use_run(path: Path) -> Uses:
    """Ask a run for its settings and its result."""
    from musicgen.training.run_folder import RunFolder

    run = RunFolder(path)
    yield run.settings
    yield run.result


REQUESTS = {
    "takes": b'{"kind": "generate", "seed": 3, "number": 1, "controls": {"bars": 2, "key": "D"},'
    b' "sampling": {"temperature": 1.5, "top_k": 5}}',
    "tune": b'{"abc": "X:1\\nK:D\\nDE F2|A>B|]\\n", "size": 40}',
    "change": b'{"abc": "X:1\\nK:D\\nDE F2|A>B|]\\n", "change": "transpose", "semitones": 2}',
    "read": b'{"name": "a.abc", "data": "WDoxCks6Qwp6fA=="}',
}


def use_requests(path: Path) -> Uses:
    """Read the bodies of requests to the studio, and answer those that need no model."""
    from musicgen.errors import FieldError, ParseError
    from musicgen.studio import jobs, requests
    from musicgen.system.json_content import parse_json

    for name in REQUESTS:
        data = (path / f"{name}.json").read_bytes()
        try:
            asked = requests.GROUPS[name].read(parse_json(data), "")
        except (ValueError, FieldError) as error:
            raise ParseError(str(error), path=path) from None
        if name != "takes":
            yield partial(getattr(jobs, name), jobs.to_json(asked))


KINDS = {
    **{suffix: music(suffix) for suffix in (".abc", ".mid", ".musicxml", ".mxl", ".krn")},
    **{f"table{suffix}": table(suffix) for suffix in (".json", ".csv")},
    "model": Kind(model_files, use_model),
    "tokens": Kind(partial(fuzz.folder_files, "tokens"), partial(fuzz.use_folder, "tokens")),
    "head": Kind(lambda: shipped("classifiers", "celtic"), use_head),
    "harmonizer": Kind(lambda: shipped("harmonizers", "hymns"), use_harmonizer),
    "tunebook": Kind(tunebook_files, use_tunebook, microseconds=50.0, bytes_=2000.0),
    "run": Kind(run_files, use_run),
    "requests": Kind(
        lambda: {f"{name}.json": data for name, data in REQUESTS.items()}, use_requests,
        microseconds=250.0, bytes_=8192.0,
    ),
}  # fmt: skip


def complaint_of(probe: growth.Probe, folder: Path) -> str:
    """What is wrong with how a probe is dealt with, in a process of its own; "" for nothing."""
    files = probe.make()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    kind = KINDS[probe.kind]
    size = sum(map(len, files.values()))
    seconds = SECONDS + size * kind.microseconds / 1e6
    mib = MIB + size * kind.bytes_ / 2**20
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        said = "died"
        try:
            os.close(read)
            _limit(seconds)
            said = _judged(kind, folder, seconds, mib)
        except MemoryError:
            said = "ran out of memory"
        finally:
            with suppress(OSError):
                os.write(write, said.encode()[:4000])
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode("utf-8", "replace")
    _, status = os.waitpid(child, 0)
    for path in folder.iterdir():
        path.unlink()
    return f"the process died (status {status}); {seconds:.1f} s allowed" if status else said


def _limit(seconds: float) -> None:
    used = int(time.process_time())
    most = used + int(2 * seconds) + 5
    resource.setrlimit(resource.RLIMIT_CPU, (most, most + 1))
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)


def _judged(kind: Kind, folder: Path, seconds: float, mib: float) -> str:
    warnings.simplefilter("error")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    try:
        complaint = mutation.examine(folder, kind.uses(folder))
    except Exception:  # noqa: BLE001 - that is what is looked for
        complaint = " / ".join(traceback.format_exc().strip().splitlines()[-3:])
    took = (time.process_time() - began) / slowness()
    used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    if not complaint and took > seconds:
        complaint = f"took {took:.1f} s; {seconds:.1f} s allowed"
    if not complaint and used > mib:
        complaint = f"took {used:.0f} MiB; {mib:.0f} MiB allowed"
    return complaint


def slowness() -> float:
    """How much slower this machine is just now than a quiet one, at least 1."""
    began = time.process_time()
    sum(i * i for i in range(1_000_000))
    return max(1.0, (time.process_time() - began) / 0.08)


def probes_of(kind: str, *, sample: int, seed: int, match: str = "") -> list[growth.Probe]:
    """The probes of a kind, or a random sample of so many."""
    every = [p for p in growth.probes(kind, KINDS[kind].files()) if match in p.what]
    return every if not sample else random.Random(seed).sample(every, min(sample, len(every)))


def main(
    *,
    kind: Annotated[Sequence[str], list(KINDS)] = tuple(KINDS),
    sample: Annotated[int, "so many probes of each kind; 0: all"] = 0,
    seed: Annotated[int, "of the sample"] = 0,
    match: Annotated[str, "only probes with this in their description"] = "",
) -> bool:
    """Print every fault, and how many probes of each kind and of all held."""
    import torch

    torch.set_num_threads(1)  # threads do not survive a fork
    held = total = 0
    for name in kind:
        chosen = probes_of(name, sample=sample, seed=seed, match=match)
        of_kind = 0
        with tempfile.TemporaryDirectory() as folder:
            for probe in chosen:
                complaint = complaint_of(probe, Path(folder))
                of_kind += not complaint
                if complaint:
                    print(f"FAULT {name} {probe.what}\n      {complaint}", flush=True)
        print(f"{name}: {of_kind} of {len(chosen)}", flush=True)
        held, total = held + of_kind, total + len(chosen)
    print(f"{held} of {total}")
    return held < total


if __name__ == "__main__":
    command_line.run(main)
