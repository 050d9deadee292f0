"""Title and composer in sound files, read back by other programs; instruments by name."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import mido
import pytest
import soundfile

from musicgen import formats
from musicgen.formats.abc_notation import parse_text
from musicgen.music.instruments import RANGES, program

TITLE, COMPOSER = 'Dvořák "Q" さくら', "Turlough O'Carolan"
ABC = f"X:1\nT:{TITLE}\nC:{COMPOSER}\nM:4/4\nL:1/4\nQ:1/4=240\nK:D\nD|\n"
READERS = {
    ".flac": ["metaflac", "--export-tags-to=-", "--no-utf8-convert"],
    ".ogg": ["vorbiscomment", "--list", "--raw"],
}


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".mp3"])
def test_a_sound_file_says_its_title_and_composer(suffix: str, tmp_path: Path) -> None:
    """As metaflac and vorbiscomment print it, and as ID3v2.3 has it (frames TIT2, TPE1, TCOM)."""
    (tune,) = parse_text(ABC).tunes
    path = tmp_path / f"tune{suffix}"
    path.write_bytes(formats.rendered([tune], suffix, synthesizer="additive"))
    if suffix == ".mp3":
        data = path.read_bytes()
        assert data[:3] == b"ID3"
        for frame, text in ((b"TIT2", TITLE), (b"TPE1", COMPOSER), (b"TCOM", COMPOSER)):
            start = data.index(frame)
            size = int.from_bytes(data[start + 4 : start + 8])
            content = data[start + 10 : start + 10 + size]
            assert content[0] == 1
            assert content[1:].decode("utf-16") == text
        assert soundfile.info(path).frames > 40_000
        return
    command = READERS[suffix]
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    tags = subprocess.run([*command, path], capture_output=True, check=True).stdout.decode()
    lines = {line.partition("=")[0].lower(): line.partition("=")[2] for line in tags.splitlines()}
    assert (lines["title"], lines["artist"]) == (TITLE, COMPOSER)


def test_every_instrument_of_generate_can_be_rendered() -> None:
    assert all(0 <= program(name) <= 127 for name in RANGES)


@pytest.mark.parametrize(
    ("name", "music", "expected"),
    [
        ("Piano", "CDEF", 0),
        ("Bass", "CDEF", 32),
        ("Violin I", "CDEF", 40),
        ("Tin Whistle", "CDEF", 72),
        ("", "cdef", 73),
        ("", "C,D,E,F,", 42),
        ("", "C,,D,,E,,F,,", 43),
        ("The Lark", "cdef", 73),
    ],
)
def test_a_voice_gets_the_program_of_its_name_or_range(
    name: str, music: str, expected: int
) -> None:
    """Numbers of General MIDI, sound set 1."""
    text = f'X:1\nT:t\nL:1/4\nK:C\nV:1 name="{name}"\n{music}|\nV:2 name="Flute"\ncdef|\n'
    (tune,) = parse_text(text).tunes
    file = mido.MidiFile(file=io.BytesIO(formats.rendered([tune], ".mid")))
    programs = [m.program for track in file.tracks for m in track if m.type == "program_change"]
    assert programs == [expected, 73]
