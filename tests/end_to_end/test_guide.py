"""The guide: its code is the project's, its notebook is itself, every cell and answer runs."""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import shutil
import sys
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from scripts.docs import guide
from tests import ROOT

DOCS = ROOT / "docs"
GUIDE = (DOCS / "guide.md").read_text("utf-8")


BLOCKS = list(guide.blocks(GUIDE))
ANSWERS = {
    block.words.removeprefix("answer="): block.text
    for block in BLOCKS
    if block.words.startswith("answer=")
}


def test_the_code_in_the_guide_is_the_code_of_the_project() -> None:
    assert guide.refreshed(GUIDE) == GUIDE, "run scripts/docs/guide.py"
    assert sum(block.words.startswith("from=") for block in BLOCKS) >= 10


def test_code_is_quoted_by_what_it_says() -> None:
    quoted = guide.code_of(
        "musicgen.models.networks.rnn", "Recurrence.forward", "outputs = []", "for u"
    )
    assert quoted.splitlines() == [
        "# musicgen/models/networks/rnn.py: Recurrence.forward",
        "outputs = []",
        "for u in inputs.unbind(dim=1):",
    ]
    assert guide.code_of("musicgen", "load", None, None).startswith("# musicgen/__init__.py")
    with pytest.raises(ValueError, match="which no longer exists"):
        guide.code_of("musicgen.models.networks.rnn", "Recurrence.forward", "no such line", None)


def test_the_notebook_is_made_of_the_guide_and_has_no_outputs() -> None:
    written = (DOCS / "guide.ipynb").read_text("utf-8")
    assert written == guide.notebook(GUIDE), "run scripts/docs/guide.py"
    cells = [cell for cell in json.loads(written)["cells"] if cell["cell_type"] == "code"]
    assert len(cells) >= 20
    assert not any(cell["outputs"] for cell in cells)


def test_blocks_joined_give_the_guide_back() -> None:
    assert "".join(block.markdown() for block in BLOCKS) == GUIDE


def test_every_picture_is_there_and_made_by_the_script() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(figures/([\w.-]+)\)", GUIDE)
    there = {path.name for path in (DOCS / "figures").iterdir()}
    assert set(pictures) == there
    makers = importlib.import_module("scripts.docs.figures").MAKERS
    assert {name.split(".")[0] for name in there} == set(makers)
    assert sum((DOCS / "figures" / name).stat().st_size for name in there) < 1_500_000


def exercise_in(block: guide.Block) -> str | None:
    """The name of the function that a cell asks for."""
    return next((name for name in ANSWERS if block.is_cell and f"def {name}(" in block.text), None)


def run_cells() -> tuple[str, dict[str, dict[str, Any]]]:
    """What the Python cells print that run in one namespace, as in the notebook, and of each
    exercise the namespace in which it was met."""
    names: dict[str, Any] = {}
    met = {}
    with chdir(DOCS), redirect_stdout(io.StringIO()) as said:
        for number, block in enumerate(BLOCKS):
            if block.language == "python" and block.is_cell:
                met[exercise_in(block) or ""] = dict(names)
                exec(compile(block.text, f"guide.md, block {number}", "exec"), names)
    return said.getvalue(), met


def run_exercises(met: dict[str, dict[str, Any]], answers: dict[str, str]) -> str:
    """What the cells of the exercises print with answers filled in."""
    with redirect_stdout(io.StringIO()) as said:
        for name, answer in answers.items():
            (cell,) = (block.text for block in BLOCKS if exercise_in(block) == name)
            text = re.sub(rf"def {name}\(.*?\n\n\n", lambda _, a=answer: a + "\n\n", cell,
                          flags=re.DOTALL)  # fmt: skip
            exec(compile(text, f"guide.md, {name}", "exec"), dict(met[name]))
    return said.getvalue()


def test_the_cells_run_and_their_exercises_judge_answers() -> None:
    printed, met = run_cells()
    verdicts = [line for line in printed.splitlines() if ": not yet. " in line]
    assert len(verdicts) == len(ANSWERS) >= 6
    assert all(". Return " in line for line in verdicts), verdicts
    said = run_exercises(met, ANSWERS)
    assert said.count(": right.") == len(ANSWERS)
    assert "not yet" not in said
    wrong = {
        "distance_of_one_hots": ("size, i, j", "return 1.0", "square root of 2"),
        "run": ("w_in, w_hidden, bias, x", "return torch.tanh(x @ w_in.T + bias)", "Later steps"),
        "cross_entropy_bits": ("scores, target", "return -torch.log2(torch.exp(scores)[target] /"
                               " torch.exp(scores).sum())", "must not overflow"),
        "clipped": ("gradients, bound", "return [g * min(1, bound / float(g.norm())) for g in "
                    "gradients]", "common norm must become 1"),
        "with_temperature": ("scores, t", "return (scores * t).softmax(0)", "takes all"),
        "rows_of": ("numbers, n_rows, length", "return ([numbers[i : i + length] for i in"
                    " range(n_rows)], [numbers[1 : 1 + length]])", "A row begins"),
        "bayes": ("priors, nats, power", "return priors", "A lower cost is likelier"),
        "gradient_of_first_state": (
            "w, inputs, targets, h",
            "return backward(w, inputs, targets, *forward(w, inputs, targets, h)[1:])['b_h']",
            "changes the loss otherwise"),
        "window_of_two": ("vectors", "return torch.cat([vectors, vectors], 1)", "zeros"),
        "attend": ("q, k, v", "return (q @ k.T / 2).softmax(1) @ v", "attend to itself"),
    }  # fmt: skip
    mistakes = {n: f"def {n}({given}):\n    {body}\n" for n, (given, body, _) in wrong.items()}
    said = run_exercises(met, mistakes)
    assert "right." not in said
    for _, _, why in wrong.values():
        assert why in said


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    shutil.copytree(DOCS, tmp_path / "docs")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    notebook = nbformat.read(tmp_path / "docs" / "guide.ipynb", as_version=4)
    nbformat.validate(notebook)
    resources = {"metadata": {"path": str(tmp_path / "docs")}}
    client.NotebookClient(notebook, timeout=600, resources=resources).execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert not [out for out in outputs if out["output_type"] == "error"]
    assert (tmp_path / "docs" / "gradients.png").stat().st_size > 10_000
