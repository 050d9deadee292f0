"""Results that cannot be written: found before the work, kept elsewhere if it is too late."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

from musicgen import cli
from musicgen.cli import command, results
from musicgen.composer import Composer, Take
from musicgen.models import checkpoint
from musicgen.models.checkpoint import Checkpoint
from musicgen.system.temporary import only_writer
from tests.commands import run

GOOD = "X:1\nT:fine\nM:4/4\nL:1/8\nK:C\nABcd efga|]\n"


@pytest.fixture
def model(untrained: Checkpoint, tmp_path: Path) -> str:
    checkpoint.save(tmp_path / "model", untrained)
    return str(tmp_path / "model")


@pytest.fixture
def shelter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "shelter"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(results, "_shelter", cache(results._shelter.__wrapped__))
    return folder


def commands() -> Iterator[tuple[list[str], object]]:
    """Every command by its words."""
    for name, each in vars(get_command(cli.app))["commands"].items():
        inner = getattr(each, "commands", None)
        yield from [([name, n], c) for n, c in inner.items()] if inner else [([name], each)]


@pytest.mark.parametrize(
    ("words", "each"), [pytest.param(*row, id="-".join(row[0])) for row in commands()]
)
def test_a_place_without_a_name_is_wrong_usage(
    capsys: pytest.CaptureFixture[str], words: list[str], each: object
) -> None:
    for parameter in vars(each)["params"]:
        if parameter.name in command.places_of(each):
            option = parameter.opts[0]
            given = [option, ""] if option.startswith("-") else [""]
            code, _, err = run(capsys, *words, *given)
            assert code == 2, (words, option)
            assert "is empty" in err, (words, option)


def test_places_are_all_paths_and_names_of_corpora_and_models() -> None:
    places = {" ".join(words): command.places_of(each) for words, each in commands()}
    assert places["train"] == {"corpus", "tokens", "from_", "out"}
    assert places["evaluate"] >= {"sources", "checkpoint", "reference", "report", "as_json"}
    assert all(places.values())


def impossible(folder: Path) -> list[Path]:
    """Files that cannot be written, by root neither."""
    (folder / "file").write_text("")
    (folder / "folder.abc").mkdir()
    return [
        folder / "file" / "x", folder / "none" / "x", folder / ("x" * 300), Path("/proc/x"),
        Path("/dev/full/x"),
    ]  # fmt: skip


COMMANDS = {  # with what each writes; OUT has the extension
    "generate -c MODEL -o OUT": ".abc",
    "continue TUNE -c MODEL -o OUT": ".mid",
    "infill TUNE --bars 1 -c MODEL -o OUT": ".musicxml",
    "vary TUNE -c MODEL -o OUT": ".svg",
    "harmonize TUNE -o OUT": ".abc",
    "harmonize TUNE --attention OUT": ".png",
    "render TUNE -o OUT": ".svg",
    "corpus TUNE --report OUT": ".html",
    "evaluate TUNE --report OUT": ".html",
    "evaluate TUNE --json OUT": ".json",
    "inspect gradients -o OUT": ".png",
    "inspect attention TUNE -o OUT": ".png",
    "inspect embeddings -o OUT": ".pdf",
    "inspect surprise TUNE -o OUT": ".svg",
    "inspect memory -o OUT": ".png",
    "prepare --corpus TUNE --out OUT": "/tokens",
    "train --corpus TUNE --minutes 1 --out OUT": "/run",
    "generate -c MODEL -n 3 -o OUT": "/folder",
    "render TUNE --to mid -o OUT": "/folder",
}  # fmt: skip


@pytest.mark.parametrize("line", COMMANDS)
def test_a_place_that_cannot_be_written_is_found_before_the_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("work was begun")

    for name in ("musicgen.models.checkpoint.load", "musicgen.formats.read",
                 "musicgen.corpus.preparation.examine", "musicgen.corpus.preparation.prepare",
                 "musicgen.corpus.cache.prepared", "musicgen.cli.batch.scan_file"):  # fmt: skip
        monkeypatch.setattr(name, work)
    (tmp_path / "tune.abc").write_text(GOOD)
    suffix = COMMANDS[line]
    for path in impossible(tmp_path):
        if suffix.startswith("/") and path.parent == tmp_path / "none":
            continue  # folders are made
        out = f"{path}{suffix}"
        words = [{"TUNE": str(tmp_path / "tune.abc"), "OUT": out}.get(w, w) for w in line.split()]
        code, printed, err = run(capsys, *words)
        assert (code, printed) == (1, ""), (words, err)
        (message,) = err.splitlines()
        assert ": cannot be " in message, words
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.abc", "tune.abc"]


def test_a_device_and_a_folder_are_not_replaced_by_force(
    capsys: pytest.CaptureFixture[str], model: str, tmp_path: Path
) -> None:
    (tmp_path / "a.abc").mkdir()
    (tmp_path / "null.abc").symlink_to("/dev/null")
    code, _, err = run(capsys, "generate", "-c", model, "--force", "-o", str(tmp_path / "null.abc"))
    assert (code, "cannot be written (Not a regular file)" in err) == (1, True)
    code, _, err = run(capsys, "corpus", model, "--force", "--report", str(tmp_path / "a.html"))
    assert code == 1
    assert not (tmp_path / "a.html").exists()


def composing_removes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While tunes are composed, the folder that they are for goes."""
    takes = Composer.takes

    def removing(*arguments: object, **options: object) -> Iterator[Take]:
        for take in takes(*arguments, **options):  # type: ignore[arg-type]
            shutil.rmtree(folder, ignore_errors=True)
            yield take

    monkeypatch.setattr(Composer, "takes", removing)


