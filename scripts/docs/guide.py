"""Update docs/guide.md and the README's package table from the code; make docs/guide.ipynb.

    python scripts/docs/guide.py            # write all three
    python scripts/docs/guide.py --check    # print the differences; exit 1 if there are any

The table of packages in the README holds the first docstring line of each package. The guide's
Markdown is the only source of the notebook. Its fenced blocks are of these kinds, by the words
after the backticks:

    bash                             a command: a cell of the notebook
    bash show                        a command that takes long: shown only
    python                           a cell of the notebook
    python from=MODULE:NAME[A...B]   that object's code, inserted by this script; of a long one
                                     the lines from the one with the text A to the one with B
    python run from=MODULE:NAME      the same, and a cell of the notebook
    python answer=NAME               the answer to an exercise: shown only
    text, abc ...                    shown only

Quoted code loses its docstrings and gets its file and name in a first line.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import command_line

ROOT = Path(__file__).resolve().parents[2]
README, GUIDE, NOTEBOOK = (ROOT / n for n in ("README.md", "docs/guide.md", "docs/guide.ipynb"))
_ROW = re.compile(r"^\| `([\w.]+/?)` \| .+ \|$", re.MULTILINE)
_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_DEFINITION = ast.FunctionDef | ast.ClassDef
_SOURCE = re.compile(r"(?:run )?from=([\w.]+):([\w.]+)(?:\[(.*)\.\.\.(.*)\])?")


class Block(NamedTuple):
    """A part of the guide: Markdown (language ""), or a fenced block with its words."""

    language: str
    words: str
    text: str

    @property
    def is_cell(self) -> bool:
        """Whether the notebook runs it."""
        plain = not self.words or self.words.startswith("run ")
        return self.language in ("bash", "python") and plain

    def markdown(self) -> str:
        """The block as it stands in the guide."""
        if not self.language:
            return self.text
        words = f" {self.words}" if self.words else ""
        return f"```{self.language}{words}\n{self.text}```"


def blocks(text: str) -> Iterator[Block]:
    """The parts of the guide; joined they give it back."""
    end = 0
    for match in _FENCE.finditer(text):
        if match.start() > end:
            yield Block("", "", text[end : match.start()])
        yield Block(match[1], match[2].strip(), match[3])
        end = match.end()
    if end < len(text):
        yield Block("", "", text[end:])


def code_of(module: str, name: str, first: str | None, last: str | None) -> str:
    """The source lines of an object without docstrings, after a line with its file and name."""
    quoted: Any = importlib.import_module(module)
    for part in name.split("."):
        quoted = getattr(quoted, part)
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(quoted)))
    lines = source.splitlines()
    definitions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, _DEFINITION)]
    for node in sorted(definitions, key=lambda node: -node.lineno):
        if ast.get_docstring(node) is not None:
            doc = node.body[0]
            assert doc.end_lineno is not None
            del lines[doc.lineno - 1 : doc.end_lineno]
    begin = _line_with(first, lines) if first else 0
    end = _line_with(last, lines[begin:]) + begin + 1 if last else len(lines)
    lines = lines[begin:end]
    file = module.replace(".", "/") + ("/__init__" if is_package(module) else "")
    return f"# {file}.py: {name}\n" + textwrap.dedent("\n".join(lines)).strip("\n") + "\n"


def _line_with(text: str, lines: list[str]) -> int:
    """The index of the first line that contains a text."""
    for number, line in enumerate(lines):
        if text in line:
            return number
    raise ValueError(f"the guide quotes a line with '{text}', which no longer exists")


def is_package(module: str) -> bool:
    """Whether a module is a package."""
    return hasattr(importlib.import_module(module), "__path__")


def refreshed(text: str) -> str:
    """The guide with its quoted code as it is now."""

    def renew(block: Block) -> str:
        source = _SOURCE.fullmatch(block.words)
        if source is None:
            return block.markdown()
        return block._replace(text=code_of(*source.groups())).markdown()

    return "".join(renew(block) for block in blocks(text))


def notebook(text: str) -> str:
    """The notebook of a guide, without outputs, as JSON."""
    cells: list[dict[str, Any]] = []
    shown = ""

    def add(kind: str, source: str) -> None:
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{len(cells):03}", "metadata": {}}
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        cells.append({**cell, "source": source.splitlines(keepends=True)})

    for block in blocks(text):
        if not block.is_cell:
            words = block.words if block.language else ""
            plain = block._replace(words="") if words else block
            shown += plain.markdown()
            continue
        if shown.strip():
            add("markdown", shown.strip("\n"))
        shown = ""
        magic = "%%bash\n" if block.language == "bash" else ""
        add("code", magic + block.text.rstrip("\n"))
    if shown.strip():
        add("markdown", shown.strip("\n"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    meta = {"kernelspec": kernel, "language_info": {"name": "python"}}
    document = {"cells": cells, "metadata": meta, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def with_packages(readme: str) -> str:
    """The README with the first docstring lines as they are now in its table of packages."""

    def renew(row: re.Match[str]) -> str:
        path = ROOT / "musicgen" / row[1]
        path = path / "__init__.py" if row[1].endswith("/") else path
        if not path.is_file():
            return row[0]  # a row of another table
        docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        return f"| `{row[1]}` | {docstring.splitlines()[0]} |"

    return _ROW.sub(renew, readme)


def main(*, check: Annotated[bool, "write nothing"] = False) -> bool:
    """Write every page that differs, or print the differences."""
    guide = refreshed(GUIDE.read_text("utf-8"))
    stale = False
    readme = with_packages(README.read_text("utf-8"))
    for path, now in ((README, readme), (GUIDE, guide), (NOTEBOOK, notebook(guide))):
        before = path.read_text("utf-8") if path.exists() else ""
        if before == now:
            continue
        stale = True
        if check:
            lines = difflib.unified_diff(before.splitlines(), now.splitlines(), str(path), "now")
            print("\n".join(lines))
        else:
            path.write_text(now, "utf-8")
            print(f"wrote {path}")
    return check and stale


if __name__ == "__main__":
    command_line.run(main)
