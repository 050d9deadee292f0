"""The files of a corpus: found in order, once each, in folders and behind URLs."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from musicgen import corpus
from musicgen.corpus import sources
from musicgen.corpus.cache import prepared
from musicgen.corpus.sources import Listing, find_files
from musicgen.errors import CorpusError
from musicgen.system.remote import read_url

fsspec = pytest.importorskip("fsspec")

TUNE = "X:1\nM:C\nL:1/8\nK:G\n{}|dedB dedB|]\n"


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    folder = tmp_path / "shelf"
    for name in ("b/c/1.abc", "b.abc", "a.abc", "b/2.abc", ".hidden/3.abc", "readme.txt"):
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(TUNE.format(f"GABc {name[0] * 4}" if name[0] != "." else "A8"))
    (folder / "notes.csv").write_text('title,abc\nA,"X:1\nK:G\nGABc|"\n')
    return folder


@pytest.fixture
def archive(shelf: Path) -> Path:
    with zipfile.ZipFile(shelf.parent / "shelf.zip", "w") as file:
        for path in sorted(shelf.rglob("*"), reverse=True):
            if path.is_file():
                file.write(path, path.relative_to(shelf))
    return shelf.parent / "shelf.zip"


def insides(name: str) -> list[str]:
    return [file.label.removeprefix(name).lstrip("/") for file in find_files([name])]


def test_folders_and_archives_are_listed_in_the_order_of_names(shelf: Path, archive: Path) -> None:
    expected = ["a.abc", "b/2.abc", "b/c/1.abc", "b.abc", "notes.csv"]
    assert insides(str(shelf)) == expected
    assert insides(f"file://{shelf}") == expected
    assert insides(f"zip://{archive}") == expected
    assert insides(f"zip://::{archive}") == expected
    assert insides(f"zip://b::{archive}") == ["2.abc", "c/1.abc"]
    assert insides(f"simplecache::zip://b::{archive}") == ["2.abc", "c/1.abc"]


@pytest.mark.parametrize("where", ["folder", "zip", "memory"])
def test_tunes_behind_a_url_are_those_of_the_folder(shelf: Path, archive: Path, where: str) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(shelf), "/shelf", recursive=True)
    url = {"folder": f"file://{shelf}", "zip": f"zip://{archive}", "memory": "memory://shelf"}
    here, there = corpus.load(str(shelf)), corpus.load(url[where])
    assert [entry.digest for entry in there.entries] == [entry.digest for entry in here.entries]
    assert there.entries[0].id == f"{url[where]}/a.abc:1"
    memory.rm("/shelf", recursive=True)


def test_a_single_file_behind_a_url_is_a_corpus_with_a_column_for_tables(shelf: Path) -> None:
    assert corpus.load(f"file://{shelf}/a.abc").entries[0].id == f"file://{shelf}/a.abc:1"
    (found,) = find_files([f"file://{shelf}/notes.csv#abc"])
    assert (found.column, found.url) == ("abc", f"file://{shelf}/notes.csv")


def test_a_change_behind_a_url_is_noticed_by_the_cache(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/book/a.abc", TUNE.format("GABc GABc").encode())
    first = prepared("memory://book", cache=tmp_path)
    assert prepared("memory://book", cache=tmp_path).folder == first.folder
    memory.pipe("/book/a.abc", (TUNE.format("GABc GABc") + TUNE.format("A8")).encode())
    assert prepared("memory://book", cache=tmp_path).folder != first.folder
    memory.rm("/book", recursive=True)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("memory://none", "memory://none: no such file or folder; check the URL"),
        ("zzz://none", "zzz://none: cannot be read (Protocol not known: zzz); check the URL"),
        ("zip:///none.zip", "zip:///none.zip: no such file or folder; check the URL"),
    ],
)
def test_a_url_without_music_is_one_line(url: str, told: str) -> None:
    with pytest.raises(CorpusError) as error:
        corpus.load(url)
    assert str(error.value).startswith(told)


def test_a_large_file_behind_a_url_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/large/a.abc", TUNE.format("GABc GABc").encode() + b"%" * 2**20)
    memory.pipe("/large/b.abc", TUNE.format("GABc GABc").encode())
    monkeypatch.setenv("MUSICGEN_MAX_BYTES", str(2**20))
    (omitted,) = corpus.load("memory://large").rejected
    assert omitted.reason.startswith("is larger than 1 MiB")
    monkeypatch.delenv("MUSICGEN_MAX_BYTES")
    assert len(read_url("memory://large/a.abc")) > 2**20
    memory.rm("/large", recursive=True)


def test_links_to_a_listed_file_are_passed_over_and_others_are_not(shelf: Path) -> None:
    (shelf / "aa.abc").symlink_to("b.abc")
    (shelf / "z.abc").symlink_to(".hidden/3.abc")
    (shelf / "zz.abc").symlink_to(".hidden/3.abc")
    (shelf / "folder").symlink_to("b")
    expected = ["a.abc", "b/2.abc", "b/c/1.abc", "b.abc", "notes.csv", "z.abc"]
    assert insides(str(shelf)) == expected


def test_a_long_list_is_made_anew_and_the_same(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Listing([str(shelf)])
    monkeypatch.setattr(sources, "_MOST_KEPT", 2)
    long = Listing([str(shelf)])
    assert list(long) == list(short) == list(long)
    assert (len(long), long.digest) == (5, short.digest)
