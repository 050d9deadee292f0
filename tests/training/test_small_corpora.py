"""Corpora of three tunes train and fine-tune, whatever they are written in; fewer say so."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

import musicgen
from musicgen.errors import CheckpointError
from musicgen.models import checkpoint
from tests.commands import run

TINY = ("--epochs", "1", "--set", "model.d_model=16")


def abc(number: int) -> str:
    notes = "".join(Random(number).choices("DEFGABcde", k=32))
    bars = "|".join(notes[i : i + 8] for i in range(0, 32, 8))
    return f"X:{number}\nR:reel\nM:C|\nL:1/8\nK:G\n{bars}|]\n"


def write(folder: Path, kind: str, n: int) -> Path:
    """A corpus of n different tunes, or paragraphs."""
    book = folder / "book.abc"
    book.write_text("\n".join(abc(number) for number in range(1, n + 1)))
    if kind == "mid":
        tunes, book = musicgen.scan(book).tunes, folder / "midi"
        book.mkdir()
        for number, tune in enumerate(tunes):
            musicgen.write(tune, book / f"{number}.mid")
    elif kind == "txt":
        book = folder / "words.txt"
        letters = (Random(i).choices("abcdefghi jklm nopq rst uvw xyz", k=600) for i in range(n))
        book.write_text("\n\n".join(map("".join, letters)))
    return book


@pytest.mark.parametrize(
    ("kind", "n", "options"),
    [
        ("abc", 3, TINY),
        ("abc", 5, TINY),
        ("mid", 3, TINY),
        ("mid", 4, (*TINY, "--tokenizer", "remi")),
        ("txt", 3, (*TINY, "--tokenizer", "char")),
        ("abc", 3, ("--epochs", "1", "--from", "celtic")),
    ],
)
def test_a_small_corpus_trains(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, *, kind: str, n: int, options: tuple[str]
) -> None:
    book, out = str(write(tmp_path, kind, n)), str(tmp_path / "run")
    code, _, err = run(capsys, "train", "--corpus", book, *options, "--out", out)
    assert code == 0, err
    model = checkpoint.load(out)
    for split in ("| train | ", "| val | 1 |", "| test | 1 |"):
        assert split in model.card
    for line in err.splitlines():
        if line.startswith("note: "):
            assert line.removeprefix("note: ") in model.card


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_tunes_are_told_how_many_to_add(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, n: int
) -> None:
    book, out = str(write(tmp_path, "abc", n)), tmp_path / "run"
    code, _, err = run(capsys, "train", "--corpus", book, *TINY, "--out", str(out))
    left = {1: "val and test", 2: "test"}[n]
    assert f"no tune is left for {left}; near-identical tunes count as one, so add {3 - n}" in err
    assert code == (0 if n == 2 else 1)
    if n == 1:
        assert err.splitlines()[-1] == (
            "error: there is no tune to validate with; give at least three tunes that differ "
            "(near-identical ones count as one)"
        )
        with pytest.raises(CheckpointError):
            checkpoint.load(out)
