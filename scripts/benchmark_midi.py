"""How fast MIDI files become notes and tunes, against symusic's bare parse.

    python scripts/benchmark_midi.py FOLDER [--files 2000]

CPU time of one core, all ways interleaved file by file, so that a busy machine is fair to them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from musicgen import formats
from musicgen.errors import MusicgenError
from musicgen.formats.midi.smf import parse_file


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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=2000)
    asked = parser.parse_args()
    files = sorted(asked.folder.rglob("*.mid"))[: asked.files]
    spent = dict.fromkeys(WAYS, 0.0)
    for way in WAYS.values():
        way(files[0])
    for file in files:
        for name, way in WAYS.items():
            began = time.process_time()
            way(file)
            spent[name] += time.process_time() - began
    for name, seconds in spent.items():
        print(
            f"{name}: {len(files) / seconds:,.0f} files a second, "
            f"{seconds / spent['symusic']:.1f} times symusic's time"
        )


if __name__ == "__main__":
    main()
