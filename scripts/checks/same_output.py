"""Does this checkout write what another one writes? Tunes, tokens, weights, numbers, byte for byte.

    git worktree add ../before main~1
    python scripts/checks/same_output.py ../before
    python scripts/checks/same_output.py ../before --only "generate 20" "train"

Each command runs in both checkouts with the same seed, and every file that it writes and all that
it prints to standard output is compared. MIDI files are compared event by event, since two writers
may spell the same events in other bytes; seconds and dates are left out of curves and reports.
Pages, help and messages on standard error may differ. Exit code 1 if anything else does.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import mido

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

HALF = """X:1
T:Half a Reel
R:reel
M:4/4
L:1/8
K:D
|: d2fd Adfd | e2ge BgeB | d2fd Adfd | edcB
"""
TUNE = """X:1
T:Morning Jig
R:jig
M:6/8
L:1/8
K:G
|: GAB dBG | ABc ecA | GAB dBG | AGF G3 :|
|: dBG dBG | ece ecA | dBG dBG | AGF G3 :|
"""
COMMANDS = {
    "generate 20": "generate -n 20 --seed 1 -o tunes --to abc,mid,musicxml",
    "generate with controls": "generate -n 6 --seed 3 --key Ador --meter 6/8 --rhythm jig "
    "--form AABB --part-bars 8 --scale pentatonic --max-interval 7 --end-on-tonic",
    "generate, first attempts": "generate -n 4 --seed 1 --best-of 1 -o plain --to abc,svg",
    "generate, other networks": "generate -n 3 --seed 2 --checkpoint celtic-transformer",
    "chorales": "generate -n 2 --seed 1 --checkpoint chorale -o chorales --to musicxml,mid",
    "continue": "continue half.abc -n 4 --seed 1",
    "continue MIDI": "continue tunes/{first}.mid --bars 40 -n 2 --seed 1 -o ways --force",
    "continue a chorale": "continue chorales/{chorale}.mid --checkpoint chorale --seed 1 -o c.mid",
    "infill": "infill tune.abc --bars 5-6 -n 3 --seed 1",
    "vary": "vary tune.abc -n 3 --seed 1",
    "harmonize": "harmonize tune.abc",
    "melody for chords": "harmonize --melody-for 'Am|G|F|E7' --rhythm reel --seed 1",
    "classify": "classify tune.abc --json",
    "novelty": "novelty tune.abc --json",
    "validate": "validate tune.abc half.abc",
    "render": "render tune.abc -o rendered --to musicxml,mid,svg,roll.svg,wav",
    "corpus": "corpus celtic --json",
    "prepare": "prepare --corpus celtic --out tokens",
    "prepare chorales": "prepare --corpus chorales --out parts",
    "train": "train --tokens tokens --out run --seed 1 --set steps=200 --set epochs=null",
    "train a transformer": "train --tokens tokens --out run2 --seed 1 --set steps=60 "
    "--set epochs=null --preset transformer",
    "generate from the run": "generate -n 3 --seed 5 --checkpoint run",
    "inspect": "inspect surprise tune.abc -o surprise.svg",
    "evaluate": "evaluate -n 40 --json scores.json",
}
IGNORED = {".png", ".html", ".lock"}  # drawn by libraries, or pages that may change
VOLATILE = re.compile(r"seconds|elapsed|_s$|minutes|date|created|version|per_s|path|tokens_per")


def main(
    before: Annotated[Path, "another checkout of the project"],
    *,
    after: Path = Path(__file__).parents[2],
    only: Annotated[Sequence[str], "names of commands, with what they need"] = (),
    reuse: Annotated[Path | None, "a folder that keeps the runs of BEFORE"] = None,
) -> bool:
    """Run every command in both checkouts and compare."""
    names = only or list(COMMANDS)
    with tempfile.TemporaryDirectory() as folder:
        old, new = reuse or Path(folder, "before"), Path(folder, "after")
        if not (old / "finished").exists():
            shutil.rmtree(old, ignore_errors=True)
            run_all(before.resolve(), old, list(COMMANDS) if reuse else names)
            (old / "finished").touch()
        run_all(after.resolve(), new, names)
        wrong = list(differences(old, new, names))
    for line in wrong:
        print(line)
    print(f"{len(names)} commands, {len(wrong)} differences")
    return bool(wrong)


def run_all(checkout: Path, folder: Path, names: Sequence[str]) -> None:
    """Run the commands in a folder, each with its output in NAME.stdout."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "half.abc").write_text(HALF)
    (folder / "tune.abc").write_text(TUNE)
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    for name in names:
        line = COMMANDS[name]
        for key, pattern in (("first", "tunes/*.mid"), ("chorale", "chorales/*.mid")):
            found = sorted(folder.glob(pattern))
            line = line.replace(f"{{{key}}}", found[0].stem if found else "none")
        done = subprocess.run(
            f"{sys.executable} -m musicgen {line}",
            shell=True,
            cwd=folder,
            env=environment,
            capture_output=True,
            check=False,
        )
        (folder / f"{name}.stdout").write_bytes(done.stdout)
        (folder / f"{name}.code").write_text(f"{done.returncode}")
        if done.returncode not in (0, 1):
            print(f"{checkout.name}: {name}: {done.stderr.decode(errors='replace')[-300:]}")


def differences(before: Path, after: Path, names: Sequence[str]) -> Iterator[str]:
    """A line for every file that is not the same in both, or only in one."""
    wanted = {f"{name}.{end}" for name in names for end in ("stdout", "code")}
    theirs, ours = (
        {
            str(path.relative_to(root)): path
            for path in sorted(root.rglob("*"))
            if path.is_file() and path.suffix not in IGNORED and "tfevents" not in path.name
        }
        for root in (before, after)
    )
    whole = set(names) == set(COMMANDS)
    for name in sorted(theirs.keys() | ours.keys()):
        if name == "finished" or (not whole and name not in ours):
            continue
        if name.endswith((".stdout", ".code")) and name not in wanted:
            continue
        if name not in theirs or name not in ours:
            yield f"{name}: only {'after' if name in ours else 'before'}"
        elif digest(theirs[name]) != digest(ours[name]):
            yield f"{name}: differs"


def digest(path: Path) -> str:
    """A hash of what must be the same in a file."""
    data = path.read_bytes()
    if path.suffix == ".mid":
        file = mido.MidiFile(file=io.BytesIO(data))
        data = repr((file.ticks_per_beat, [[str(m) for m in t] for t in file.tracks])).encode()
    elif path.suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(data.decode())))
        data = json.dumps([steady(row) for row in rows]).encode()
    elif path.suffix in (".json", ".stdout") and data[:1] in (b"{", b"["):
        data = json.dumps(steady(json.loads(data)), sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()


def steady(value: object) -> object:
    """JSON without what changes from run to run: times, dates, hashes of files that hold them."""
    if isinstance(value, dict):
        return {
            key: steady(item)
            for key, item in value.items()
            if not VOLATILE.search(str(key)) and str(key) not in ("sha256", "files")
        }
    return [steady(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    command_line.run(main)
