"""A folder of 10,000 files with 100 bad ones: does every command finish and name all 100?

    python scripts/checks/batch.py --files 10000 --bad 100

The good files are tunes of the bundled collections, as ABC, MIDI, MusicXML and .mxl; the bad ones
are such files spoiled beyond reading, empty files, folders and pipes with a music file's name, and
names with blanks, escape codes and bytes that are no text. Times are of processor, over all
processes of a command.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

from musicgen import formats
from musicgen.corpus import find_files
from musicgen.errors import printable

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line
from scripts.measuring import Timer

SUFFIXES = (".abc", ".abc", ".abc", ".mid", ".musicxml", ".mxl")
ODD_NAMES = ("bad name {}", "bad\x1b[2J{}", "bad\n{}", "b\u00e4d-{}", "bad\udcff{}", "bad-{}")
JUNK = (b"", b"\0\1\2\3" * 50, b"MThd\0\0\0\6\0\1\0\1\0\0", b"<score-partwise>", b"PK\3\4junk",
        b"X:1\nT:no music\nK:C\n", b"%PDF-1.4\n" * 9)  # fmt: skip


def good_contents(n: int, rng: random.Random) -> list[tuple[str, bytes]]:
    """Some hundred different files, as (extension, content)."""
    (path, *_) = [file.path for file in find_files(["oneills1850"])]
    tunes = [tune for tune in formats.scan(path).tunes if tune.n_notes][:n]
    found = []
    for tune in tunes:
        suffix = rng.choice(SUFFIXES)
        found.append((suffix, formats.rendered([tune], suffix)))
    return found


def fill(folder: Path, n_files: int, n_bad: int, rng: random.Random) -> list[Path]:
    """Write the files; those that are bad are returned."""
    contents = good_contents(200, rng)
    bad = set(rng.sample(range(n_files), n_bad))
    found = []
    for number in range(n_files):
        inside = folder / f"{number % 20:02}"
        inside.mkdir(exist_ok=True)
        if number not in bad:
            suffix, content = rng.choice(contents)
            (inside / f"tune{number}{suffix}").write_bytes(content)
            continue
        name = rng.choice(ODD_NAMES).format(number)
        path = inside / (name + rng.choice((".abc", ".mid", ".musicxml", ".mxl", ".krn")))
        if number % 10 == 3:
            os.mkfifo(path)
        else:
            path.write_bytes(rng.choice(JUNK))
        found.append(path)
    return found


def run(folder: Path, bad: list[Path], *arguments: str) -> bool:
    """Run a command on the folder; say how long it took and whether it named all bad files."""
    with Timer() as timer:
        done = subprocess.run(
            [sys.executable, "-m", "musicgen", *arguments],
            capture_output=True, check=False, cwd=folder.parent,
        )  # fmt: skip
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    report = folder.parent / "report.json"
    if report.exists():
        found = json.loads(report.read_bytes())
        text = "\n".join(printable(omitted["id"]) for omitted in found["rejected"])
        report.unlink()
    named = sum(printable(path.name) in text for path in bad)
    plain = not re.search(r"[\x00-\x08\x0b-\x1f\x7f]|Traceback", text)
    print(
        f"{arguments[0]:9} exit {done.returncode}, {named} of {len(bad)} bad files named, "
        f"{timer.cpu_s:.0f} s of processor, {timer.wall_s:.0f} s by the clock"
        + ("" if plain else "; NOT PLAIN LINES")
    )
    if named < len(bad) or not plain:
        missing = [printable(path.name) for path in bad if printable(path.name) not in text]
        print("   missing:", *missing[:5], "\n", text[-1500:])
    return named == len(bad) and plain


def main(
    *,
    files: int = 10_000,
    bad_: int = 100,
    seed: int = 0,
    command_: Annotated[str | None, ("validate", "corpus", "prepare", "render")] = None,
) -> bool:
    """Check from the command line."""
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp, "files")
        folder.mkdir()
        bad = fill(folder, files, bad_, random.Random(seed))
        commands = (
            ("validate", str(folder)),
            ("corpus", str(folder), "--report", "report.json"),
            ("prepare", "--corpus", str(folder), "--out", "tokens"),
            ("render", str(folder), "-o", "out", "--to", "mid"),
        )
        chosen = [c for c in commands if command_ in (None, c[0])]
        fine = [run(folder, bad, *command) for command in chosen]
    return not all(fine)


if __name__ == "__main__":
    command_line.run(main)
