"""The public names: complete, typed, quick to find, and with errors that say what to do."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import musicgen
from musicgen.errors import MissingFileError, MissingModelError, OptionError
from musicgen.models import checkpoint as checkpoints
from musicgen.models.checkpoint import Checkpoint
from musicgen.music.similarity import NoveltyIndex
from tests import DATA

ODE = musicgen.read(DATA / "ode_to_joy.abc")[0]
USER_FILE = """
from pathlib import Path
from numpy import void
from numpy.typing import NDArray
import musicgen
from musicgen import Tune

tunes: list[Tune] = musicgen.read("a.abc") + musicgen.parse(b"", format="mid")
with open("a.abc") as text, open("a.mid", "wb") as binary:
    tunes = musicgen.read(text)
    musicgen.write(tunes, binary, format="mid")
tune = musicgen.harmonize(tunes[0])
content: str = musicgen.dumps(tune) + musicgen.dumps(tunes, "musicxml")
data: bytes = musicgen.dumps(tune, "mid")
either: str | bytes = musicgen.dumps(tune, str(Path("x").suffix))
table: NDArray[void] = tune.notes(repeats=False)
answers: dict[str, dict[str, float]] = musicgen.classify(tune)
verdict: str = musicgen.novelty(tune, tunes).verdict
messages: list[str] = [problem.message for problem in musicgen.validate(tune)]
entries: int = len(musicgen.dataset("celtic", split="val"))
first: Tune = musicgen.dataset()[0]
same: Tune = musicgen.from_dict(musicgen.to_dict(musicgen.transpose(tune, "G")))
reveal_type(musicgen.to_music21(tune))
reveal_type(musicgen.load().generate(seed=7))
data = musicgen.dumps(tune)  # an error: text
musicgen.novelty(3)  # an error: no tune
"""


def test_the_public_names_are_these() -> None:
    assert sorted(musicgen.__all__) == [
        *("Bar", "Chord", "Composer", "Controls", "MusicgenError", "NextTokenModule", "Note"),
        *("Rest", "SamplingConfig", "Tune", "TuneDataModule", "Voice", "classify", "dataset"),
        *(
            "dumps",
            "from_dict",
            "from_mido",
            "from_music21",
            "from_pretty_midi",
            "from_symusic",
            "harmonize",
            "load",
        ),
        *("novelty", "parse", "read", "scan", "show", "to_dict", "to_mido", "to_music21"),
        *("to_pretty_midi", "to_symusic", "transpose", "validate", "write"),
    ]
    assert set(musicgen.__all__) <= set(dir(musicgen))  # what a Tab completes
    # In a fresh process, where none of the lazy names was used before.
    program = "import musicgen, musicgen.composer as c; print(dir(musicgen), dir(c))"
    listed = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert all(f"'{name}'" in listed for name in (*musicgen.__all__, "PolyphonicComposer"))
    for name in musicgen.__all__:
        assert getattr(musicgen, name).__doc__, name
        assert name in (musicgen.__doc__ or "") or name[:3] in ("to_", "fro") or name[0].isupper()


def test_a_tune_is_composed_and_written_in_four_lines(
    untrained: Checkpoint, tmp_path: Path
) -> None:
    checkpoints.save(tmp_path / "model", untrained)
    composer = musicgen.load(tmp_path / "model")
    tune = composer.generate(key="D", meter="6/8", rhythm="jig", seed=7)
    musicgen.write(tune, tmp_path / "jig.mid")
    musicgen.write([tune, tune], tmp_path / "jigs.abc")
    assert [len(musicgen.read(tmp_path / name)) for name in ("jig.mid", "jigs.abc")] == [1, 2]


@pytest.mark.slow
def test_mypy_finds_the_types_of_a_users_file(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(USER_FILE)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "user.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("user.py")]
    errors = [line for line in lines if " error:" in line]
    assert len(errors) == 2, done.stdout
    assert '"str", variable has type "bytes"' in errors[0]
    assert '"novelty" has incompatible type "int"' in errors[1]
    assert any("music21.stream.base.Score" in line for line in lines)
    assert any('"musicgen.music.tune.Tune"' in line for line in lines)


# --- a Tune as a value -----------------------------------------------------------------------


def test_a_tune_is_a_value() -> None:
    for same in (copy.copy(ODE), copy.deepcopy(ODE), pickle.loads(pickle.dumps(ODE))):
        assert same == ODE
        assert hash(same) == hash(ODE)
    assert musicgen.transpose(ODE, "+2") != ODE
    assert len({ODE, copy.deepcopy(ODE)}) == 1


def test_a_tune_says_what_it_is() -> None:
    kesh = musicgen.parse("X:1\nT:The Kesh\nM:6/8\nK:G\nG3 GAB|A3 ABd|]")[0]
    assert repr(kesh) == '<Tune "The Kesh" 6/8 G major, 1 voice, 2 bars>'
    assert repr(musicgen.Tune(title="a\nb")) == '<Tune "a\\nb" C C major, 0 voices, 0 bars>'


# --- functions of a tune ---------------------------------------------------------------------


def test_a_tune_is_harmonized_classified_and_compared() -> None:
    harmonized = musicgen.harmonize(ODE)
    symbols = [event.marks.chord_symbol for event in harmonized.voices[0].events]
    assert any(symbols)
    assert (harmonized.notes() == ODE.notes()).all()
    answers = musicgen.classify(replace(ODE, voices=ODE.voices[:1]))
    assert all(sum(of_class.values()) == pytest.approx(1) for of_class in answers.values())
    assert {"rhythm", "mode", "meter"} <= answers.keys()
    assert musicgen.novelty(ODE).verdict == "new"
    assert musicgen.novelty(ODE, [ODE]).verdict == "copy"
    assert musicgen.novelty(ODE, NoveltyIndex.build([ODE])).verdict == "copy"


# --- wrong arguments -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def composer() -> musicgen.Composer:
    composer = musicgen.load()
    assert isinstance(composer, musicgen.Composer)
    return composer


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ryhthm": "jig"}, "no option 'ryhthm'; did you mean 'rhythm'?"),
        ({"Temprature": 1}, "no option 'Temprature'; did you mean 'temperature'?"),
        ({"xyz": 1}, "no option 'xyz'; it has like, key, "),
        ({"key": 3}, "key: 3 is not text"),
        ({"bars": "x"}, "bars: 'x' is not a whole number"),
        ({"bars": True}, "bars: True is not a whole number"),
        ({"seed": "x"}, "seed: 'x' is not a whole number"),
        ({"temperature": "hot"}, "temperature: 'hot' is not a finite number"),
        ({"end_on_tonic": 1}, "end_on_tonic: 1 is not true or false"),
        ({"motif": "x.abc"}, "motif: 'x.abc' is not a Tune"),
    ],
)
def test_a_wrong_argument_of_generate_is_named(
    composer: musicgen.Composer, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError) as caught:
        composer.generate(**arguments)
    assert str(caught.value).startswith(message)
    assert isinstance(caught.value, TypeError)  # as Python itself would raise


def test_numbers_of_numpy_are_numbers(composer: musicgen.Composer) -> None:
    config = musicgen.SamplingConfig(seed=np.int64(3), temperature=np.float32(0.5), top_k=0)
    assert (config.seed, config.temperature) == (3, 0.5)
    with pytest.raises(OptionError, match=r"^no option 'temprature'; did you mean 'temperature'"):
        musicgen.SamplingConfig(temprature=1)  # type: ignore[call-arg]
    with pytest.raises(OptionError, match=r"^no option 'ryhthm'; did you mean 'rhythm'"):
        musicgen.Controls(ryhthm="jig")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "function",
    [
        *(musicgen.dumps, musicgen.validate, musicgen.harmonize, musicgen.classify),
        *(musicgen.novelty, musicgen.to_dict, musicgen.to_music21, musicgen.to_mido),
        *(musicgen.to_pretty_midi, musicgen.to_symusic),
        lambda tune: musicgen.transpose(tune, "G"),
        lambda tune: musicgen.load().continue_(tune),
        lambda tune: next(musicgen.load().infill(tune, bars="1-2")),  # type: ignore[union-attr]
        lambda tune: musicgen.load("chorale").continue_(tune),
    ],
)
def test_a_list_is_no_tune(function: Callable[[Any], object]) -> None:
    with pytest.raises(OptionError, match="a Tune is wanted, not list; take one of its tunes"):
        function([[ODE]] if function is musicgen.dumps else [ODE])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (musicgen.from_mido, "midi: a mido.MidiFile is wanted, not int"),
        (musicgen.from_music21, "score: a music21.Stream is wanted, not int"),
        (musicgen.from_pretty_midi, "midi: a pretty_midi.PrettyMIDI is wanted, not int"),
        (musicgen.from_symusic, "score: a symusic.ScoreTick is wanted, not int"),
        (musicgen.read, "source: a file is wanted: its path, or an open one; not int"),
        (
            lambda x: musicgen.write(ODE, x),
            "target: a file is wanted: its path, or an open one; not int",
        ),
        (musicgen.parse, "content: music is text or bytes, not int"),
    ],
)
def test_something_else_is_refused(function: Callable[[Any], object], message: str) -> None:
    with pytest.raises(OptionError, match=f"^{message}"):
        function(3)


def test_a_missing_file_is_a_file_not_found_error(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.abc"
    with pytest.raises(FileNotFoundError) as caught:
        musicgen.read(path)
    assert isinstance(caught.value, MissingFileError)
    assert str(caught.value) == f"{path}: no such file; check the name"
    assert (caught.value.errno, caught.value.filename) == (2, str(path))
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.filename) == (str(caught.value), str(path))
    for name in ("celtc", str(tmp_path / "model")):
        with pytest.raises(FileNotFoundError, match=r"no such model|is not a model") as missing:
            musicgen.load(name)
        assert isinstance(missing.value, MissingModelError)
    assert "did you mean 'celtic'?" in checkpoints_message("celtc")


def checkpoints_message(name: str) -> str:
    with pytest.raises(MissingModelError) as caught:
        checkpoints.locate(name)
    return str(caught.value)
