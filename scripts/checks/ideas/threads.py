"""Ideas: many threads and processes on one thing."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from musicgen import formats
from musicgen.formats.abc_notation import parse_text
from scripts.checks.ideas import Idea, script
from tests.mutation import RICH
from tests.pieces import CHORALE, SONG

SUFFIXES = (".abc", ".mid", ".musicxml", ".mxl", ".svg")


def written_at_once(folder: Path) -> str:
    """Tunes written in all formats, and read back, by sixteen threads and by one."""
    work = [
        (tune, suffix)
        for text in (RICH, CHORALE, SONG)
        for tune in parse_text(text).tunes
        for suffix in SUFFIXES
    ]

    def write(tune: object, suffix: str) -> bytes:
        data = formats.rendered([tune], suffix)
        if suffix != ".svg":
            path = folder / f"{hash(data)}{suffix}"
            path.write_bytes(data)
            formats.read(path)
        return data

    with ThreadPoolExecutor(16) as pool:
        many = list(pool.map(lambda item: write(*item), work))
    wrong = [w[1] for w, data in zip(work, many, strict=True) if write(*w) != data]
    return f"{len(wrong)} of {len(work)} differ: {' '.join(wrong)}" if wrong else ""


def prepared_at_once(folder: Path) -> str:
    """One corpus prepared by six processes at once into six folders, through one cache."""
    tunes = "\n".join(
        f"X:{n}\nM:4/4\nL:1/8\nK:D\n{'ABcd efga|' * (4 + n)}]\n" for n in range(1, 30)
    )
    (folder / "book.abc").write_text(tunes)
    line = [sys.executable, "-m", "musicgen", "prepare", "--corpus", "book.abc", "--out"]
    processes = [
        subprocess.Popen([*line, f"tokens{n}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for n in range(6)
    ]
    said = [process.communicate()[1].decode() for process in processes]
    if any(process.returncode for process in processes):
        return " / ".join(said)[-300:]
    files = {
        tuple((p.name, p.read_bytes()) for p in sorted(made.glob("*.npy")))
        for made in folder.glob("tokens*")
    }
    return "" if len(files) == 1 else f"{len(files)} different folders of tokens"


IDEAS: dict[str, Idea] = {
    "eight threads with one new composer compose what one does": script(
        "threads.py", "--checkpoint", "celtic-rnn", "--calls", 96, "--tunes", 16
    ),
    "the same with the shipped transformer": script(
        "threads.py", "--checkpoint", "celtic-transformer", "--calls", 32, "--tunes", 16
    ),
    "sixteen threads write and read what one does": written_at_once,
    "six processes prepare one corpus at once": prepared_at_once,
}
