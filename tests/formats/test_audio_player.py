"""`musicgen play`, on SDL's silent device and on none at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from musicgen.errors import ConfigError
from musicgen.formats.abc_notation import parse_text
from musicgen.formats.audio import player

JIG = """X:1
T:A jig
R:jig
M:6/8
L:1/8
K:D
A|:"D"d2e fed|"G"BGB "A7"AFA|"D"d2e fed|"Em"e3 "A7"efg|"D"fed "G"gfe|"D"d3 d2:|
"""


@pytest.fixture
def jig_file(tmp_path: Path) -> Path:
    path = tmp_path / "jig.abc"
    path.write_text(JIG)
    return path


def run_play(path: Path, *options: str, driver: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "musicgen", "play", str(path), *options],
        env={**os.environ, "SDL_AUDIODRIVER": driver},
        capture_output=True,
        text=True,
        check=False,
    )


def test_play_goes_to_the_end_where_there_is_a_device(jig_file: Path) -> None:
    done = run_play(jig_file, "--tempo", "400%", "--count-in", "1", driver="dummy")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "playing 'A jig', 3 s\n"


def test_play_says_plainly_that_there_is_no_device(jig_file: Path) -> None:
    done = run_play(jig_file, driver="nonesuch")
    assert done.returncode == 1
    assert "error: there is no audio device to play on" in done.stderr
    assert "musicgen render FILE -o tune.mp3" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_play_takes_a_tune_of_many(jig_file: Path) -> None:
    jig_file.write_text(JIG + "\n" + JIG.replace("A jig", "Another"))
    done = run_play(jig_file, "--tune", "2", driver="nonesuch")
    assert "tune 2 of 2; --tune chooses another" in done.stderr
    assert "playing 'Another'" in done.stderr
    assert "has no tune 3; it holds 2" in run_play(jig_file, "--tune", "3", driver="dummy").stderr


def test_play_tells_of_chords_it_does_not_know(jig_file: Path) -> None:
    jig_file.write_text(JIG.replace('"Em"', '"E13#11"'))
    done = run_play(jig_file, driver="nonesuch")
    assert "warning: chord symbol 'E13#11' is not known" in done.stderr


def test_options_are_those_of_sound_files() -> None:
    (tune,) = parse_text(JIG).tunes
    performance, wav = player.prepare(tune, tempo="200%", backing=False)
    assert len(performance.parts) == 1
    assert wav[:4] == b"RIFF"
    with pytest.raises(ConfigError, match="no option 'volume'; it has"):
        player.prepare(tune, volume=1)
