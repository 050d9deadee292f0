"""The scripts: each is listed in their README, each listed one exists, each explains itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pytest

from scripts import command_line
from tests import ROOT

SCRIPTS = ROOT / "scripts"
FILES = sorted(
    path
    for path in SCRIPTS.rglob("*")
    if path.suffix in (".py", ".sh") and path.name not in ("__init__.py", "check.sh")
)
PROGRAMS = [path for path in FILES if '__name__ == "__main__"' in path.read_text("utf-8")]


def relative(path: Path) -> str:
    return str(path.relative_to(SCRIPTS))


def test_every_script_is_listed_and_every_listed_one_exists() -> None:
    text = (SCRIPTS / "README.md").read_text("utf-8")
    listed = re.findall(r"^\| `([\w/]+\.(?:py|sh))` \|", text, re.MULTILINE)
    assert sorted(listed) == sorted(map(relative, FILES))


def test_a_row_of_a_program_says_what_how_long_and_what_it_needs() -> None:
    text = (SCRIPTS / "README.md").read_text("utf-8")
    for program in PROGRAMS:
        (row,) = re.findall(rf"^\| `{re.escape(relative(program))}` \|(.*)\|$", text, re.MULTILINE)
        what, time, *rest = (cell.strip() for cell in row.split("|"))
        assert what, program
        assert time, program
        assert len(rest) == 2, program


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix == ".py"], ids=relative)
def test_a_script_says_in_one_line_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert docstring is not None
    assert 20 < len(docstring.splitlines()[0]) <= 100


@pytest.mark.slow
@pytest.mark.parametrize("path", PROGRAMS, ids=relative)
def test_help_explains_the_options(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("playwright" if path.name == "screenshots.py" else "musicgen")
    done = subprocess.run(
        [sys.executable, str(path), "--help"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage:")


def test_a_signature_becomes_a_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    def main(
        book: Path,
        *,
        minutes_: Annotated[Sequence[float], "of CPU time"] = (5.0,),
        best_of: Annotated[int, "attempts at a tune", "-n"] = 4,
        split: Annotated[str | None, ("val", "test")] = None,
        check: bool = False,
    ) -> bool:
        print((book, minutes_, best_of, split))
        return check

    for line, values, code in (
        ("a.abc", (Path("a.abc"), (5.0,), 4, None), False),
        ("a.abc --minutes 5 15 -n 2", (Path("a.abc"), [5.0, 15.0], 2, None), False),
        ("a.abc --best-of 3 --split val --check", (Path("a.abc"), (5.0,), 3, "val"), True),
    ):
        with pytest.raises(SystemExit) as stop:
            command_line.run(main, line.split())
        assert capsys.readouterr().out == f"{values}\n"
        assert stop.value.code is code
    with pytest.raises(SystemExit, match="2"):
        command_line.run(main, ["a.abc", "--split", "train"])
    assert "choose from" in capsys.readouterr().err
