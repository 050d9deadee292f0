"""Reading and writing by extension."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from musicgen import formats
from musicgen.errors import InvalidTuneError, ParseError, UnsupportedFormatError
from musicgen.music.playback import played_notes
from musicgen.music.tune import Bar, Note, Pitch, Rejected, Tune, Voice

BAR = Bar(events=tuple(Note(Pitch(step, 0, 4)) for step in "CDEFGABC"), barline="|]")
KNOWN = (
    ".abc, .txt, .mid, .midi, .kar, .musicxml, .xml, .mxl, .krn, "
    ".json, .jsonl, .ndjson, .csv, .tsv, .parquet"
)
SCALE = Tune(title="Scale", voices=(Voice(bars=(BAR,)),))


@pytest.mark.parametrize(
    "name", ["scale.abc", "scale.mid", "SCALE.MIDI", "scale.musicxml", "s.mxl", "s.xml"]
)
def test_what_is_written_can_be_read_by_the_same_name(tmp_path: Path, name: str) -> None:
    formats.write(SCALE, tmp_path / name)
    (tune,) = formats.read(tmp_path / name)
    assert tune.title == "Scale"
    assert played_notes(tune) == played_notes(SCALE)


def test_several_tunes_go_into_one_tunebook(tmp_path: Path) -> None:
    formats.write([SCALE, SCALE], tmp_path / "book.abc")
    assert len(formats.read(tmp_path / "book.abc")) == 2


def test_several_tunes_do_not_go_into_one_midi_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidTuneError, match="holds one tune, not 2"):
        formats.write([SCALE, SCALE], tmp_path / "book.mid")
    assert not (tmp_path / "book.mid").exists()


def test_nothing_to_write_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidTuneError, match="there is no tune to write"):
        formats.write([], tmp_path / "a.abc")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.doc", f"a.doc: cannot read '.doc'; use {KNOWN}"),
        ("a", f"a: cannot read 'no extension'; use {KNOWN}"),
    ],
)
def test_an_unknown_extension_lists_the_known_ones(name: str, message: str) -> None:
    with pytest.raises(UnsupportedFormatError) as error:
        formats.read(name)
    assert str(error.value) == message


def test_an_unknown_extension_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormatError, match=r"cannot write '\.wma'"):
        formats.write(SCALE, tmp_path / "a.wma")


@pytest.mark.parametrize("name", ["a.abc", "a.mid", "a.musicxml", "a.mxl"])
@pytest.mark.parametrize("content", [b"", b"\0\xff\xfe\x80" * 50], ids=["empty", "binary"])
def test_a_file_without_music_is_one_clear_line(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ParseError) as error:
        formats.read(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_scanning_a_good_file_rejects_nothing(tmp_path: Path) -> None:
    formats.write(SCALE, tmp_path / "a.mid")
    reading = formats.scan(tmp_path / "a.mid")
    assert (len(reading.tunes), reading.rejected) == (1, ())


def test_readable_goes_by_extension_in_any_case() -> None:
    assert formats.readable("x/Y.ABC")
    assert not formats.readable("x/abc")


def test_tunes_come_one_by_one_with_those_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "book.abc").write_text("X:1\nK:C\nCDEF|\n\nX:2\nT:Empty\n\nX:3\nK:C\nGABc|\n")
    formats.write(SCALE, tmp_path / "scale.mid")
    for name in ("book.abc", "scale.mid"):
        reading = formats.scan(tmp_path / name)
        each = list(formats.scan_each(tmp_path / name))
        assert [tune for tune in each if isinstance(tune, Tune)] == list(reading.tunes)
        assert [tune for tune in each if isinstance(tune, Rejected)] == list(reading.rejected)
    assert [type(tune) for tune in formats.scan_each(tmp_path / "book.abc")] == [
        Tune,
        Rejected,
        Tune,
    ]


@pytest.mark.parametrize("name", ["scale.abc", "scale.mid", "scale.musicxml", "scale.mxl"])
def test_content_without_a_file_is_read_by_its_name(tmp_path: Path, name: str) -> None:
    formats.write(SCALE, tmp_path / name)
    data = (tmp_path / name).read_bytes()
    assert list(formats.parsed_each(data, name)) == list(formats.scan_each(tmp_path / name))
    with pytest.raises(UnsupportedFormatError):
        formats.parsed_each(data, "scale.exe")


KERN = b"**kern\n*M4/4\n4c\n4d\n4e\n4f\n=\n*-\n"


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("scale.abc", formats.rendered([SCALE], ".abc"))
    return packed.getvalue()


def content(kind: str) -> bytes:
    match kind:
        case "kern":
            return KERN
        case "gzip":
            return gzip.compress(formats.rendered([SCALE], ".abc"))
        case "zip":
            return zipped()
        case "pdf":
            return b"%PDF-1.4\n1 0 obj"
        case "png":
            return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
        case "riff":
            midi = formats.rendered([SCALE], ".mid")
            return b"RIFF" + bytes(4) + b"RMIDdata" + bytes(4) + midi
        case _:
            return formats.rendered([SCALE], f".{kind}")


SUFFIXES = {"abc": ".abc .txt", "mid": ".mid .midi .kar", "riff": ".mid .midi .kar", "kern": ".krn",
            "musicxml": ".musicxml .xml .mxl", "mxl": ".musicxml .xml .mxl"}  # fmt: skip


@pytest.mark.parametrize("suffix", formats.READERS)
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("abc", "is ABC; name it .abc"),
        ("mid", "is a MIDI file; name it .mid"),
        ("riff", "is a MIDI file; name it .mid"),
        ("kern", "is kern; name it .krn"),
        ("musicxml", "is MusicXML; name it .musicxml"),
        ("mxl", "is compressed MusicXML; name it .mxl"),
        ("gzip", "is compressed with gzip; unpack it first"),
        ("zip", "is a zip archive; unpack it first"),
        ("pdf", "is a PDF; music is not read from pages; find it as ABC, MIDI or MusicXML"),
        ("png", "is a picture; music is not read from pictures; find it as ABC or MusicXML"),
        ("wav", "is a recording; recordings are written, not read; find it as ABC or MIDI"),
    ],
)
def test_a_file_with_a_wrong_name_is_told_what_it_is(
    tmp_path: Path, kind: str, message: str, suffix: str
) -> None:
    path = tmp_path / f"scale{suffix}"
    path.write_bytes(content(kind))
    if suffix in SUFFIXES.get(kind, "").split():
        assert len(formats.read(path)) == 1
        return
    if kind == "zip" and suffix in SUFFIXES["mxl"].split():
        message = "is an archive without a score; is it the right file?"
    for read in (formats.scan, formats.read, lambda path: list(formats.scan_each(path))):
        with pytest.raises(ParseError) as caught:
            read(path)
        assert str(caught.value) == f"{path}: {message}"


@pytest.mark.parametrize("beginning", ["MZ", "ID3", "GIF89a", "BZh9", "FORM", "Rar!", "<score>"])
def test_words_before_the_first_tune_are_no_signature(tmp_path: Path, beginning: str) -> None:
    path = tmp_path / "book.abc"
    path.write_text(f"{beginning} is how it begins\n\nX:1\nK:C\nCDEF|\n")
    assert len(formats.read(path)) == 1
