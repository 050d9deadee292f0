"""How fast MIDI files become notes and tunes, against symusic's bare parse.

    python scripts/benchmarks/midi.py FOLDER [--files 10000]

CPU time of one core. Each way reads all files at a stretch, several times over where the folder
has fewer than asked for; the best of `ROUNDS` counts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

from musicgen import formats
from musicgen.errors import MusicgenError
from musicgen.formats.midi.smf import parse_file

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

ROUNDS = 3


def by_symusic(path: Path) -> object:
    """The bare parse."""
    from symusic import Score

    return Score(str(path))


def to_notes(path: Path) -> object:
    """Our parse, to arrays of notes and headings."""
    return parse_file(path.read_bytes())


def to_tune(path: Path) -> object:
    """All of our reading."""
    try:
        return formats.scan(path)
    except MusicgenError as error:
        return error


WAYS: dict[str, Callable[[Path], object]] = {
    "symusic": by_symusic,
    "parse_file": to_notes,
    "read": to_tune,
}


def main(folder: Path, *, files_: int = 10_000) -> None:
    """Measure and print."""
    files = list(islice(cycle(sorted(folder.rglob("*.mid"))), files_))
    least = dict.fromkeys(WAYS, float("inf"))
    for _ in range(ROUNDS):
        for name, way in WAYS.items():
            began = time.process_time()
            for file in files:
                way(file)
            least[name] = min(least[name], time.process_time() - began)
    for name, seconds in least.items():
        print(
            f"{name}: {len(files) / seconds:,.0f} files a second, "
            f"{seconds / least['symusic']:.1f} times symusic's time"
        )


if __name__ == "__main__":
    command_line.run(main)
