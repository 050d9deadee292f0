"""The shape of the project: imports point down, files stay small, nothing happens at import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "musicgen"
MODULES = sorted(PACKAGE.rglob("*.py"))
FORBIDDEN_CALLS = {"eval", "exec", "__import__"}
FORBIDDEN_IMPORTS = {"pickle", "marshal", "shelve", "yaml", "dill"}


def test_the_import_contracts_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= 420
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring
    assert len(docstring.splitlines()[0]) <= 100


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_in_a_module_can_run_code_from_a_file(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            assert not FORBIDDEN_IMPORTS & {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in FORBIDDEN_IMPORTS
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in FORBIDDEN_CALLS
            keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
            assert keywords.get("shell") != "True"
            if name == "torch.load":
                assert keywords.get("weights_only") == "True"


def test_every_module_has_its_tests() -> None:
    tested = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    top_level = {path.stem for path in PACKAGE.iterdir() if not path.name.startswith("_")}
    covered_elsewhere = {
        "constraint": "grammar",
        "prompt": "continuation",
        "tune": "tokenizer",
        "presets": "training",
        "survey": "corpus",
        "imaging": "engraving",
        "gallery": "notebook",
    }
    missing = {name for name in top_level if covered_elsewhere.get(name, name) not in tested}
    assert missing == set()
