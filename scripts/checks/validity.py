"""Do other programs read what musicgen writes? 1,000 tunes through abc2midi and music21.

    musicgen generate -n 1000 --seed 0 -o book.abc
    python scripts/checks/validity.py book.abc

abc2midi (Debian's abcmidi) must report no error and no wrong bar. music21 must read every tune,
and in its own reading each bar must sum to the meter: a part begins with the tune's pickup, and
the last bar of a part or ending leaves the pickup's length open.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line


def abc2midi_complaints(book: Path) -> list[str]:
    """What abc2midi says of the book, its progress messages aside."""
    program = shutil.which("abc2midi")
    if program is None:
        return ["abc2midi is not installed (Debian: apt install abcmidi)"]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "book.abc")
        copy.write_bytes(book.read_bytes())
        done = subprocess.run(
            [program, copy.name], cwd=folder, capture_output=True, text=True, check=False
        )
    lines = (done.stdout + done.stderr).splitlines()
    return [line for line in lines if "rror" in line or "arning" in line]


def music21_complaints(text: str) -> Iterator[str]:
    """What is wrong with one tune as music21 reads it."""
    from music21 import bar, converter, meter, stream

    try:
        score = converter.parse(text, format="abc", forceSource=True)
    except Exception as error:  # noqa: BLE001 - any failure to read is what is looked for
        yield f"cannot be read ({type(error).__name__}: {error})"
        return
    measures = [m for m in score.recurse().getElementsByClass(stream.Measure) if m.notesAndRests]
    full = Fraction(
        next(
            iter(score.recurse().getElementsByClass(meter.TimeSignature))
        ).barDuration.quarterLength
    )
    lengths = [
        sum(
            (Fraction(n.quarterLength).limit_denominator(960) for n in m.notesAndRests), Fraction(0)
        )
        for m in measures
    ]
    pickup = lengths[0] if lengths[0] < full else Fraction(0)
    begins_part = True
    for number, (measure, length) in enumerate(zip(measures, lengths, strict=True)):
        right = measure.rightBarline
        ends_part = right is not None and (
            isinstance(right, bar.Repeat) or right.type in ("double", "final")
        )
        expected = pickup if begins_part and pickup else full - pickup if ends_part else full
        if length != expected:
            yield f"bar {number}: {length} quarters, not {expected}"
        begins_part = ends_part and not _is_first_ending(measures, number)
    if not begins_part:
        yield "no final bar line"


def _is_first_ending(measures: list, number: int) -> bool:
    """Whether the next bar is the second ending, which has no pickup."""
    from music21 import spanner

    following = measures[number + 1] if number + 1 < len(measures) else None
    return following is not None and any(
        following in bracket.getSpannedElements()
        for bracket in following.getSpannerSites(spanner.RepeatBracket)
    )


def main(book: Annotated[Path, "an ABC file of many tunes"]) -> bool:
    """Check the book named on the command line; exit code 1 if anything is wrong."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    tunes = [tune for tune in book.read_text("utf-8").split("\n\n") if tune.strip()]
    complaints = abc2midi_complaints(book)
    print(f"abc2midi: {len(complaints)} complaints about {len(tunes)} tunes")
    n_wrong = 0
    for tune in tunes:
        found = list(music21_complaints(tune + "\n"))
        n_wrong += bool(found)
        complaints += [f"{tune.splitlines()[0]}: {text}" for text in found]
    print(f"music21: {n_wrong} tunes with complaints of {len(tunes)}")
    print("\n".join(complaints[:50]))
    return bool(complaints)


if __name__ == "__main__":
    command_line.run(main)
