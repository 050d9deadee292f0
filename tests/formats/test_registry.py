"""A format from outside the package: one registration, and every way to files knows it."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import musicgen
from musicgen import corpus, formats
from musicgen.cli import main
from musicgen.errors import ConfigError, ParseError, UnsupportedFormatError
from musicgen.formats.abc_notation import parse_text, to_abc
from musicgen.formats.registry import Format, register, unregister
from musicgen.music.tune import Reading, Tune

TUNE = "X:1\nT:Scale\nL:1/8\nM:4/4\nK:C\nCDEF GABc|]\n"


def read_toy(data: bytes, path: str, *, skip: int = 0) -> Reading:
    return parse_text("\n".join(json.loads(data)["tunes"][skip:]), path)


def write_toy(tunes: Sequence[Tune], *, indent: int | None = None) -> bytes:
    return json.dumps({"tunes": [to_abc(tune) for tune in tunes]}, indent=indent).encode()


TOY = Format(
    name="toy",
    extensions=(".toy", ".book.toy"),
    reader=read_toy,
    writer=f"{__name__}:write_toy",
    holds_many=True,
)


@pytest.fixture
def toy() -> Iterator[Format]:
    register(TOY)
    yield TOY
    unregister(TOY)


@pytest.fixture
def tune() -> Tune:
    return parse_text(TUNE).tunes[0]


@pytest.mark.parametrize("name", ["x.toy", "x.book.toy", "X.TOY"])
def test_what_a_registered_format_writes_it_reads(
    toy: Format, tune: Tune, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    musicgen.write([tune, tune], path)
    assert musicgen.read(path) == [tune, tune]
    assert musicgen.scan(path).tunes == (tune, tune)
    assert list(formats.scan_each(path)) == [tune, tune]


def test_options_are_the_keyword_only_parameters(toy: Format, tune: Tune, tmp_path: Path) -> None:
    musicgen.write([tune, tune], tmp_path / "x.toy", indent=2)
    assert (tmp_path / "x.toy").read_text().startswith('{\n  "')
    assert musicgen.read(tmp_path / "x.toy", skip=1) == [tune]
    with pytest.raises(ConfigError, match=r"no option 'paper' of \.toy; it has indent"):
        musicgen.write(tune, tmp_path / "x.toy", paper="a4")


def test_the_lists_of_known_extensions_name_it(toy: Format, tune: Tune, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormatError, match=r"\.toy"):
        musicgen.read("x.unknown")
    with pytest.raises(UnsupportedFormatError, match=r"\.toy"):
        musicgen.write(tune, "x.unknown")
    musicgen.write(tune, tmp_path / "x.toy")
    assert [file.path.name for file in corpus.find_files([str(tmp_path)])] == ["x.toy"]


@pytest.mark.parametrize("words", ["-o {}/made.toy", "-o {} --to toy --jobs 1"])
def test_the_command_line_converts_to_it(
    toy: Format, tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    (tmp_path / "scale.abc").write_text(TUNE)
    arguments = words.format(tmp_path).split()
    monkeypatch.setattr(
        sys, "argv", ["musicgen", "render", str(tmp_path / "scale.abc"), *arguments]
    )
    with contextlib.suppress(SystemExit):
        main()
    (made,) = tmp_path.rglob("*.toy")
    assert musicgen.read(made) == [tune]


def test_a_format_that_is_removed_is_unknown_again(toy: Format) -> None:
    register(spare := Format(name="spare", extensions=(".spare",), reader=read_toy))
    assert formats.readable("x.spare")
    unregister(spare)
    assert not formats.readable("x.spare")
    assert formats.readable("x.toy")


@pytest.mark.parametrize("extension", [".abc", ".mid", "ly", ".LY"])
def test_an_extension_is_new_and_in_lower_case(extension: str) -> None:
    with pytest.raises(ConfigError, match=extension):
        register(Format(name="bad", extensions=(".new", extension), reader=read_toy))
    assert not formats.readable("x.new")


def test_a_signature_tells_the_right_name_of_a_file(tmp_path: Path) -> None:
    row = Format(
        name="braces", extensions=(".brace",), reader=read_toy, signature=re.compile(rb"\{")
    )
    register(row)
    try:
        (tmp_path / "x.abc").write_text('{"tunes": []}')
        with pytest.raises(ParseError, match=r"is braces; name it \.brace"):
            musicgen.read(tmp_path / "x.abc")
    finally:
        unregister(row)


def test_every_row_has_a_function_for_what_it_promises() -> None:
    for row in formats.READERS.values():
        assert callable(row.parse)
        assert row.each_reader is None or callable(row.parse_each)
    for row in formats.WRITERS.values():
        assert callable(row.render)


FIRST_USE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from musicgen.formats.registry import READERS, WRITERS
sys.setswitchinterval(1e-6)
uses = [lambda row=row: row.writing_options for row in WRITERS.values()]
uses += [lambda row=row: row.reading_options for row in READERS.values()]
barrier = Barrier(len(uses))

def use(first):
    barrier.wait()
    first()

with ThreadPoolExecutor(len(uses)) as pool:
    list(pool.map(use, uses))
"""


def test_many_threads_may_use_formats_for_the_first_time_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_USE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
