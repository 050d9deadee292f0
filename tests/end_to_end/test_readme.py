"""The README: its table of packages holds their first docstring lines; `.ci/run` can use it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def first_line(module: Path) -> str:
    docstring = ast.get_docstring(ast.parse(module.read_text("utf-8")))
    assert docstring is not None
    return docstring.splitlines()[0]


def test_the_map_names_every_package_with_its_first_docstring_line() -> None:
    written = dict(re.findall(r"^\| `([\w/]+(?:\.py|/))` \| (.+) \|$", README, re.MULTILINE))
    modules = {}
    for path in (ROOT / "musicgen").iterdir():
        if path.suffix == ".py" and not path.name.startswith("__"):
            modules[path.name] = first_line(path)
        elif (path / "__init__.py").exists():
            modules[f"{path.name}/"] = first_line(path / "__init__.py")
    assert written == modules, "run scripts/docs/guide.py"


def test_the_two_commands_stand_on_lines_of_their_own() -> None:
    """`.ci/run` takes them from here."""
    lines = [line for line in README.splitlines() if line.startswith("pip install ")]
    assert len(lines) == 2
    assert lines[0].startswith("pip install . && musicgen generate ")
    assert lines[1] == 'pip install ".[dev]" && pytest'
