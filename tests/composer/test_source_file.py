"""The file of a tune: read once, parsed once, and written with everything given unchanged."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from typer.testing import CliRunner

from musicgen import formats
from musicgen.cli import app
from musicgen.composer.prompts.source_file import SourceFile
from musicgen.formats.abc_notation import tunebook
from musicgen.formats.midi import reading

HALF_REEL = "X:1\nT:Half a reel\nR:reel\nM:4/4\nL:1/8\nK:D\n|: d2fd Adfd | e2ge BgeB | d2fd edcB\n"
HALF_BOOK = "M:4/4\n\n" + HALF_REEL.replace("M:4/4\n", "") + "\nX:2\nT:Other\nL:1/8\nK:D\nd8|]\n"


class Counter:
    """Counts calls of functions that a test replaces."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.n_calls: dict[str, int] = {}

    def count(self, module: object, name: str) -> None:
        function = getattr(module, name)
        self.n_calls[name] = 0

        def counted(*args: object, **options: object) -> object:
            self.n_calls[name] += 1
            return function(*args, **options)

        self.monkeypatch.setattr(module, name, counted)


def run(words: list[str]) -> None:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output


def test_continue_reads_an_abc_file_once_and_parses_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "half.abc"
    path.write_text(HALF_REEL)
    counter = Counter(monkeypatch)
    counter.count(formats, "read_bytes")
    counter.count(tunebook, "_read_each")
    run(["continue", str(path), "-n", "2", "--seed", "1", "--no-novelty"])
    # Besides the file itself: the text with a probe at its end, which shows how a next note would
    # be read, and each continued text, which is checked to be read as the notes that are meant.
    assert counter.n_calls == {"read_bytes": 1, "_read_each": 1 + 1 + 2}


def test_infill_parses_only_new_texts_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "half.abc"
    path.write_text(HALF_REEL)
    counter = Counter(monkeypatch)
    counter.count(formats, "read_bytes")
    counter.count(tunebook, "_read_each")
    run(["infill", str(path), "--bars", "2", "--seed", "1", "--no-novelty"])
    assert counter.n_calls == {"read_bytes": 1, "_read_each": 1 + 1 + 1}


def test_continue_reads_a_midi_file_once_and_parses_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, new = tmp_path / "half.mid", tmp_path / "new.mid"
    tune = tunebook.parse_text(HALF_REEL).tunes[0]
    formats.write(tune, path)
    counter = Counter(monkeypatch)
    counter.count(formats, "read_bytes")
    counter.count(reading, "parse_file")
    run(["continue", str(path), "--seed", "1", "--no-novelty", "-o", str(new)])
    assert counter.n_calls == {"read_bytes": 1, "parse_file": 1}


def test_a_midi_file_read_with_options_is_used_only_where_they_changed_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "half.mid"
    formats.write(tunebook.parse_text(HALF_REEL).tunes[0], path)
    (same,) = formats.read(path, track="2")
    (other,) = formats.read(path, key="Bm")
    assert SourceFile.of(same).midi == path.read_bytes()
    assert SourceFile.of(other) == SourceFile()


def test_tunes_of_a_book_share_its_bytes_and_stand_alone_with_its_heading(tmp_path: Path) -> None:
    path = tmp_path / "book.abc"
    path.write_text(HALF_BOOK)
    first, second = formats.read(path)
    assert first.source is not None
    assert second.source is not None
    assert first.source.file is second.source.file
    assert SourceFile.of(first).before == "M:4/4\n\n"
    assert SourceFile.of(second).file_of("X:2\n").startswith(b"M:4/4\n\nX:2\n")


def test_a_pickled_tune_carries_no_file() -> None:
    tune = tunebook.parse(HALF_REEL.encode()).tunes[0]
    copy = pickle.loads(pickle.dumps(tune))
    assert copy == tune
    assert copy.source == tune.source
    assert tune.source is not None
    assert tune.source.file is not None
    assert copy.source.file is None
