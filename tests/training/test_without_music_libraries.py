"""Training from a prepared folder imports no library that reads or writes music."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from musicgen.corpus.preparation import prepare
from tests import ROOT

_SCRIPT = """
import sys
for name in ("music21", "symusic", "mido", "miditok", "pretty_midi"):
    sys.modules[name] = None  # importing it raises ImportError
from pathlib import Path
from musicgen.corpus.tokenset import TokenSet
from musicgen.models import ModelConfig
from musicgen.training import TrainConfig, train
config = TrainConfig(steps=2, val_every=2, model=ModelConfig(d_model=16))
print(train(config, TokenSet.load("tokens"), Path("run")).steps)
readers = ("musicgen.corpus.loading", "musicgen.corpus.preparation", "musicgen.corpus.sources")
print(*(name for name in readers if name in sys.modules))
"""


def test_a_prepared_folder_is_trained_on_without_a_music_library(tmp_path: Path) -> None:
    for number, degrees in enumerate(("CDEFGABc", "cBAGFEDC", "CEGcGECE", "GABcdefg")):
        bars = "|".join(degrees[k:] + degrees[:k] for k in range(8))
        (tmp_path / f"{number}.abc").write_text(f"X:1\nM:4/4\nL:1/8\nK:C\n{bars}|]\n")
    prepare([tmp_path], folder=tmp_path / "tokens", val=0.3, test=0)
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2"], done.stdout
