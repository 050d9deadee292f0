"""Every pair of formats by extension, on the command line: the notes stay what they were."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from musicgen.cli import main
from musicgen.formats import READERS, WRITERS, read, write
from musicgen.formats.abc_notation import parse_text
from musicgen.music.playback import played_notes

# A pickup, triplets, a tie over a bar line, dots, accidentals, repeats with two endings.
LINE = """X:1
T:All sorts
M:3/4
L:1/8
Q:1/4=90
K:Gm
d2|:G2 (3ABc d2|^f3 e d2-|d2 =e^f g2|[1 B3 A G2:|[2 G4 d2||
_a4 (3gfe|d2 c>B A2|(3B2A2G2 ^F2|G6|]
"""
TWO = """X:1
T:Two
M:4/4
L:1/4
Q:1/4=90
K:D
V:1
d f a f|e2 c2|d4|]
V:2
[D,F,]2 D,2|A,,2 z A,,|D,4|]
"""
KERN = """**kern
*k[b-e-]
*M3/4
=1
4g
8a
8b-
4dd
=2
4.ff#
8ee-
4dd
==
*-
"""
NOTATION = [suffix for suffix in WRITERS if suffix in READERS]
PICTURES = [s for s, row in WRITERS.items() if s not in READERS and not row.is_audio]


def heard(path: Path, **options: str) -> list[tuple[Fraction, Fraction, int]]:
    (tune,) = read(path, **options)
    return sorted((n.onset, n.duration, n.midi) for n in played_notes(tune))


def convert(source: Path, target: Path, *options: str) -> None:
    before, sys.argv = sys.argv, ["musicgen", "render", str(source), "-o", str(target), *options]
    try:
        with contextlib.suppress(SystemExit):
            main()
    finally:
        sys.argv = before


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of each format that can be read."""
    folder = tmp_path_factory.mktemp("sources")
    (line,) = parse_text(LINE).tunes
    for suffix in NOTATION:
        write(line, folder / f"line{suffix}")
    (folder / "line.krn").write_text(KERN)
    for suffix in (suffix for suffix, row in READERS.items() if row.is_table):
        (folder / f"line{suffix}").write_text(json.dumps([{"abc": LINE}]))  # known by its content
    shutil.copy(folder / "line.mid", folder / "line.kar")
    return {suffix: folder / f"line{suffix}" for suffix in READERS}


@pytest.mark.parametrize("target", NOTATION)
@pytest.mark.parametrize("source", READERS)
def test_notes_survive_every_pair_of_formats(
    sources: dict[str, Path], tmp_path: Path, source: str, target: str
) -> None:
    made = tmp_path / f"made{target}"
    convert(sources[source], made)
    assert heard(made) == heard(sources[source])
    if source != ".krn":
        assert heard(made) == heard(sources[".abc"])


@pytest.mark.parametrize("target", NOTATION)
def test_several_voices_survive(tmp_path: Path, target: str) -> None:
    (two,) = parse_text(TWO).tunes
    expected = sorted((n.onset, n.duration, n.midi) for n in played_notes(two))
    write(two, tmp_path / "two.mid")
    made = tmp_path / f"made{target}"
    convert(tmp_path / "two.mid", made, "--voices", "all")
    everything = {"voices": "all"} if target.startswith(".mid") else {}
    assert heard(made, **everything) == expected


@pytest.mark.parametrize("target", PICTURES)
@pytest.mark.parametrize("source", [".mid", ".mxl", ".krn"])
def test_pictures_are_made_of_every_kind_of_file(
    sources: dict[str, Path], tmp_path: Path, source: str, target: str
) -> None:
    made = tmp_path / f"made{target}"
    convert(sources[source], made)
    starts = {".pdf": b"%PDF", ".png": b"\x89PNG", ".svg": b"<", ".html": b"<!doctype html>"}
    assert made.read_bytes().startswith(starts["." + target.rpartition(".")[2]])


def test_files_and_folders_of_every_format_at_once(
    sources: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad files are listed, the rest is converted, folders keep their shape."""
    folder = next(iter(sources.values())).parent
    more = tmp_path / "more" / "deep"
    more.mkdir(parents=True)
    (more / "bad.mid").write_bytes(b"MThd")
    write(parse_text(LINE).tunes[0], more / "good.mxl")
    out = tmp_path / "out"
    words = ["render", str(folder), str(tmp_path / "more"), "-o", str(out), "--to", "abc,mid"]
    before, sys.argv = sys.argv, ["musicgen", *words, "--jobs", "1"]
    try:
        with pytest.raises(SystemExit) as stop:
            main()
    finally:
        sys.argv = before
    said = capsys.readouterr().err
    assert stop.value.code == 1
    assert said.count("bad.mid") == 1
    made = sorted(out.rglob("*.abc"))
    assert len(made) == len(READERS) + 1
    expected = heard(sources[".abc"])
    assert sum(heard(path) == expected for path in made) == len(made) - 1  # kern is another tune


@pytest.mark.parametrize("command", ["validate", "novelty", "play", "continue", "vary", "evaluate"])
def test_every_command_that_reads_midi_takes_its_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    write(parse_text(TWO).tunes[0], tmp_path / "two.mid")
    before, sys.argv = sys.argv, ["musicgen", command, str(tmp_path / "two.mid"), "--track", "9"]
    try:
        with pytest.raises(SystemExit) as stop:
            main()
    finally:
        sys.argv = before
    said = "".join(capsys.readouterr())
    assert stop.value.code == 1
    assert "track 9: has no notes; tracks with notes are 2 '1', 3 '2'" in said


def test_an_option_that_a_file_has_no_use_for_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(parse_text(LINE).tunes[0], tmp_path / "line.abc")
    before, sys.argv = (
        sys.argv,
        ["musicgen", "continue", str(tmp_path / "line.abc"), "--track", "1"],
    )
    try:
        with pytest.raises(SystemExit) as stop:
            main()
    finally:
        sys.argv = before
    assert stop.value.code == 1
    assert "no option 'track' of .abc" in capsys.readouterr().err
