"""The documentation: its commands and files exist, its links lead somewhere, its Python runs."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from musicgen.cli import app
from musicgen.formats.registry import READERS, WRITERS
from tests import ROOT
from tests.runs import make_reels

PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "data/README.md", "scripts/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
LONGEST = {"README.md": 250, "docs/architecture.md": 150}  # lines
FOLDERS = "musicgen|scripts|tests|docs|data|checkpoints"

pages = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def fenced(page: Path, language: str) -> str:
    """The blocks of a language in a page, one after the other."""
    text = page.read_text("utf-8")
    return "\n".join(re.findall(rf"^```{language}(?: show)?\n(.*?)^```", text, re.S | re.M))


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every command of ours in the bash blocks of a page."""
    for line in re.split(r"\n|&&", fenced(page, "bash").replace("\\\n", "")):
        words = shlex.split(line, comments=True)
        if words[:1] == ["musicgen"]:
            yield words[1:]


@pages
def test_every_command_and_option_on_a_page_exists(page: Path) -> None:
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, *words in commands(page):
        command = known[name]
        if hasattr(command, "commands"):  # a group, such as inspect
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        options |= {option for p in command.params for option in p.secondary_opts}
        assert {word for word in words if re.match("--?[a-z]", word)} <= options, [name, *words]


def test_the_pages_show_every_command() -> None:
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert {name for page in PAGES for name, *_ in commands(page)} == set(known)
    table = (ROOT / "README.md").read_text("utf-8").partition("## Everything else")[2]
    rows = re.findall(r"^\| (`[^|]+`) \|", table.partition("\n## ")[0], re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == set(known)


@pages
def test_every_file_named_on_a_page_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    named = {n.rstrip(".") for n in re.findall(rf"(?<![\w./])(?:{FOLDERS})/[\w./<>*-]*", text)}
    missing = {
        name
        for name in named
        if not re.search("[<*]|FOLDER", name)
        and not (ROOT / name).exists()
        and not (page.parent / name).exists()
    }
    assert not missing


@pages
def test_every_link_on_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.M) if anchor else []
        anchors = [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings]
        assert not anchor or anchor in anchors, target


def test_the_table_of_formats_is_that_of_the_registry() -> None:
    text = (ROOT / "docs/formats.md").read_text("utf-8")
    rows = re.findall(r"^\| (`\..+?) \| (yes|no) \| (yes|no) \|$", text, re.MULTILINE)
    known = {
        name: (read, write) for cell, read, write in rows for name in re.findall(r"`(.+?)`", cell)
    }
    assert {name for name, (read, _) in known.items() if read == "yes"} == set(READERS)
    assert {name for name, (_, write) in known.items() if write == "yes"} == set(WRITERS)


@pytest.mark.parametrize("name", LONGEST)
def test_a_page_that_must_be_short_is_short(name: str) -> None:
    assert len((ROOT / name).read_text("utf-8").splitlines()) <= LONGEST[name]


@pages
@pytest.mark.filterwarnings("ignore::pytorch_lightning.utilities.warnings.PossibleUserWarning")
@pytest.mark.filterwarnings("ignore:.*LeafSpec")
def test_the_python_on_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells of the guide run in a test of their own."""
    code = fenced(page, "python")
    if page.name == "guide.md" or not code:
        return
    shutil.copy(ROOT / "docs/tune.abc", tmp_path)
    whole = (tmp_path / "tune.abc").read_text("utf-8")
    (tmp_path / "half.abc").write_text(whole[: whole.index("cAF GAG")], "utf-8")
    make_reels(tmp_path / "tunes", 12)  # a corpus that is trained on in seconds
    code = code.replace('TuneDataModule("celtic")', 'TuneDataModule("tunes")')
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(page), "exec"), {})
    assert len(list(tmp_path.iterdir())) > 2


def file_of(module: str) -> Path:
    """The file of a module or package, by its name inside `musicgen`."""
    path = ROOT / "musicgen" / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def test_the_new_names_of_the_upgrade_note_exist() -> None:
    text = (ROOT / "docs/upgrading.md").read_text("utf-8")
    modules, _, classes = text.partition("## Classes")
    moved = re.findall(r"^\| (`[^|]+`) \| (?:(the same.* under) )?`([\w.]+)`", modules, re.M)
    assert len(moved) > 60
    for old, same, new in moved:
        names = [new]
        if same:
            names = [new + old.rpartition(".")[2] for old in re.findall(r"`([\w.]+)`", old)]
        assert [name for name in names if not file_of(name).exists()] == []
    rows = re.findall(r"^\| `[\w.]+` \| `(\w+)` \| `([\w.]+)` \|$", classes, re.M)
    assert len(rows) > 60
    for name, module in rows:
        assert re.search(rf"^(?:class|def) {name}\b", file_of(module).read_text("utf-8"), re.M), (
            name
        )
