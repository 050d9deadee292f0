"""The cache of prepared corpora: parsed once, by one of several processes; damage is mended."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from musicgen.corpus.cache import cache_folder, prepared
from musicgen.errors import CorpusError
from musicgen.system.temporary import SUFFIX
from tests import ROOT
from tests.processes import refusal_in_child
from tests.runs import make_reels

PROGRAM = """
import sys
from musicgen.corpus.cache import prepared
print(prepared(sys.argv[1], cache=sys.argv[2]).tokens.fingerprint)
"""


@pytest.fixture
def tunes(tmp_path: Path) -> Path:
    make_reels(tmp_path / "tunes", 12)
    return tmp_path / "tunes"


def test_of_several_processes_one_parses_and_all_get_the_same(tmp_path: Path, tunes: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tunes), str(tmp_path / "cache")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(3)
    ]
    found = {process.communicate(timeout=120)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert found == {f"{prepared(tunes, cache=tmp_path / 'cache').tokens.fingerprint}\n"}
    (entry,) = (tmp_path / "cache").iterdir()
    assert [path.name for path in entry.iterdir()] == ["data"]


def test_a_changed_tune_or_option_is_another_entry(tmp_path: Path, tunes: Path) -> None:
    cache = tmp_path / "cache"
    first = prepared(tunes, cache=cache)
    assert prepared([tunes], cache=cache).folder == first.folder
    assert prepared(tunes, tokenizer="char", cache=cache).folder != first.folder
    (tunes / "00.abc").write_text((tunes / "00.abc").read_text().replace("K:G", "K:D"))
    assert prepared(tunes, cache=cache).folder != first.folder


@pytest.mark.parametrize("name", ["summary.json", "tokens/meta.json", "tokens/train.ids.npy"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, tunes: Path, name: str) -> None:
    cache = tmp_path / "cache"
    first = prepared(tunes, cache=cache)
    fingerprint = first.tokens.fingerprint
    damaged = first.folder.parent / name
    damaged.write_bytes(damaged.read_bytes()[:-9])
    assert prepared(tunes, cache=cache).tokens.fingerprint == fingerprint


def test_what_a_killed_process_left_is_removed(tmp_path: Path, tunes: Path) -> None:
    first = prepared(tunes, cache=tmp_path / "cache")
    data = first.folder.parent
    half = data.with_name(f".x1y2z3{SUFFIX}")
    (half / "new" / "data").mkdir(parents=True)
    (data / "summary.json").unlink()
    assert prepared(tunes, cache=tmp_path / "cache").summary == first.summary
    assert [path.name for path in data.parent.iterdir()] == ["data"]


def test_the_folder_is_the_one_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSICGEN_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("MUSICGEN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert cache_folder() == tmp_path / "musicgen"


def test_a_cache_that_cannot_be_written_is_told_in_one_line(tmp_path: Path, tunes: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CorpusError, match=r"cannot be written .* set MUSICGEN_CACHE to a folder"):
        prepared(tunes, cache=tmp_path / "file")
    message = refusal_in_child(partial(prepared, tunes, cache=tmp_path / "cache"), most_bytes=8000)
    (entry,) = (tmp_path / "cache").iterdir()
    assert message == (
        f"{entry}: the cache cannot be written (File too large); set MUSICGEN_CACHE to a folder "
        "that can"
    )
    assert not list(entry.iterdir())
