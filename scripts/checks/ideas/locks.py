"""Ideas: two writers of one folder, Ctrl-C and kills at any moment, what a killed one left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from musicgen.system.temporary import SUFFIX
from scripts.benchmarks.studio import family
from scripts.checks.ideas import ROOT, Idea, command, not_one_line
from tests.processes import alive

SHORT = ("generate", "-n", "400", "--seed", "4", "--part-bars", "2", "--best-of", "1", "-o", "book")
WRITERS = {  # commands that write a folder, and what they make early
    "generate -n 20 --seed 1 -o out/": "out/*.abc",
    "continue tune.abc -n 40 -o out/": "out/*.abc",
    "vary tune.abc -n 40 -o out/": "out/*.abc",
    "render tunes -o out/ --to pdf": "out/*.pdf",
    "train --corpus tunes --minutes 9 --out out": "out/run.json",
}
LONG = (  # commands that take long
    *("generate -n 20 --best-of 16 --seed 1", "generate -n 4000 --seed 1 -o out/"),
    *("continue tune.abc -n 40 --bars 32 -o out/", "vary tune.abc -n 40 -o out/"),
    *("evaluate -n 500", "prepare --corpus celtic --out out", "corpus celtic essenFolksong"),
    *("train --corpus tunes --minutes 9 --out out", "inspect memory -o out.png"),
    "harmonize tune.abc -o out.mid --force",
)
MOMENTS_S = (0.2, 1.0, 3.0)  # of processor time
REEL = "X:{0}\nT:Reel {0}\nR:reel\nM:4/4\nL:1/8\nK:G\n{1}|{1}|{2}|{1}|]\n\n"


def begun(*arguments: str) -> subprocess.Popen[str]:
    """A command that goes on."""
    line = [sys.executable, "-m", "musicgen", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=environment)


def rows(book: Path) -> int:
    """Tunes that are done, by the index of a book."""
    index = book / "index.csv"
    return max(0, len(index.read_text().splitlines()) - 1) if index.exists() else 0


def until_rows(process: subprocess.Popen[str], book: Path, n: int) -> str:
    """Wait until so many tunes are done."""
    while rows(book) < n:
        if process.poll() is not None:
            return f"ended with {process.returncode}"
        time.sleep(0.01)
    return ""


def two_resume(folder: Path) -> str:
    """Of two that resume one book the second is refused, and the first makes it as one would."""
    whole = command(*SHORT[:-1], "whole")
    first = begun(*SHORT)
    if what := until_rows(first, folder / "book", 3):
        return what
    first.send_signal(signal.SIGSTOP)  # however slowly the second starts
    second = command(*SHORT, "--resume")
    first.send_signal(signal.SIGCONT)
    if what := not_one_line(second):
        return what
    if f"process {first.pid} is writing here" not in second.stderr:
        return f"does not name the process: {second.stderr}"
    first.communicate()
    same = {p.name: p.read_bytes() for p in (folder / "book").iterdir()} == {
        p.name: p.read_bytes() for p in (folder / "whole").iterdir()
    }
    return "" if same and whole.returncode == 0 else "the book is another"


def ends(number: signal.Signals, after: int, folder: Path) -> str:
    """A signal after so many tunes, perhaps several times over, then --resume: the same bytes."""
    command(*SHORT[:-1], "whole")
    process = begun(*SHORT)
    if what := until_rows(process, folder / "book", after):
        return what
    used = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate()
    used = time.monotonic() - used
    if number == signal.SIGINT:
        if process.returncode != 130 or "--resume" not in said or "Traceback" in said:
            return f"code {process.returncode}: {said[-200:]}"
        if used > 20:  # 2 s on an idle machine
            return f"took {used:.0f} s to end"
    if rows(folder / "book") < after:
        return "tunes that were done are not in the index"
    done = command(*SHORT, "--resume")
    if done.returncode:
        return done.stderr[-200:]
    names = sorted(p.name for p in (folder / "whole").iterdir())
    if sorted(p.name for p in (folder / "book").iterdir()) != names:
        return "other files"
    other = [n for n in names if (folder / "whole" / n).read_bytes()
             != (folder / "book" / n).read_bytes()]  # fmt: skip
    return f"{other[0]} differs" if other else ""


def make_tunes(folder: Path) -> None:
    """A file tune.abc and a folder of sixty tunes."""
    bars = "|".join(["GABc dedB", "dcBA GABd"] * 8)
    (folder / "tune.abc").write_text(REEL.format(1, bars, bars))
    (folder / "tunes").mkdir()
    for number in range(60):
        bars = [f"{'ABcdefg'[number % 7]}{'GABcdefgab'[number // 7]}Bc dedB"] * 2
        (folder / f"tunes/{number}.abc").write_text(REEL.format(number, *bars))


def processor_s(pid: int) -> float:
    """Processor time of a process so far, 0 once it has ended."""
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def interrupted(line: str, folder: Path) -> str:
    """Ctrl-C at any moment ends a command, with its children, in one line and 2 s of processor."""
    make_tunes(folder)
    for moment in MOMENTS_S:
        process = begun(*line.split())
        while process.poll() is None and processor_s(process.pid) < moment:
            time.sleep(0.005)
        if process.poll() is not None:
            return "" if process.returncode == 0 else process.communicate()[1][-200:]
        children = set(family(process.pid))
        before = last = processor_s(process.pid)
        process.send_signal(signal.SIGINT)
        while process.poll() is None:
            last = max(last, processor_s(process.pid))
            time.sleep(0.005)
        said = process.communicate()[1]
        ended = process.returncode in (130, -signal.SIGINT, 0)  # 0: all had been done
        if not ended or "Traceback" in said or last - before > 2:
            said = " / ".join(said.splitlines()[-3:])
            return f"{moment} s: {last - before:.1f} s, code {process.returncode}, {said}"
        time.sleep(2)
        if any(map(alive, children)):
            return f"{moment} s: children outlive it"
        shutil.rmtree(folder / "out", ignore_errors=True)
    return ""


def second_writer(line: str, made: str, folder: Path) -> str:
    """Of two commands that write one folder, the second is refused while the first is at work;
    `made` is a file that the first makes early."""
    make_tunes(folder)
    first = begun(*line.split())
    while not list(folder.glob(made)):
        if first.poll() is not None:
            return f"ended with {first.returncode}: {first.communicate()[1][-200:]}"
        time.sleep(0.001)
    first.send_signal(signal.SIGSTOP)
    second = command(*line.split(), "--force") if "--out" not in line else command(*line.split())
    first.send_signal(signal.SIGCONT)
    first.terminate()
    first.communicate()
    return not_one_line(second) or (
        "" if f"process {first.pid} is " in second.stderr else f"does not say who: {second.stderr}"
    )


def killed_while_preparing(folder: Path) -> str:
    """What a killed `prepare` left is gone after the next; what a living one has stays."""
    bars = ["GABc dedB", "dcBA GABd", "gfed BAGA"]
    (folder / "tunes.abc").write_text("".join(
        REEL.format(n, bars[n % 3], f"{'ABcdefg'[n % 7]}{'ABcdefg'[n // 7 % 7]}"
                    f"{'ABcdefg'[n // 49 % 7]}2 dedB") for n in range(1, 3000)
    ))  # fmt: skip
    line = ("prepare", "--corpus", "tunes.abc", "--out", "tokens", "--workers", "1")
    process = begun(*line)
    while not list(folder.glob(f".*{SUFFIX}/new/tokens")):
        if process.poll() is not None:
            return "was never seen to write"
        time.sleep(0.005)
    process.send_signal(signal.SIGSTOP)  # however slowly the second starts
    second = command(*line)
    if what := not_one_line(second):
        return f"a second one: {what}"
    if not list(folder.glob(f".*{SUFFIX}")):
        return "the second took the files of the first away"
    process.kill()
    process.communicate()
    if not list(folder.glob(f".*{SUFFIX}")):
        return "was not killed in the middle"
    done = command(*line)
    left = [path.name for path in folder.iterdir() if path.name.startswith(".")]
    return f"left {left}" if left else "" if done.returncode == 0 else done.stderr[-200:]


IDEAS: Mapping[str, Idea] = {
    "two that resume one tunebook": two_resume,
    "Ctrl-C after 3 tunes": partial(ends, signal.SIGINT, 3),
    "Ctrl-C after 40 tunes": partial(ends, signal.SIGINT, 40),
    "a tunebook killed after 10 tunes": partial(ends, signal.SIGKILL, 10),
    "prepare killed in the middle": killed_while_preparing,
    **{f"Ctrl-C: {line}": partial(interrupted, line) for line in LONG},
    **{f"two of: {line}": partial(second_writer, line, made) for line, made in WRITERS.items()},
}
