"""What a killed process leaves behind, and who may write in a folder."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from musicgen.errors import MusicgenError
from musicgen.system import temporary
from musicgen.system.files import write_bytes
from musicgen.system.temporary import SUFFIX, clear_leftovers, only_writer, replacing_folder

IMPORTS = """
import sys, time
from pathlib import Path
from musicgen.system.temporary import only_writer, replacing_folder, temporary_file
folder = Path(sys.argv[1])
"""
REPLACING = "with replacing_folder(folder / 'tokens') as new: (new / 'a').write_text('half'); {}"
WRITING = "with temporary_file(folder) as (path, file): file.write(b'half'); file.flush(); {}"
HOLDING = "with only_writer(folder): {}"


@contextmanager
def in_process(folder: Path, work: str) -> Iterator[subprocess.Popen[str]]:
    """Another process in the middle of its work, until the block ends."""
    code = IMPORTS + work.format("print('ready', flush=True); time.sleep(60)")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("work", [REPLACING, WRITING])
def test_what_a_living_process_writes_stays_and_what_a_killed_one_left_goes(
    tmp_path: Path, work: str
) -> None:
    with in_process(tmp_path, work) as process:
        before = hidden(tmp_path)
        clear_leftovers(tmp_path)
        assert hidden(tmp_path) == before
        assert len(before) == 1
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert hidden(tmp_path) == before
        write_bytes(tmp_path / "a.abc", b"")  # the first that this process writes here
        assert hidden(tmp_path) == []


def test_a_folder_that_a_killed_process_had_moved_aside_comes_back(tmp_path: Path) -> None:
    aside = tmp_path / f".0123{SUFFIX}" / "old" / "tokens"
    aside.mkdir(parents=True)
    (aside / "a").write_text("mine")
    with replacing_folder(tmp_path / "other"):
        pass
    assert (tmp_path / "tokens" / "a").read_text() == "mine"
    assert hidden(tmp_path) == []


def test_an_interruption_between_two_renames_puts_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens" / "a").write_text("mine")
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        if path.parent.name == "new":
            raise KeyboardInterrupt
        return rename(path, target)

    with (
        pytest.raises(KeyboardInterrupt),
        monkeypatch.context() as patched,
        replacing_folder(tmp_path / "tokens"),
    ):
        patched.setattr(Path, "rename", interrupted)
    assert (tmp_path / "tokens" / "a").read_text() == "mine"
    assert hidden(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the holder is known on Linux alone")
def test_the_second_writer_is_refused_by_the_number_of_the_first(tmp_path: Path) -> None:
    for work, folder in ((HOLDING, tmp_path), (REPLACING, tmp_path / "tokens")):
        with in_process(tmp_path, work) as process:
            message = (
                f"{folder}: process {process.pid} is writing here; wait for it, or choose another "
                "folder"
            )
            writing = only_writer(folder) if work is HOLDING else replacing_folder(folder)
            with pytest.raises(MusicgenError) as error, writing:
                pass
            assert str(error.value) == message
    with only_writer(tmp_path), replacing_folder(tmp_path / "tokens"):  # the first was killed
        pass


def test_without_locks_a_leftover_goes_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporary, "_try_lock", lambda handle: None)
    young, old = (tmp_path / f".{name}{SUFFIX}" for name in "ab")
    young.touch()
    old.touch()
    os.utime(old, (time.time() - 90_000,) * 2)
    clear_leftovers(tmp_path)
    assert hidden(tmp_path) == [young.name]
    with only_writer(tmp_path):
        pass


def test_a_file_of_the_user_is_no_leftover(tmp_path: Path) -> None:
    names = [".profile", ".0123456789abcdef", f"a{SUFFIX}", ".model.x1y2z3"]
    for name in names:
        (tmp_path / name).touch()
    clear_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_a_leftover_that_another_process_is_clearing_up_is_no_second_writer(tmp_path: Path) -> None:
    leftover = tmp_path / f".0{temporary.SUFFIX}"
    (leftover / "new" / "tokens").mkdir(parents=True)
    handle = os.open(leftover, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)  # as one that deletes it does
    clearing = threading.Timer(0.2, shutil.rmtree, [leftover])
    clearing.start()
    with temporary.replacing_folder(tmp_path / "tokens") as new:
        (new / "file").touch()
    clearing.join()
    os.close(handle)
    assert (tmp_path / "tokens" / "file").is_file()
