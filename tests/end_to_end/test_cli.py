"""The command line: files in, files out, one line for every mistake."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from musicgen.formats import read
from musicgen.models import checkpoint as checkpoints
from musicgen.models.checkpoint import Checkpoint
from tests.commands import run

HALF = "X:1\nT:Half\nR:jig\nM:6/8\nL:1/8\nK:D\nA|d2f fed|BAB A2G|F"


@pytest.fixture(scope="module")
def model(untrained: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models") / "untrained"
    checkpoints.save(folder, untrained)
    return str(folder)


def test_generate_prints_abc_and_the_seed_that_gives_it_again(
    capsys: pytest.CaptureFixture[str], model: str
) -> None:
    code, out, err = run(capsys, "generate", "-c", model, "-n", "2")
    assert code == 0
    assert out.count("X:") == 2
    seed = err.split()[-1]
    assert run(capsys, "generate", "-c", model, "-n", "2", "--seed", seed)[1] == out


def test_generate_fills_a_folder_with_every_tune_and_a_page_that_plays_them(
    capsys: pytest.CaptureFixture[str], model: str, tmp_path: Path
) -> None:
    arguments = ["generate", "-c", model, "-n", "2", "--seed", "5", "--rhythm", "jig"]
    code, out, _ = run(capsys, *arguments, "-o", str(tmp_path / "tunes"))
    assert (code, out) == (0, "")
    names = {path.name for path in (tmp_path / "tunes").iterdir()}
    kinds = ("abc", "mid", "svg", "wav")
    assert names == {f"jig-5-{k}.{kind}" for k in (1, 2) for kind in kinds} | {"index.html"}
    for path in (tmp_path / "tunes").glob("*.[am][bi][cd]"):
        assert read(path)[0].n_notes > 0
    page = (tmp_path / "tunes" / "index.html").read_text()
    assert page.count("<svg ") == page.count("<audio ") == 2


def test_a_file_that_is_there_is_not_replaced_without_force(
    capsys: pytest.CaptureFixture[str], model: str, tmp_path: Path
) -> None:
    target = tmp_path / "a.abc"
    target.write_text("mine")
    arguments = ["generate", "-c", model, "--seed", "1", "-o", str(target)]
    code, _, err = run(capsys, *arguments)
    assert (code, target.read_text()) == (1, "mine")
    assert err == f"error: {target}: already exists; use --force to overwrite\n"
    assert run(capsys, *arguments, "--force")[0] == 0
    assert read(target)[0].title


@pytest.mark.parametrize("end", ["abc", "mid"])
def test_continue_keeps_the_notes_given(
    capsys: pytest.CaptureFixture[str], model: str, tmp_path: Path, end: str
) -> None:
    half, source, whole = tmp_path / "half.abc", tmp_path / f"in.{end}", tmp_path / f"out.{end}"
    half.write_text(HALF)
    if end == "mid":
        assert run(capsys, "render", str(half), "-o", str(source))[0] == 0
    else:
        source.write_text(HALF)
    assert (
        run(capsys, "continue", str(source), "-c", model, "--seed", "2", "-o", str(whole))[0] == 0
    )
    given = list(read(source)[0].voices[0].events)
    after = list(read(whole)[0].voices[0].events)
    assert [(e.duration, getattr(e, "pitch", None)) for e in after[: len(given)]] == [
        (e.duration, getattr(e, "pitch", None)) for e in given
    ]
    assert len(after) > len(given)


def test_corpus_counts_what_it_read_and_lists_what_it_left_out(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    good = "X:1\nT:A\nM:2/4\nK:G\nGABc dedB|GABc d4:|\n"
    other = good.replace("GABc", "BAGF")
    book = f"{good}\n{other}\nX:3\nT:C\nM:2/4\nK:D\nABc|[K:G]GABc|\n"
    (tmp_path / "book.abc").write_text(book)
    (tmp_path / "broken.mid").write_bytes(b"MThd")
    code, out, _ = run(capsys, "corpus", str(tmp_path), "--rejected")
    assert code == 0
    assert "key change inside the tune" in out
    assert "broken.mid" in out
    code, out, _ = run(capsys, "corpus", str(tmp_path), "--json")
    facts = json.loads(out)
    assert facts["tunes"] + len(facts["duplicates"]) == 3
    assert len(facts["rejected"]) == 1


def test_corpus_writes_its_report_as_a_page_or_as_data(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "book.abc").write_text("X:1\nT:A\nM:2/4\nK:G\nGABc dedB|GABc d4:|\n")
    for name in ("out.html", "out.json"):
        report = tmp_path / name
        code, _, err = run(capsys, "corpus", str(tmp_path), "--report", str(report))
        assert code == 0
        assert f"wrote {report}" in err
    facts = json.loads((tmp_path / "out.json").read_text())
    assert facts["every_tune"][0]["outcome"] == "parsed"
    assert (tmp_path / "out.html").read_text().startswith("<!doctype html>")
    code, _, err = run(capsys, "corpus", str(tmp_path), "--report", str(tmp_path / "out.json"))
    assert (code, "use --force" in err) == (1, True)


BROKEN = "Prose.\n\nX:1\nT:Bad\nM:6/8\nK:D\n|:A|d2f fed|BABA A2G|FAd f2e|d3 d2\n\n"
SOUND = "X:2\nT:Good\nM:2/4\nL:1/8\nK:G\nGABc|d4|]\n\nMore prose.\n"


def test_validate_names_the_place_of_every_problem(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    book = tmp_path / "book.abc"
    book.write_text(BROKEN + SOUND)
    code, out, err = run(capsys, "validate", str(book))
    assert code == 1
    assert out.splitlines() == [
        f"{book}:7:1: X:1 Bad: bar 1: the repeat is never closed",
        f"{book}:7:13: X:1 Bad: bar 3: it is 1/2 long: 7/2 of 3 quarters",
        f"{book}:7:30: X:1 Bad: bar 5: the music stops without a bar line",
    ]
    assert err == "2 tunes in 1 files: 3 problems in 1 of them\n"
    code, out, _ = run(capsys, "validate", str(book), "--json")
    facts = json.loads(out)
    assert (code, facts["tunes"], len(facts["findings"])) == (1, 2, 3)
    book.write_text(SOUND)
    assert run(capsys, "validate", str(book), "--strict")[0] == 0


def test_validate_repairs_what_is_obvious_and_leaves_the_rest_to_the_letter(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    book = tmp_path / "book.abc"
    book.write_text(BROKEN + SOUND)
    _, _, err = run(capsys, "validate", str(book), "--fix")
    assert f"{book}: X:1 Bad: bar 5: closed the repeat" in err
    fixed = (tmp_path / "book.fixed.abc").read_text()
    assert fixed.startswith("Prose.\n\nX:1\nT:Bad\n")
    assert "d3 d2 :|\n" in fixed
    assert fixed.endswith(SOUND)
    assert book.read_text() == BROKEN + SOUND


def test_prepare_writes_what_train_reads(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    random = Random(0)
    tunes = []
    for number in range(40):
        bars = ["".join(random.choices("DEFGABcde", k=8)) for _ in range(4)]
        tunes.append(f"X:{number}\nR:reel\nM:C|\nL:1/8\nK:G\n{'|'.join(bars)}|]\n")
    (tmp_path / "book.abc").write_text("\n".join(tunes))
    book, folder = str(tmp_path / "book.abc"), str(tmp_path / "tokens")
    code, out, err = run(capsys, "prepare", "--corpus", book, "--out", folder)
    assert (code, out) == (0, "")
    assert err.splitlines()[-1] == f"next: musicgen train --tokens {folder} --out runs/tokens"
    small = ["--set", "model.d_model=16", "--epochs", "1", "--out", str(tmp_path / "run")]
    assert run(capsys, "train", "--tokens", folder, *small)[0] == 0
    assert run(capsys, "prepare", "--corpus", book, "--out", folder)[0] == 1
    assert run(capsys, "prepare", "--corpus", book, "--out", folder, "--force")[0] == 0


def test_train_then_generate_with_the_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    random = Random(0)
    tunes = []
    for number in range(60):
        bars = ["".join(random.choices("DEFGABcde", k=8)) for _ in range(8)]
        tunes.append(f"X:{number}\nR:reel\nM:C|\nL:1/8\nK:G\n{'|'.join(bars)}|]\n")
    (tmp_path / "book.abc").write_text("\n".join(tunes))
    out = str(tmp_path / "run")
    small = ["--set", "model.d_model=16", "--epochs", "1"]
    code, _, err = run(
        capsys, "train", "--corpus", str(tmp_path / "book.abc"), "--out", out, *small
    )
    assert code == 0, err
    assert f"next: musicgen generate --checkpoint {out}" in err
    code, abc, _ = run(capsys, "generate", "-c", out, "--seed", "1")
    assert code == 0
    assert "R:reel" in abc
    code, _, err = run(
        capsys, "train", "--corpus", str(tmp_path / "book.abc"), "--out", out, *small
    )
    assert code == 1
    assert err.count("error: ") == 1


@pytest.fixture
def bad_files(tmp_path: Path) -> Path:
    (tmp_path / "empty.abc").write_bytes(b"")
    (tmp_path / "binary.abc").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "binary.mid").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "prose.abc").write_text("This is a letter, not a tune.\n")
    (tmp_path / "score.pdf").write_bytes(b"%PDF")
    (tmp_path / "half.abc").write_text(HALF)
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        "continue missing.abc",
        "continue empty.abc",
        "continue binary.abc",
        "continue binary.mid",
        "continue prose.abc",
        "continue score.pdf",
        "continue folder",
        "continue half.abc --tune 2",
        "continue half.abc -o half.xyz",
        "continue half.abc -c folder",
        "continue half.abc -c missing",
        "continue half.abc -c half.abc",
        "generate --key H",
        "generate --key Dfoo",
        "generate --meter 7",
        "generate --rhythm tango",
        "generate --rhythm jig --meter 4/4",
        "generate --temperature -1",
        "generate --temperature nan",
        "generate --top-p 0",
        "generate -n 2 -o two.mid",
        "generate -o half.abc/in/a/file",
        "train --corpus nowhere --out run",
        "train --corpus folder --out run",
        "train --corpus empty.abc --out run",
        "train --preset gru --out run",
        "train --set model.layers=3 --out run",
        "train --corpus half.abc --out run",
        "corpus nowhere",
        "corpus empty.abc",
        "corpus binary.abc",
        "corpus half.abc --report report.pdf",
        "corpus half.abc --report score.pdf/a.html",
        "prepare --corpus nowhere --out tokens",
        "prepare --corpus half.abc --out half.abc",
        "prepare --corpus half.abc --out folder --force",
        "render missing.abc -o a.mid",
        "render empty.abc -o a.mid",
        "render half.abc -o a.xyz",
    ],
)
def test_a_mistake_is_answered_in_one_line(
    capsys: pytest.CaptureFixture[str],
    model: str,
    bad_files: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
) -> None:
    monkeypatch.chdir(bad_files)
    words = arguments.split()
    if words[0] in ("generate", "continue") and "-c" not in words:
        words += ["-c", model]
    before = sorted(path.name for path in bad_files.iterdir())
    code, out, err = run(capsys, *words)
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert (code, out, len(errors)) == (1, "", 1), err
    assert "Traceback" not in err
    assert err.splitlines()[-1] == errors[0]
    assert sorted(path.name for path in bad_files.iterdir()) == before


@pytest.mark.parametrize(
    "arguments", ["generate --number 0", "generate --nonsense", "sing", "train", "continue"]
)
def test_wrong_usage_exits_with_2(capsys: pytest.CaptureFixture[str], arguments: str) -> None:
    assert run(capsys, *arguments.split())[0] == 2


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['musicgen', '--help']\n"
        "from musicgen.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'pytorch_lightning', 'music21', 'numpy', 'matplotlib', 'mido'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_importing_musicgen_loads_no_torch() -> None:
    code = "import sys, musicgen; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_tunebook_is_stopped_and_gone_on_with(
    capsys: pytest.CaptureFixture[str], model: str, tmp_path: Path
) -> None:
    book, short = tmp_path / "book", ["--form", "AB", "--part-bars", "1", "--meter", "2/4"]
    whole = ["generate", "-c", model, "-n", "30", "--seed", "3", *short, "-o", str(book)]
    assert run(capsys, *whole)[0] == 0
    index, tunes = (book / "index.csv").read_text(), (book / "book.abc").read_text()
    rows = list(csv.DictReader(io.StringIO(index)))
    assert [row["number"] for row in rows] == [str(n) for n in range(1, 31)]
    assert {(row["form"], row["bars"], row["meter"]) for row in rows} == {("AB", "2", "2/4")}
    assert len(read(book / "book.abc")) == len(list(book.glob("*-3-*.abc"))) == 30
    # A row that was cut off in the middle, tunes and book beyond it.
    cut = index.splitlines(keepends=True)[:12]
    (book / "index.csv").write_text("".join(cut)[:-5])
    code, _, err = run(capsys, *whole, "--resume")
    assert (code, "wrote 20 tunes" in err) == (0, True)
    assert (book / "index.csv").read_text() == index
    assert (book / "book.abc").read_text() == tunes
    # A row that names a file as no system can.
    long = index.replace(rows[28]["file"], "x" * 400 + ".abc")
    (book / "index.csv").write_text(long)
    assert run(capsys, *whole, "--resume")[0] == 0
    assert (book / "index.csv").read_text() == index


def test_a_tunebook_is_neither_replaced_nor_mixed(
    capsys: pytest.CaptureFixture[str], model: str, tmp_path: Path
) -> None:
    book = tmp_path / "book"
    arguments = ["generate", "-c", model, "-n", "25", "-o", str(book), "--part-bars", "1"]
    assert run(capsys, *arguments, "--seed", "1")[0] == 0
    code, _, err = run(capsys, *arguments, "--seed", "1")
    assert (code, err.count("\n")) == (1, 1)
    assert "holds a tunebook already; use --resume" in err
    code, _, err = run(capsys, *arguments, "--seed", "2", "--resume")
    assert code == 1
    assert "was begun with other settings (seed)" in err
    code, _, err = run(capsys, *arguments, "--resume", "--key", "D")
    assert "was begun with other settings (key)" in err
    code, _, err = run(capsys, *arguments, "--resume")  # the seed is that of the book
    assert (code, "wrote 0 tunes" in err) == (0, True)


def test_generate_says_what_it_understood_and_refuses_what_it_did_not(
    capsys: pytest.CaptureFixture[str], model: str
) -> None:
    code, out, err = run(capsys, "generate", "-c", model, "--like", "fast jig in D", "--seed", "1")
    assert code == 0
    assert err.startswith("understood: rhythm jig, key D major, tempo 1/4=209\n")
    assert "R:jig" in out
    assert "K:D\n" in out
    code, out, err = run(capsys, "generate", "-c", model, "--like", "cheerful jig")
    assert (code, out) == (1, "")
    assert "the word 'cheerful' is not understood" in err
