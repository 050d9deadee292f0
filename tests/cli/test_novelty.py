"""The novelty command, and what generate says of new tunes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from musicgen.models import checkpoint as checkpoints
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.similarity import NoveltyIndex
from tests.commands import run
from tests.melodies import BUTTERFLY, KESH, REEL, tune


@pytest.fixture
def book(tmp_path: Path) -> Path:
    (tmp_path / "book.abc").write_text("\n".join((KESH, BUTTERFLY, REEL)))
    return tmp_path / "book.abc"


@pytest.fixture
def query(tmp_path: Path) -> Path:
    (tmp_path / "query.abc").write_text(KESH.replace("T:The Kesh", "T:Mine"))
    return tmp_path / "query.abc"


def test_a_copy_is_named_with_its_bars(
    capsys: pytest.CaptureFixture[str], book: Path, query: Path
) -> None:
    code, out, err = run(capsys, "novelty", str(query), "--corpus", str(book))
    first, nearest, *_ = out.splitlines()
    assert code == 0
    assert first == f"{query}:1: X:1 Mine: copy"
    assert nearest == f"  1.00   16 bars (1-16 = 1-16)      The Kesh ({book}:1)"
    assert err == "1 tune against 3: 1 copy\n"


def test_the_same_as_json(capsys: pytest.CaptureFixture[str], book: Path, query: Path) -> None:
    _, out, _ = run(capsys, "novelty", str(query), "--corpus", str(book), "--json", "-n", "1")
    (found,) = json.loads(out)
    assert (found["file"], found["title"], found["verdict"]) == (str(query), "Mine", "copy")
    assert found["copied_bars"] == 16
    (nearest,) = found["neighbours"]
    assert (nearest["title"], nearest["similarity"], nearest["number"]) == ("The Kesh", 1.0, 1)


def test_files_that_cannot_be_read_are_named_and_the_others_compared(
    capsys: pytest.CaptureFixture[str], book: Path, query: Path, tmp_path: Path
) -> None:
    missing = tmp_path / "none.abc"
    code, out, err = run(capsys, "novelty", str(missing), str(query), "--corpus", str(book))
    assert code == 1
    assert "Mine: copy" in out
    assert f"error: {missing}: no such file; check the name" in err


def test_token_files_bring_their_index(
    capsys: pytest.CaptureFixture[str], book: Path, query: Path, tmp_path: Path
) -> None:
    tokens = str(tmp_path / "tokens")
    folder = tmp_path / "many"
    folder.mkdir()
    for k in range(12):  # enough for every split
        (folder / f"{k}.abc").write_text(REEL.replace("D2FA", f"{'CDEFGABcdefg'[k]}2FA"))
    (folder / "kesh.abc").write_text(KESH)
    assert run(capsys, "prepare", "--corpus", str(folder), "--out", tokens)[0] == 0
    _, out, err = run(capsys, "novelty", str(query), "--corpus", tokens)
    assert "Mine: copy" in out
    assert "against 13" in err


def test_a_model_without_an_index_says_so(
    capsys: pytest.CaptureFixture[str], untrained: Checkpoint, query: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    checkpoints.save(folder, untrained)
    code, _, err = run(capsys, "novelty", str(query), "-c", str(folder))
    assert code == 1
    assert err == f"error: {folder}: has no index of its corpus; name one with --corpus\n"


def test_generate_says_how_new_each_tune_is(
    capsys: pytest.CaptureFixture[str], untrained: Checkpoint, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    index = NoveltyIndex.build([tune(KESH)])
    checkpoints.save(folder, replace(untrained, novelty=index))
    arguments = ("generate", "-c", str(folder), "-n", "1", "--seed", "3")
    code, out, err = run(capsys, *arguments, "--max-copied-bars", "8")
    assert code == 0
    assert out.count("X:") == 1
    assert err.count(": new: ") == 1
    assert ": new: " not in run(capsys, *arguments, "--no-novelty")[2]


def test_the_shipped_model_knows_its_own_books(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "kesh.abc").write_text(KESH)
    code, out, err = run(capsys, "novelty", str(tmp_path / "kesh.abc"))
    assert code == 0
    assert "against 4,135" in err
    assert "similar" not in out
