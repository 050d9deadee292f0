"""The command line and files from strangers: one line, the right exit code, nothing overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicgen.cli import options

from .test_cli import run

GOOD = "X:1\nT:fine\nM:4/4\nL:1/8\nK:C\nABcd efga|]\n"


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
