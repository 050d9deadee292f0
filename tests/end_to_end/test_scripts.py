"""The scripts: each is listed in their README, each listed one exists, each explains itself."""

from __future__ import annotations

import ast
import importlib.util
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


# Runs programs in forks of one process that has loaded what most of them need.
HELP = """
import os, runpy, sys
import matplotlib.pyplot, music21, pytorch_lightning, sklearn.linear_model, torch
for path in sys.argv[1:]:
    sys.stdout.flush()
    if child := os.fork():
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(f"\\x1e{path}\\x1f{status}")
    else:
        sys.argv, sys.path[0] = [path, "--help"], os.path.dirname(path)
        runpy.run_path(path, run_name="__main__")
"""


@pytest.mark.slow
def test_help_explains_the_options_of_every_program(tmp_path: Path) -> None:
    programs = [
        path
        for path in PROGRAMS
        if path.name != "screenshots.py" or importlib.util.find_spec("playwright")
    ]
    done = subprocess.run(
        [sys.executable, "-c", HELP, *map(str, programs)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = re.findall(r"([^\x1e]*)\x1e(.*)\x1f(.*)\n", done.stdout)
    assert [path for _, path, _ in said] == list(map(str, programs))
    assert [path for text, path, _ in said if not text.startswith("usage:")] == [], done.stderr
    assert {status for _, _, status in said} == {"0"}, done.stderr


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
