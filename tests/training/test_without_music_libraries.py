"""Training from a prepared folder needs no library that reads or writes music, nor the Hub's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from musicgen.corpus.preparation import prepare
from musicgen.models import checkpoint
from tests import ROOT

BLOCKED = ("music21", "symusic", "mido", "miditok", "pretty_midi", "huggingface_hub")
# Run by Python at its start, in every process of the command.
SITE = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""
PROGRAM = f"""
import importlib, json, sys
from musicgen.cli import main
for name in {BLOCKED}:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        continue
    raise AssertionError(name)
for arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, stop
readers = ("musicgen.corpus.loading", "musicgen.formats.midi.reading")
print(json.dumps([name for name in readers if name in sys.modules]))
"""
TINY = ("--set", "steps=2", "--set", "epochs=null", "--set", "model.d_model=16")


def test_a_prepared_folder_is_trained_on_without_a_music_library(tmp_path: Path) -> None:
    for number, degrees in enumerate(("CDEFGABc", "cBAGFEDC", "CEGcGECE", "GABcdefg")):
        bars = "|".join(degrees[k:] + degrees[:k] for k in range(8))
        (tmp_path / f"{number}.abc").write_text(f"X:1\nM:4/4\nL:1/8\nK:C\n{bars}|]\n")
    prepare([tmp_path], folder=tmp_path / "tokens", val=0.3, test=0)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
    commands = [
        ["train", "--tokens", "tokens", *arguments]
        for arguments in (
            (*TINY, "--out", "run"),
            ("--from", "run", "--epochs", "1", "--out", "more"),
        )
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        cwd=tmp_path,
        env={
            "PYTHONPATH": f"{tmp_path / 'site'}:{ROOT}",
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
    assert checkpoint.load(tmp_path / "run").metrics["steps"] == 2
    assert checkpoint.load(tmp_path / "more").novelty is not None
