"""Heads trained through the command line on real tunes: types of dance, origin, chords.

    python scripts/benchmarks/heads.py --data data

`data` holds the folders `nottingham/ABC_cleaned` (the Nottingham Music Database) and `mit_irish`
(Irish tunes in ABC). Each head is one `musicgen train` and one `musicgen evaluate` on the test
split: the type of dance by the names of Nottingham's files (a table), origin by the folders of both
collections, and the chords of Nottingham. Beside each accuracy stands what it has to beat.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

# Of the names of Nottingham's files: `reelsa-c` and so on are reels.
TYPES = {"jigs": "jig", "reels": "reel", "hpps": "hornpipe", "waltzes": "waltz", "slip": "slip jig"}


def musicgen(*words: str | Path) -> None:
    """Run a command, whose own report is on standard error and output.

    Raises:
        subprocess.CalledProcessError: it fails.
    """
    subprocess.run(
        [sys.executable, "-m", "musicgen", *map(str, words)], check=True, stdout=subprocess.DEVNULL
    )


def type_table(tunes: Path, path: Path) -> None:
    """A table of the files whose name is a type of dance, and that type."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("file", "label"))
        for source in sorted(tunes.glob("*.abc")):
            if label := re.match("|".join(TYPES), source.stem):
                table.writerow((source.name, TYPES[label[0]]))


def rows_of(facts: dict[str, Any]) -> Iterator[tuple[str, float, float, float]]:
    """Name, share of right answers and its 95 % interval, as `evaluate --json` has them."""
    for name, value in facts.items():
        if isinstance(value, dict) and "root" in value:
            value = value["root"]
        if isinstance(value, dict) and "low" in value and name != "ahead_of_ngrams":
            yield name, value["value"], value["low"], value["high"]


def main(
    *, data: Path, cpu_minutes: float = 2.0, only: str = "types origin chords", seed: int = 0
) -> None:
    """Train, evaluate and print a Markdown table."""
    tunes = data / "nottingham" / "ABC_cleaned"
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        type_table(tunes, work / "types.csv")
        for folder, source in (("nottingham", tunes), ("ireland", data / "mit_irish")):
            shutil.copytree(source, work / "origin" / folder)
        heads = {
            "types": ("classify", tunes, ("--labels", work / "types.csv")),
            "origin": ("classify", work / "origin", ("--labels", "folder")),
            "chords": ("harmonize", tunes, ()),
        }
        print(
            f"{time.strftime('%Y-%m-%d')}, {cpu_minutes:g} CPU-minutes at most for each, ", end=""
        )
        print("test split\n\n| head | of | answers | right | 95 % |\n|---|---:|---|---:|---|")
        for head in only.split():
            task, corpus, labels = heads[head]
            run, scores = work / "runs" / head, work / f"{head}.json"
            budget = ("--cpu-minutes", cpu_minutes, "--seed", seed)
            musicgen("train", "--task", task, "--corpus", corpus, *labels, *budget, "--out", run)
            musicgen("evaluate", "--checkpoint", run, "--split", "test", "--json", scores)
            facts = json.loads(scores.read_text())
            n = facts.get("n") or f"{facts['places']} places in {facts['tunes']}"
            for answers, right, low, high in rows_of(facts):
                print(f"| {head} | {n} | {answers} | {right:.1%} | {low:.1%} to {high:.1%} |")
            sys.stdout.flush()


if __name__ == "__main__":
    command_line.run(main)
