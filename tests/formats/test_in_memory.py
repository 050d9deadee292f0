"""Music as text and bytes, and open files: `parse`, `dumps`, `read` and `write`."""

from __future__ import annotations

import gzip
import io
import tempfile
from pathlib import Path

import pytest

import musicgen
from musicgen.errors import (
    InvalidTuneError,
    MusicgenError,
    OptionError,
    ParseError,
    UnsupportedFormatError,
)
from musicgen.formats import WRITERS
from musicgen.system.files import limit_inputs
from tests import DATA

TUNE = musicgen.parse("X:1\nT:Jörg's Scale\nL:1/8\nM:4/4\nK:C\nCDEF GABc|]\n")[0]
KERN = "**kern\n*M4/4\n4c\n4d\n4e\n4f\n*-\n"


@pytest.mark.parametrize("name", ["abc", ".abc", "ABC", "mid", "MIDI", "MusicXML", "xml", "mxl"])
def test_what_is_dumped_is_parsed(name: str) -> None:
    content = musicgen.dumps(TUNE, name)
    assert isinstance(
        content, str if name.lower().strip(".") in ("abc", "musicxml", "xml") else bytes
    )
    for tune in (*musicgen.parse(content, name), *musicgen.parse(content)):
        assert tune.title == TUNE.title
        assert tune.notes().tolist() == TUNE.notes().tolist()


def test_dumps_has_the_content_of_the_file(tmp_path: Path) -> None:
    for suffix in (".abc", ".mid", ".musicxml", ".svg", ".html"):
        musicgen.write(TUNE, tmp_path / f"tune{suffix}")
        content = musicgen.dumps(TUNE, suffix)
        data = content.encode() if isinstance(content, str) else content
        assert data == (tmp_path / f"tune{suffix}").read_bytes()
        assert isinstance(content, str) == WRITERS[suffix].is_text
    assert musicgen.dumps([TUNE, TUNE]).count("T:J") == 2
    assert musicgen.parse(musicgen.dumps([TUNE, TUNE])) == [TUNE, TUNE]
    assert musicgen.dumps(TUNE, "mid", transpose="+2") != musicgen.dumps(TUNE, "mid")


@pytest.mark.parametrize(
    ("content", "format"),
    [
        ("C D E F|", "abc"),  # by its format alone
        ("X:1\nK:C\nCDEF|", ""),
        (b"\xef\xbb\xbfX:1\r\nK:C\r\nCDEF|", ""),
        (bytearray(b"X:1\nK:C\nCDEF|"), ""),
        (KERN, "kern"),
        (KERN, ""),
        (KERN.encode(), ".krn"),
    ],
)
def test_text_and_bytes_are_parsed(content: str | bytes, format: str) -> None:
    if format == "abc":
        content = f"X:1\nK:C\n{content}"
    assert musicgen.parse(content, format=format)[0].notes()["pitch"].tolist() == [60, 62, 64, 65]


@pytest.mark.parametrize("declared", ["UTF-8", "UTF-16", "ISO-8859-1", "Shift_JIS"])
def test_text_is_not_in_the_encoding_that_xml_declares(declared: str) -> None:
    text = musicgen.dumps(TUNE, "musicxml").replace("UTF-8", declared)
    assert musicgen.parse(text)[0].title == "Jörg's Scale"


def test_reading_options_and_errors_have_no_path() -> None:
    two = musicgen.dumps(musicgen.read(DATA / "ode_to_joy.abc")[0], "mid")
    assert len(musicgen.parse(two, "mid")[0].voices) == 1
    assert len(musicgen.parse(two, "mid", voices="all")[0].voices) == 2
    with pytest.raises(ParseError) as caught:
        musicgen.parse("X:1\nT:no music\n")
    assert str(caught.value).startswith("line 1: ")


