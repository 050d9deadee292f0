"""Ideas: files and folders of strangers, made by hand, spoiled at random, or left by a kill."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from musicgen import formats
from musicgen.errors import MusicgenError, printable
from musicgen.music.validation import validate
from scripts.checks.fuzz import FOLDERS, MUSIC
from scripts.checks.ideas import ROOT, Idea, script
from tests import hostile

READ_S = 20.0  # of processor; two on an idle machine


def made_by_hand(suffix: str, folder: Path) -> str:
    """Read and judge every hostile file of a format."""
    for name, make in hostile.FILES.items():
        if not name.endswith(suffix):
            continue
        path = folder / name
        path.write_bytes(make())
        began = time.process_time()
        try:
            for tune in formats.scan(path).tunes:
                validate(tune)
        except MusicgenError as error:
            if str(error) != printable(str(error)) or not str(error).startswith(str(path)):
                return f"{name}: {printable(str(error))}"
        if time.process_time() - began > READ_S:
            return f"{name}: took {time.process_time() - began:.0f} s of processor"
        path.unlink()
    return ""


IDEAS: dict[str, Idea] = {
    **{
        f"{suffix} files made by hand are music or one line": partial(made_by_hand, suffix)
        for suffix in MUSIC
    },
    **{
        f"{kind} spoiled at random for ten seconds": script(
            "fuzz.py", "--seconds", 10, "--seed", 77, "--format", kind
        )
        for kind in (*MUSIC, *FOLDERS)
    },
    "flipped bits and cut files of a model are noticed": script(
        "flips.py", "--flips", 200, "--cuts", 50, "--model", ROOT / "checkpoints/celtic-rnn"
    ),
    "killed training goes on as if nothing had happened": script("kills.py", "--kills", 10),
    "a folder with one bad file in ten is worked through": script(
        "batch.py", "--files", 300, "--bad", 30
    ),
}
