"""Notes of a tune as numpy arrays; the fields and numbers of partitura are its own."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import musicgen
from tests import DATA

KESH = "X:1\nT:Kesh\nM:6/8\nL:1/8\nK:G\nD|:G3 GAB|[GB]3 A2-A:|[M:3/4] e4 (3def|\n"
VOICES = "X:1\nM:4/4\nL:1/4\nK:F\nV:1\nc2 B2|A4|]\nV:2 clef=bass\nF,,4|[F,,C,]4|]\n"


def test_notes_are_onset_duration_pitch_and_voice() -> None:
    table = musicgen.parse(VOICES)[0].notes()
    assert table.dtype.names == ("onset", "duration", "pitch", "voice")
    assert table.tolist() == [
        (0, 2, 72, 0),
        (0, 4, 41, 1),
        (2, 2, 70, 0),
        (4, 4, 69, 0),
        (4, 4, 41, 1),
        (4, 4, 48, 1),
    ]
    assert table[table["voice"] == 0]["pitch"].mean() == pytest.approx(70.333, abs=1e-3)


def test_repeats_are_played_unless_they_are_not_wanted() -> None:
    tune = musicgen.parse(KESH)[0]
    assert (len(tune.notes()), len(tune.notes(repeats=False))) == (19, 12)
    assert tune.notes(repeats=False)["duration"][7] == 1.5  # tied


def test_octave_clefs_and_transposition_sound() -> None:
    # ABC 2.1, section 4.6: the clef's octave is played; `transpose=` is in semitones.
    tune = musicgen.parse("X:1\nL:1/4\nK:C clef=treble-8\nC|]")[0]
    assert tune.notes()["pitch"].tolist() == [48]
    tune = musicgen.parse("X:1\nL:1/4\nK:C transpose=-2\nc|]")[0]
    assert tune.notes()["pitch"].tolist() == [70]


def test_an_empty_tune_has_no_rows() -> None:
    for table in (musicgen.Tune().notes(), musicgen.Tune().note_array()):
        assert table.shape == (0,)


def partitura_array(tune: musicgen.Tune, folder: Path) -> Any:
    partitura = pytest.importorskip("partitura", reason="needs partitura")
    musicgen.write(tune, folder / "tune.musicxml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return partitura.load_score(str(folder / "tune.musicxml")).note_array()


@pytest.mark.parametrize(
    "source",
    [KESH, VOICES, (DATA / "ode_to_joy.abc").read_text(),
     "X:1\nM:2/4\nL:1/8\nK:D\n(3ABc|d2 (5:4:5efgfe|[M:3/8] d3|[M:2/2]a4 A4|]\n"],
    ids=["pickup", "voices", "ode", "tuplets and meters"],
)  # fmt: skip
def test_partitura_has_the_same_fields_and_numbers(source: str, tmp_path: Path) -> None:
    tune = musicgen.parse(source)[0]
    theirs, ours = partitura_array(tune, tmp_path), tune.note_array(repeats=False)
    assert ours.dtype.names == theirs.dtype.names
    ours, theirs = (np.sort(a, order=["onset_div", "pitch"]) for a in (ours, theirs))
    assert len(ours) == len(theirs)
    for name in ("onset_beat", "duration_beat", "onset_quarter", "duration_quarter", "pitch"):
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-5, err_msg=name)
    for name in ("onset_div", "duration_div"):
        np.testing.assert_allclose(
            ours[name] / ours["divs_pq"], theirs[name] / theirs["divs_pq"], atol=1e-5, err_msg=name
        )


def test_partitura_estimates_the_key_from_it() -> None:
    analysis = pytest.importorskip("partitura.musicanalysis", reason="needs partitura")
    ode = musicgen.read(DATA / "ode_to_joy.abc")[0]
    assert analysis.estimate_key(ode.note_array()) == "D"
    assert analysis.estimate_spelling(ode.note_array())["step"][0] == "F"
