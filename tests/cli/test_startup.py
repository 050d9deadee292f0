"""Start-up: the modules that `--help`, an import and a first tune load."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "pytorch_lightning", "music21", "matplotlib", "mido", "pretty_midi", "symusic"}


def loaded(program: str) -> set[str]:
    """The modules that are loaded after a program in a fresh interpreter."""
    code = f"import sys\n{program}\nprint('\\n' + ' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def command(line: str) -> str:
    """A program that runs `musicgen` with some arguments."""
    return (
        f"sys.argv = {['musicgen', *line.split()]}\n"
        "from musicgen.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass"
    )


@pytest.mark.parametrize(
    "program", ["import musicgen", command("--help"), command("generate --help")]
)
def test_help_and_import_load_no_numpy(program: str) -> None:
    modules = loaded(program)
    assert not modules & (HEAVY | {"numpy", "multiprocessing", "musicgen.formats.abc_notation"})
    assert sum(name.startswith("musicgen") for name in modules) < 70


def test_a_first_tune_loads_no_torch() -> None:
    modules = loaded(command("generate --seed 1 --best-of 1"))
    assert "musicgen.models.checkpoint" in modules
    assert not modules & HEAVY


def test_importing_the_controls_loads_no_model() -> None:
    modules = loaded("from musicgen.composer.controls import Controls; Controls(key='D').parse()")
    assert not modules & (HEAVY | {"numpy", "musicgen.models"})