@pytest.mark.parametrize("output", ["gone/tune.abc", "gone", "gone/tune.mid"])
def test_a_tune_whose_folder_goes_meanwhile_is_kept(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    tmp_path: Path,
    shelter: Path,
    output: str,
) -> None:
    (tmp_path / "gone").mkdir()
    composing_removes(tmp_path / "gone", monkeypatch)
    arguments = ["generate", "-c", model, "--seed", "1", "-o", str(tmp_path / output)]
    code, _, err = run(capsys, *arguments, "--best-of", "1", "--no-novelty")
    assert code == 1
    (line,) = err.splitlines()
    (kept,) = (path for path in shelter.rglob("*") if path.is_file())
    assert line.endswith(f"; choose another place; it is in {kept}")
    assert kept.stat().st_size > 50
    assert kept.suffix == (Path(output).suffix or ".abc")


def test_without_any_place_left_a_text_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, model: str, tmp_path: Path
) -> None:
    (tmp_path / "gone").mkdir()
    composing_removes(tmp_path / "gone", monkeypatch)
    monkeypatch.setattr(results, "_shelter", lambda: Path("/proc/none"))
    code, out, err = run(capsys, "generate", "-c", model, "-o", str(tmp_path / "gone" / "a.abc"))
    assert code == 1
    assert out.startswith("X:1")
    assert err.splitlines()[-1].endswith("; it was printed instead")


def test_one_picture_that_cannot_be_written_keeps_no_other_from_it(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    shelter: Path,
) -> None:
    from musicgen.evaluation.inspection import gradients

    monkeypatch.setattr(gradients, "measure", lambda *_, **__: [])
    reach = gradients.GradientReach("a", dict.fromkeys((10, 100, 500), 1.0))
    monkeypatch.setattr(gradients, "measure_trained", lambda *_: reach)
    monkeypatch.setattr(gradients, "rows", lambda _: [("a", "b", 1, 2.0)])
    folder = tmp_path / "gone"
    folder.mkdir()

    def draw(*_: object) -> None:
        from musicgen.system.files import write_bytes

        shutil.rmtree(folder)
        write_bytes(folder / "a.png", b"picture")

    monkeypatch.setattr(gradients, "draw", draw)
    monkeypatch.setattr("musicgen.cli.inspect.print_table", lambda *_, **__: None)
    monkeypatch.setattr(gradients, "LAGS", (1,))
    code, _, err = run(capsys, "inspect", "gradients", "-o", str(folder / "a.png"))
    assert (code, len(err.splitlines())) == (1, 2)
    assert {path.name for path in shelter.rglob("a.*")} == {"a.png", "a.csv"}


