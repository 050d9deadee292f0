"""The one door to the disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from musicgen.errors import MusicgenError, ParseError
from musicgen.system.files import read_bytes, slug, write_bytes


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a.mid", b"\0music\xff")
    assert read_bytes(tmp_path / "a.mid") == b"\0music\xff"


def test_writing_replaces_a_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a.abc", b"old")
    write_bytes(tmp_path / "a.abc", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.abc"]
    assert read_bytes(tmp_path / "a.abc") == b"new"


def test_a_written_file_has_the_usual_permissions(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        write_bytes(tmp_path / "a.abc", b"")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "a.abc").stat().st_mode) == 0o644


def test_writing_leaves_the_umask_of_the_process_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread would make its files with it."""
    changed: list[int] = []
    before = os.umask(0o077)
    monkeypatch.setattr(os, "umask", changed.append)
    try:
        write_bytes(tmp_path / "a.abc", b"")
    finally:
        monkeypatch.undo()
        os.umask(before)
    assert changed == []
    assert stat.S_IMODE((tmp_path / "a.abc").stat().st_mode) == 0o600


def test_a_write_that_fails_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes(tmp_path / "a.abc", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MusicgenError, match=r"cannot be written \(No space left on device\)"):
        write_bytes(tmp_path / "a.abc", b"new")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.abc", b"old")]


def test_writing_into_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "none" / "a.abc"
    with pytest.raises(MusicgenError) as error:
        write_bytes(path, b"")
    assert str(error.value) == (
        f"{path}: cannot be written (No such file or directory); choose another place"
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParseError) as error:
        read_bytes(tmp_path / "a.abc")
    assert str(error.value) == f"{tmp_path / 'a.abc'}: no such file; check the name"


def test_a_folder_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match="is a folder; name a file in it"):
        read_bytes(tmp_path)


def test_a_pipe_nobody_writes_to_does_not_make_us_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.abc")
    with pytest.raises(ParseError, match="is not a regular file"):
        read_bytes(tmp_path / "pipe.abc")


def test_a_device_is_not_read() -> None:
    with pytest.raises(ParseError, match="is not a regular file"):
        read_bytes("/dev/zero")


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.abc").open("wb") as file:
        file.truncate(3 * 2**20)
    with pytest.raises(ParseError, match="is larger than 2 MiB; split it into smaller files"):
        read_bytes(tmp_path / "huge.abc", max_bytes=2 * 2**20)


def test_a_name_with_a_null_is_an_error_and_no_crash() -> None:
    with pytest.raises(ParseError, match="not a file name"):
        read_bytes("a\0.abc")


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("The Kesh Jig", "the-kesh-jig"),
        ("Ó Súilleabháin's", "o-suilleabhain-s"),
        ("../../etc/passwd", "etc-passwd"),
        ("CON\0\n", "con-tune"),
        ("Aux.", "aux-tune"),
        ("Conn", "conn"),
        ("桜", "tune"),
        ("", "tune"),
        ("x" * 200, "x" * 60),
    ],
)
def test_a_title_becomes_a_safe_file_name(title: str, name: str) -> None:
    assert slug(title) == name