@pytest.mark.parametrize(
    ("content", "format", "kind", "message"),
    [
        ("hello", "", ParseError, "holds no tune; is it the right file?"),
        ("", "abc", ParseError, "holds no tune"),
        (b"\0\1\2", "", ParseError, "is not text"),
        ("X:1\nK:C\nC", "abcd", UnsupportedFormatError, "cannot read 'abcd'; did you mean 'abc'?"),
        ("X:1\nK:C\nC", "xyz", UnsupportedFormatError, "cannot read 'xyz'; use .abc, .txt, "),
        ("X:1\nK:C\nC", "mid", ParseError, "is ABC"),
        ("X:1\nK:C\n\ud800", "abc", ParseError, "holds half a character; give valid Unicode"),
        (b"%PDF-1.4", "", ParseError, "is a PDF"),
    ],
)
def test_what_holds_no_music_is_refused(
    content: str | bytes, format: str, kind: type[MusicgenError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        musicgen.parse(content, format)
    assert str(caught.value).startswith(message)


def test_the_size_of_content_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSICGEN_MAX_BYTES", "")
    limit_inputs(100)
    with pytest.raises(ParseError, match=r"is larger than .* MiB"):
        musicgen.parse("X:1\nK:C\n" + "C" * 100)
    with pytest.raises(ParseError, match="is larger than"):
        musicgen.read(io.BytesIO(b"X:1\nK:C\n" + b"C" * 100))


def test_options_are_checked() -> None:
    with pytest.raises(OptionError, match=r"^no option 'voicse' of \.mid; did you mean 'voices'"):
        musicgen.parse(musicgen.dumps(TUNE, "mid"), voicse="all")
    with pytest.raises(OptionError, match=r"^no option 'papr' of \.png; did you mean 'paper'"):
        musicgen.dumps(TUNE, "png", papr="a4")
    with pytest.raises(InvalidTuneError, match="there is no tune to write"):
        musicgen.dumps([])
    with pytest.raises(UnsupportedFormatError, match="cannot write 'kern'; use"):
        musicgen.dumps(TUNE, "kern")


# --- open files ------------------------------------------------------------------------------


def test_open_files_are_read(tmp_path: Path) -> None:
    musicgen.write(TUNE, tmp_path / "a.abc")
    musicgen.write(TUNE, tmp_path / "a.mid")
    musicgen.write(TUNE, tmp_path / "noname", format="abc")
    with gzip.open(tmp_path / "a.gz", "wb") as packed:
        packed.write((tmp_path / "a.abc").read_bytes())
    with (tmp_path / "a.abc").open("rb") as binary, (tmp_path / "a.abc").open() as text:
        assert musicgen.read(binary) == musicgen.read(text) == [TUNE]
    with (tmp_path / "a.mid").open("rb") as midi:
        assert musicgen.read(midi)[0].title == TUNE.title
    with (tmp_path / "noname").open() as text, gzip.open(tmp_path / "a.gz") as packed:
        assert musicgen.read(text) == musicgen.read(packed) == [TUNE]
    with (tmp_path / "noname").open() as text:
        assert musicgen.scan(text, format="abc").tunes == (TUNE,)
    assert musicgen.read(tmp_path / "noname", format="abc") == [TUNE]


def test_open_files_are_written(tmp_path: Path) -> None:
    text, binary = io.StringIO(), io.BytesIO()
    musicgen.write([TUNE, TUNE], text, format="abc")
    musicgen.write(TUNE, binary, format="midi")
    assert text.getvalue() == musicgen.dumps([TUNE, TUNE])
    assert binary.getvalue() == musicgen.dumps(TUNE, "mid")
    with tempfile.NamedTemporaryFile("w+", suffix=".abc", encoding="utf-8") as file:
        musicgen.write(TUNE, file)
        file.seek(0)
        assert musicgen.read(file) == [TUNE]
    with gzip.open(tmp_path / "a.mid.gz", "wb") as packed:
        musicgen.write(TUNE, packed, format="mid")
    with gzip.open(tmp_path / "a.mid.gz") as packed:
        assert musicgen.read(packed, format="mid")[0].title == TUNE.title
    with pytest.raises(OptionError, match="a MIDI file is not text; open the file with mode 'wb'"):
        musicgen.write(TUNE, io.StringIO(), format="mid")
    with pytest.raises(UnsupportedFormatError, match="an open file without a name"):
        musicgen.write(TUNE, io.BytesIO())
