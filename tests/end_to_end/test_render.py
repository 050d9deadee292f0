"""musicgen render: files to files and folders, options by format, failures at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicgen.cli import main

TUNE = "X:{n}\nT:{title}\nM:6/8\nL:1/8\nK:D\nDFA d2A|B3 B2A|]\n"


@pytest.fixture
def book(tmp_path: Path) -> Path:
    titles = ("First", "Second", "First")
    path = tmp_path / "book.abc"
    path.write_text("\n".join(TUNE.format(n=n, title=t) for n, t in enumerate(titles, 1)))
    return path


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object
) -> tuple[int, str]:
    """Exit code and what was said."""
    monkeypatch.setattr("sys.argv", ["musicgen", "render", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main()
    code = stop.value.code
    return (code if isinstance(code, int) else 0), capsys.readouterr().err


@pytest.fixture
def render(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    return lambda *words: run(monkeypatch, capsys, *words)


def test_a_folder_gets_every_tune_in_every_format(render, book: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "out"
    code, said = render(book, "-o", out, "--to", "svg,musicxml,roll.svg")
    assert said == f"wrote 9 files to {out}\n"
    assert code == 0
    names = {"first", "second", "first-2"}
    assert {p.name for p in out.iterdir()} == {
        name + suffix for name in names for suffix in (".svg", ".musicxml", ".roll.svg")
    }


def test_a_book_of_several_files_is_one_pdf(render, book: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, said = render(book, book, "-o", tmp_path / "b.pdf", "--title", "B", "--paper", "letter")
    assert (code, said) == (0, f"wrote {tmp_path / 'b.pdf'}\n")
    assert (tmp_path / "b.pdf").read_bytes().startswith(b"%PDF")


def test_failures_are_listed_at_the_end_and_the_rest_is_written(  # type: ignore[no-untyped-def]
    render, book: Path, tmp_path: Path
) -> None:
    (tmp_path / "silent.abc").write_text("X:1\nT:Silent\nK:C\nz4|\n")
    out = tmp_path / "out"
    code, said = render(book, tmp_path / "silent.abc", "missing.abc", "-o", out, "--to", "roll.svg")
    assert code == 1
    assert len(list(out.iterdir())) == 3
    lines = said.splitlines()
    assert lines[0] == f"wrote 3 files to {out}"
    assert lines[1].startswith("failed: ")
    assert "'Silent': there is no note to draw" in said
    assert "missing.abc: no such file" in said
    assert lines[-1] == "error: 2 could not be written"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "a.svg"], "a.svg: holds one tune, not 3; name a folder, or a PDF for a book"),
        (["-o", "a.pdf", "--tempo", "70%"], "--tempo: is no option of .pdf"),
        (["-o", "out", "--to", "doc"], "--to doc: cannot write 'doc'; use"),
        (["-o", "out", "--to", ","], "--to: names no format"),
        (["-o", "a.pdf", "--paper", "a5"], "paper 'a5': use a4 or letter"),
    ],
)
def test_a_wrong_wish_is_one_line_and_no_file(  # type: ignore[no-untyped-def]
    render, book: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(book.parent)
    code, said = render(book, *words)
    assert code == 1
    assert said.startswith(f"error: {message}")
    assert said.count("\n") == 1
    assert not list(book.parent.glob("a.*"))


def test_files_that_are_there_stay(render, book: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "out"
    out.mkdir()
    (out / "second.svg").write_text("mine")
    code, said = render(book, "-o", out)
    assert code == 1
    assert "second.svg: already exists; use --force to overwrite" in said
    assert (out / "second.svg").read_text() == "mine"
    assert (out / "first.svg").exists()


def test_folders_of_midi_become_abc_of_the_same_shape(render, book: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    midis, out = tmp_path / "midis", tmp_path / "out"
    assert render(book, "-o", midis / "inner", "--to", "mid")[0] == 0
    for number in range(40):
        (midis / f"n{number}.mid").write_bytes((midis / "inner" / "first.mid").read_bytes())
    (midis / "n7.mid").write_bytes(b"MThd nothing")
    code, said = render(midis, "-o", out, "--to", "abc,mid", "--jobs", "2")
    assert code == 1
    lines = said.splitlines()
    assert lines[-3:] == [
        f"wrote 84 files to {out}",
        f"failed: {midis / 'n7.mid'}: not a MIDI file (no MThd at its start); export it again",
        "error: 1 could not be written",
    ]
    assert sorted(p.name for p in (out / "inner").iterdir()) == sorted(
        f"{name}{suffix}" for name in ("first", "second", "first-2") for suffix in (".abc", ".mid")
    )
    assert "X:1" in (out / "n0.abc").read_text()


def test_reading_options_reach_midi_and_only_midi(render, book: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "out"
    assert render(book, "-o", out, "--to", "mid", "--ticks-per-quarter", "96")[0] == 0
    code, _ = render(out / "first.mid", book, "-o", tmp_path / "b.abc", "--key", "Bm")
    assert code == 0
    keys = [k for k in (tmp_path / "b.abc").read_text().splitlines() if k.startswith("K:")]
    assert keys == ["K:Bm", "K:D", "K:D", "K:D"]
    assert render(out / "first.mid", "-o", tmp_path / "c.abc", "--track", "8")[0] == 1
