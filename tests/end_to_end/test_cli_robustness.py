"""The command line and files from strangers: one line, the right exit code, nothing overwritten."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from musicgen.cli import options
from tests.commands import run

GOOD = "X:1\nT:fine\nM:4/4\nL:1/8\nK:C\nABcd efga|]\n"
ODD = "odd\x1b[2J\n\udcff.abc"  # an escape code, a line end, a byte that is no text


def in_one_line(err: str) -> str:
    (line,) = err.splitlines()
    assert line.isprintable()
    return line


def test_the_size_of_a_file_has_a_limit_and_an_option(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSICGEN_MAX_BYTES", "")
    book = tmp_path / "book.abc"
    book.write_text(GOOD + "% \n" * 400_000)
    code, out, _ = run(capsys, "validate", str(book), "--max-size", "1")
    assert code == 1
    assert out == (
        f"{book}: is larger than 1 MiB; split it into smaller files, or allow more with "
        "--max-size\n"
    )
    assert run(capsys, "--max-size=2", "validate", str(book))[0] == 0


def test_debug_prints_the_traceback_and_says_the_same(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["generate", "-o", str(tmp_path / "tune.doc")]
    code, _, err = run(capsys, *arguments)
    line = in_one_line(err)
    again, _, err = run(capsys, *arguments, "--debug")
    assert (code, again) == (1, 1)
    assert err.startswith("Traceback")
    assert err.splitlines()[-1] == line


def test_common_options_may_stand_anywhere() -> None:
    given = ["render", "a", "--max-size", "5", "-o", "b", "--debug", "--", "--debug"]
    expected = ["--max-size", "5", "--debug", "render", "a", "-o", "b", "--", "--debug"]
    assert options.common_first(given) == expected


def test_a_defect_is_one_line_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("x\ny")

    monkeypatch.setattr("musicgen.formats.scan", broken)
    (tmp_path / "a.abc").write_text(GOOD)
    code, _, err = run(capsys, "validate", str(tmp_path / "a.abc"))
    assert code == 1
    line = in_one_line(err)
    assert line.startswith(r"error: a defect of musicgen (KeyError: 'x\ny'); please report it")


@pytest.mark.parametrize("command", ["validate", "render", "corpus", "prepare"])
def test_a_batch_goes_on_and_names_what_it_could_not_read(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    folder = tmp_path / "music"
    (folder / "inside.abc").mkdir(parents=True)
    for n in range(12):
        (folder / f"{n}.abc").write_text(GOOD.replace("ABcd", f"A{'BcdefgabCDEF'[n]}cd"))
    os.mkfifo(folder / "pipe.mid")
    (folder / "loop.abc").symlink_to(folder / "loop.abc")
    (folder / "empty.mxl").write_bytes(b"")
    (folder / ODD).write_text("X:1\nK:C\n")
    arguments = {
        "validate": [],
        "corpus": ["--rejected"],
        "render": ["-o", str(tmp_path / "out"), "--to", "mid"],
        "prepare": ["--out", str(tmp_path / "tokens")],
    }[command]
    given = ["--corpus", str(folder)] if command == "prepare" else [str(folder)]
    _, out, err = run(capsys, command, *given, *arguments)
    said = (out + err).splitlines()
    for name in ("pipe.mid: ", "loop.abc: ", "empty.mxl:", r"odd\x1b[2J\n\udcff.abc:"):
        assert any(name in line for line in said), name
    assert all(line.isprintable() for line in said)
    if command == "render":
        assert len(list((tmp_path / "out").iterdir())) == 12


def test_what_is_there_is_not_overwritten(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    book, there = tmp_path / "a.abc", tmp_path / "there.json"
    book.write_text(GOOD)
    there.write_text("mine")
    midi = tmp_path / "there.mid"
    midi.write_text("mine")
    fixed = tmp_path / "a.fixed.abc"
    fixed.write_text("mine")
    for arguments in (
        ["corpus", str(book), "--report", str(there)],
        ["render", str(book), "-o", str(midi)],
        ["validate", str(book), "--fix"],
        ["generate", "-o", str(midi)],
        ["continue", str(book), "-o", str(midi)],
        ["vary", str(book), "-o", str(midi)],
        ["infill", str(book), "--bars", "1", "-o", str(midi)],
        ["prepare", "--corpus", str(book), "--out", str(there)],
    ):
        code, out, err = run(capsys, *arguments)
        assert code == 1, arguments
        assert "--force" in out + err, arguments
    assert {p.read_text() for p in (there, midi, fixed)} == {"mine"}


def test_titles_do_not_say_where_files_go(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    book = tmp_path / "a.abc"
    titles = ("../../etc/passwd", "/etc/passwd", "CON", ".hidden", "a\\u002fb", "")
    book.write_text("\n".join(GOOD.replace("fine", title) for title in titles))
    out = tmp_path / "deep" / "out"
    assert run(capsys, "render", str(book), "-o", str(out), "--to", "abc")[0] == 0
    assert sorted(p.name for p in out.iterdir()) == [
        "a-b.abc", "con-tune.abc", "etc-passwd-2.abc", "etc-passwd.abc", "hidden.abc", "tune.abc",
    ]  # fmt: skip
    assert {p.name for p in tmp_path.rglob("*.abc")} == {"a.abc", *(p.name for p in out.iterdir())}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_command_with_its_code(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """While a corpus is read, before any training."""
    program = (
        # What runs in the background of a shell inherits that SIGINT is ignored.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import sys, time; from musicgen.cli import main; import musicgen.cli.train as learn\n"
        "def load(*a): print('reading', file=sys.stderr, flush=True); time.sleep(60)\n"
        "learn.load_tokens = load\n"
        "learn.require_unused = lambda *a: None\n"  # which imports Lightning
        f"sys.argv = ['musicgen', 'train', '--out', {str(tmp_path / 'run')!r}]\n"
        "main()"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert process.stderr.readline() == "reading\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    in_one_line(err)
    assert not (tmp_path / "run").exists()