SHELL = {  # what the shell does with standard output, the exit code, the end of the one line
    ">&-": (1, "error: standard output is closed; open it, or name a file where one can be"),
    ">/dev/full": (1, "/output.txt"),
    "| head -0": (0, ""),
}


@pytest.mark.parametrize("redirection", SHELL)
def test_a_report_that_cannot_be_printed_is_said_to_be_and_kept(
    tmp_path: Path, redirection: str
) -> None:
    (tmp_path / "tune.abc").write_text(GOOD.replace("efga", "efg"))
    code, end = SHELL[redirection]
    done = subprocess.run(
        f"{sys.executable} -m musicgen validate tune.abc --json {redirection}",
        shell=True, cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == code
    said = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert len(said) == bool(end)
    assert "Traceback" not in done.stderr
    if said:
        assert said[0].endswith(end)
    kept = list(tmp_path.glob("musicgen-*/output.txt"))
    assert len(kept) == (redirection == ">/dev/full")
    if kept:
        assert said[0].endswith(str(kept[0]))
        assert '"findings"' in kept[0].read_text()


def test_files_are_written_where_standard_output_is_closed(tmp_path: Path) -> None:
    """No file gets its number, which libraries print to."""
    (tmp_path / "tune.abc").write_text(GOOD)
    done = subprocess.run(
        f"{sys.executable} -m musicgen render tune.abc -o tune.mid <&- >&- 2>&-",
        shell=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert (tmp_path / "tune.mid").read_bytes().startswith(b"MThd")


@pytest.mark.parametrize("number", ["2", "30"])
def test_a_folder_of_tunes_has_one_writer(
    capsys: pytest.CaptureFixture[str], model: str, tmp_path: Path, number: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "tune.abc").write_text(GOOD)
    tune, out = str(folder / "tune.abc"), str(folder)
    arguments = {
        "generate": ["-c", model, "-n", number, "--part-bars", "1", "-o", out],
        "continue": [tune, "-c", model, "-n", number, "-o", out],
        "render": [str(folder), "--to", "mid", "-o", out],
    }
    with only_writer(folder):
        for name, words in arguments.items():
            code, _, err = run(capsys, name, *words)
            assert code == 1, name
            assert " is writing here; wait for it, or choose another folder" in err, name
    assert [path.name for path in folder.iterdir()] == ["tune.abc"]


def test_an_interrupted_tunebook_says_how_to_go_on_and_then_is_as_any(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, model: str, tmp_path: Path
) -> None:
    short = ["generate", "-c", model, "-n", "26", "--seed", "3", "--part-bars", "1"]
    short += ["--meter", "2/4", "--form", "AB", "--best-of", "1", "-o"]
    assert run(capsys, *short, str(tmp_path / "whole"))[0] == 0
    takes = Composer.takes

    def interrupted(*arguments: object, **options: object) -> Iterator[Take]:
        for number, take in enumerate(takes(*arguments, **options)):  # type: ignore[arg-type]
            if number == 5:
                raise KeyboardInterrupt
            yield take

    book = tmp_path / "book"
    with monkeypatch.context() as patched:
        patched.setattr(Composer, "takes", interrupted)
        code, _, err = run(capsys, *short, str(book))
    assert code == 130
    assert f"{book}: 5 of 26 tunes; --resume composes the rest" in err
    assert len((book / "index.csv").read_text().splitlines()) == 6
    with only_writer(book):
        code, _, err = run(capsys, *short, str(book), "--resume")
    assert (code, err) == (
        1,
        f"error: {book}: process {os.getpid()} is writing here; wait for it, or choose another "
        "folder\n",
    )
    assert run(capsys, *short, str(book), "--resume")[0] == 0
    files = [{path.name: path.read_bytes() for path in folder.iterdir()}
             for folder in (book, tmp_path / "whole")]  # fmt: skip
    assert files[0] == files[1]
