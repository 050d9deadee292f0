"""The README: its map of modules is the modules', its commands exist, its Python runs."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import typer.main

from musicgen.cli import app
from tests import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def first_line(module: Path) -> str:
    docstring = ast.get_docstring(ast.parse(module.read_text("utf-8")))
    assert docstring is not None
    return docstring.splitlines()[0]


def test_the_map_names_every_module_with_its_first_docstring_line() -> None:
    written = dict(re.findall(r"^\| `([\w/]+(?:\.py|/))` \| (.+) \|$", README, re.MULTILINE))
    modules = {}
    for path in (ROOT / "musicgen").iterdir():
        if path.suffix == ".py" and not path.name.startswith("__"):
            modules[path.name] = first_line(path)
        elif (path / "__init__.py").exists():
            modules[f"{path.name}/"] = first_line(path / "__init__.py")
    assert written == modules


def test_every_command_and_option_in_the_readme_exists() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    lines = [
        part.strip()
        for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
        for line in block.splitlines()
        for part in line.split("&&")
        if part.strip().startswith("musicgen ")
    ]
    assert len(lines) >= 8
    for line in lines:
        _, name, *words = shlex.split(line)
        command = commands[name]
        if hasattr(command, "commands"):  # a group, such as inspect
            command = command.commands[words.pop(0)]
        options = {o for p in command.params for o in p.opts}
        assert {w for w in words if w.startswith("-")} <= options, line


def test_the_python_in_the_readme_compiles() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert blocks
    for block in blocks:
        compile(block, "README.md", "exec")
