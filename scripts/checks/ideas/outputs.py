"""Ideas: places that cannot be written, at once or later; standard output closed, full or cut."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from scripts.checks.ideas import ROOT, Idea, command, not_one_line

TUNE = "X:1\nT:t\nR:reel\nM:4/4\nL:1/8\nK:G\n" + "GABc dedB|dcBA GABd|" * 4 + "]\n"
PLACES = ("/proc/x", "/sys/x", "/dev/full/x", "tune.abc/x", "none/x", "y" * 300)
COMMANDS = {  # each with its place and the extension of what it writes
    "generate -o": ".abc",
    "continue tune.abc -o": ".mid",
    "vary tune.abc -o": ".svg",
    "infill tune.abc --bars 2 -o": ".wav",
    "harmonize tune.abc -o": ".musicxml",
    "harmonize tune.abc --attention": ".png",
    "render tune.abc -o": ".pdf",
    "corpus tune.abc --report": ".html",
    "evaluate tune.abc --report": ".html",
    "evaluate --json": ".json",
    "inspect gradients -o": ".png",
    "inspect embeddings -o": ".svg",
    "inspect surprise tune.abc -o": ".png",
    "inspect attention tune.abc -o": ".png",
    "inspect memory -o": ".png",
}
PRINTING = (
    *("generate --seed 1", "continue tune.abc", "corpus tune.abc", "validate tune.abc --json"),
    *("novelty tune.abc", "classify tune.abc", "harmonize tune.abc", "--help"),
)
CLOSED = (">&-", ">/dev/full")


def refused(line: str, suffix: str, place: str, folder: Path) -> str:
    """A place that cannot be written is refused before any work of note."""
    (folder / "tune.abc").write_text(TUNE)
    done = command(*line.split(), place + suffix, cpu_s=20)
    return not_one_line(done) or ("" if "cannot be written" in done.stderr else done.stderr)


def in_shell(
    line: str, redirection: str, folder: Path, *, blocks: int = 0
) -> subprocess.CompletedProcess[str]:
    """A command of which the shell does something with standard output, and lets no file grow
    beyond so many KiB (0: any size)."""
    limit = f"ulimit -f {blocks};" if blocks else ""
    program = f"{sys.executable} -m musicgen {line} {redirection}"
    (folder / "tune.abc").write_text(TUNE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {limit} {program}"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


def not_printed(line: str, redirection: str, folder: Path) -> str:
    """Nothing is lost where standard output is closed or full, and the exit code is 1."""
    done = in_shell(line, redirection, folder)
    if done.returncode != 1 or "Traceback" in done.stderr:
        return f"code {done.returncode}: {done.stderr[-200:]}"
    if "standard output" not in done.stderr:
        return f"is not said: {done.stderr[-200:]}"
    kept = list(folder.glob("musicgen-*/output.txt"))
    early = "standard output is closed" in done.stderr  # before the work
    return "" if early or (kept and kept[0].stat().st_size) else "was lost"


def cut(line: str, folder: Path) -> str:
    """A reader that stops early is no reason for words."""
    done = in_shell(line, "| head -0", folder)
    if "Traceback" in done.stderr or "Exception" in done.stderr:
        return done.stderr[-200:]
    return "" if "error" not in done.stderr else done.stderr[-200:]


def disk_fills(line: str, folder: Path) -> str:
    """Half way no file may grow: the result is kept at a stated place or printed."""
    (folder / "tune.abc").write_text(TUNE)
    done = in_shell(line, "; exit $?", folder)
    if done.returncode:
        return done.stderr[-200:]
    for path in folder.glob("out*"):
        path.unlink()
    limited = in_shell(line, "", folder, blocks=4)
    said = limited.stderr
    if limited.returncode != 1 or "Traceback" in said:
        return f"code {limited.returncode}: {said[-200:]}"
    lacking = ("cannot be written", "has no room for")
    return "" if any(words in said for words in lacking) else said[-200:]


def prepare_without_room(blocks: int, folder: Path) -> str:
    """Token files that do not fit: one line that names the place, and nothing is left."""
    done = in_shell("prepare --corpus airdsAirs --out out --workers 1", "", folder, blocks=blocks)
    left = [path.name for path in folder.iterdir() if path.name != "tune.abc"]
    if left:
        return f"left {left}"
    named = "has no room for" in done.stderr or "out: cannot be written" in done.stderr
    last = "\n".join(done.stderr.splitlines()[-1:])
    return "" if done.returncode == 1 and named and "Traceback" not in done.stderr else last


def places(number: int) -> tuple[str, ...]:
    """All places for the first command, two of them for each other."""
    return PLACES if number == 0 else (PLACES[number % 6], PLACES[(number + 2) % 6])


IDEAS: Mapping[str, Idea] = {
    **{
        f"{line} {place[:12]}": partial(refused, line, suffix, place)
        for number, (line, suffix) in enumerate(COMMANDS.items())
        for place in places(number)
    },
    **{f"{line} {what}": partial(not_printed, line, what) for line in PRINTING for what in CLOSED},
    **{f"{line} | head -0": partial(cut, line) for line in PRINTING},
    "a disk that fills": partial(disk_fills, "render tune.abc -o out.wav"),
    **{
        f"prepare with room for files of {blocks} KiB": partial(prepare_without_room, blocks)
        for blocks in (1, 100, 1000)
    },
}
